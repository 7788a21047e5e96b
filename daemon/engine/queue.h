/* SPDX-License-Identifier: MIT */
/*
 * The queue: the only file that changes the status of a task, and the only caller of the store's
 * verbs that write tasks. Each function does one whole step: the transition, the verb and, if that
 * succeeded, the counters, the metrics, the event and the footprint.
 *
 * Results: 0 on success; ENGINE_STALE: the task has changed since the caller read it, and nothing
 * was written; a negative errno if the storage failed.
 */
#pragma once

#include "engine/state.h"

/** Adds the task of an admission to its profile, where `limit` tasks may wait, including this one.
 *  ENGINE_DEDUPLICATED: *admission->task is now the first one with its key. ENGINE_QUEUE_FULL. */
MUST_CHECK int queue_add(struct engine *engine, struct engine_admission *admission, int64_t limit);

/** Claims the first queued tasks of the profile; none if the queue is empty. With `lease`, claims
 *  a single one for a worker. */
MUST_CHECK int queue_claim(struct engine *engine, struct profile *profile, size_t limit,
                           const struct store_lease *lease, struct task_list *ret_tasks);

/** How an attempt ended. */
struct queue_end {
    enum error_class class; /* ERROR_NONE: the task is completed */
    bool is_shortage;       /* of processes, memory or descriptors: no attempt is spent */
    bool was_leased;        /* a worker ran it: there is no log */
    bool is_sure;           /* nothing suggests that another node ended the attempt */
    const char *message, *result, *tail, *usage;
    struct metrics_cost cost;
    int64_t duration_ms;
};

/** Ends the current attempt of a running task: the task is finished or waits for another attempt.
 *  *ret_after is its new state, whose texts belong to `task` and `end`. */
MUST_CHECK int queue_finish(struct engine *engine, struct profile *profile, const struct task *task,
                            const struct queue_end *end, struct task *ret_after);

/** Changes a waiting task of `profile`. */
MUST_CHECK int queue_update(struct engine *engine, struct profile *profile, struct task *task,
                            const struct engine_update *update);
/** Starts a finished task over: blocked, scheduled or queued. */
MUST_CHECK int queue_retry(struct engine *engine, struct profile *profile, struct task *task,
                           bool is_blocked);
/** Cancels a waiting task; takes ownership of `message`. */
MUST_CHECK int queue_cancel(struct engine *engine, struct profile *profile, struct task *task,
                            char *message);
/** The same for a dependant of a task that failed or was cancelled (`status`). */
MUST_CHECK int queue_cancel_dependant(struct engine *engine, struct profile *profile,
                                      struct task *task, int64_t depends_on,
                                      enum task_status status);
/** Adds what an agent has reported late, of usage and cost, to an attempt that has ended. */
MUST_CHECK int queue_report(struct engine *engine, const struct store_attempt *attempt);
/** Updates the footprint of a finished task whose log has grown. */
MUST_CHECK int queue_update_footprint(struct engine *engine, struct profile *profile,
                                      struct task *task);

/** Makes a running task of a dead node this one's. */
MUST_CHECK int queue_adopt(struct engine *engine, int64_t id);
/** The processes of a task that was taken away while it ran here are gone. Without a shared store
 *  nobody waits for that: ENGINE_STALE. */
MUST_CHECK int queue_let_go(struct engine *engine, int64_t id);
/** The same for all tasks of dead nodes. */
MUST_CHECK int queue_let_go_of_dead(struct engine *engine);

/** Queues due scheduled tasks of the profile, at most `*budget`. */
MUST_CHECK int queue_wake(struct engine *engine, struct profile *profile, int *budget);
/** Shifts the due times of retries by `step` ms. */
MUST_CHECK int queue_shift_retries(struct engine *engine, int64_t step);
/** Admits or cancels tasks whose dependencies are decided, about `*budget` of them;
 *  engine.has_releases says whether there may be more. */
MUST_CHECK int queue_release(struct engine *engine, int *budget);
/** Removes finished tasks. STORE_DONE: there may be more; STORE_STALE: there are no more. */
MUST_CHECK int queue_prune(struct engine *engine, const struct store_pruning *pruning,
                           struct task_list *ret_removed);
