/* SPDX-License-Identifier: MIT */
/*
 * The database, as verbs of the domain. The only rooms with SQL stand behind this interface.
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

struct store;

/** Opens or creates the database and brings its schema up to date. On failure *ret_error is a
 *  message for the user, to be freed. -ENOTSUP: written by a newer acpd. */
int store_open(const char *path, struct store **ret_store, char **ret_error);
void store_close(struct store *store);

/* The database as a file; these need no struct store, and work beside an acpd that uses it unless
 * they say otherwise. On success *ret_info is a line for people, on failure *ret_error a message;
 * both are to be freed. */

/** Whether it is one of acpd's that this acpd can use, and whole: reads all of it. */
int store_verify(const char *path, char **ret_info, char **ret_error);
/** Copies what is committed into a new file, one snapshot of it. -EEXIST: there is such a file. */
int store_backup(const char *path, const char *to, char **ret_info, char **ret_error);
/** Saves what can be read of a damaged database into a new file, for store_restore(). */
int store_recover(const char *path, const char *to, char **ret_info, char **ret_error);
/** Puts a copy of `from` in the place of the database, which nobody may use meanwhile and which
 * stays beside it as PATH.replaced-TIME. Its schema is brought up to date, and its counters are
 * those of a count. */
int store_restore(const char *path, const char *from, char **ret_info, char **ret_error);

/** Whether a transaction is open: what is read now may not be committed yet. */
bool store_is_writing(const struct store *store);
/** Verbs that wrote, since it was opened: by it a call can tell whether it did. */
uint64_t store_writes(const struct store *store);
/** Whether a verb has failed since the last rollback. */
bool store_has_failed(const struct store *store);
/** What failed last; empty when nothing has since the last commit. */
const char *store_error(const struct store *store);
/** A task whose row is damaged, in words; empty when none was met since the start. Who reads it
 * gets -EBADMSG; what is written beside it goes on. */
const char *store_damage(const struct store *store);
/** Makes the pass's writes durable: one fsync. Harmless without a transaction. */
int store_commit(struct store *store);
void store_rollback(struct store *store);
/** Gives some of the space that removed rows have left back to the system, in the pass's
 * transaction. 1: there is more. A database that was made by an acpd of before keeps it for new
 * rows. */
int store_give_back(struct store *store);
/** Bytes on disk, write-ahead log included. */
int64_t store_size(const struct store *store);

/* Profiles */

struct store_profile {
    int64_t id;
    char *name;
    bool is_active;
    struct task_counts counts;
    int64_t last_activity;
};

void store_profile_deinit(struct store_profile *profile);
/** The profile of this name, added when new: active and without tasks. */
int store_ensure_profile(struct store *store, const char *name, struct store_profile *ret_profile);
/** Calls `row` for every profile, by name; it may keep what the row holds by zeroing it. */
int store_list_profiles(struct store *store, void (*row)(struct store_profile *profile, void *data),
                        void *data);
/** Whether metrics or attempts of the profile are kept. 1: they are. */
int store_has_history(struct store *store, int64_t id);
/** Removes a profile of which nothing else is left. */
int store_remove_profile(struct store *store, int64_t id);
/** Adds to the counters; is_active -1 and last_activity 0 leave those as they are. */
int store_update_profile(struct store *store, int64_t id, const struct task_counts *counts,
                         int is_active, int64_t last_activity);

/* Tasks. What a verb returns in a struct task is freed by task_deinit(). */

/** Adds the task and sets its id, to the greatest plus one. */
int store_add_task(struct store *store, struct task *task);
/** 1: found. */
int store_get_task(struct store *store, int64_t id, struct task *ret_task);
int store_get_task_by_key(struct store *store, const char *key, struct task *ret_task);
/** Writes what changes of a task, if its row still has this status and this attempt; what never
 * changes must be as it was read, since the row's sum is over that, too. 1: saved; 0: it had moved
 * on, and nothing was written. */
int store_save_task(struct store *store, const struct task *task, enum task_status was_status,
                    int64_t was_attempt);

/** The status of a task, without reading it whole. 1: found. */
int store_get_status(struct store *store, int64_t id, enum task_status *ret_status);

/** The first queued task of the profile, other than `except` (0: none). 1: found. */
int store_next_queued(struct store *store, int64_t profile_id, int64_t except,
                      struct task *ret_task);
/** The last queued task of the profile. 1: found. */
int store_last_queued(struct store *store, int64_t profile_id, struct task *ret_task);
/** The scheduled task of the profile that is due first. 1: found. */
int store_next_scheduled(struct store *store, int64_t profile_id, struct task *ret_task);
/** Any task that is running according to the store, and by no lease, but for the first `skip` of
 *  them. 1: found. */
int store_next_running(struct store *store, int64_t skip, struct task *ret_task);

/** The task that finished first of those that may be removed: any but the newest of all, whose id
 *  keeps the next one from being used again, and those whose rows are damaged. 1: found. */
int store_oldest_finished(struct store *store, struct task *ret_task);
/** Removes a finished task with its attempts and dependencies. */
int store_remove_task(struct store *store, int64_t id);

/** How many tasks of the same profile and status come before this one, counting to `limit`. */
int store_count_before(struct store *store, const struct task *task, int64_t limit,
                       int64_t *ret_count);
/** When the oldest among the first `limit` queued tasks became ready. 1: found. */
int store_oldest_queued(struct store *store, int64_t profile_id, int64_t limit,
                        int64_t *ret_ready_at);
/** The latest readyAt or queuedAt among the newest tasks, 0 without any: the clock of the queue
 * must not start before it. */
int store_last_clock(struct store *store, int64_t *ret_at);

/** Moves the time of every scheduled task that waits for a retry, not for its runAt, by `step` ms.
 */
int store_shift_retries(struct store *store, int64_t step);

/** Takes one task, which is freed after the call; nonzero ends the list. */
typedef int (*store_row)(struct task *task, void *data);

/** Waiting tasks of a profile in the order in which they will run: queued by rank, scheduled by
 *  time, blocked by id; from behind `after` (NULL: from the start). */
int store_list_queue(struct store *store, int64_t profile_id, const struct task *after,
                     store_row row, void *data);

struct store_filter {
    int64_t profile_id;      /* 0: any */
    enum task_status status; /* TASK_NEW: any */
    int64_t before;          /* only ids below this; 0: from the newest */
    int64_t scan_limit;      /* give up after so many rows that did not match */
};

/** Tasks, the newest first. 1: `row` ended the list. *ret_next is the id to go on before when the
 *  scan limit was reached, else 0. */
int store_list_tasks(struct store *store, const struct store_filter *filter, store_row row,
                     void *data, int64_t *ret_next);

/* Dependencies: which task waits for which. Kept as long as both tasks are. */

int store_add_dependency(struct store *store, int64_t task_id, int64_t depends_on);
/** The dependency that decides: one that failed or was cancelled, else one that has not finished.
 *  1: there is one; 0: all are completed. */
int store_unmet_dependency(struct store *store, int64_t task_id, int64_t *ret_id,
                           enum task_status *ret_status);
/** Remembers that a task has finished and those that wait for it have yet to be told. Nothing is
 *  written when none does; 1: it was. */
int store_add_release(struct store *store, int64_t id);
/** A finished task that has dependants to be told, from behind `*ret_after` on. 1: found. */
int store_next_release(struct store *store, int64_t *ret_id, int64_t *ret_after);
/** Dependants up to the id `after` have been told. */
int store_move_release(struct store *store, int64_t id, int64_t after);
/** All have been told. */
int store_drop_release(struct store *store, int64_t id);
/** The next blocked task that waits for `id`, by its id. 1: found. */
int store_next_dependant(struct store *store, int64_t id, int64_t after, struct task *ret_task);

/* Attempts */

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

int store_add_attempt(struct store *store, const struct store_attempt *attempt);
/** Adds to an attempt that was written what its agent reported only later: usage and cost. */
int store_report_attempt(struct store *store, const struct store_attempt *attempt);
/** The last `limit` attempts that count for rates, the oldest of them first. */
int store_fill_window(struct store *store, int64_t profile_id, struct metrics_window *window);

/* Leases: of attempts that workers hold */

struct store_lease {
    int64_t task_id, attempt;
    char *token;
    int64_t lease_ms;
    char *worker; /* who holds it, for people */
};

int store_put_lease(struct store *store, const struct store_lease *lease);
int store_drop_lease(struct store *store, int64_t task_id);
/** Calls `row` for each lease whose task runs by it; it may keep the token by zeroing it. */
int store_list_leases(struct store *store, void (*row)(struct store_lease *lease, void *data),
                      void *data);

/* Metrics */

/** Adds to the buckets of the minute, the quarter and the hour that hold `at`. Profile 0 is all of
 *  them together, and has queue_max alone: the profiles' maxima do not add up. */
int store_add_metrics(struct store *store, int64_t profile_id, int64_t at,
                      const struct metrics_bucket *bucket);
/** Adds up the minutes from `from` to `to` (wall ms, whole minutes). */
int store_sum_metrics(struct store *store, int64_t profile_id, int64_t from, int64_t to,
                      struct metrics_bucket *ret_sum);
typedef void (*store_bucket_row)(int64_t at, const struct metrics_bucket *bucket, void *data);

/** Calls `row` for each bucket of this span (METRICS_MINUTE and so on) from `from` to before `to`.
 */
int store_list_metrics(struct store *store, int64_t profile_id, int64_t span, int64_t from,
                       int64_t to, store_bucket_row row, void *data);
/** Removes the profile's buckets of this span from before `before`, a bounded number at a time. 1:
 *  there may be more. */
int store_prune_metrics(struct store *store, int64_t profile_id, int64_t span, int64_t before);

/** Notes that acpd has run from started_at to seen_at (wall ms): a new span, or more of one. */
int store_put_uptime(struct store *store, int64_t started_at, int64_t seen_at);

typedef void (*store_span_row)(int64_t started_at, int64_t seen_at, void *data);

/** Calls `row` for each span of running that touches from..to, by its start. */
int store_list_uptime(struct store *store, int64_t from, int64_t to, store_span_row row,
                      void *data);
/** Removes spans that ended before `before`, as store_prune_metrics() does. */
int store_prune_uptime(struct store *store, int64_t before);
