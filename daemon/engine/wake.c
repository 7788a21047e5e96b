/* SPDX-License-Identifier: MIT */
#include "engine/wake.h"

#include "common/alloc.h"
#include "common/log.h"
#include "engine/queue.h"

/* The limit per pass, so that no reply is delayed for long. */
#define WAKES_PER_PASS 500

/* A wall clock may be set while acpd sleeps: with tasks scheduled, look at it this often. */
#define WALL_CHECK_MS 5000

/* From here on a wall clock that falls behind was set back, and is not merely being corrected. */
#define WALL_STEP_MS 1000

/* A retry waits for a moment of the wall clock; when someone sets that back, the wait must not grow
 * by as much. */
static int wake_follow_wall_clock(struct engine *engine)
{
    int64_t step = engine->now.wall - engine->now.mono - engine->wall_ahead;
    int r;

    if (step > WAKE_FAR_STEP_MS)
        engine->next_sweep = engine->next_prune = engine->now.mono + WAKE_FAR_STEP_MS;
    if (step > -WALL_STEP_MS)
        return 0;
    log_debug("the clock was set back by %lld s", (long long)(-step / 1000));
    r = queue_shift_retries(engine, step);
    for (size_t i = 0; i < engine->profile_count; i++)
        roster_set_wake(&engine->roster, engine->profiles[i], 0);
    return r;
}

int wake_step(struct engine *engine)
{
    int budget = WAKES_PER_PASS, r = wake_follow_wall_clock(engine);
    struct heap_node *top;

    while (r >= 0 && (top = heap_top(&engine->roster.wakes)) && top->key <= engine->now.wall) {
        if (budget <= 0) {
            engine->has_more_work = true;
            break;
        }
        r = queue_wake(engine, CONTAINER_OF(top, struct profile, wake), &budget);
    }
    return r;
}

void wake_commit(struct engine *engine)
{
    engine->wall_ahead = engine->now.wall - engine->now.mono;
}

int64_t wake_deadline(const struct engine *engine)
{
    const struct heap_node *top = heap_top(&engine->roster.wakes);
    int64_t wait;

    if (!top)
        return INT64_MAX;
    wait = top->key - engine->now.wall;
    wait = wait < 0 ? 0 : wait > WALL_CHECK_MS ? WALL_CHECK_MS : wait;
    return engine->now.mono + wait;
}
