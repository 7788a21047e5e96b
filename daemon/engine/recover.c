/* SPDX-License-Identifier: MIT */
/* The start: recovers what the previous acpd left behind. */
#include <errno.h>

#include "engine/metrics.h"
#include "engine/takeover.h"
#include "engine/wake.h"

#define EVENTS_PER_MINUTE 60000000 /* at most */

/* Numbers of events follow the wall clock, so that they grow across restarts, unless it was set
 * back since. The last number is known as of the last minute of uptime. */
static int recover_events(struct engine *engine)
{
    int64_t last, start = store_wall_ms(engine->store) * 1000;
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
    engine->queue_base = store_wall_ms(engine->store);
    if (engine->queue_base < last)
        engine->queue_base = last;
    engine_begin(engine);
    engine->wall_ahead = engine->now.wall - engine->now.mono;
    /* A clock may be wrong at a start, too: see engine/wake.c. */
    if (last && engine->now.wall - last > WAKE_FAR_STEP_MS)
        engine->next_sweep = engine->next_prune = engine->now.mono + WAKE_FAR_STEP_MS;
    r = takeover_from_dead(engine);
    return r == 0 ? metrics_recall(engine) : r;
}

/* Nothing can be done in doubt: another start finds out what there is. */
static int recover_commit(struct engine *engine, int r)
{
    r = engine_commit(engine, r);
    return r == ENGINE_UNKNOWN ? -EIO : r;
}

int engine_start(struct engine *engine, struct settings *settings)
{
    int r = store_last_news(engine->store, &engine->fleet.news);

    if (r == 0)
        r = recover_commit(engine, engine_configure(engine, settings));
    if (r >= 0)
        r = recover_all(engine);
    if (r >= 0)
        r = engine_plan(engine);
    if (r >= 0)
        r = engine_finish_pass(engine);
    return r < 0 ? r : recover_commit(engine, r);
}
