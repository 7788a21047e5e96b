/* SPDX-License-Identifier: MIT */
#include "engine/dependency.h"

#include "engine/queue.h"

#define TOLD_PER_PASS 500

int dependency_step(struct engine *engine)
{
    int budget = TOLD_PER_PASS;

    while (engine->has_releases && budget > 0) {
        int r = queue_release(engine, &budget);

        if (store_is_damage(engine->store, r)) {
            engine->has_releases = false; /* until something finishes again */
            return 0;
        }
        if (r < 0)
            return r;
    }
    engine->has_more_work |= engine->has_releases;
    return 0;
}

/* Releases processed by the failed pass may be pending again. */
void dependency_rollback(struct engine *engine)
{
    engine->has_releases = true;
}
