/* SPDX-License-Identifier: MIT */
#include "engine/settle.h"

#include "common/alloc.h"
#include "common/log.h"
#include "engine/news.h"
#include "engine/queue.h"
#include "engine/runner.h"

#define LOG_EVENT_MS 500

static void settle_note_for_cooldown(const struct attempt *attempt)
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

/* The usage of an attempt counts even if its task was taken away before it was reported. */
static int settle_report_late(struct attempt *attempt)
{
    const struct store_attempt late = {
        .task_id = attempt->task_id,
        .number = attempt->number,
        .usage = attempt->usage,
        .cost = attempt->cost,
    };

    metrics_cost_add(&attempt->profile->staged.bucket.cost, &attempt->cost);
    profile_touch(attempt->profile);
    return queue_report(attempt->engine, &late);
}

/* The end came after its task was taken away. */
static int settle_stale(struct attempt *attempt)
{
    struct engine *engine = attempt->engine;
    CLEANUP(task_deinit) struct task task = {0};
    int r;

    attempt->is_stale = true;
    if (attempt->usage || attempt->cost.currency[0]) {
        r = settle_report_late(attempt);
        if (r < 0)
            return r;
    }
    r = queue_let_go(engine, attempt->task_id);
    if (r < 0)
        return r;
    r = store_get_task(engine->store, attempt->task_id, &task);
    if (r <= 0 || !task_status_is_finished(task.status) || task.attempt != attempt->number)
        return r < 0 ? r : 0;
    /* It went on writing its log until now. When the task has moved on once more, its next end
     * counts it. */
    r = queue_update_footprint(engine, roster_find_id(&engine->roster, task.profile_id), &task);
    return r < 0 ? r : 0;
}

int settle_attempt(struct attempt *attempt)
{
    int r = news_catch_up(attempt->engine);
    const struct queue_end end = {
        .class = attempt->class,
        .is_shortage = attempt->is_shortage,
        .was_leased = attempt->lease,
        .is_sure = !attempt->was_taken && attempt->stop != ERROR_CANCELLED,
        .message = attempt->message,
        .result = attempt->result,
        .tail = attempt->tail,
        .usage = attempt->usage,
        .cost = attempt->cost,
        .duration_ms = attempt->ended_mono - attempt->started_mono,
    };
    const struct task *after = &attempt->after;

    if (r < 0)
        return r;
    r = queue_finish(attempt->engine, attempt->profile, &attempt->task, &end, &attempt->after);
    attempt->is_stale = false;
    if (r == ENGINE_STALE)
        r = settle_stale(attempt);
    else if (r == 0 && attempt->class != ERROR_NONE)
        log_info("task %lld, attempt %lld of profile \"%s\": %s: %s; the task is now %s",
                 (long long)after->id, (long long)after->attempt, attempt->profile->config.name,
                 error_class_info(attempt->class)->name, attempt->message,
                 task_status_name(after->status));
    if (r < 0)
        return r;
    settle_note_for_cooldown(attempt);
    attempt->state = ATTEMPT_SETTLED;
    attempt->profile->staged.slots_used--;
    return 0;
}

int settle_overdue_step(struct engine *engine)
{
    struct heap_node *top;

    while ((top = heap_top(&engine->deadlines)) && top->key <= engine->now.mono) {
        struct attempt *attempt = CONTAINER_OF(top, struct attempt, deadline);

        heap_remove(&engine->deadlines, top);
        attempt->runner->expire(attempt);
    }
    return 0;
}

int64_t settle_overdue_deadline(const struct engine *engine)
{
    const struct heap_node *top = heap_top(&engine->deadlines);

    return top ? top->key : INT64_MAX;
}

/* Growth of a log is reported at most every LOG_EVENT_MS. */
static void settle_tell_growth(struct attempt *attempt)
{
    struct engine *engine = attempt->engine;
    int64_t due = attempt->log_told + LOG_EVENT_MS;

    if (!attempt->log_has_grown)
        return;
    if (due > engine->now.mono && attempt->state == ATTEMPT_RUNNING) {
        if (due < engine->next_log_event)
            engine->next_log_event = due;
        return;
    }
    attempt->log_has_grown = false;
    attempt->log_told = engine->now.mono;
    event_stage(&engine->events, &(struct event){
                                     .type = EVENT_LOG,
                                     .is_fact = true,
                                     .profile_id = attempt->profile->id,
                                     .task_id = attempt->task_id,
                                     .attempt = attempt->number,
                                 });
}

int settle_step(struct engine *engine)
{
    engine->next_log_event = INT64_MAX;
    list_for_each (link, &engine->touched) {
        struct attempt *attempt = list_entry(link, struct attempt, touched);
        int r;

        settle_tell_growth(attempt);
        if (attempt->state != ATTEMPT_ENDED)
            continue;
        r = settle_attempt(attempt);
        if (r < 0)
            return r;
    }
    return 0;
}

/* An attempt that counts. */
static void settle_note_attempt(const struct attempt *attempt)
{
    struct profile *profile = attempt->profile;
    struct metrics_sample sample = {
        .duration_ms = attempt->ended_mono - attempt->started_mono,
        .type = attempt->type,
        .success = attempt->class == ERROR_NONE,
    };

    metrics_window_add(&profile->window, &sample);
    profile->last_end = attempt->ended_mono;
    anomaly_add_attempt(&profile->charts, sample.success, sample.duration_ms);
}

void settle_commit(struct engine *engine)
{
    list_for_each_safe (link, &engine->touched) {
        struct attempt *attempt = list_entry(link, struct attempt, touched);

        attempt->is_new = false;
        if (attempt->state != ATTEMPT_SETTLED)
            continue;
        attempt->profile->seen.stuck -= attempt->is_stuck;
        if (!attempt->is_stale)
            autoscale_note(&attempt->profile->autoscale, attempt->class, attempt->started_mono,
                           attempt->profile->config.min_concurrent_tasks,
                           attempt->profile->config.max_concurrent_tasks, attempt->ended_mono);
        if (!attempt->is_stale && error_class_info(attempt->class)->counts)
            settle_note_attempt(attempt);
        attempt_free(attempt);
    }
}

void settle_rollback(struct engine *engine)
{
    list_for_each_safe (link, &engine->touched) {
        struct attempt *attempt = list_entry(link, struct attempt, touched);

        if (attempt->is_new) {
            attempt_free(attempt);
            continue;
        }
        if (attempt->stop_is_staged) {
            attempt->stop_is_staged = false;
            /* The caller was told that the cancel failed; a timeout or a stop of acpd still
             * applies. */
            if (attempt->stop == ERROR_CANCELLED)
                attempt_resume(attempt);
            else
                attempt->runner->stop(attempt);
        }
        if (attempt->runner->rollback)
            attempt->runner->rollback(attempt);
        if (attempt->was_asked) {
            attempt->state = ATTEMPT_RUNNING;
            attempt->was_asked = false;
            free(STEAL(attempt->message));
            free(STEAL(attempt->result));
            attempt_arm(attempt);
        } else if (attempt->state == ATTEMPT_SETTLED) {
            attempt->state = ATTEMPT_ENDED;
        }
    }
}

int64_t settle_deadline(const struct engine *engine)
{
    return engine->next_log_event;
}
