/* SPDX-License-Identifier: MIT */
/*
 * An attempt's life: claimed in the transaction, launched after its commit, ended by its process,
 * settled in a later transaction. Until that has been committed the attempt stays on the engine's
 * list, so an end that the storage could not take is told again in the next pass.
 *
 * The attempt's number is the fence: an end changes its task only while the task still runs this
 * very attempt.
 */
#include "engine/attempt.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/strv.h"
#include "engine/queue.h"
#include "run/acp.h"
#include "run/run_log.h"

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
        const struct run *run = attempt->acp ? acp_get_run(attempt->acp) : attempt->run;

        if (keeper && run && run_keeper(run) == keeper)
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

/* An agent's turn has timers of its own. */
void attempt_arm(struct attempt *attempt)
{
    int64_t at = attempt->timeout_at;

    if (attempt->profile->config.runner.type == RUNNER_ACP && !attempt->lease)
        return;
    if (attempt->lease && attempt->lease_until < at)
        at = attempt->lease_until;
    heap_set(&attempt->engine->deadlines, &attempt->deadline, at);
}

void attempt_expire(struct attempt *attempt, enum error_class class, char *message)
{
    attempt->class = class;
    attempt->message = message;
    attempt_end(attempt);
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

void attempt_halt(struct attempt *attempt)
{
    if (attempt->run)
        run_stop(attempt->run);
    if (attempt->acp)
        acp_stop(attempt->acp);
    /* Its worker learns of it with its next word. */
    if (attempt->lease && attempt->state == ATTEMPT_RUNNING) {
        attempt_expire(attempt, attempt->stop, xstrdup("stopped"));
        attempt->engine->has_more_work = true;
    }
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
    free(attempt);
}

struct attempt *attempt_new(struct engine *engine, struct profile *profile, struct task *task)
{
    struct attempt *attempt = xcalloc(1, sizeof(*attempt));

    attempt->engine = engine;
    attempt->profile = profile;
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

struct attempt *attempt_begin(struct engine *engine, struct profile *profile, struct task *task)
{
    struct attempt *attempt = attempt_new(engine, profile, task);

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

static void note_for_cooldown(const struct attempt *attempt)
{
    const struct profile_config *config = &attempt->profile->config;
    const struct cooldown_end end = {
        .class = attempt->is_stale ? ERROR_CANCELLED : attempt->class,
        .message = attempt->message,
        .task_id = attempt->task_id,
        .started = attempt->started_mono,
        .ended = attempt->ended_mono,
        .retry_after_ms = attempt->retry_after_ms,
        .is_probe = attempt->is_probe,
    };

    cooldown_note(profile_stage_cooldown(attempt->profile), &end, config->cooldown_min_ms,
                  config->cooldown_max_ms);
}

/* What an attempt has used up counts, though its task was taken away from it before it told. */
static int report_late(struct attempt *attempt)
{
    const struct store_attempt late = {
        .task_id = attempt->task_id,
        .number = attempt->number,
        .usage = attempt->usage,
        .cost = attempt->cost,
    };

    metrics_cost_add(&attempt->profile->staged.bucket.cost, &attempt->cost);
    profile_touch(attempt->profile);
    return store_report_attempt(attempt->engine->store, &late);
}

/* The end came after its task was taken away. */
static int settle_stale(struct attempt *attempt)
{
    struct engine *engine = attempt->engine;
    CLEANUP(task_deinit) struct task task = {0};
    int r;

    attempt->is_stale = true;
    if (attempt->usage || attempt->cost.currency[0]) {
        r = report_late(attempt);
        if (r < 0)
            return r;
    }
    r = store_get_task(engine->store, attempt->task_id, &task);
    if (r <= 0 || !task_status_is_finished(task.status) || task.attempt != attempt->number)
        return r < 0 ? r : 0;
    /* It went on writing its log until now. When the task has moved on once more, its next end
     * weighs it. */
    r = queue_reweigh(engine, roster_find_id(&engine->roster, task.profile_id), &task);
    return r < 0 ? r : 0;
}

int attempt_settle(struct attempt *attempt)
{
    const struct queue_end end = {
        .class = attempt->class,
        .message = attempt->message,
        .result = attempt->result,
        .tail = attempt->tail,
        .usage = attempt->usage,
        .cost = attempt->cost,
        .duration_ms = attempt->ended_mono - attempt->started_mono,
        .is_leased = attempt->lease != NULL,
    };
    struct task after;
    int r = queue_finish(attempt->engine, attempt->profile, &attempt->task, &end, &after);

    attempt->is_stale = false;
    if (r == ENGINE_STALE)
        r = settle_stale(attempt);
    else if (r == 0 && attempt->class != ERROR_NONE)
        log_info("task %lld, attempt %lld of profile \"%s\": %s: %s; the task is now %s",
                 (long long)after.id, (long long)after.attempt, attempt->profile->config.name,
                 error_class_info(attempt->class)->name, attempt->message,
                 task_status_name(after.status));
    if (r < 0)
        return r;
    note_for_cooldown(attempt);
    attempt->state = ATTEMPT_SETTLED;
    attempt->profile->staged.slots_used--;
    return 0;
}
