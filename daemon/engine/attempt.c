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
#include "core/retry.h"
#include "run/acp.h"
#include "run/run_log.h"

#define OUTPUT_TAIL (64 * 1024) /* of stdout, for the result */

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
    heap_remove(&attempt->engine->deadlines, &attempt->deadline);
    buf_deinit(&attempt->input);
    free(attempt->message);
    free(attempt->result);
    free(attempt->tail);
    free(attempt->lease);
    free(attempt->usage);
    free(attempt);
}

struct attempt *attempt_new(struct engine *engine, struct profile *profile, const struct task *task)
{
    struct attempt *attempt = xcalloc(1, sizeof(*attempt));

    attempt->engine = engine;
    attempt->profile = profile;
    attempt->task_id = task->id;
    attempt->number = task->attempt;
    attempt->depth = task->depth;
    attempt->type = metrics_type(task->type);
    attempt->started_at = engine->now.wall;
    attempt->started_mono = engine->now.mono;
    attempt->timeout_ms = task->timeout_ms ? task->timeout_ms : profile->config.timeout_ms;
    attempt->timeout_at = engine->now.mono + attempt->timeout_ms;
    list_append(&engine->attempts, &attempt->link);
    forecast_begin_run(profile, &attempt->slot, attempt->type, engine->now.mono);
    return attempt;
}

int attempt_next_task(struct engine *engine, const struct profile *profile, struct task *ret_task)
{
    const struct cooldown *cooldown = profile_cooldown(profile);
    int r = 0;

    if (cooldown->length)
        r = store_next_queued(engine->store, profile->id, cooldown->task_id, ret_task);
    return r ? r : store_next_queued(engine->store, profile->id, 0, ret_task);
}

int attempt_claim_one(struct engine *engine, struct profile *profile, struct task *task,
                      struct attempt **ret_attempt)
{
    struct attempt *attempt;
    int64_t was_attempt = task->attempt;
    int r;

    task_transition(task, TASK_RUNNING, profile_stage_counts(profile));
    task->attempt++;
    task->started_at = engine->now.wall;
    task->place = task->id;
    r = store_save_task(engine->store, task, TASK_QUEUED, was_attempt);
    if (r < 0)
        return r;
    engine_tell_task(engine, task, TASK_QUEUED);

    attempt = attempt_new(engine, profile, task);
    attempt->is_new = true;
    if (profile_cooldown(profile)->length)
        attempt->is_probe = profile_stage_cooldown(profile)->is_probing = true;

    profile->staged.slots_used++;
    profile->staged.last_activity = engine->now.wall;
    metrics_bucket_add_start(&profile->staged.bucket, engine->now.queue - task->queued_at);
    *ret_attempt = attempt;
    return 0;
}

int attempt_claim(struct engine *engine, struct profile *profile, int limit)
{
    struct attempt *attempt;
    int claimed = 0;

    if (profile->config.runner.type == RUNNER_WORKER)
        return 0;
    while (claimed < limit && engine_may_claim(engine, profile)) {
        CLEANUP(task_deinit) struct task task = {0};
        int r = attempt_next_task(engine, profile, &task);

        if (r == 0 || engine_is_damage(engine, r))
            break;
        if (r > 0)
            r = attempt_claim_one(engine, profile, &task, &attempt);
        if (r < 0)
            return r;
        engine_print_task(engine, &task, NULL, &attempt->input);
        buf_add_char(&attempt->input, '\n');
        claimed++;
    }
    return claimed;
}

void attempt_end(struct attempt *attempt)
{
    attempt->ended_mono = clock_mono_ms();
    heap_remove(&attempt->engine->deadlines, &attempt->deadline);
    attempt->stop_is_staged = false;
    attempt->state = ATTEMPT_ENDED;
}

static void on_log(struct run *run UNUSED, void *data)
{
    ((struct attempt *)data)->log_has_grown = true;
}

static void on_run_end(struct run *run, const struct run_end *end, void *data)
{
    struct attempt *attempt = data;

    attempt->run = NULL;
    attempt_judge(attempt, end);
    attempt_keep_tail(attempt, end->stderr_lines);
    if (attempt->class == ERROR_NONE)
        attempt->result = attempt_read_result(attempt, run, end);
    attempt_end(attempt);
}

static struct run_limits attempt_limits(const struct limits *limits)
{
    return (struct run_limits){
        .memory = limits->memory,
        .processes = limits->processes,
        .cpu_s = (limits->cpu_ms + 999) / 1000,
        .open_files = limits->open_files,
    };
}

int engine_check_limits(const struct settings *settings, const struct cgroup *cgroup,
                        char **ret_error)
{
    for (size_t i = 0; i < settings->profile_count; i++) {
        struct run_limits limits = attempt_limits(&settings->profiles[i].limits);
        const char *reason, *name = run_limits_check(&limits, cgroup, &reason);

        if (!name)
            continue;
        *ret_error = xasprintf("profiles[%zu].limits.%s: cannot be kept here: %s", i, name, reason);
        return -EINVAL;
    }
    return 0;
}

void attempt_launch(struct attempt *attempt)
{
    const struct engine *engine = attempt->engine;
    const struct profile_config *config = &attempt->profile->config;
    CLEANUP(freep) char *log_path = engine_log_path(engine, attempt->task_id, attempt->number);
    CLEANUP(strv_freep) char **env = NULL;
    struct run_spec spec;

    attempt->state = ATTEMPT_RUNNING;
    if (attempt->lease) {
        attempt_arm(attempt);
        return;
    }
    /* The pass that claimed the task also changed the configuration. */
    if (config->runner.type == RUNNER_WORKER) {
        attempt_expire(attempt, ERROR_INTERRUPTED, xstrdup("its profile is now one of workers"));
        attempt->engine->has_more_work = true;
        return;
    }
    for (size_t i = 0; config->runner.env && config->runner.env[i]; i++)
        strv_push(&env, xstrdup(config->runner.env[i]));
    strv_push(&env, xasprintf("ACPD_TASK_ID=%lld", (long long)attempt->task_id));
    strv_push(&env, xasprintf("ACPD_ATTEMPT=%lld", (long long)attempt->number));
    strv_push(&env, xasprintf("ACPD_PROFILE=%s", config->name));
    strv_push(&env, xasprintf("ACPD_SOCKET=%s", engine->socket_path));

    spec = (struct run_spec){
        .argv = (const char *const *)config->runner.command,
        .env = (const char *const *)env,
        .cwd = config->runner.cwd,
        .input = attempt->input.data,
        .input_len = attempt->input.len,
        .log_path = log_path,
        .log_limit = engine->settings.log_limit,
        .tail_limit = OUTPUT_TAIL,
        .line_limit = (size_t)engine->settings.input_limit,
        .grace_ms = engine->settings.kill_grace_ms,
        .limits = attempt_limits(&config->limits),
    };
    if (config->runner.type == RUNNER_ACP)
        attempt_launch_agent(attempt, &spec);
    else
        attempt->run = run_start(
            engine->supervisor, &spec,
            &(struct run_handler){.on_log = on_log, .on_end = on_run_end, .data = attempt});
    buf_deinit(&attempt->input);
    if (attempt->stop == ERROR_NONE)
        attempt_arm(attempt);
}

int attempt_conclude(struct engine *engine, struct profile *profile, struct task *task,
                     enum error_class class, const char *message, const char *result,
                     int64_t duration_ms, const struct attempt *reported)
{
    const struct error_class_info *info = error_class_info(class);
    struct metrics_bucket *bucket = &profile->staged.bucket;
    struct store_attempt attempt = {
        .task_id = task->id,
        .number = task->attempt,
        .profile_id = task->profile_id,
        .started_at = task->started_at,
        .finished_at = engine->now.wall,
        .duration_ms = duration_ms,
        .error_class = class,
        .error_message = message,
        .type = task->type,
        .usage = reported ? reported->usage : NULL,
        .cost = reported ? reported->cost : (struct metrics_cost){0},
    };
    enum task_status to = TASK_COMPLETED;
    int64_t delay_ms = 0;
    int r;

    if (class == ERROR_CANCELLED)
        to = TASK_CANCELLED;
    else if (class != ERROR_NONE)
        to = retry_decide(task, class, &profile->config, profile_count(profile, TASK_COMPLETED),
                          erand48(engine->chance), &delay_ms);
    else
        task->interruptions = 0;
    task_transition(task, to, profile_stage_counts(profile));
    task->error_class = class;
    free(task->error_message);
    task->error_message = message ? xstrdup(message) : NULL;
    free(task->error_tail);
    task->error_tail = reported && reported->tail ? xstrdup(reported->tail) : NULL;
    task->place = task->id;
    if (to == TASK_QUEUED) {
        task_enqueue(engine, task);
    } else if (to == TASK_SCHEDULED) {
        task_schedule(engine, profile, task, engine->now.wall + delay_ms);
    } else {
        task->finished_at = engine->now.wall;
        free(task->result);
        task->result = result ? xstrdup(result) : NULL;
        task_weigh(engine, profile, task);
    }
    r = store_save_task(engine->store, task, TASK_RUNNING, task->attempt);
    if (r >= 0)
        r = store_add_attempt(engine->store, &attempt);
    if (r >= 0 && task_status_is_finished(to))
        r = dependency_finish(engine, task);
    if (r < 0)
        return r;
    engine_tell_task(engine, task, TASK_RUNNING);

    profile->staged.last_activity = engine->now.wall;
    bucket->completed += to == TASK_COMPLETED;
    bucket->failed += to == TASK_FAILED;
    bucket->cancelled += to == TASK_CANCELLED;
    bucket->retried += to == TASK_QUEUED || to == TASK_SCHEDULED;
    metrics_cost_add(&bucket->cost, &attempt.cost);
    if (info->counts)
        metrics_bucket_add_attempt(bucket, class == ERROR_NONE, duration_ms);
    return 0;
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

int attempt_settle(struct attempt *attempt)
{
    struct engine *engine = attempt->engine;
    CLEANUP(task_deinit) struct task task = {0};
    int r = store_get_task(engine->store, attempt->task_id, &task);

    if (r < 0)
        return r;
    attempt->is_stale = r == 0 || task.status != TASK_RUNNING || task.attempt != attempt->number;
    if (!attempt->is_stale) {
        r = attempt_conclude(engine, attempt->profile, &task, attempt->class, attempt->message,
                             attempt->result, attempt->ended_mono - attempt->started_mono, attempt);
        if (r < 0)
            return r;
        if (attempt->class != ERROR_NONE)
            log_info("task %lld, attempt %lld of profile \"%s\": %s: %s; the task is now %s",
                     (long long)task.id, (long long)task.attempt, attempt->profile->config.name,
                     error_class_info(attempt->class)->name, attempt->message,
                     task_status_name(task.status));
    }
    if (attempt->is_stale && (attempt->usage || attempt->cost.currency[0])) {
        r = report_late(attempt);
        if (r < 0)
            return r;
    }
    /* One that was cancelled while it ran went on writing its log until now. */
    if (attempt->is_stale && task_status_is_finished(task.status) &&
        task.attempt == attempt->number) {
        task_weigh(engine, engine_profile_by_id(engine, task.profile_id), &task);
        r = store_save_task(engine->store, &task, task.status, task.attempt);
        if (r < 0)
            return r;
    }
    if (attempt->lease) {
        r = store_drop_lease(engine->store, attempt->task_id);
        if (r < 0)
            return r;
    }
    note_for_cooldown(attempt);
    attempt->state = ATTEMPT_SETTLED;
    attempt->profile->staged.slots_used--;
    return 0;
}
