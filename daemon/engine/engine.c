/* SPDX-License-Identifier: MIT */
#include "engine/engine.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/alloc.h"
#include "common/log.h"
#include "engine/attempt.h"
#include "engine/queue.h"
#include "run/acp.h"

/* What one pass does at most, so that no one waits long for its reply. */
#define WAKES_PER_PASS 500

#define RECOVERIES_PER_STEP 256

/* A wall clock may be set while acpd sleeps: with tasks scheduled, look at it this often. */
#define WALL_CHECK_MS 5000

/* From here on a wall clock that falls behind was set back, and is not merely being corrected. */
#define WALL_STEP_MS 1000

/* From here on a clock that leaps ahead may be a wrong one. */
#define FAR_STEP_MS (INT64_C(3600) * 1000)

#define STORE_RETRY_MS 1000
#define LOG_EVENT_MS   500

struct engine *engine_new(struct store *store, struct settings *settings, const char *state_dir,
                          const char *socket_path)
{
    struct engine *engine = xcalloc(1, sizeof(*engine));
    CLEANUP(freep) char *audit_path = xasprintf("%s/audit.log", state_dir);

    engine->store = store;
    engine->settings = *settings;
    *settings = (struct settings){0};
    engine->socket_path = xstrdup(socket_path);
    engine->log_folder = xasprintf("%s/logs", state_dir);
    audit_init(&engine->audit, audit_path);
    engine->reader = json_reader_new();
    engine->has_releases = engine->has_spare_room = true;
    roster_init(&engine->roster);
    list_init(&engine->attempts);
    list_init(&engine->idle_agents);
    if (getrandom(engine->chance, sizeof(engine->chance), 0) < 0)
        engine->chance[0] = (unsigned short)clock_mono_us();
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    engine_drop_settings(engine);
    list_for_each_safe (link, &engine->attempts)
        attempt_free(list_entry(link, struct attempt, link));
    for (size_t i = 0; i < engine->profile_count; i++)
        profile_free(engine->profiles[i]);
    free(engine->profiles);
    roster_deinit(&engine->roster);
    agents_free(engine);
    heap_deinit(&engine->deadlines);
    event_log_deinit(&engine->events);
    audit_deinit(&engine->audit);
    json_reader_free(engine->reader);
    settings_deinit(&engine->settings);
    free(engine->socket_path);
    free(engine->log_folder);
    free(engine);
}

void engine_set_supervisor(struct engine *engine, struct supervisor *supervisor)
{
    engine->supervisor = supervisor;
}

bool engine_is_descendant(const struct engine *engine, pid_t pid, pid_t *ret_keeper)
{
    *ret_keeper = 0;
    return engine->supervisor && supervisor_is_above(engine->supervisor, pid, ret_keeper);
}

bool engine_can_launch(const struct engine *engine)
{
    return engine->supervisor && supervisor_is_ready(engine->supervisor);
}

void engine_begin(struct engine *engine)
{
    engine->passes++;
    engine->now.wall = clock_wall_ms();
    engine->now.mono = clock_mono_ms();
    engine->now.queue = engine->queue_base + (engine->now.mono - engine->mono_base);
    engine->has_more_work = false;
}

/* 1: interrupted; 0: left alone, since its profile is gone or another daemon has ended it. */
static int interrupt(struct engine *engine, const struct task *task)
{
    const struct queue_end end = {
        .class = ERROR_INTERRUPTED,
        .message = "acpd ended under it",
        .duration_ms = engine->now.wall - task->started_at,
    };
    struct profile *profile = roster_find_id(&engine->roster, task->profile_id);
    struct task after;
    int r = profile ? queue_finish(engine, profile, task, &end, &after) : ENGINE_STALE;

    return r < 0 ? r : r == 0;
}

/* What the store says is running was running under an acpd that is dead. A row that is damaged, or
 * whose profile is gone, is left alone. */
static int interrupt_all(struct engine *engine)
{
    struct store_cursor cursor = {0};
    int64_t count = 0, left_alone = 0;
    bool has_more = true;
    int r = 0;

    while (has_more && r >= 0) {
        CLEANUP(store_tasks_deinit) struct store_tasks tasks = {0};
        int64_t damaged;

        r = store_take_over(engine->store, &cursor, RECOVERIES_PER_STEP, &tasks, &damaged);
        has_more = r == STORE_DONE;
        left_alone += damaged;
        for (size_t i = 0; i < tasks.count && r >= 0; i++) {
            r = interrupt(engine, &tasks.tasks[i]);
            count += r > 0;
            left_alone += r == 0;
        }
    }
    if (count)
        log_info("%lld %s queued again", (long long)count,
                 count == 1 ? "attempt was interrupted; its task is"
                            : "attempts were interrupted; their tasks are");
    if (left_alone)
        log_error("%lld running task%s left alone: %s", (long long)left_alone,
                  left_alone == 1 ? " is" : "s are",
                  store_damage(engine->store)[0] ? store_damage(engine->store)
                                                 : "the profile is gone");
    return r < 0 ? r : 0;
}

int engine_recover(struct engine *engine)
{
    int64_t last;
    int r = store_last_clock(engine->store, &last);

    if (r < 0)
        return r;
    engine->mono_base = clock_mono_ms();
    engine->queue_base = clock_wall_ms() > last ? clock_wall_ms() : last;
    engine_begin(engine);
    engine->wall_ahead = engine->now.wall - engine->now.mono;
    /* A clock may be wrong at a start, too: see follow_wall_clock(). */
    if (last && engine->now.wall - last > FAR_STEP_MS)
        engine->next_sweep = engine->next_prune = engine->now.mono + FAR_STEP_MS;
    r = interrupt_all(engine);
    if (r == 0)
        r = lease_adopt_all(engine);
    if (r == 0)
        r = metrics_recall(engine);
    return r;
}

static int wake(struct engine *engine)
{
    int budget = WAKES_PER_PASS;
    struct heap_node *top;

    while ((top = heap_top(&engine->roster.wakes)) && top->key <= engine->now.wall) {
        int r;

        if (budget <= 0) {
            engine->has_more_work = true;
            break;
        }
        r = queue_wake(engine, CONTAINER_OF(top, struct profile, wake), &budget);
        if (r < 0)
            return r;
    }
    return 0;
}

static void stop_overdue(struct engine *engine)
{
    struct heap_node *top;

    while ((top = heap_top(&engine->deadlines)) && top->key <= engine->now.mono) {
        struct attempt *attempt = CONTAINER_OF(top, struct attempt, deadline);

        heap_remove(&engine->deadlines, top);
        if (!attempt->lease)
            attempt_stop(attempt, ERROR_TIMEOUT);
        else if (attempt->timeout_at <= engine->now.mono)
            attempt_expire(attempt, ERROR_TIMEOUT,
                           xasprintf("ran longer than its timeout of %g s",
                                     (double)attempt->timeout_ms / 1000));
        else
            attempt_expire(attempt, ERROR_LOST_LEASE,
                           xasprintf("its worker did not extend its lease of %g s in time",
                                     (double)attempt->lease_ms / 1000));
    }
}

/* That a log has grown is told at most every LOG_EVENT_MS. */
static void tell_growth(struct attempt *attempt)
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

static int settle_ended(struct engine *engine)
{
    engine->next_log_event = INT64_MAX;
    list_for_each (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);
        int r;

        tell_growth(attempt);
        if (attempt->state != ATTEMPT_ENDED)
            continue;
        r = attempt_settle(attempt);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What the pass changed of profiles, as rows of the same transaction. */
static int flush_profiles(struct engine *engine)
{
    list_for_each (link, &engine->roster.touched) {
        struct profile *p = list_entry(link, struct profile, touched);
        int r;

        if (p->staged.is_active >= 0 || p->staged.last_activity) {
            r = store_update_profile(engine->store, p->id, p->staged.is_active,
                                     p->staged.last_activity);
            if (r < 0)
                return r;
        }
        if (!metrics_bucket_is_empty(&p->staged.bucket)) {
            r = store_add_metrics(engine->store, p->id, engine->now.wall, &p->staged.bucket);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* A retry waits for a moment of the wall clock; when someone sets that back, the wait must not grow
 * by as much. */
static int follow_wall_clock(struct engine *engine)
{
    int64_t step = engine->now.wall - engine->now.mono - engine->wall_ahead;
    int r;

    /* A clock that is set forward may be wrong: what seems old is not removed at once. */
    if (step > FAR_STEP_MS)
        engine->next_sweep = engine->next_prune = engine->now.mono + FAR_STEP_MS;
    if (step > -WALL_STEP_MS)
        return 0;
    log_debug("the clock was set back by %lld s", (long long)(-step / 1000));
    r = queue_shift_retries(engine, step);
    for (size_t i = 0; i < engine->profile_count; i++)
        roster_set_wake(&engine->roster, engine->profiles[i], 0);
    return r;
}

int engine_plan(struct engine *engine)
{
    int r = 0;

    stop_overdue(engine); /* whatever the storage says */
    if (store_has_failed(engine->store))
        return -EIO;
    /* A storage that failed shows that it is back by a write that changes nothing. */
    if (store_error(engine->store)[0] && engine->now.mono >= engine->next_probe) {
        engine->next_probe = engine->now.mono + STORE_RETRY_MS;
        r = store_update_profile(engine->store, engine->profiles[0]->id, -1, 0);
    }
    if (r == 0)
        r = settle_ended(engine);
    if (r == 0)
        r = follow_wall_clock(engine);
    if (r == 0)
        r = wake(engine);
    if (r == 0)
        r = dependency_release(engine);
    if (r == 0)
        r = claim_step(engine);
    return r;
}

int engine_finish_pass(struct engine *engine)
{
    int r = store_has_failed(engine->store) ? -EIO : health_check(engine);

    if (r == 0)
        r = retention_sweep(engine);
    if (r == 0)
        r = metrics_note(engine);
    return r < 0 ? r : flush_profiles(engine);
}

/* An attempt that counts. */
static void note_attempt(const struct attempt *attempt)
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

static void commit_profile(struct engine *engine, struct profile *profile)
{
    enum profile_health health = profile->health;
    bool was_active = profile->is_active, was_cooling = profile->cooldown.length > 0;
    bool has_changed = profile->staged.is_dirty || profile->staged.has_cooldown ||
                       profile->staged.is_active >= 0 || profile->seen.is_new;
    bool is_forgotten = profile->staged.is_forgotten;

    roster_commit(&engine->roster, profile);
    if (has_changed)
        profile_update_health(profile, &engine->settings.health, engine->now.mono);
    profile->seen.is_new = false;
    if (health != profile->health || was_active != profile->is_active ||
        was_cooling != (profile->cooldown.length > 0))
        event_stage(&engine->events,
                    &(struct event){.type = EVENT_PROFILE, .profile_id = profile->id});
    if (is_forgotten)
        engine_forget_profile(engine, profile);
}

void engine_commit(struct engine *engine)
{
    list_for_each_safe (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);

        attempt->is_new = false;
        if (attempt->state != ATTEMPT_SETTLED)
            continue;
        attempt->profile->seen.stuck -= attempt->is_stuck;
        if (!attempt->is_stale)
            autoscale_note(&attempt->profile->autoscale, attempt->class, attempt->started_mono,
                           attempt->profile->config.min_concurrent_tasks,
                           attempt->profile->config.max_concurrent_tasks, attempt->ended_mono);
        if (!attempt->is_stale && error_class_info(attempt->class)->counts)
            note_attempt(attempt);
        attempt_free(attempt);
    }
    metrics_commit(engine);
    list_for_each_safe (link, &engine->roster.touched)
        commit_profile(engine, list_entry(link, struct profile, touched));
    engine->wall_ahead = engine->now.wall - engine->now.mono;
    engine_apply_settings(engine);
    if (!engine->events.capacity)
        event_log_init(&engine->events, (size_t)engine->settings.event_buffer,
                       clock_wall_ms() * 1000);
    event_commit(&engine->events, engine->now.wall);
    audit_commit(&engine->audit, engine->settings.audit_limit);
}

void engine_rollback(struct engine *engine)
{
    list_for_each_safe (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);

        if (attempt->is_new) {
            attempt_free(attempt);
            continue;
        }
        if (attempt->stop_is_staged) {
            attempt->stop_is_staged = false;
            /* Whoever asked was told that it failed; a timeout, and a stop of acpd, still hold. */
            if (attempt->stop == ERROR_CANCELLED)
                attempt_resume(attempt);
            else
                attempt_halt(attempt);
        }
        if (attempt->acp)
            acp_forget(attempt->acp);
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
    list_for_each_safe (link, &engine->roster.touched)
        roster_rollback(&engine->roster, list_entry(link, struct profile, touched));
    metrics_rollback(engine);
    engine_drop_settings(engine);
    event_rollback(&engine->events);
    audit_rollback(&engine->audit);
    engine->has_releases = true;
    engine->next_probe = engine->now.mono + STORE_RETRY_MS;
}

void engine_launch(struct engine *engine)
{
    list_for_each_safe (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);

        if (attempt->state == ATTEMPT_CLAIMED)
            attempt_launch(attempt);
        if (attempt->acp)
            acp_release(attempt->acp);
        if (attempt->stop_is_staged) {
            attempt->stop_is_staged = false;
            attempt_halt(attempt);
        }
    }
}

int64_t engine_next_deadline(const struct engine *engine)
{
    const struct heap_node *top = heap_top(&engine->deadlines);
    const struct heap_node *cooled = heap_top(&engine->roster.cooldowns);
    const struct heap_node *wake = heap_top(&engine->roster.wakes);
    int64_t next = metrics_deadline(engine);

    /* While the storage fails, what could not be written is tried again, but not at once. */
    if (store_error(engine->store)[0])
        return engine->next_probe;
    if (engine->has_more_work)
        return engine->now.mono;
    if (engine->next_sweep < next)
        next = engine->next_sweep;
    if (engine->next_health_check < next)
        next = engine->next_health_check;
    if (engine->next_log_event < next)
        next = engine->next_log_event;
    if (top && top->key < next)
        next = top->key;
    if (cooled && cooled->key < next)
        next = cooled->key;
    if (wake) {
        int64_t wait = wake->key - engine->now.wall;

        wait = wait < 0 ? 0 : wait > WALL_CHECK_MS ? WALL_CHECK_MS : wait;
        if (engine->now.mono + wait < next)
            next = engine->now.mono + wait;
    }
    return next;
}

void engine_stop(struct engine *engine)
{
    engine->is_stopping = true;
    agents_dismiss(engine);
    list_for_each (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);

        /* Workers live on, and keep what they hold. */
        if (!attempt->lease)
            attempt_stop(attempt, ERROR_INTERRUPTED);
    }
}

bool engine_is_idle(const struct engine *engine)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (!attempt->lease || attempt->state != ATTEMPT_RUNNING)
            return false;
    }
    return list_is_empty(&engine->idle_agents);
}

bool engine_has_runs(const struct engine *engine)
{
    list_for_each (link, &engine->attempts) {
        if (attempt_has_run(list_entry(link, struct attempt, link)))
            return true;
    }
    return false;
}
