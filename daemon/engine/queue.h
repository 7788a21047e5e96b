/* SPDX-License-Identifier: MIT */
/*
 * The queue: the only file that changes the status of a task, and the only caller of the store's
 * verbs that write tasks. Each function does the whole of one step: the transition, the verb, and,
 * when the verb was done, the counters, the metrics, the event and the weight.
 *
 * Results: 0 done; ENGINE_STALE: the task is no longer as the caller read it, and nothing was
 * changed; negative errno when the storage failed.
 */
#pragma once

#include "engine/state.h"

/** Adds the task of an admission to its profile, where `limit` tasks may wait, this one included.
 *  ENGINE_DEDUPLICATED: *admission->task is now the first one of its key. ENGINE_QUEUE_FULL. */
MUST_CHECK int queue_add(struct engine *engine, struct engine_admission *admission, int64_t limit);

/** Takes the first queued tasks of the profile, which then run. None when none is queued. A single
 *  one may be for a worker, by a lease; else `lease` is NULL. */
MUST_CHECK int queue_claim(struct engine *engine, struct profile *profile, size_t limit,
                           const struct store_lease *lease, struct task_list *ret_tasks);

/** How an attempt ended. */
struct queue_end {
    enum error_class class; /* ERROR_NONE: it completed its task */
    const char *message, *result, *tail, *usage;
    struct metrics_cost cost;
    int64_t duration_ms;
};

/** Ends the attempt that a running task is in: its task is finished, or waits for another one.
 *  *ret_after is the task as it has become; its texts are those of `task` and `end`. */
MUST_CHECK int queue_finish(struct engine *engine, struct profile *profile, const struct task *task,
                            const struct queue_end *end, struct task *ret_after);

/** Changes a waiting task; its profile is `profile`. */
MUST_CHECK int queue_update(struct engine *engine, struct profile *profile, struct task *task,
                            const struct engine_update *update);
/** Gives a finished task another life: blocked, scheduled or queued. */
MUST_CHECK int queue_retry(struct engine *engine, struct profile *profile, struct task *task,
                           bool is_blocked);
/** Cancels a waiting task; takes `message` over. */
MUST_CHECK int queue_cancel(struct engine *engine, struct profile *profile, struct task *task,
                            char *message);
/** The same for one that depends on a task of this status, which failed or was cancelled. */
MUST_CHECK int queue_cancel_dependant(struct engine *engine, struct profile *profile,
                                      struct task *task, int64_t depends_on,
                                      enum task_status status);
/** Weighs a finished task again, since its log has grown. */
MUST_CHECK int queue_reweigh(struct engine *engine, struct profile *profile, struct task *task);

/** Queues scheduled tasks of the profile whose time has come, `*budget` at most. */
MUST_CHECK int queue_wake(struct engine *engine, struct profile *profile, int *budget);
/** Moves the times of retries by `step` ms. */
MUST_CHECK int queue_shift_retries(struct engine *engine, int64_t step);
/** Admits or cancels tasks whose dependencies have decided, about `*budget` of them;
 *  engine.has_releases says whether there may be more. */
MUST_CHECK int queue_release(struct engine *engine, int *budget);
/** Removes finished tasks. STORE_DONE: there may be more; STORE_STALE: there are no more. */
MUST_CHECK int queue_prune(struct engine *engine, const struct store_pruning *pruning,
                           struct task_list *ret_removed);
