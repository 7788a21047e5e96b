/* SPDX-License-Identifier: MIT */
/* What users do with tasks: assign, change, cancel, retry, and ask why one waits. */
#include <errno.h>
#include <math.h>

#include "common/alloc.h"
#include "engine/attempt.h"

void task_enqueue(struct engine *engine, struct task *task)
{
    if (!task->ready_at)
        task->ready_at = engine->now.queue;
    task->queued_at = engine->now.queue;
    task->place = task_rank(task, engine->settings.aging_interval_ms);
    /* What met a cooldown comes behind what has not been tried. */
    if (error_class_info(task->error_class)->cools_down && task->place < engine->now.queue)
        task->place = engine->now.queue;
}

void task_schedule(struct engine *engine, struct profile *profile, struct task *task, int64_t at)
{
    task->place = at;
    roster_wake_by(&engine->roster, profile, at);
}

void task_admit(struct engine *engine, struct profile *profile, struct task *task)
{
    if (task->run_at > engine->now.wall) {
        task_transition(task, TASK_SCHEDULED, profile_stage_counts(profile));
        task_schedule(engine, profile, task, task->run_at);
    } else {
        task_transition(task, TASK_QUEUED, profile_stage_counts(profile));
        task_enqueue(engine, task);
    }
}

void task_block(struct profile *profile, struct task *task)
{
    task_transition(task, TASK_BLOCKED, profile_stage_counts(profile));
    task->place = 0;
}

int task_save(struct engine *engine, const struct task *task, enum task_status was_status)
{
    int r = store_save_task(engine->store, task, was_status, task->attempt);

    if (r > 0)
        engine_tell_task(engine, task, was_status);
    return r < 0 ? r : r == 0 ? ENGINE_CONFLICT : 0;
}

int task_cancel_waiting(struct engine *engine, struct profile *profile, struct task *task,
                        char *message)
{
    enum task_status was = task->status;
    int r;

    task_transition(task, TASK_CANCELLED, profile_stage_counts(profile));
    task->place = task->id;
    task->finished_at = engine->now.wall;
    task->error_class = ERROR_CANCELLED;
    free(task->error_message);
    free(STEAL(task->error_tail));
    task->error_message = message;
    task_weigh(engine, profile, task);
    profile->staged.bucket.cancelled++;
    profile->staged.last_activity = engine->now.wall;
    r = task_save(engine, task, was);
    return r ? r : dependency_finish(engine, task);
}

int engine_may_handle(struct engine *engine, pid_t keeper, int64_t id, bool *ret_may)
{
    const struct attempt *attempt = attempt_find_kept(engine, keeper);
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

/* A task that is about to be changed, and its profile. */
static int take(struct engine *engine, int64_t id, struct task *ret_task,
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
    *ret_profile = engine_profile_by_id(engine, ret_task->profile_id);
    return *ret_profile ? 0 : -EBADMSG;
}

int engine_update(struct engine *engine, int64_t id, const struct engine_update *update,
                  struct task *ret_task)
{
    struct profile *profile;
    enum task_status was;
    int r = take(engine, id, ret_task, &profile);

    if (r)
        return r;
    was = ret_task->status;
    if (!task_status_is_waiting(was))
        return ENGINE_CONFLICT;
    if (update->profile && update->profile != profile) {
        if (profile_waiting(update->profile) >= update->profile->config.queue_limit)
            return ENGINE_QUEUE_FULL;
        task_move(ret_task, update->profile->id, profile_stage_counts(profile),
                  profile_stage_counts(update->profile));
        profile = update->profile;
        profile->staged.bucket.arrived++;
        ret_task->cooldowns = 0; /* it has not been tried there */
        if (was == TASK_SCHEDULED)
            task_schedule(engine, profile, ret_task, ret_task->place);
    }
    if (update->priority >= 0)
        ret_task->priority = (enum task_priority)update->priority;
    if (update->has_run_at)
        ret_task->run_at = update->run_at;
    if (update->has_run_at && was != TASK_BLOCKED) {
        task_admit(engine, profile, ret_task);
    } else if (was == TASK_QUEUED) {
        ret_task->place = task_rank(ret_task, engine->settings.aging_interval_ms);
    }
    return task_save(engine, ret_task, was);
}

int engine_cancel(struct engine *engine, int64_t id, struct task *ret_task)
{
    static const char message[] = "cancelled on request";
    struct profile *profile;
    struct attempt *attempt;
    int r = take(engine, id, ret_task, &profile);

    if (r)
        return r;
    if (!task_may_become(ret_task, TASK_CANCELLED))
        return ENGINE_CONFLICT;
    if (ret_task->status == TASK_RUNNING) {
        attempt = attempt_find(engine, id, ret_task->attempt);
        r = attempt_conclude(engine, profile, ret_task, ERROR_CANCELLED, message, NULL,
                             attempt ? engine->now.mono - attempt->started_mono : 0, NULL);
        if (r == 0 && attempt)
            attempt_stop(attempt, ERROR_CANCELLED);
        return r;
    }
    return task_cancel_waiting(engine, profile, ret_task, xstrdup(message));
}

int engine_retry(struct engine *engine, int64_t id, struct task *ret_task)
{
    struct profile *profile;
    enum task_status was, blocker;
    int64_t blocker_id;
    int r = take(engine, id, ret_task, &profile);

    if (r)
        return r;
    was = ret_task->status;
    if (!task_status_is_finished(was) || !task_may_become(ret_task, TASK_QUEUED))
        return ENGINE_CONFLICT;
    if (profile->is_removed)
        return ENGINE_REMOVED;
    /* Never two at a time: what a cancel left behind must be gone first. */
    if (attempt_is_left(engine, id))
        return ENGINE_ENDING;
    r = store_unmet_dependency(engine->store, id, &blocker_id, &blocker);
    if (r < 0)
        return r;
    if (r > 0 && task_status_is_finished(blocker))
        return ENGINE_DEPENDENCY_FAILED;
    ret_task->spent = ret_task->retries = ret_task->interruptions = ret_task->cooldowns = 0;
    ret_task->ready_at = ret_task->finished_at = ret_task->run_at = 0;
    ret_task->error_class = ERROR_NONE;
    free(STEAL(ret_task->error_message));
    free(STEAL(ret_task->error_tail));
    free(STEAL(ret_task->result));
    if (r > 0)
        task_block(profile, ret_task);
    else
        task_admit(engine, profile, ret_task);
    profile->staged.bucket.arrived++;
    task_weigh(engine, profile, ret_task);
    return task_save(engine, ret_task, was);
}

/* One-based, counted to ENGINE_POSITION_MAX; 0 beyond. */
static int position_of(struct engine *engine, const struct profile *profile,
                       const struct task *task, int64_t *ret_position)
{
    int64_t before = 0, in_status;
    int r;

    if (task->status != TASK_QUEUED)
        before += profile_count(profile, TASK_QUEUED);
    if (task->status == TASK_BLOCKED)
        before += profile_count(profile, TASK_SCHEDULED);
    if (before >= ENGINE_POSITION_MAX) {
        *ret_position = 0;
        return 0;
    }
    r = store_count_before(engine->store, task, ENGINE_POSITION_MAX - before, &in_status);
    if (r < 0)
        return r;
    before += in_status;
    *ret_position = before < ENGINE_POSITION_MAX ? before + 1 : 0;
    return 0;
}

/* Whether a worker could claim, and none does. */
static bool lacks_worker(const struct engine *engine, const struct profile *profile)
{
    return profile->config.runner.type == RUNNER_WORKER && profile_free_slots(profile) > 0 &&
           !cooldown_blocks(profile_cooldown(profile), engine->now.mono);
}

static const char *reason_of(const struct engine *engine, const struct profile *profile,
                             const struct task *task)
{
    if (task->status == TASK_BLOCKED)
        return "dependency";
    if (task->status == TASK_SCHEDULED)
        return task->place == task->run_at ? "scheduled" : "backoff";
    if (profile->is_removed || !profile_is_active(profile))
        return "paused";
    if (cooldown_blocks(profile_cooldown(profile), engine->now.mono))
        return "cooldown";
    if (profile_is_probing(profile))
        return "unhealthy";
    if (lacks_worker(engine, profile))
        return "no_worker";
    return "slots";
}

/* When a task at this place starts, or 0: a scheduled one when it is due, a queued one when its
 * turn is expected, which needs some attempt to go by and somebody who runs it. */
static int64_t eta_of(const struct engine *engine, struct profile *profile, const struct task *task,
                      int64_t position)
{
    int64_t now = engine->now.wall, cooldown_left;

    if (task->status == TASK_SCHEDULED)
        return task->place > now ? task->place : now;
    if (task->status != TASK_QUEUED || position <= 0 || profile->is_removed ||
        !profile_is_active(profile) || lacks_worker(engine, profile))
        return 0;
    if (profile->window.count)
        return now + (int64_t)ceil(1000 * forecast_wait(profile, position, engine->now.mono));
    /* Nothing is known yet but that it cannot be before the end of a cooldown. */
    cooldown_left = profile_cooldown(profile)->until - engine->now.mono;
    return cooldown_left > 0 ? now + cooldown_left : 0;
}

int engine_pending(struct engine *engine, const struct task *task, int64_t position,
                   struct engine_pending *ret_pending)
{
    struct profile *profile = engine_profile_by_id(engine, task->profile_id);
    int r;

    if (!profile)
        return -EBADMSG;
    if (position == 0) {
        r = position_of(engine, profile, task, &position);
        if (r < 0)
            return r;
    }
    if (position < 0 || position > ENGINE_POSITION_MAX)
        position = 0;
    *ret_pending = (struct engine_pending){
        .reason = reason_of(engine, profile, task),
        .position = position,
        .eta = eta_of(engine, profile, task, position),
    };
    return 0;
}
