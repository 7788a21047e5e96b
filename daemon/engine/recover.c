/* SPDX-License-Identifier: MIT */
/* The start: recovers what the previous acpd left behind. */
#include <errno.h>

#include "common/log.h"
#include "engine/metrics.h"
#include "engine/queue.h"
#include "engine/runner_lease.h"
#include "engine/wake.h"

#define RECOVERIES_PER_STEP 256
#define EVENTS_PER_MINUTE   60000000 /* at most */

/* 1: interrupted; 0: left alone, since its profile is gone or another daemon has ended it. */
static int recover_interrupt(struct engine *engine, const struct task *task)
{
    const struct queue_end end = {
        .class = ERROR_INTERRUPTED,
        .message = "acpd ended while it was running",
        .duration_ms = engine->now.wall - task->started_at,
    };
    struct profile *profile = roster_find_id(&engine->roster, task->profile_id);
    struct task after;
    int r = profile ? queue_finish(engine, profile, task, &end, &after) : ENGINE_STALE;

    return r < 0 ? r : r == 0;
}

/* Tasks that are running in the store ran under a previous acpd. Rows that are damaged, or whose
 * profile is gone, are left alone. */
static int recover_interrupt_all(struct engine *engine)
{
    struct store_cursor cursor = {0};
    int64_t count = 0, left_alone = 0;
    bool has_more = true;
    int r = 0;

    while (has_more && r >= 0) {
        CLEANUP(task_list_deinit) struct task_list tasks = {0};
        int64_t damaged;

        r = store_take_over(engine->store, &cursor, RECOVERIES_PER_STEP, &tasks, &damaged);
        has_more = r == STORE_DONE;
        left_alone += damaged;
        for (size_t i = 0; i < tasks.count && r >= 0; i++) {
            r = recover_interrupt(engine, &tasks.tasks[i]);
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

/* Numbers of events follow the wall clock, so that they grow across restarts, unless it was set
 * back since. The last number is known as of the last minute of uptime. */
static int recover_events(struct engine *engine)
{
    int64_t last, start = clock_wall_ms() * 1000;
    int r = store_last_event(engine->store, &last);

    if (r < 0)
        return r;
    if (last && start < last + EVENTS_PER_MINUTE)
        start = last + EVENTS_PER_MINUTE;
    event_log_init(&engine->events, (size_t)engine->settings.event_buffer, start);
    return 0;
}

static int recover_all(struct engine *engine)
{
    int64_t last;
    int r = store_last_clock(engine->store, &last);

    if (r == 0)
        r = recover_events(engine);
    if (r < 0)
        return r;
    engine->mono_base = clock_mono_ms();
    engine->queue_base = clock_wall_ms() > last ? clock_wall_ms() : last;
    engine_begin(engine);
    engine->wall_ahead = engine->now.wall - engine->now.mono;
    /* A clock may be wrong at a start, too: see engine/wake.c. */
    if (last && engine->now.wall - last > WAKE_FAR_STEP_MS)
        engine->next_sweep = engine->next_prune = engine->now.mono + WAKE_FAR_STEP_MS;
    r = recover_interrupt_all(engine);
    if (r == 0)
        r = lease_adopt_all(engine);
    if (r == 0)
        r = metrics_recall(engine);
    return r;
}

/* Nothing can be done in doubt: another start finds out what there is. */
static int recover_commit(struct engine *engine, int r)
{
    r = engine_commit(engine, r);
    return r == ENGINE_UNKNOWN ? -EIO : r;
}

int engine_start(struct engine *engine, struct settings *settings)
{
    int r = recover_commit(engine, engine_configure(engine, settings));

    if (r >= 0)
        r = recover_all(engine);
    if (r >= 0)
        r = engine_plan(engine);
    if (r >= 0)
        r = engine_finish_pass(engine);
    return r < 0 ? r : recover_commit(engine, r);
}
