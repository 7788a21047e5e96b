/* SPDX-License-Identifier: MIT */
#include "engine/attempt.h"

#include "common/alloc.h"
#include "engine/runner.h"
#include "run/acp.h"

struct attempt *attempt_find(const struct engine *engine, int64_t task_id, int64_t number)
{
    list_for_each (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);

        if (attempt->task_id == task_id && attempt->number == number)
            return attempt;
    }
    return NULL;
}

const struct attempt *attempt_find_kept(const struct engine *engine, pid_t keeper)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);
        const struct runner *runner = attempt->runner;

        if (keeper && runner->keeper && runner->keeper(attempt) == keeper)
            return attempt;
    }
    return NULL;
}

bool attempt_is_left(const struct engine *engine, int64_t task_id)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (attempt->task_id == task_id && attempt->state != ATTEMPT_SETTLED)
            return true;
    }
    return false;
}

void attempt_arm(struct attempt *attempt)
{
    int64_t at = attempt->timeout_at;

    if (!attempt->runner->expire)
        return;
    if (attempt->lease && attempt->lease_until < at)
        at = attempt->lease_until;
    heap_set(&attempt->engine->deadlines, &attempt->deadline, at);
}

void attempt_stop(struct attempt *attempt, enum error_class why)
{
    if (attempt->stop != ERROR_NONE || attempt->state > ATTEMPT_RUNNING)
        return;
    attempt->stop = why;
    attempt->stop_is_staged = true;
    heap_remove(&attempt->engine->deadlines, &attempt->deadline);
}

bool attempt_has_run(const struct attempt *attempt)
{
    return attempt->run || attempt->acp;
}

bool attempt_was_stopped(const struct attempt *attempt)
{
    return attempt->stop != ERROR_NONE && !attempt->stop_is_staged;
}

void attempt_resume(struct attempt *attempt)
{
    attempt->stop = ERROR_NONE;
    attempt->stop_is_staged = false;
    attempt_arm(attempt);
}

void attempt_free(struct attempt *attempt)
{
    list_remove(&attempt->link);
    forecast_end_run(attempt->profile, &attempt->slot);
    task_deinit(&attempt->task);
    heap_remove(&attempt->engine->deadlines, &attempt->deadline);
    buf_deinit(&attempt->input);
    free(attempt->message);
    free(attempt->result);
    free(attempt->tail);
    free(attempt->lease);
    free(attempt->usage);
    acp_free(attempt->acp);
    free(attempt);
}

struct attempt *attempt_new(struct engine *engine, struct profile *profile, struct task *task,
                            const struct runner *runner)
{
    struct attempt *attempt = xcalloc(1, sizeof(*attempt));

    attempt->engine = engine;
    attempt->profile = profile;
    attempt->runner = runner;
    attempt->task_id = task->id;
    attempt->number = task->attempt;
    attempt->type = metrics_type(task->type);
    attempt->started_mono = engine->now.mono;
    attempt->timeout_ms = task->timeout_ms ? task->timeout_ms : profile->config.timeout_ms;
    attempt->timeout_at = engine->now.mono + attempt->timeout_ms;
    list_append(&engine->attempts, &attempt->link);
    forecast_begin_run(profile, &attempt->slot, attempt->type, engine->now.mono);
    attempt->task = *task;
    *task = (struct task){0};
    return attempt;
}

struct attempt *attempt_begin(struct engine *engine, struct profile *profile, struct task *task,
                              const struct runner *runner)
{
    struct attempt *attempt = attempt_new(engine, profile, task, runner);

    attempt->is_new = true;
    if (profile_cooldown(profile)->length)
        attempt->is_probe = profile_stage_cooldown(profile)->is_probing = true;
    profile->staged.slots_used++;
    return attempt;
}

void attempt_end(struct attempt *attempt)
{
    attempt->ended_mono = clock_mono_ms();
    heap_remove(&attempt->engine->deadlines, &attempt->deadline);
    attempt->stop_is_staged = false;
    attempt->state = ATTEMPT_ENDED;
}

void attempt_end_as(struct attempt *attempt, enum error_class class, char *message)
{
    attempt->class = class;
    attempt->message = message;
    attempt_end(attempt);
}
