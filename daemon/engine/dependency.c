/* SPDX-License-Identifier: MIT */
/*
 * Tasks that wait for others.
 *
 * A task with `dependsOn` is blocked until all of these are completed; once one of them has failed
 * or was cancelled it is cancelled itself. Whoever finishes only leaves a row in the store (a
 * release); its dependants are told afterwards, a bounded number in each pass. So neither ten
 * thousand dependants of one task nor a chain of thousands of tasks that falls hold up a pass, and
 * a crash in between forgets nobody.
 */
#include <errno.h>

#include "common/alloc.h"
#include "engine/attempt.h"
#include "engine/queue.h"

#define TOLD_PER_PASS 500

int dependency_release(struct engine *engine)
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
