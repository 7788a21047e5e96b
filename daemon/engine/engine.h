/* SPDX-License-Identifier: MIT */
/*
 * The use cases: admit tasks, plan what runs next, launch it, finish it, cancel, recover.
 *
 * One pass of the daemon (daemon/loop.c) calls, in this order:
 *
 *   engine_begin      reads the clock: a pass has one time; hears what other nodes have done
 *   ... handlers      check first, write last, in the pass's one transaction
 *   engine_plan       settles ended attempts, wakes due tasks, claims for free slots
 *   ... handlers      those of waiting calls
 *   engine_finish_pass  health, retention, metrics, rows of the profiles
 *   engine_commit     one commit of the store; then the changes staged in memory are
 *                     applied, or dropped
 *   engine_launch     starts and stops processes: only committed changes have effects
 *
 * The steps are in engine/pass.c.
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
    ENGINE_ENDING,            /* processes of the last attempt are still being stopped */
    ENGINE_NO_OPTION,         /* the question does not offer this option */
    ENGINE_NO_DEPENDENCY,     /* it depends on an unknown task */
    ENGINE_NO_NODE,           /* its profile does not run on the only node that may run it */
    ENGINE_DEPENDENCY_FAILED, /* a task that it depends on failed or was cancelled */
    ENGINE_TOO_DEEP,          /* tasks are nested too deep */
    ENGINE_STALE,             /* the row changed since it was read; nothing was written */
    ENGINE_UNKNOWN,           /* of a commit: its outcome is not known yet */
};

/* The moment of a pass, in ms. */
struct engine_now {
    int64_t wall;  /* shown to users, and compared with runAt */
    int64_t mono;  /* measures */
    int64_t queue; /* orders the queue: wall time that never steps back, across restarts */
};

struct engine;

/** Takes ownership of the settings. The store must stay open while the engine exists. `node` is
 *  this acpd's name. */
struct engine *engine_new(struct store *store, struct settings *settings, const char *node,
                          const char *state_dir, const char *socket_path);
void engine_free(struct engine *engine);

/** Takes ownership of the settings; they take effect with the commit of the pass. */
MUST_CHECK int engine_configure(struct engine *engine, struct settings *settings);
/* Reloads the configuration; -EINVAL with a message, which the caller frees, if it is invalid. */
typedef int (*engine_reload_fn)(struct engine *engine, char **ret_error);
/** Says how. */
void engine_set_reload(struct engine *engine, engine_reload_fn reload);
MUST_CHECK int engine_reload(struct engine *engine, char **ret_error);
/** Applies the settings, which it takes, and recovers: attempts that were running at a crash are
 *  interrupted, and their tasks queued again; workers keep their leases. Negative if the storage
 *  fails or cannot tell. */
MUST_CHECK int engine_start(struct engine *engine, struct settings *settings);
/** Allows runs to be started from now on. */
void engine_set_supervisor(struct engine *engine, struct supervisor *supervisor);

/* A pass */

void engine_begin(struct engine *engine);
MUST_CHECK int engine_plan(struct engine *engine);
/** The rest of a pass, after all its requests have been handled. */
MUST_CHECK int engine_finish_pass(struct engine *engine);
/** Commits the pass, unless `r` says that it has failed. 1: something was written; 0: there was
 *  nothing to write; negative: the pass has failed and was rolled back. ENGINE_UNKNOWN: the storage
 *  cannot tell. The pass then stays open with everything that it staged; plan, launch and answer
 *  nothing until engine_resolve() returns something else. */
MUST_CHECK int engine_commit(struct engine *engine, int r);
/** Asks the storage for the outcome again; results as for engine_commit(). */
MUST_CHECK int engine_resolve(struct engine *engine);
/** Whether the outcome of the last commit is unknown. */
bool engine_is_in_doubt(const struct engine *engine);
void engine_launch(struct engine *engine);
/** When the next pass is due without any event, in monotonic ms. */
int64_t engine_next_deadline(const struct engine *engine);

/* State of the engine */

/** Those in force. */
const struct settings *engine_settings(const struct engine *engine);
/** The current pass: its time, */
const struct engine_now *engine_now(const struct engine *engine);
/** its number, */
uint64_t engine_pass(const struct engine *engine);
/** whether it has written something, so that data read now may be uncommitted, */
bool engine_is_writing(const struct engine *engine);
/** and a counter of its writes. */
uint64_t engine_writes(const struct engine *engine);
bool engine_is_stopping(const struct engine *engine);
/** Whether the supervisor is ready to start claimed attempts. */
bool engine_can_launch(const struct engine *engine);

struct engine_storage {
    const char *type;   /* see store_type() */
    const char *error;  /* the last error; empty: none since the last commit */
    const char *damage; /* describes a damaged row; empty: none */
    int audit_failure;  /* negative errno: the audit log cannot be written */
    int64_t size;       /* bytes on disk */
    uint64_t commits;
    int64_t last_commit; /* wall ms, 0: none yet */
    int64_t commit_us;   /* what it took */
};

/** See store_is_lost(). */
bool engine_is_lost(const struct engine *engine);
void engine_get_storage(const struct engine *engine, struct engine_storage *ret_storage);

/** The events that are committed; see engine/event.h. */
const struct event_log *engine_events(const struct engine *engine);
/** Stages a line of the audit log; see engine/audit.h. */
void engine_audit(struct engine *engine, const struct audit_entry *entry);

/** Accepts no more work and interrupts running attempts. */
void engine_stop(struct engine *engine);
/** Whether the limits of every profile can be enforced in this group; -EINVAL with a message, which
 * the caller frees, that names one that cannot. */
MUST_CHECK int engine_check_limits(const struct settings *settings, const struct cgroup *cgroup,
                                   char **ret_error);
/* What a runner needs of the file system. */
enum engine_need { NEED_FOLDER, NEED_PROGRAM, ENGINE_NEED_COUNT };
/** Whether something is missing, and what: "the program \"goose\"". */
bool engine_lacks(const struct runner_config *runner, enum engine_need need, char *ret_what,
                  size_t size);
/** A pass took so long. */
void engine_note_busy(struct engine *engine, int64_t us);
/** The recent maximum delay of an event, in seconds: the longest pass since the last health check
 *  but one. */
double engine_lag(const struct engine *engine);
/** Whether its node was asked to leave, and runs nothing any more. */
bool engine_is_retired(const struct engine *engine);
/** Whether no attempt is left: all processes are gone and all ends are committed. */
bool engine_is_idle(const struct engine *engine);
/** Whether a process of an attempt still exists. */
bool engine_has_runs(const struct engine *engine);

/* A task to be admitted, and its requirements. */
struct engine_admission {
    /* The caller sets priority, type, run_at, timeout, max_attempts, key, routing and body; the
     * rest is set at admission. */
    struct task *task;
    struct router_request request;
    int64_t *depends_on; /* ids of tasks; freed by task_params_admission_deinit() */
    size_t depends_on_count;

    uint64_t run; /* of the attempt whose process is the caller; 0: none */

    struct profile *profile; /* whose it has become */
    size_t missing;          /* ENGINE_NO_DEPENDENCY: the unknown id */

    struct engine *engine; /* while it is routed or admitted: */
    bool is_blocked;       /* it waits for others */
};

/* Nodes (engine/fleet.c) */

enum engine_node_state { NODE_RUNNING, NODE_RETIRING, NODE_SILENT };

/* Indexed by value, NULL-terminated. */
extern const char *const engine_node_states[];

struct engine_node {
    const char *name, *version, *url; /* url: NULL: unknown */
    enum engine_node_state state;
    int64_t last_seen; /* wall ms */
    int64_t attempts;
    char *const *differs; /* its configuration from this one's: PROFILE.SETTING; NULL: in nothing */
};

/** The name of this node. */
const char *engine_node_name(const struct engine *engine);
/** The acpds that share the store, by name, this one included, as of the last look at them; returns
 *  how many. The caller frees the array; its texts are valid during this pass. */
size_t engine_list_nodes(const struct engine *engine, struct engine_node **ret_nodes);
/** Asks a node to take no more work, and to stop when nothing runs on it. ENGINE_NOT_FOUND;
 *  ENGINE_CONFLICT: no other node takes tasks. */
MUST_CHECK int engine_retire_node(struct engine *engine, const char *name);

/** Describes where to find the log of an attempt that ran on another node; the caller frees it.
 *  NULL: the attempt ran here, or nowhere. */
MUST_CHECK int engine_log_elsewhere(struct engine *engine, const struct task *task, int64_t attempt,
                                    char **ret_where);

/* Routing (engine/routing.c) */

/** Ranks the profiles for a task. The caller frees *ret_candidates; returns how many fit.
 *  *ret_count is the number of candidates. */
size_t engine_route(struct engine *engine, struct engine_admission *admission,
                    struct router_candidate **ret_candidates, size_t *ret_count);
/** Prints the members `candidates` and `reason`, each after a comma. The reason says why the first
 *  is the best, or why none fits, and, unless `full` is NULL, that the task was rerouted from it.
 */
void engine_print_decision(const struct router_candidate *candidates, size_t count, size_t fit,
                           const struct profile *full, struct buf *out);

/* Profiles (engine/profiles.c) */

/** The next visible profile, configured ones first; NULL: no more. *at starts at 0. */
struct profile *engine_next_profile(const struct engine *engine, size_t *at);
#define for_each_profile(p, engine)                                                                \
    for (size_t at_ = 0; at_ != SIZE_MAX; at_ = SIZE_MAX)                                          \
        for (struct profile * p; (p = engine_next_profile(engine, &at_));)

/** Changes whenever the list of profiles does. */
uint64_t engine_profiles_version(const struct engine *engine);

/** The visible profile of this name, or NULL. */
struct profile *engine_find_profile(const struct engine *engine, const char *name);
/** The same, including empty ones that are no longer configured. */
struct profile *engine_find_known_profile(const struct engine *engine, const char *name);
/** A removed profile is visible while it has unfinished tasks. */
bool engine_is_visible(const struct profile *profile);
MUST_CHECK int engine_set_active(struct engine *engine, struct profile *profile, bool is_active);
/** How long the oldest queued task has been ready, in seconds; -1 if nothing is queued. Exact for
 *  up to 1,000 queued tasks, otherwise among the first 1,000. */
MUST_CHECK int engine_oldest_queued(struct engine *engine, struct profile *profile,
                                    double *ret_age);

/* Metrics (engine/metrics.c) */

MUST_CHECK int engine_metrics(struct engine *engine, const struct profile *profile,
                              const struct metrics_range *range, struct metrics *ret_metrics);

struct engine_history {
    const struct metrics_range *range;
    int64_t start; /* of the first bucket, wall ms */
    struct engine_history_bucket {
        bool has_run; /* whether acpd ran at some time in it */
        struct metrics_bucket sum;
    } * buckets;                           /* one per bucket of the range */
    struct metrics_bucket total, previous; /* the range, and the one before it */
};

/** The history of one profile, or of all together (NULL). The caller deinits it. */
MUST_CHECK int engine_history(struct engine *engine, const struct profile *profile,
                              const struct metrics_range *range,
                              struct engine_history *ret_history);
void engine_history_deinit(struct engine_history *history);

struct engine_capacity {
    int64_t sample_size;       /* measured attempts; 0: only arrivals are known */
    double arrival_rate;       /* attempts needed per second */
    double average_duration;   /* seconds */
    double utilization;        /* offered load over slots */
    double predicted_wait;     /* seconds, INFINITY: the queue grows without bound */
    int64_t recommended_slots; /* 0: no allowed number is enough */
};

/** The load of the profile's slots, and how many keep the mean wait within `target_wait` seconds.
 */
MUST_CHECK int engine_capacity(struct engine *engine, const struct profile *profile,
                               const struct metrics_range *range, double target_wait,
                               struct engine_capacity *ret_capacity);

/* Tasks (engine/tasks.c). A returned task is freed by task_deinit(). */

/** ENGINE_NOT_FOUND: there is none. */
MUST_CHECK int engine_get_task(struct engine *engine, int64_t id, struct task *ret_task);
MUST_CHECK int engine_get_task_by_key(struct engine *engine, const char *key,
                                      struct task *ret_task);

/** Tasks, the newest first. */
MUST_CHECK int engine_list_tasks(struct engine *engine, const struct task_filter *filter,
                                 struct task_list *ret_tasks, bool *ret_has_more);
/** Waiting tasks of a profile in the order in which they will run: queued by rank, scheduled by
 *  time, blocked by id; starting behind `after` (NULL: from the start). */
MUST_CHECK int engine_list_queue(struct engine *engine, const struct profile *profile,
                                 const struct task *after, const struct task_page *page,
                                 struct task_list *ret_tasks);

/** Admits a new task. ENGINE_DEDUPLICATED: *admission->task is now the first one with its key. If
 *  the queue is full, the profile's `overflow` decides, and admission->profile is the final
 *  profile. */
MUST_CHECK int engine_assign(struct engine *engine, struct profile *profile,
                             struct engine_admission *admission);

struct engine_update {
    int priority; /* -1: unchanged */
    bool has_run_at;
    int64_t run_at;          /* 0: as soon as possible */
    struct profile *profile; /* NULL: unchanged */
};

MUST_CHECK int engine_update(struct engine *engine, int64_t id, const struct engine_update *update,
                             struct task *ret_task);
MUST_CHECK int engine_cancel(struct engine *engine, int64_t id, struct task *ret_task);
MUST_CHECK int engine_retry(struct engine *engine, int64_t id, struct task *ret_task);

struct engine_pending {
    const char *reason;
    int64_t position; /* one-based, in the order in which they will run; 0: unknown */
    int64_t eta;      /* wall ms, 0: unknown */
};

/** All values of `reason`, NULL-terminated. */
extern const char *const engine_pending_reasons[];

#define ENGINE_POSITION_MAX 1000

/** Why a task is waiting. `position` is its position if the caller knows it; 0: count it, up to
 *  ENGINE_POSITION_MAX; -1: not wanted. */
MUST_CHECK int engine_pending(struct engine *engine, const struct task *task, int64_t position,
                              struct engine_pending *ret_pending);

/** Prints the task as users see it. `pending` NULL prints null. */
void engine_print_task(const struct engine *engine, const struct task *task,
                       const struct engine_pending *pending, struct buf *out);

/** Prints {"entries": […], "next": n, "truncated": b} starting at byte offset `after`; -EINVAL: no
 *  entry starts there. */
MUST_CHECK int engine_print_log(const struct engine *engine, int64_t task_id, int64_t attempt,
                                int64_t after, struct buf *out);

/* Agents' questions (engine/permission.c) */

/** Prints the open ones of all nodes as an array of {id, taskId, attempt, profile, toolCall,
 * options, askedAt, deadline}, up to about `limit` bytes. */
MUST_CHECK int engine_print_permissions(struct engine *engine, size_t limit, struct buf *out);
/** Answers a question with one of its options; `by` says who, for the transcript. The agent gets
 *  the answer after the commit. ENGINE_NOT_FOUND: it is not open. */
MUST_CHECK int engine_answer_permission(struct engine *engine, const char *id, const char *option,
                                        const char *by);
/** Whether a process descends from an attempt, or may have: an agent runs as acpd's user, so its
 *  ancestry decides. *ret_run identifies the attempt's processes; 0: unknown. */
bool engine_is_descendant(const struct engine *engine, pid_t pid, uint64_t *ret_run);
/** Whether processes of this run may manage the task: it descends from their own task. */
MUST_CHECK int engine_may_handle(struct engine *engine, uint64_t run, int64_t id, bool *ret_may);

/* Workers (engine/runner_lease.c) */

/** Gives a worker the first task of the profiles' queues. `lease_ms` 0: the profile's.
 * ENGINE_NOT_FOUND: none now. The caller frees *ret_token, which identifies the lease. */
MUST_CHECK int engine_claim(struct engine *engine, struct profile *const *profiles, size_t count,
                            const char *worker, int64_t lease_ms, const struct task **ret_task,
                            char **ret_token);
/* ENGINE_CONFLICT: the token is stale. */
/** Renews the lease; *ret_until is its end, wall ms. */
MUST_CHECK int engine_extend(struct engine *engine, int64_t id, const char *token,
                             int64_t *ret_until);
/** Ends the attempt: completed with `result` (JSON or NULL), or failed with a class and message.
 *  *ret_task is the task afterwards, valid during this pass. */
MUST_CHECK int engine_finish(struct engine *engine, int64_t id, const char *token,
                             enum error_class class, const char *message, const char *result,
                             const struct task **ret_task);
/** A claim that its worker never received: the task is queued again. */
void engine_return_claim(struct engine *engine, int64_t id, const char *token);

/* Events (engine/print.c) */

/** Prints {"seq": …, "type": …, "at": …, "profile": …, …}. */
void engine_print_event(const struct engine *engine, const struct event *event, struct buf *out);
