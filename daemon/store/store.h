/* SPDX-License-Identifier: MIT */
/*
 * The database as domain verbs. All SQL is behind this interface.
 *
 * The store is the queue: there is no other list of waiting tasks. All writes of a pass form one
 * transaction, which the first write opens and store_commit() makes durable. A verb is one
 * statement, or a few that succeed or fail together. Handlers check first and write last, so a verb
 * fails only when the storage fails. After a failure the pass can only be rolled back: further
 * writes return the same error until store_rollback().
 *
 * Results: 0 on success, 1 where documented, a negative errno if the storage failed; store_error()
 * then has the message.
 */
#pragma once

#include "core/metrics.h"
#include "core/task.h"
#include "core/task_list.h"

struct store;

/** Opens or creates the database and migrates its schema. On failure *ret_error is a message for
 *  the user, which the caller frees. -ENOTSUP: written by a newer acpd. */
MUST_CHECK int store_open(const char *path, struct store **ret_store, char **ret_error);
void store_close(struct store *store);

/** The kind of the database: "sqlite" or "postgres". */
const char *store_type(const struct store *store);
/** Whether a transaction is open: reads may see uncommitted changes. */
bool store_is_writing(const struct store *store);
/** Number of writes since the store was opened; a call compares two values to see whether it
 *  wrote. */
uint64_t store_writes(const struct store *store);
/** Whether a verb has failed since the last rollback. */
bool store_has_failed(const struct store *store);
/** The last error; empty if nothing has failed since the last commit. */
const char *store_error(const struct store *store);
/** Whether another acpd has taken the store over for good. Nothing can be written any more, and
 * what this one runs is run by the other one. */
bool store_is_lost(const struct store *store);
/** Describes a damaged row; empty if none was found since the start. Reading the row of a damaged
 * task returns -EBADMSG; the transaction stays usable. */
const char *store_damage(const struct store *store);
/** Whether a verb's result means that the row of a task is damaged; the transaction stays usable.
 */
bool store_is_damage(const struct store *store, int r);
/** Wall ms by the clock that all who share the store have in common: the server's, or this
 *  machine's. */
int64_t store_wall_ms(const struct store *store);
/** Makes the pass's writes durable: one fsync. Harmless without a transaction. 0: they are durable.
 *  Negative: none of them will be; roll back. STORE_UNKNOWN: the store cannot tell, as when the
 *  connection to a server is lost in mid-commit; store_resolve() will. SQLite can always tell. */
MUST_CHECK int store_commit(struct store *store);
/** The outcome of a commit that returned STORE_UNKNOWN; results as for store_commit().
 *  STORE_UNKNOWN: ask again later. Until the outcome is known, every writing verb fails. */
MUST_CHECK int store_resolve(struct store *store);
void store_rollback(struct store *store);
/** Returns some of the free space in the file to the system, as part of the pass's transaction. 1:
 *  there is more. A database created by an older acpd keeps its free space for new rows. */
MUST_CHECK int store_give_back(struct store *store);
/** Bytes on disk, including the write-ahead log. */
int64_t store_size(const struct store *store);

/* Nodes: the acpds that share the store. Only PostgreSQL can be shared; for others each of these
 * verbs does nothing and says so: store_node() is 0, and the rest return what is documented for an
 * empty list. */

/** The id of the node that this handle is; 0: the store is not shared. */
int64_t store_node(const struct store *store);
/** Until when the last commit keeps others from taking over what this node runs, ms of
 *  clock_boot_ms(); INT64_MAX: for ever. */
int64_t store_valid_until(const struct store *store);
/** Opens the pass's transaction: its commit is a sign of life. */
MUST_CHECK int store_beat(struct store *store);

struct store_node {
    int64_t id, pass;           /* commits: signs of life */
    char *name, *url, *version; /* url: NULL: unknown */
    int64_t config_sum;         /* of what store_put_config() has last said; 0: nothing yet */
    bool is_retiring;
    int64_t attempts; /* that it runs */
};

struct store_nodes {
    struct store_node *nodes;
    size_t count;
};

void store_node_deinit(struct store_node *node);
void store_nodes_deinit(struct store_nodes *nodes);
/** The nodes that are not known to be dead, sorted by name. */
MUST_CHECK int store_list_nodes(struct store *store, struct store_nodes *ret_nodes);
/** Tells the other nodes how this one is configured. */
MUST_CHECK int store_put_config(struct store *store, const char *text);
/** What a node has told; NULL: nothing. The caller frees it. */
MUST_CHECK int store_get_config(struct store *store, int64_t node_id, char **ret_text);
/** Removes a node that has given no sign of life since `pass`; what it ran can be taken over.
 *  STORE_STALE: it has, or is gone. */
MUST_CHECK int store_end_node(struct store *store, int64_t id, int64_t pass);
/** Removes earlier nodes of this state directory. STORE_STALE: there were none. */
MUST_CHECK int store_end_predecessors(struct store *store);
/** Asks a node to take no more work and to leave. STORE_STALE: there is none of this name. */
MUST_CHECK int store_retire_node(struct store *store, const char *name);
/** Makes a running task of a dead node this one's. STORE_STALE: it does not run. */
MUST_CHECK int store_adopt(struct store *store, int64_t task_id);
/** The processes of a task that was cancelled while it ran here are gone. STORE_STALE: it was not.
 */
MUST_CHECK int store_let_go(struct store *store, int64_t task_id);
/** The same for all tasks of dead nodes. STORE_STALE: there were none. */
MUST_CHECK int store_let_go_of_dead(struct store *store);
/** Takes what a dead node has counted of its last minute of a profile, for the buckets.
 * STORE_STALE: there is none left. */
MUST_CHECK int store_take_minute(struct store *store, int64_t *ret_profile_id,
                                 struct metrics_minute *ret_minute);

struct store_bucket;

/** What other nodes have counted of their running minutes of a profile. The caller frees the array.
 */
MUST_CHECK int store_list_minutes(struct store *store, int64_t profile_id,
                                  struct store_bucket **ret_minutes, size_t *ret_count);

/** The name of the node that ran a finished attempt; NULL: unknown. The caller frees it. */
MUST_CHECK int store_attempt_node(struct store *store, int64_t task_id, int64_t number,
                                  char **ret_name);

/* Questions that agents of a node ask, for the other nodes: an id, and what is shown of it. */

/** Removes those of this node; store_add_question() adds them again. */
MUST_CHECK int store_forget_questions(struct store *store);
MUST_CHECK int store_add_question(struct store *store, const char *id, const char *body);
/** Removes a question of a dead node; the caller frees its id. STORE_STALE: there is none left. */
MUST_CHECK int store_take_question(struct store *store, char **ret_id);
/** Answers another node's question. STORE_STALE: it is not open. */
MUST_CHECK int store_answer_question(struct store *store, const char *id, const char *answer,
                                     const char *by);

struct store_question {
    char *id;
    char *body;                 /* of an open one */
    char *answer, *answered_by; /* of an answered one */
};

struct store_questions {
    struct store_question *questions;
    size_t count;
};

void store_questions_deinit(struct store_questions *questions);
/** Open questions of other nodes, sorted by id: at most `limit` after the id `after`, which is ""
 *  for the first. */
MUST_CHECK int store_list_questions(struct store *store, const char *after, size_t limit,
                                    struct store_questions *ret_questions);
/** Questions of this node that others have answered, likewise. */
MUST_CHECK int store_list_answers(struct store *store, const char *after, size_t limit,
                                  struct store_questions *ret_answers);
/** An open question of another node; NULL: there is none. The caller frees it. */
MUST_CHECK int store_get_question(struct store *store, const char *id, char **ret_body);

/* News: what happened in a pass, in the engine's words, in the order of commits. */

/** Publishes this pass's events to the other nodes; `now` is wall ms. */
MUST_CHECK int store_add_news(struct store *store, const char *text, int64_t now);
/** The id of the last news so far, 0 if there are none. */
MUST_CHECK int store_last_news(struct store *store, int64_t *ret_id);
/** News of other nodes after `*after`, which moves on. The caller frees the texts, with
 *  strv_free(); NULL: none. STORE_DONE: there may be more; STORE_STALE: the end. */
MUST_CHECK int store_list_news(struct store *store, int64_t *after, char ***ret_texts);
/** Removes news from before `before`, wall ms. STORE_STALE: there were none. */
MUST_CHECK int store_prune_news(struct store *store, int64_t before);

/* Profiles */

struct store_profile {
    int64_t id;
    char *name;
    bool is_active;
    struct task_counts counts;
    int64_t last_activity;
    struct metrics_minute minute;
};

void store_profile_deinit(struct store_profile *profile);
/** The profile of this name; created if missing, active and without tasks. */
MUST_CHECK int store_ensure_profile(struct store *store, const char *name,
                                    struct store_profile *ret_profile);

struct store_profiles {
    struct store_profile *profiles;
    size_t count;
};

void store_profiles_deinit(struct store_profiles *profiles);
/** All profiles, sorted by name. */
MUST_CHECK int store_list_profiles(struct store *store, struct store_profiles *ret_profiles);
/** Whether the profile has stored metrics or attempts: 1 if it has. */
MUST_CHECK int store_has_history(struct store *store, int64_t id);
/** Removes a profile. STORE_DONE; STORE_STALE: it still has tasks, attempts or metrics, or does
 *  not exist. */
MUST_CHECK int store_remove_profile(struct store *store, int64_t id);
/** is_active -1 and last_activity 0 leave those unchanged. The verbs that change tasks update the
 *  counters. */
MUST_CHECK int store_update_profile(struct store *store, int64_t id, int is_active,
                                    int64_t last_activity);

/* Tasks. The caller frees returned tasks with task_deinit(). */

/* Changing tasks. A verb carries the condition for its change and reports the outcome, which
 * callers must check. It also updates the profiles' counters. A written task gets the checksum of
 * its new row. */

enum store_outcome {
    STORE_STALE = 0, /* the condition does not hold; nothing was written */
    STORE_DONE = 1,
    STORE_KNOWN = 2,   /* store_add(): a task with this key exists */
    STORE_FULL = 3,    /* store_add() and moves: the queue is full */
    STORE_UNKNOWN = 4, /* store_commit(), store_resolve() */
};

struct store_addition {
    struct task *task; /* gets the highest id plus one */
    int64_t limit;     /* of the profile's waiting tasks, including this one */
    const int64_t *depends_on;
    size_t depends_on_count;
};

/** How many tasks of the profile wait, those of this pass included; nobody else changes it before
 *  the commit. STORE_STALE: the profile is gone. */
MUST_CHECK int store_count_waiting(struct store *store, int64_t profile_id, int64_t *ret_waiting);
/** Adds a task. STORE_DONE; STORE_FULL; STORE_KNOWN: *ret_known is the task with this key;
 *  STORE_STALE: the profile does not exist. */
MUST_CHECK int store_add(struct store *store, const struct store_addition *addition,
                         struct task *ret_known);

/** The statuses of tasks as of the commit of this pass; TASK_NEW for an id that does not exist. */
MUST_CHECK int store_depend(struct store *store, const int64_t *ids, size_t count,
                            enum task_status *ret_statuses);

/* A worker's ownership of an attempt; it ends with the attempt. */
struct store_lease {
    char *token;
    int64_t length_ms;
    char *worker; /* the holder's name, for display */
};

struct store_claim {
    int64_t profile_id;
    int64_t avoided; /* a task to claim only if no other is queued; 0: none */
    size_t limit;
    int64_t most; /* running tasks of the profile on all nodes together; 0: any number */
    bool yields;  /* leaves one of these to another node if the first task is for that node only */
    int64_t now;  /* wall ms */
    const struct store_lease *lease; /* of the one task to claim; NULL: not for a worker */
};

/** Starts the next attempt of the first queued tasks of a profile and returns them in queue order;
 *  none if the queue is empty or, in a shared store, the profile is paused or has `most` tasks that
 *  run somewhere. -EBADMSG: the row of the first one is damaged. */
MUST_CHECK int store_claim(struct store *store, const struct store_claim *claim,
                           struct task_list *ret_tasks);

struct store_waking {
    int64_t profile_id;
    size_t limit;
    int64_t now;            /* wall ms */
    int64_t queue_now;      /* ms of the queue's clock */
    int64_t aging_interval; /* ms, for their places */
};

/** Queues the due scheduled tasks of a profile. *ret_next is when the next one is due, wall ms;
 *  INT64_MAX: none. */
MUST_CHECK int store_wake(struct store *store, const struct store_waking *waking,
                          struct task_list *ret_tasks, int64_t *ret_next);

/** Writes the new state of a waiting or finished task. STORE_FULL: the queue of its new profile is
 *  full. STORE_STALE, as for all of these: the task no longer matches the fence. */
MUST_CHECK int store_change(struct store *store, struct task *task, const struct task_fence *fence);
/** Writes a cancelled task that was waiting. *ret_has_dependants: tasks depend on it and have to
 *  be released. */
MUST_CHECK int store_cancel(struct store *store, struct task *task, const struct task_fence *fence,
                            bool *ret_has_dependants);

struct store_attempt {
    int64_t task_id, number, profile_id;
    int64_t started_at, finished_at; /* wall ms */
    int64_t duration_ms;             /* by the monotonic clock */
    enum error_class error_class;    /* ERROR_NONE: the task is completed */
    const char *error_message;
    const char *type;  /* of its task, or NULL */
    const char *usage; /* JSON as the agent reported it, or NULL */
    struct metrics_cost cost;
};

/** Ends the current attempt of a running task, and its lease: writes the attempt and the new state
 *  of the task, finished or waiting for another attempt. With a fence that is sure, a shared store
 *  may find only later that it does not hold, and then fails the pass. */
MUST_CHECK int store_finish(struct store *store, struct task *task, const struct task_fence *fence,
                            const struct store_attempt *attempt, bool *ret_has_dependants);
/** Adds usage and cost, which an agent may report late, to a finished attempt. */
MUST_CHECK int store_report_attempt(struct store *store, const struct store_attempt *attempt);
/* The position of a listing; zeros: the start. */
struct store_cursor {
    int64_t profile_id, sort_key;
};

/** The next running tasks that no worker holds and that are of no living node; the caller has to
 *  end their attempts. Reads up to `limit` rows; skips and counts damaged ones. STORE_DONE: there
 * may be more; STORE_STALE: the end. */
MUST_CHECK int store_take_over(struct store *store, struct store_cursor *cursor, size_t limit,
                               struct task_list *ret_tasks, int64_t *ret_damaged);

struct store_leased {
    struct task task;
    struct store_lease lease;
};

/** The next running tasks that workers hold and that are of no living node, or of a predecessor of
 *  this one; results as for store_take_over(). The caller frees the array with
 *  store_leased_free(). */
MUST_CHECK int store_list_leased(struct store *store, struct store_cursor *cursor, size_t limit,
                                 struct store_leased **ret_leased, size_t *ret_count);
void store_leased_free(struct store_leased *leased, size_t count);

struct store_pruning {
    int64_t before;                 /* remove tasks that finished earlier, wall ms */
    int64_t excess;                 /* bytes of the oldest tasks to remove in any case */
    int64_t tasks, attempts, bytes; /* approximate upper bounds */
    const int64_t *spared;          /* ids of tasks at which it stops */
    size_t spared_count;
};

/** Removes finished tasks, with their attempts and dependencies, in the order in which they
 *  finished. It keeps the newest task, so that its id is not reused, tasks with damaged rows, and
 *  tasks whose dependants are not released yet. STORE_DONE: a bound was reached, there may be more;
 *  STORE_STALE: nothing is left to remove. */
MUST_CHECK int store_prune(struct store *store, const struct store_pruning *pruning,
                           struct task_list *ret_removed);

/** Shifts the due time of every scheduled task that waits for a retry, not for its runAt, by
 * `step` ms. */
MUST_CHECK int store_shift_retries(struct store *store, int64_t step);

struct store_dependant {
    struct task task;        /* blocked */
    int64_t depends_on;      /* the dependency that decides, and its status: failed, */
    enum task_status status; /* cancelled, or completed if all of them are */
};

/** Blocked tasks that are decided: all of their dependencies are completed, or one failed or was
 *  cancelled. Returns each task once; reads about `limit` rows; skips damaged ones. The caller
 * frees the array with store_dependants_free(). STORE_DONE: there may be more; STORE_STALE: there
 * are none. */
MUST_CHECK int store_take_dependants(struct store *store, int limit,
                                     struct store_dependant **ret_dependants, size_t *ret_count);
void store_dependants_free(struct store_dependant *dependants, size_t count);

/* Reading tasks */

/** 1: found. */
MUST_CHECK int store_get_task(struct store *store, int64_t id, struct task *ret_task);
MUST_CHECK int store_get_task_by_key(struct store *store, const char *key, struct task *ret_task);
/** The task that store_claim() would claim first. 1: found. */
MUST_CHECK int store_first_queued(struct store *store, int64_t profile_id, int64_t avoided,
                                  struct task *ret_task);
/** The last queued task of the profile. 1: found. */
MUST_CHECK int store_last_queued(struct store *store, int64_t profile_id, struct task *ret_task);
/** The dependency that keeps a task from running: one that failed or was cancelled, otherwise an
 *  unfinished one. 1: found; 0: all are completed. */
MUST_CHECK int store_unmet_dependency(struct store *store, int64_t task_id, int64_t *ret_id,
                                      enum task_status *ret_status);
/** How many tasks of the same profile and status precede this one, up to `limit`. */
MUST_CHECK int store_count_before(struct store *store, const struct task *task, int64_t limit,
                                  int64_t *ret_count);
/** How many of them follow it, likewise. */
MUST_CHECK int store_count_behind(struct store *store, const struct task *task, int64_t limit,
                                  int64_t *ret_count);
/** The earliest readyAt among the first `limit` queued tasks. 1: found. */
MUST_CHECK int store_oldest_queued(struct store *store, int64_t profile_id, int64_t limit,
                                   int64_t *ret_ready_at);
/** The latest readyAt or queuedAt of the newest tasks, 0 if there are none. The queue's clock must
 *  not start before it. */
MUST_CHECK int store_last_clock(struct store *store, int64_t *ret_at);

/** Waiting tasks of a profile in the order in which they will run: queued by rank, scheduled by
 *  time, blocked by id; starting behind `after` (NULL: from the start). STORE_DONE: there are
 *  more; STORE_STALE: the end. */
MUST_CHECK int store_list_queue(struct store *store, int64_t profile_id, const struct task *after,
                                const struct task_page *page, struct task_list *ret_tasks);

/** Tasks, newest first. The cost depends on the number of tasks returned, not on those that do not
 *  match. Results as for store_list_queue(). */
MUST_CHECK int store_list_tasks(struct store *store, const struct task_filter *filter,
                                struct task_list *ret_tasks);

/** Fills the window with the latest attempts that count for rates, oldest first. */
MUST_CHECK int store_fill_window(struct store *store, int64_t profile_id,
                                 struct metrics_window *window);

/* Metrics. A damaged bucket counts as empty and is reported by store_damage(). */

/** Stores the current minute of a profile in the profile's row; the buckets do not include it. */
MUST_CHECK int store_put_minute(struct store *store, int64_t id,
                                const struct metrics_minute *minute);
/** Adds to the buckets of the minute, the quarter-hour and the hour that contain `at`. Profile 0
 *  stands for all profiles and holds only queue_max, since maxima do not add up. */
MUST_CHECK int store_add_metrics(struct store *store, int64_t profile_id, int64_t at,
                                 const struct metrics_bucket *bucket);
/** Adds up the minutes from `from` to `to` (wall ms, whole minutes). */
MUST_CHECK int store_sum_metrics(struct store *store, int64_t profile_id, int64_t from, int64_t to,
                                 struct metrics_bucket *ret_sum);

struct store_bucket {
    int64_t at; /* its start, wall ms */
    struct metrics_bucket sum;
};

/** The buckets of this span (METRICS_MINUTE etc.) from `from` to before `to`, sorted by time. The
 *  caller frees the array. */
MUST_CHECK int store_list_metrics(struct store *store, int64_t profile_id, int64_t span,
                                  int64_t from, int64_t to, struct store_bucket **ret_buckets,
                                  size_t *ret_count);
/** Removes a bounded number of the profile's buckets of this span older than `before`. 1: there
 *  may be more. */
MUST_CHECK int store_prune_metrics(struct store *store, int64_t profile_id, int64_t span,
                                   int64_t before);

/** Records that acpd ran from started_at to seen_at (wall ms), and the number of its last event
 *  then: adds or extends a span. */
MUST_CHECK int store_put_uptime(struct store *store, int64_t started_at, int64_t seen_at,
                                int64_t last_event);
/** The greatest recorded number of an event, 0 if there is none. */
MUST_CHECK int store_last_event(struct store *store, int64_t *ret_number);

struct store_span {
    int64_t started_at, seen_at;
};

/** The spans of uptime that overlap from..to, sorted by start. The caller frees the array. */
MUST_CHECK int store_list_uptime(struct store *store, int64_t from, int64_t to,
                                 struct store_span **ret_spans, size_t *ret_count);
/** Removes spans that ended before `before`; result as for store_prune_metrics(). */
MUST_CHECK int store_prune_uptime(struct store *store, int64_t before);
