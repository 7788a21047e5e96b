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

#define TOLD_PER_PASS 500

static bool anyone_is_blocked(const struct engine *engine)
{
    return roster_count(&engine->roster, TASK_BLOCKED) > 0;
}

int dependency_finish(struct engine *engine, const struct task *task)
{
    int r;

    if (!anyone_is_blocked(engine))
        return 0;
    r = store_add_release(engine->store, task->id);
    engine->has_releases |= r > 0;
    return r < 0 ? r : 0;
}

char *dependency_message(int64_t id, enum task_status status)
{
    return xasprintf("task %lld, on which it depends, %s", (long long)id,
                     status == TASK_FAILED ? "failed" : "was cancelled");
}

/* Something that the task waits for has finished. */
static int tell(struct engine *engine, struct task *task)
{
    struct profile *profile = engine_profile_by_id(engine, task->profile_id);
    enum task_status status;
    int64_t id;
    int r = store_unmet_dependency(engine->store, task->id, &id, &status);

    if (r < 0 || !profile)
        return r < 0 ? r : -EBADMSG;
    if (r == 0) {
        task_admit(engine, profile, task);
        return task_save(engine, task, TASK_BLOCKED);
    }
    if (!task_status_is_finished(status))
        return 0;
    return task_cancel_waiting(engine, profile, task, dependency_message(id, status));
}

/* Tells dependants of one task, as many as the budget allows. 1: all have been told. */
static int tell_dependants(struct engine *engine, int64_t id, int64_t after, int *budget)
{
    for (; *budget > 0; (*budget)--) {
        CLEANUP(task_deinit) struct task task = {0};
        int r = store_next_dependant(engine->store, id, after, &task);

        if (r == 0)
            return 1;
        if (r > 0)
            r = tell(engine, &task);
        if (r < 0)
            return r;
        after = task.id;
    }
    return store_move_release(engine->store, id, after);
}

int dependency_release(struct engine *engine)
{
    int budget = TOLD_PER_PASS;

    while (engine->has_releases) {
        int64_t id, after;
        int r = store_next_release(engine->store, &id, &after);

        if (r == 0)
            engine->has_releases = false;
        if (r > 0)
            r = tell_dependants(engine, id, after, &budget);
        if (r > 0) {
            budget -= budget > 0; /* it costs something even when nobody waits any more */
            r = store_drop_release(engine->store, id);
        }
        if (engine_is_damage(engine, r)) {
            engine->has_releases = false; /* until something finishes again */
            return 0;
        }
        if (r < 0)
            return r;
        if (budget == 0) {
            engine->has_more_work = true;
            break;
        }
    }
    return 0;
}
