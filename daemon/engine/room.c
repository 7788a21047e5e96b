/* SPDX-License-Identifier: MIT */
#include "engine/room.h"

/* The task among those of the queue: only one that is queued at once can be ahead of another. */
static bool room_comes_before(const struct engine *engine, const struct engine_admission *admission,
                              const struct task *last)
{
    const struct task *task = admission->task;
    struct task ready = {.ready_at = engine->now.queue, .priority = task->priority};

    return task->run_at <= engine->now.wall && !admission->is_blocked &&
           task_rank(&ready, engine->settings.aging_interval_ms) < last->sort_key;
}

int room_find(struct engine *engine, const struct profile *profile, int64_t waiting,
              const struct engine_admission *admission, struct task *ret_last)
{
    int r;

    if (waiting < profile->config.queue_limit)
        return 1;
    if (profile->config.overflow != OVERFLOW_EVICT)
        return 0;
    r = store_last_queued(engine->store, profile->id, ret_last);
    if (r > 0 && !room_comes_before(engine, admission, ret_last))
        task_deinit(ret_last);
    return r < 0 ? r : 0;
}

bool room_is_there(const struct profile *profile, void *data)
{
    struct engine_admission *admission = data;
    CLEANUP(task_deinit) struct task last = {0};

    return room_find(admission->engine, profile, profile_waiting(profile), admission, &last) == 1 ||
           last.id;
}
