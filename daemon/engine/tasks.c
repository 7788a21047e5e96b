/* SPDX-License-Identifier: MIT */
/* Operations of users on tasks: assign, change, cancel, retry, and why one is waiting. */
#include <errno.h>
#include <math.h>

#include "common/alloc.h"
#include "engine/attempt.h"
#include "engine/fleet.h"
#include "engine/queue.h"

int engine_get_task(struct engine *engine, int64_t id, struct task *ret_task)
{
    int r = store_get_task(engine->store, id, ret_task);

    return r < 0 ? r : r == 0 ? ENGINE_NOT_FOUND : 0;
}

int engine_get_task_by_key(struct engine *engine, const char *key, struct task *ret_task)
{
    int r = store_get_task_by_key(engine->store, key, ret_task);

    return r < 0 ? r : r == 0 ? ENGINE_NOT_FOUND : 0;
}

int engine_list_tasks(struct engine *engine, const struct task_filter *filter,
                      struct task_list *ret_tasks, bool *ret_has_more)
{
    int r = store_list_tasks(engine->store, filter, ret_tasks);

    *ret_has_more = r == STORE_DONE;
    return r < 0 ? r : 0;
}

int engine_list_queue(struct engine *engine, const struct profile *profile,
                      const struct task *after, const struct task_page *page,
                      struct task_list *ret_tasks)
{
    int r = store_list_queue(engine->store, profile->id, after, page, ret_tasks);

    return r < 0 ? r : 0;
}

int engine_may_handle(struct engine *engine, uint64_t run, int64_t id, bool *ret_may)
{
    const struct attempt *attempt = attempt_find_run(engine, run);
    int r = 1;

    *ret_may = false;
    for (int64_t steps = 0;
         attempt && r > 0 && !*ret_may && id && steps <= engine->settings.submit_depth; steps++) {
        CLEANUP(task_deinit) struct task task = {0};

        r = store_get_task(engine->store, id, &task);
        id = task.submitted_by;
        *ret_may = id == attempt->task_id;
    }
    return r < 0 ? r : 0;
}

/* A task to be changed, and its profile. */
static int tasks_take(struct engine *engine, int64_t id, struct task *ret_task,
                      struct profile **ret_profile)
{
    int r;

    if (engine->is_stopping)
        return -ESHUTDOWN;
    r = store_get_task(engine->store, id, ret_task);
    if (r < 0)
        return r;
    if (r == 0)
        return ENGINE_NOT_FOUND;
    *ret_profile = roster_find_id(&engine->roster, ret_task->profile_id);
    return *ret_profile ? 0 : -EBADMSG;
}

static bool tasks_may_run_in(const struct task *task, const struct profile *profile)
{
    CLEANUP(freep) char *node = task_only_node(task);

    return !node || profile_runs_on(profile, node);
}

int engine_update(struct engine *engine, int64_t id, const struct engine_update *update,
                  struct task *ret_task)
{
    struct profile *profile;
    int r = tasks_take(engine, id, ret_task, &profile);

    if (r)
        return r;
    if (!task_status_is_waiting(ret_task->status))
        return ENGINE_CONFLICT;
    if (update->profile && !tasks_may_run_in(ret_task, update->profile))
        return ENGINE_NO_NODE;
    return queue_update(engine, profile, ret_task, update);
}

/* Its processes are stopped after the commit. */
static int tasks_cancel_running(struct engine *engine, struct profile *profile, struct task *task,
                                const char *message)
{
    struct attempt *attempt = attempt_find(engine, task->id, task->attempt);
    const struct queue_end end = {
        .class = ERROR_CANCELLED,
        .was_leased = attempt && attempt->lease,
        .message = message,
        .duration_ms = attempt ? engine->now.mono - attempt->started_mono : 0,
    };
    struct task after;
    int r = queue_finish(engine, profile, task, &end, &after);

    if (r)
        return r;
    if (attempt) {
        attempt->was_taken = true; /* its end may be known already, and is settled in this pass */
        attempt_stop(attempt, ERROR_CANCELLED);
    }
    task_deinit(task);
    r = store_get_task(engine->store, after.id, task);
    return r < 0 ? r : r == 0 ? -EBADMSG : 0;
}

int engine_cancel(struct engine *engine, int64_t id, struct task *ret_task)
{
    static const char message[] = "cancelled on request";
    struct profile *profile;
    int r = tasks_take(engine, id, ret_task, &profile);

    if (r)
        return r;
    if (!task_may_become(ret_task, TASK_CANCELLED))
        return ENGINE_CONFLICT;
    if (ret_task->status == TASK_RUNNING)
        return tasks_cancel_running(engine, profile, ret_task, message);
    return queue_cancel(engine, profile, ret_task, xstrdup(message));
}

int engine_retry(struct engine *engine, int64_t id, struct task *ret_task)
{
    struct profile *profile;
    enum task_status blocker;
    int64_t blocker_id;
    int r = tasks_take(engine, id, ret_task, &profile);

    if (r)
        return r;
    if (!task_status_is_finished(ret_task->status) || !task_may_become(ret_task, TASK_QUEUED))
        return ENGINE_CONFLICT;
    if (profile->is_removed)
        return ENGINE_REMOVED;
    /* Never two at a time: the processes of the cancelled attempt must be gone first. */
    if (ret_task->node_id || attempt_is_left(engine, id))
        return ENGINE_ENDING;
    r = store_unmet_dependency(engine->store, id, &blocker_id, &blocker);
    if (r < 0)
        return r;
    if (r > 0 && task_status_is_finished(blocker))
        return ENGINE_DEPENDENCY_FAILED;
    return queue_retry(engine, profile, ret_task, r > 0);
}

/* How many of the tasks in its status precede it, counted to `limit`. A new task usually is the
 * last one, which takes no counting. */
static int tasks_count_before(struct engine *engine, struct profile *profile,
                              const struct task *task, int64_t limit, int64_t *ret_count)
{
    const bool is_queued = task->status == TASK_QUEUED;
    int64_t behind = 0;
    int r = 0;

    if (!is_queued || !profile_is_last(profile, task))
        r = store_count_behind(engine->store, task, 1, &behind);
    if (r < 0 || behind)
        return r < 0 ? r : store_count_before(engine->store, task, limit, ret_count);
    if (is_queued)
        profile_stage_last(profile, task);
    *ret_count = profile_count(profile, task->status) - 1;
    return 0;
}

/* One-based, counted to ENGINE_POSITION_MAX; 0 beyond. */
static int tasks_position_of(struct engine *engine, struct profile *profile,
                             const struct task *task, int64_t *ret_position)
{
    int64_t before = 0, in_status = 0;
    int r;

    if (task->status != TASK_QUEUED)
        before += profile_count(profile, TASK_QUEUED);
    if (task->status == TASK_BLOCKED)
        before += profile_count(profile, TASK_SCHEDULED);
    if (before >= ENGINE_POSITION_MAX) {
        *ret_position = 0;
        return 0;
    }
    r = tasks_count_before(engine, profile, task, ENGINE_POSITION_MAX - before, &in_status);
    if (r < 0)
        return r;
    before += in_status;
    *ret_position = before < ENGINE_POSITION_MAX ? before + 1 : 0;
    return 0;
}

/* Whether it waits for a worker to claim it. */
static bool tasks_lacks_worker(const struct engine *engine, const struct profile *profile)
{
    return profile->config.runner.type == RUNNER_WORKER && profile_free_slots(profile) > 0 &&
           !cooldown_blocks(profile_cooldown(profile), engine->now.mono);
}

/* In the order in which they are checked. */
enum reason {
    REASON_DEPENDENCY,
    REASON_SCHEDULED,
    REASON_BACKOFF,
    REASON_PAUSED,
    REASON_NODE,
    REASON_COOLDOWN,
    REASON_UNHEALTHY,
    REASON_NO_WORKER,
    REASON_SLOTS,
};

const char *const engine_pending_reasons[] = {
    [REASON_DEPENDENCY] = "dependency",
    [REASON_SCHEDULED] = "scheduled",
    [REASON_BACKOFF] = "backoff",
    [REASON_PAUSED] = "paused",
    [REASON_NODE] = "node",
    [REASON_COOLDOWN] = "cooldown",
    [REASON_UNHEALTHY] = "unhealthy",
    [REASON_NO_WORKER] = "no_worker",
    [REASON_SLOTS] = "slots",
    NULL,
};

/* Whether the only node that may run it is not there, or does not run its profile. */
static bool tasks_lacks_node(const struct engine *engine, const struct profile *profile,
                             const struct task *task)
{
    CLEANUP(freep) char *node = task_only_node(task);

    return node && !(fleet_has(engine, node) && profile_runs_on(profile, node));
}

static enum reason tasks_reason_of(const struct engine *engine, const struct profile *profile,
                                   const struct task *task)
{
    if (task->status == TASK_BLOCKED)
        return REASON_DEPENDENCY;
    if (task->status == TASK_SCHEDULED)
        return task->sort_key == task->run_at ? REASON_SCHEDULED : REASON_BACKOFF;
    if (profile->is_removed || !profile_is_active(profile))
        return REASON_PAUSED;
    if (tasks_lacks_node(engine, profile, task))
        return REASON_NODE;
    if (cooldown_blocks(profile_cooldown(profile), engine->now.mono))
        return REASON_COOLDOWN;
    if (profile_is_probing(profile))
        return REASON_UNHEALTHY;
    if (tasks_lacks_worker(engine, profile))
        return REASON_NO_WORKER;
    return REASON_SLOTS;
}

/* When a task at this place starts, or 0: a scheduled one when it is due, a queued one at its
 * expected turn, which requires past attempts and something that runs it. */
static int64_t tasks_eta_of(const struct engine *engine, struct profile *profile,
                            const struct task *task, int64_t position)
{
    int64_t now = engine->now.wall, cooldown_left;

    if (task->status == TASK_SCHEDULED)
        return task->sort_key > now ? task->sort_key : now;
    if (task->status != TASK_QUEUED || position <= 0 || profile->is_removed ||
        !profile_is_active(profile) || tasks_lacks_node(engine, profile, task) ||
        tasks_lacks_worker(engine, profile))
        return 0;
    if (profile->window.count)
        return now + (int64_t)ceil(1000 * forecast_wait(profile, position, engine->now.mono));
    /* Without data: not before the end of a cooldown. */
    cooldown_left = profile_cooldown(profile)->until - engine->now.mono;
    return cooldown_left > 0 ? now + cooldown_left : 0;
}

int engine_pending(struct engine *engine, const struct task *task, int64_t position,
                   struct engine_pending *ret_pending)
{
    struct profile *profile = roster_find_id(&engine->roster, task->profile_id);
    int r;

    if (!profile)
        return -EBADMSG;
    if (position == 0) {
        r = tasks_position_of(engine, profile, task, &position);
        if (r < 0)
            return r;
    }
    if (position < 0 || position > ENGINE_POSITION_MAX)
        position = 0;
    *ret_pending = (struct engine_pending){
        .reason = engine_pending_reasons[tasks_reason_of(engine, profile, task)],
        .position = position,
        .eta = tasks_eta_of(engine, profile, task, position),
    };
    return 0;
}
