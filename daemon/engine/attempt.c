/* SPDX-License-Identifier: MIT */
#include "engine/attempt.h"

#include <string.h>

#include "common/alloc.h"
#include "engine/runner.h"
#include "run/acp.h"

static struct list *attempt_bucket(const struct engine *engine, int64_t task_id)
{
    return &engine->by_task[(size_t)task_id & (engine->bucket_count - 1)];
}

void attempt_index(struct engine *engine, size_t bucket_count)
{
    engine->bucket_count = bucket_count;
    engine->by_task = xrealloc(engine->by_task, bucket_count * sizeof(*engine->by_task));
    for (size_t i = 0; i < bucket_count; i++)
        list_init(&engine->by_task[i]);
    list_for_each (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);

        list_append(attempt_bucket(engine, attempt->task_id), &attempt->of_task);
    }
}

struct attempt *attempt_find(const struct engine *engine, int64_t task_id, int64_t number)
{
    list_for_each (link, attempt_bucket(engine, task_id)) {
        struct attempt *attempt = list_entry(link, struct attempt, of_task);

        if (attempt->task_id == task_id && attempt->number == number)
            return attempt;
    }
    return NULL;
}

struct attempt *attempt_find_held(const struct engine *engine, int64_t task_id, const char *token)
{
    list_for_each (link, attempt_bucket(engine, task_id)) {
        struct attempt *attempt = list_entry(link, struct attempt, of_task);

        if (attempt->task_id == task_id && attempt->lease && strcmp(attempt->lease, token) == 0)
            return attempt;
    }
    return NULL;
}

const struct attempt *attempt_find_run(const struct engine *engine, uint64_t id)
{
    if (!id) /* most callers are no process of an attempt */
        return NULL;
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);
        const struct runner *runner = attempt->runner;

        if (runner->run_id && runner->run_id(attempt) == id)
            return attempt;
    }
    return NULL;
}

bool attempt_is_left(const struct engine *engine, int64_t task_id)
{
    list_for_each (link, attempt_bucket(engine, task_id)) {
        const struct attempt *attempt = list_entry(link, struct attempt, of_task);

        if (attempt->task_id == task_id && attempt->state != ATTEMPT_SETTLED)
            return true;
    }
    return false;
}

void attempt_touch(struct attempt *attempt)
{
    if (list_is_empty(&attempt->touched))
        list_append(&attempt->engine->touched, &attempt->touched);
}

void attempt_rest(struct attempt *attempt)
{
    if (attempt->state == ATTEMPT_RUNNING && attempt->stop == ERROR_NONE && !attempt->log_has_grown)
        list_remove(&attempt->touched);
}

void attempt_note_growth(struct attempt *attempt)
{
    attempt->log_has_grown = true;
    attempt_touch(attempt);
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
    attempt_touch(attempt);
    heap_remove(&attempt->engine->deadlines, &attempt->deadline);
}

void attempt_stop_now(struct attempt *attempt, enum error_class why)
{
    attempt_stop(attempt, why);
    if (!attempt->stop_is_staged)
        return;
    attempt->stop_is_staged = false;
    attempt->runner->stop(attempt);
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
    list_remove(&attempt->of_task);
    list_remove(&attempt->touched);
    attempt->engine->attempt_count--;
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
    if (engine->attempt_count++ == engine->bucket_count)
        attempt_index(engine, engine->bucket_count * 2);
    list_append(&engine->attempts, &attempt->link);
    list_append(attempt_bucket(engine, attempt->task_id), &attempt->of_task);
    list_init(&attempt->touched);
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
    attempt_touch(attempt);
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
    attempt_touch(attempt);
}

void attempt_end_as(struct attempt *attempt, enum error_class class, char *message)
{
    attempt->class = class;
    attempt->message = message;
    attempt_end(attempt);
}
