/* SPDX-License-Identifier: MIT */
/*
 * The use cases: admit tasks, plan what runs next, launch it, finish it, cancel, recover.
 *
 * One pass of the daemon (daemon/loop.c) calls, in this order:
 *
 *   engine_begin      reads the clock: one pass is one moment
 *   ... handlers      check first, write last, in the pass's one transaction
 *   engine_plan       ends what has ended, wakes what is due, claims for free slots
 *   ... handlers      those of calls that wait for a task
 *   engine_finish_pass  health, retention, metrics, rows of the profiles
 *   engine_commit     one commit of the store; then what was staged in memory becomes true, or
 *                     none of it ever happened
 *   engine_launch     starts and stops processes: only what is committed touches the world
 *
 * The steps stand in engine/pass.c.
 *
 * Results: 0, a positive enum engine_outcome, or a negative errno when the storage failed or acpd
 * is stopping (-ESHUTDOWN).
 */
#pragma once

#include "common/buf.h"
#include "common/clock.h"
#include "core/profile.h"
#include "core/router.h"
#include "core/task_list.h"

struct audit_entry;
struct cgroup;
struct event;
struct event_log;
struct store;
struct supervisor;

enum engine_outcome {
    ENGINE_DEDUPLICATED = 1, /* the key was known: the first task is returned */
    ENGINE_QUEUE_FULL,
    ENGINE_NOT_FOUND,
    ENGINE_CONFLICT,          /* wrong status for this */
    ENGINE_REMOVED,           /* its profile is no longer configured */
    ENGINE_ENDING,            /* the last attempt's processes are still being ended */
    ENGINE_NO_OPTION,         /* a question does not offer this answer */
    ENGINE_NO_DEPENDENCY,     /* it depends on a task that is not there */
    ENGINE_DEPENDENCY_FAILED, /* a task that it depends on failed or was cancelled */
    ENGINE_TOO_DEEP,          /* tasks that submit tasks that submit tasks */
    ENGINE_STALE,             /* another change came first; nothing was changed */
    ENGINE_UNKNOWN,           /* of a commit: it may have held or not */
};

/* The moment of a pass, in ms. */
struct engine_now {
    int64_t wall;  /* shown to users, and compared with runAt */
    int64_t mono;  /* measures */
    int64_t queue; /* orders the queue: wall time that never steps back, restarts included */
};

struct engine;

/** Takes the settings over. The store must stay open while the engine lives. */
struct engine *engine_new(struct store *store, struct settings *settings, const char *state_dir,
                          const char *socket_path);
void engine_free(struct engine *engine);

/** Takes the settings over; they, and the profiles in them, come into force with the commit of the
 *  pass. */
int engine_configure(struct engine *engine, struct settings *settings);
/* Reads the configuration again; -EINVAL with a message, to be freed, when it is refused. */
typedef int (*engine_reload_fn)(struct engine *engine, char **ret_error);
/** Says how. */
void engine_set_reload(struct engine *engine, engine_reload_fn reload);
int engine_reload(struct engine *engine, char **ret_error);
/** At the start: attempts that a crash cut off are interrupted, and their tasks queued again. */
int engine_recover(struct engine *engine);
/** Runs may be started from now on. */
void engine_set_supervisor(struct engine *engine, struct supervisor *supervisor);

/* A pass */

void engine_begin(struct engine *engine);
int engine_plan(struct engine *engine);
/** What a pass does when all its requests have been handled. */
int engine_finish_pass(struct engine *engine);
/** Commits what the pass did, unless `r` says that it has failed. 1: something was written; 0:
 *  nothing was to be; negative: the pass has failed, and nothing of it has happened.
 * ENGINE_UNKNOWN: the storage cannot tell. The pass then stays open, with all that it staged: until
 *  engine_resolve() knows, nothing may be planned, launched or answered. */
MUST_CHECK int engine_commit(struct engine *engine, int r);
/** What became of it; results as for engine_commit(). */
MUST_CHECK int engine_resolve(struct engine *engine);
/** Whether the outcome of the last commit is unknown. */
bool engine_is_in_doubt(const struct engine *engine);
void engine_launch(struct engine *engine);
/** The monotonic ms at which the next pass is due without any event. */
int64_t engine_next_deadline(const struct engine *engine);

/* What there is to know about it */

/** Those in force. */
const struct settings *engine_settings(const struct engine *engine);
/** The pass under way: its moment, */
const struct engine_now *engine_now(const struct engine *engine);
/** its number, */
uint64_t engine_pass(const struct engine *engine);
/** whether it has written something, so that what is read now may not be committed yet, */
bool engine_is_writing(const struct engine *engine);
/** and a number that grows with each write. */
uint64_t engine_writes(const struct engine *engine);
bool engine_is_stopping(const struct engine *engine);
/** Whether the supervisor is ready, so that what is claimed can be started. */
bool engine_can_launch(const struct engine *engine);

struct engine_storage {
    const char *error;  /* what failed last; empty: nothing has since the last commit */
    const char *damage; /* a damaged row that was met, in words; empty: none */
    int audit_failure;  /* negative errno: the audit log cannot be written */
    int64_t size;       /* bytes on disk */
    uint64_t commits;
    int64_t last_commit; /* wall ms, 0: none yet */
    int64_t commit_us;   /* what it took */
};

void engine_get_storage(const struct engine *engine, struct engine_storage *ret_storage);

/** The events that are committed; see engine/event.h. */
const struct event_log *engine_events(const struct engine *engine);
/** Stages a line of the audit log; see engine/audit.h. */
void engine_audit(struct engine *engine, const struct audit_entry *entry);

/** Takes no more work and interrupts what runs. */
void engine_stop(struct engine *engine);
/** Whether the limits of every profile can be kept in this group; -EINVAL with a message, to be
 * freed, that names one that cannot. */
int engine_check_limits(const struct settings *settings, const struct cgroup *cgroup,
                        char **ret_error);
/* What a runner needs of the file system. */
enum engine_need { NEED_FOLDER, NEED_PROGRAM, ENGINE_NEED_COUNT };
/** Whether it is not there: "the program \"goose\"". */
bool engine_lacks(const struct runner_config *runner, enum engine_need need, char *ret_what,
                  size_t size);
/** A pass took so long. */
void engine_note_busy(struct engine *engine, int64_t us);
/** Seconds that an event had to wait at most, of late: the longest pass since the last look at the
 *  profiles' health but one. */
double engine_lag(const struct engine *engine);
/** Whether no attempt is left: their processes are gone and their ends committed. */
bool engine_is_idle(const struct engine *engine);
/** Whether a process of an attempt is left. */
bool engine_has_runs(const struct engine *engine);

/* A task that is to come in, and what it asks for. */
struct engine_admission {
    /* The caller fills priority, type, run_at, timeout, max_attempts, key, routing and body; the
     * rest is filled when it is admitted. */
    struct task *task;
    struct router_request request;
    int64_t *depends_on; /* ids of tasks; freed with the rest by admission_deinit() */
    size_t depends_on_count;

    pid_t keeper; /* of the attempt whose process asks; 0: none does */

    struct profile *profile; /* whose it has become */
    size_t missing;          /* ENGINE_NO_DEPENDENCY: which of depends_on */

    struct engine *engine; /* while it is routed or admitted: */
    bool is_blocked;       /* it waits for others */
};

/* Routing (engine/routing.c) */

/** Ranks the profiles for a task. The caller frees *ret_candidates; returns how many fit.
 *  *ret_count is the number of candidates. */
size_t engine_route(struct engine *engine, struct engine_admission *admission,
                    struct router_candidate **ret_candidates, size_t *ret_count);
/** Prints the members `candidates` and `reason`, each after a comma: why the first is the best, or
 *  why there is none; and that the task comes from `full`, unless that is NULL. */
void engine_print_decision(const struct router_candidate *candidates, size_t count, size_t fit,
                           const struct profile *full, struct buf *out);

/* Profiles (engine/profiles.c) */

/** The next profile that users can see, configured ones first; NULL: there is none. *at begins with
 *  0. */
struct profile *engine_next_profile(const struct engine *engine, size_t *at);
#define for_each_profile(p, engine)                                                                \
    for (size_t at_ = 0; at_ != SIZE_MAX; at_ = SIZE_MAX)                                          \
        for (const struct profile *p; (p = engine_next_profile(engine, &at_));)

/** The profile of this name that users can see, or NULL. */
struct profile *engine_find_profile(const struct engine *engine, const char *name);
/** The same, emptied ones that are no longer configured included. */
struct profile *engine_find_known_profile(const struct engine *engine, const char *name);
/** A removed profile is visible until it has no more unfinished tasks. */
bool engine_is_visible(const struct profile *profile);
int engine_set_active(struct engine *engine, struct profile *profile, bool is_active);
/** Seconds that the oldest queued task has been ready, -1 without any. Exact while the queue is at
 *  most 1,000 long, else that of the first 1,000. */
int engine_oldest_queued(struct engine *engine, const struct profile *profile, double *ret_age);

/* Metrics (engine/metrics.c) */

int engine_metrics(struct engine *engine, const struct profile *profile,
                   const struct metrics_range *range, struct metrics *ret_metrics);

struct engine_history {
    const struct metrics_range *range;
    int64_t start; /* of the first bucket, wall ms */
    struct engine_history_bucket {
        bool has_run; /* acpd, at some moment of it */
        struct metrics_bucket sum;
    } * buckets;                           /* as many as the range has */
    struct metrics_bucket total, previous; /* the range, and the one before it */
};

/** The past of one profile, or of all together (NULL). The caller ends it. */
int engine_history(struct engine *engine, const struct profile *profile,
                   const struct metrics_range *range, struct engine_history *ret_history);
void engine_history_deinit(struct engine_history *history);

struct engine_capacity {
    int64_t sample_size; /* attempts that were measured; 0: nothing else but arrivals is known */
    double arrival_rate; /* attempts that are needed, a second */
    double average_duration;   /* seconds */
    double utilization;        /* offered load over slots */
    double predicted_wait;     /* seconds, INFINITY: the queue grows without bound */
    int64_t recommended_slots; /* 0: no number that a profile may have suffices */
};

/** What the profile's slots are up to, and how many keep the wait at `target_wait` seconds. */
int engine_capacity(struct engine *engine, const struct profile *profile,
                    const struct metrics_range *range, double target_wait,
                    struct engine_capacity *ret_capacity);

/* Tasks (engine/tasks.c). A task that comes back is freed by task_deinit(). */

/** ENGINE_NOT_FOUND: there is none. */
int engine_get_task(struct engine *engine, int64_t id, struct task *ret_task);
int engine_get_task_by_key(struct engine *engine, const char *key, struct task *ret_task);

/** Tasks, the newest first. */
int engine_list_tasks(struct engine *engine, const struct task_filter *filter,
                      struct task_list *ret_tasks, bool *ret_has_more);
/** Waiting tasks of a profile in the order in which they will run: queued by rank, scheduled by
 *  time, blocked by id; from behind `after` (NULL: from the start). */
int engine_list_queue(struct engine *engine, const struct profile *profile,
                      const struct task *after, const struct task_page *page,
                      struct task_list *ret_tasks);

/** Admits a new task. ENGINE_DEDUPLICATED: *admission->task is now the first one of its key. When
 *  the queue is full the profile's `overflow` decides: admission->profile is whose the task is. */
int engine_assign(struct engine *engine, struct profile *profile,
                  struct engine_admission *admission);

struct engine_update {
    int priority; /* -1: unchanged */
    bool has_run_at;
    int64_t run_at;          /* 0: as soon as possible */
    struct profile *profile; /* NULL: unchanged */
};

int engine_update(struct engine *engine, int64_t id, const struct engine_update *update,
                  struct task *ret_task);
int engine_cancel(struct engine *engine, int64_t id, struct task *ret_task);
int engine_retry(struct engine *engine, int64_t id, struct task *ret_task);

struct engine_pending {
    const char *reason;
    int64_t position; /* one-based, in the order in which they will run; 0: unknown */
    int64_t eta;      /* wall ms, 0: unknown */
};

/** What `reason` may be, ended by NULL. */
extern const char *const engine_pending_reasons[];

#define ENGINE_POSITION_MAX 1000

/** Why a waiting task waits. `position` is its place when the caller knows it, 0: to be counted as
 *  far as ENGINE_POSITION_MAX, -1: not wanted. */
int engine_pending(struct engine *engine, const struct task *task, int64_t position,
                   struct engine_pending *ret_pending);

/** Prints the task as users see it. `pending` NULL prints null. */
void engine_print_task(const struct engine *engine, const struct task *task,
                       const struct engine_pending *pending, struct buf *out);

/** Prints {"entries": […], "next": n, "truncated": b} from the byte offset `after` on; -EINVAL:
 *  no entry starts there. */
int engine_print_log(const struct engine *engine, int64_t task_id, int64_t attempt, int64_t after,
                     struct buf *out);

/* Agents' questions (engine/permission.c) */

/** Prints the open ones as an array of {id, taskId, attempt, profile, toolCall, options, askedAt,
 *  deadline}, up to about `limit` bytes. */
void engine_print_permissions(const struct engine *engine, size_t limit, struct buf *out);
/** Answers a question with one of its options; `by` says who did, for the transcript. The agent is
 *  told after the commit. ENGINE_NOT_FOUND: there is none, or no longer. */
int engine_answer_permission(struct engine *engine, const char *id, const char *option,
                             const char *by);
/** Whether a process descends from an attempt, or may have: an agent shares acpd's user, and its
 *  ancestry tells. *ret_keeper stands for the attempt's processes, 0: it cannot be told which. */
bool engine_is_descendant(const struct engine *engine, pid_t pid, pid_t *ret_keeper);
/** Whether processes of this keeper may handle the task: it was submitted by their own task, or by
 *  one that was. */
int engine_may_handle(struct engine *engine, pid_t keeper, int64_t id, bool *ret_may);

/* Workers (engine/runner_lease.c) */

/** Gives a worker the task that comes first among the profiles' queues. `lease_ms` 0: the
 * profile's. ENGINE_NOT_FOUND: there is none now. The caller frees *ret_token, which the worker
 * must show. */
int engine_claim(struct engine *engine, struct profile *const *profiles, size_t count,
                 const char *worker, int64_t lease_ms, const struct task **ret_task,
                 char **ret_token);
/* ENGINE_CONFLICT: the token is not, or no longer, that of the task's lease. */
/** Lets the lease start anew; *ret_until is when it ends, wall ms. */
int engine_extend(struct engine *engine, int64_t id, const char *token, int64_t *ret_until);
/** Ends the attempt: completed with `result` (JSON or NULL), or failed with a class and message. */
int engine_finish(struct engine *engine, int64_t id, const char *token, enum error_class class,
                  const char *message, const char *result, struct task *ret_task);
/** A claim that its worker never heard of: the task is queued again. */
void engine_release_claim(struct engine *engine, int64_t id, const char *token);

/* Events (engine/print.c) */

/** Prints {"seq": …, "type": …, "at": …, "profile": …, …}. */
void engine_print_event(const struct engine *engine, const struct event *event, struct buf *out);
