/* SPDX-License-Identifier: MIT */
/*
 * The database, as verbs of the domain. SQL is behind this interface and nowhere else.
 *
 * The store is the queue: no list of waiting tasks is held anywhere else. All writes of a pass are
 * one transaction, which the first write opens and store_commit() makes durable; a verb is one
 * statement, or a few that cannot half succeed within the transaction. Handlers check first and
 * write last, so a verb fails only when the storage does. Once one has failed, the pass can only be
 * rolled back: further writes return the same error until store_rollback().
 *
 * Results: 0 done, 1 where a verb says so, negative errno when the storage failed; then
 * store_error() has the words.
 */
#pragma once

#include "core/metrics.h"
#include "core/task.h"
#include "core/task_list.h"

struct store;

/** Opens or creates the database and brings its schema up to date. On failure *ret_error is a
 *  message for the user, to be freed. -ENOTSUP: written by a newer acpd. */
MUST_CHECK int store_open(const char *path, struct store **ret_store, char **ret_error);
void store_close(struct store *store);

/** Whether a transaction is open: what is read now may not be committed yet. */
bool store_is_writing(const struct store *store);
/** Verbs that wrote, since it was opened: by it a call can tell whether it did. */
uint64_t store_writes(const struct store *store);
/** Whether a verb has failed since the last rollback. */
bool store_has_failed(const struct store *store);
/** What failed last; empty when nothing has since the last commit. */
const char *store_error(const struct store *store);
/** Describes a damaged row; empty if none was found since the start. Reading the row of a damaged
 * task returns -EBADMSG; the transaction stays usable. */
const char *store_damage(const struct store *store);
/** Whether a verb's outcome says that the row of a task is damaged, and the transaction goes on. */
bool store_is_damage(const struct store *store, int r);
/** Makes the pass's writes durable: one fsync. Harmless without a transaction. 0: they are durable.
 *  Negative: none of them will be; roll back. STORE_UNKNOWN: the store cannot tell, as when the
 *  connection to a server is lost in mid-commit; store_resolve() will. SQLite can always tell. */
MUST_CHECK int store_commit(struct store *store);
/** What became of a commit that was STORE_UNKNOWN; results as for store_commit(). STORE_UNKNOWN:
 *  ask again later. Until the outcome is known every writing verb fails. */
MUST_CHECK int store_resolve(struct store *store);
void store_rollback(struct store *store);
/** Gives some of the space that removed rows have left back to the system, in the pass's
 * transaction. 1: there is more. A database created by an older acpd keeps it for new rows. */
MUST_CHECK int store_give_back(struct store *store);
/** Bytes on disk, write-ahead log included. */
int64_t store_size(const struct store *store);

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
/** The profile of this name, added when new: active and without tasks. */
MUST_CHECK int store_ensure_profile(struct store *store, const char *name,
                                    struct store_profile *ret_profile);

struct store_profiles {
    struct store_profile *profiles;
    size_t count;
};

void store_profiles_deinit(struct store_profiles *profiles);
/** Every profile, by name. */
MUST_CHECK int store_list_profiles(struct store *store, struct store_profiles *ret_profiles);
/** Whether metrics or attempts of the profile are kept. 1: they are. */
MUST_CHECK int store_has_history(struct store *store, int64_t id);
/** Removes a profile. STORE_DONE; STORE_STALE: a task, an attempt or metrics of it are left, or it
 *  is gone. */
MUST_CHECK int store_remove_profile(struct store *store, int64_t id);
/** Sets what is told: is_active -1 and last_activity 0 leave those as they are. The counters follow
 *  from the verbs that change tasks. */
MUST_CHECK int store_update_profile(struct store *store, int64_t id, int is_active,
                                    int64_t last_activity);

/* Tasks. What a verb returns in a struct task is freed by task_deinit(). */

/* Changing them. A verb names the condition under which its change holds and says what has become
 * of it; whoever calls it looks. The profiles' counters follow. A task that is written has the sum
 * of its new row. */

enum store_outcome {
    STORE_STALE = 0, /* the condition does not hold; nothing was written */
    STORE_DONE = 1,
    STORE_KNOWN = 2,   /* of store_add(): a task has this key */
    STORE_FULL = 3,    /* of store_add() and moves: the queue is full */
    STORE_UNKNOWN = 4, /* of store_commit() and store_resolve() */
};

struct store_addition {
    struct task *task; /* its id is set to the greatest plus one */
    int64_t limit;     /* of waiting tasks of the profile, this one included */
    const int64_t *depends_on;
    size_t depends_on_count;
};

/** Adds a task. STORE_DONE; STORE_FULL; STORE_KNOWN: *ret_known has its key; STORE_STALE: its
 *  profile is gone. */
MUST_CHECK int store_add(struct store *store, const struct store_addition *addition,
                         struct task *ret_known);

/** The statuses of tasks, TASK_NEW for one that is not there, as they will be when the pass is
 *  committed. */
MUST_CHECK int store_depend(struct store *store, const int64_t *ids, size_t count,
                            enum task_status *ret_statuses);

/* A worker holds an attempt by its lease, which ends with the attempt. */
struct store_lease {
    char *token;
    int64_t length_ms;
    char *worker; /* who holds it, for people */
};

struct store_claim {
    int64_t profile_id;
    int64_t avoided; /* a task that is taken only when it is the only one; 0: none */
    size_t limit;
    int64_t now;                     /* wall ms */
    const struct store_lease *lease; /* of the one task that is claimed; NULL: no worker's */
};

/** Turns the first queued tasks of a profile to running, each as its next attempt, and returns them
 *  in their order; none when none is queued. -EBADMSG: the row of the first one is damaged. */
MUST_CHECK int store_claim(struct store *store, const struct store_claim *claim,
                           struct task_list *ret_tasks);

struct store_waking {
    int64_t profile_id;
    size_t limit;
    int64_t now;            /* wall ms */
    int64_t queue_now;      /* ms of the clock of the queue, and */
    int64_t aging_interval; /* ms, for their places in it */
};

/** Queues scheduled tasks of a profile whose time has come. *ret_next is when the next one is due,
 *  wall ms, INT64_MAX: there is none. */
MUST_CHECK int store_wake(struct store *store, const struct store_waking *waking,
                          struct task_list *ret_tasks, int64_t *ret_next);

/** Writes a task that waits or has finished, as it has become. STORE_FULL: the profile that it
 *  moves to has no room. STORE_STALE, as with all of these: it is no longer as the fence says. */
MUST_CHECK int store_change(struct store *store, struct task *task, const struct task_fence *fence);
/** Writes a waiting task that was cancelled. *ret_has_dependants: some wait for it, and are to be
 *  told. */
MUST_CHECK int store_cancel(struct store *store, struct task *task, const struct task_fence *fence,
                            bool *ret_has_dependants);

struct store_attempt {
    int64_t task_id, number, profile_id;
    int64_t started_at, finished_at; /* wall ms */
    int64_t duration_ms;             /* from a clock that does not jump */
    enum error_class error_class;    /* ERROR_NONE: it completed the task */
    const char *error_message;
    const char *type;  /* its task's, or NULL */
    const char *usage; /* JSON as the agent reported it, or NULL */
    struct metrics_cost cost;
};

/** Ends the attempt that a running task is in, and its lease: writes it, and the task as it has
 *  become: finished, or waiting for another attempt. */
MUST_CHECK int store_finish(struct store *store, struct task *task, const struct task_fence *fence,
                            const struct store_attempt *attempt, bool *ret_has_dependants);
/** Adds to an attempt that was written what its agent reported only later: usage and cost. */
MUST_CHECK int store_report_attempt(struct store *store, const struct store_attempt *attempt);
/* How far a listing has come; zeros: it begins. */
struct store_cursor {
    int64_t profile_id, place;
};

/** The next running tasks that no worker holds: somebody has to end their attempts. Looks at
 *  `limit` rows; damaged ones are left out and counted. STORE_DONE: there may be more; STORE_STALE:
 *  that was all. */
MUST_CHECK int store_take_over(struct store *store, struct store_cursor *cursor, size_t limit,
                               struct task_list *ret_tasks, int64_t *ret_damaged);

struct store_leased {
    struct task task;
    struct store_lease lease;
};

/** The next running tasks that workers hold, as store_take_over() has the others. The caller frees
 *  the array by store_leased_free(). */
MUST_CHECK int store_list_leased(struct store *store, struct store_cursor *cursor, size_t limit,
                                 struct store_leased **ret_leased, size_t *ret_count);
void store_leased_free(struct store_leased *leased, size_t count);

struct store_pruning {
    int64_t before;                 /* what finished earlier goes, wall ms */
    int64_t excess;                 /* bytes: the oldest go until these have gone */
    int64_t tasks, attempts, bytes; /* no more than about these */
    const int64_t *spared;          /* ids of tasks that stop it */
    size_t spared_count;
};

/** Removes finished tasks, with their attempts and dependencies, those that finished first before
 *  others. The newest of all stays, so that its id is not used again, and so do those whose rows
 *  are damaged and those whose dependants have yet to be told. STORE_DONE: the bounds were reached,
 *  there may be more; STORE_STALE: nothing more is to go. */
MUST_CHECK int store_prune(struct store *store, const struct store_pruning *pruning,
                           struct task_list *ret_removed);

/** Moves the time of every scheduled task that waits for a retry, not for its runAt, by `step` ms.
 */
MUST_CHECK int store_shift_retries(struct store *store, int64_t step);

struct store_dependant {
    struct task task;        /* blocked */
    int64_t depends_on;      /* that which decides, and its status: failed, cancelled, or */
    enum task_status status; /* completed, as all of them are */
};

/** Blocked tasks that wait no longer, since all that they depend on is completed, or one is not and
 *  never will be. Each comes once; about `limit` rows are looked at. The caller frees the array by
 *  store_dependants_free(). STORE_DONE: there may be more; STORE_STALE: there are none. */
MUST_CHECK int store_take_dependants(struct store *store, int limit,
                                     struct store_dependant **ret_dependants, size_t *ret_count);
void store_dependants_free(struct store_dependant *dependants, size_t count);

/* Looking at them */

/** 1: found. */
MUST_CHECK int store_get_task(struct store *store, int64_t id, struct task *ret_task);
MUST_CHECK int store_get_task_by_key(struct store *store, const char *key, struct task *ret_task);
/** What store_claim() would take first. 1: found. */
MUST_CHECK int store_first_queued(struct store *store, int64_t profile_id, int64_t avoided,
                                  struct task *ret_task);
/** The last queued task of the profile. 1: found. */
MUST_CHECK int store_last_queued(struct store *store, int64_t profile_id, struct task *ret_task);
/** What of its dependencies decides about a task: one that failed or was cancelled, else one that
 *  has not finished. 1: there is one; 0: all are completed. */
MUST_CHECK int store_unmet_dependency(struct store *store, int64_t task_id, int64_t *ret_id,
                                      enum task_status *ret_status);
/** How many tasks of the same profile and status come before this one, counting to `limit`. */
MUST_CHECK int store_count_before(struct store *store, const struct task *task, int64_t limit,
                                  int64_t *ret_count);
/** When the oldest among the first `limit` queued tasks became ready. 1: found. */
MUST_CHECK int store_oldest_queued(struct store *store, int64_t profile_id, int64_t limit,
                                   int64_t *ret_ready_at);
/** The latest readyAt or queuedAt among the newest tasks, 0 without any: the clock of the queue
 * must not start before it. */
MUST_CHECK int store_last_clock(struct store *store, int64_t *ret_at);

/** Waiting tasks of a profile in the order in which they will run: queued by rank, scheduled by
 *  time, blocked by id; from behind `after` (NULL: from the start). STORE_DONE: there are more;
 *  STORE_STALE: that was all. */
MUST_CHECK int store_list_queue(struct store *store, int64_t profile_id, const struct task *after,
                                const struct task_page *page, struct task_list *ret_tasks);

/** Tasks, the newest first. The work grows with what is returned, not with what does not match.
 *  Results as for store_list_queue(). */
MUST_CHECK int store_list_tasks(struct store *store, const struct task_filter *filter,
                                struct task_list *ret_tasks);

/** The last `limit` attempts that count for rates, the oldest of them first. */
MUST_CHECK int store_fill_window(struct store *store, int64_t profile_id,
                                 struct metrics_window *window);

/* Metrics. A bucket that is damaged counts as empty, and store_damage() tells of it. */

/** Keeps the minute of a profile in the profile's row: what stands there is not in the buckets. */
MUST_CHECK int store_put_minute(struct store *store, int64_t profile_id,
                                const struct metrics_minute *minute);
/** Adds to the buckets of the minute, the quarter and the hour that hold `at`. Profile 0 is all of
 *  them together, and has queue_max alone: the profiles' maxima do not add up. */
MUST_CHECK int store_add_metrics(struct store *store, int64_t profile_id, int64_t at,
                                 const struct metrics_bucket *bucket);
/** Adds up the minutes from `from` to `to` (wall ms, whole minutes). */
MUST_CHECK int store_sum_metrics(struct store *store, int64_t profile_id, int64_t from, int64_t to,
                                 struct metrics_bucket *ret_sum);

struct store_bucket {
    int64_t at; /* when it begins, wall ms */
    struct metrics_bucket sum;
};

/** The buckets of this span (METRICS_MINUTE and so on) from `from` to before `to`, by their time.
 *  The caller frees the array. */
MUST_CHECK int store_list_metrics(struct store *store, int64_t profile_id, int64_t span,
                                  int64_t from, int64_t to, struct store_bucket **ret_buckets,
                                  size_t *ret_count);
/** Removes the profile's buckets of this span from before `before`, a bounded number at a time. 1:
 *  there may be more. */
MUST_CHECK int store_prune_metrics(struct store *store, int64_t profile_id, int64_t span,
                                   int64_t before);

/** Notes that acpd has run from started_at to seen_at (wall ms): a new span, or more of one. */
MUST_CHECK int store_put_uptime(struct store *store, int64_t started_at, int64_t seen_at);

struct store_span {
    int64_t started_at, seen_at;
};

/** The spans of running that touch from..to, by their start. The caller frees the array. */
MUST_CHECK int store_list_uptime(struct store *store, int64_t from, int64_t to,
                                 struct store_span **ret_spans, size_t *ret_count);
/** Removes spans that ended before `before`, as store_prune_metrics() does. */
MUST_CHECK int store_prune_uptime(struct store *store, int64_t before);
