/* SPDX-License-Identifier: MIT */
#include "engine/retention.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/log.h"
#include "engine/attempt.h"
#include "engine/queue.h"
#include "engine/task_log.h"

#define DAY_MS            INT64_C(86400000)
#define SWEEP_INTERVAL_MS 60000

/* In one pass: */
#define TASKS_PER_PASS 64
#define FILES_PER_PASS 256
#define BYTES_PER_PASS (16 * 1024 * 1024)

static void retention_remove_logs(const struct engine *engine, const struct task *task)
{
    CLEANUP(freep) char *folder = NULL;

    for (int64_t i = 1; i <= task->attempt; i++) {
        CLEANUP(freep) char *path = task_log_path(engine, task->id, i);

        unlink(path);
        if (i == task->attempt) {
            *strrchr(path, '/') = '\0';
            folder = STEAL(path);
        }
    }
    if (folder)
        rmdir(folder); /* refused while it has other tasks' logs */
}

/* The tasks whose processes are still being stopped; they are removed later. The caller frees the
 * array. */
static int64_t *retention_ending_tasks(const struct engine *engine, size_t *ret_count)
{
    int64_t *ids = NULL;
    size_t count = 0;

    list_for_each (link, &engine->touched) {
        const struct attempt *attempt = list_entry(link, struct attempt, touched);

        if (attempt->state == ATTEMPT_SETTLED)
            continue;
        ids = xrealloc(ids, (count + 1) * sizeof(*ids));
        ids[count++] = attempt->task_id;
    }
    *ret_count = count;
    return ids;
}

/* 1: the bounds of a pass were reached. */
static int retention_remove_some(struct engine *engine)
{
    int64_t excess = roster_finished_bytes(&engine->roster) - engine->settings.retention_bytes;
    bool age_counts = engine->now.mono >= engine->next_sweep;
    CLEANUP(task_list_deinit) struct task_list removed = {0};
    CLEANUP(freep) int64_t *spared = NULL;
    struct store_pruning pruning = {
        .before =
            age_counts ? engine->now.wall - engine->settings.retention_days * DAY_MS : INT64_MIN,
        .excess = excess,
        .tasks = TASKS_PER_PASS,
        .attempts = FILES_PER_PASS,
        .bytes = BYTES_PER_PASS,
    };
    int r;

    /* Tasks that depend on a failed one must be processed first. */
    if (engine->has_releases || !(age_counts || excess > 0))
        return 0;
    spared = retention_ending_tasks(engine, &pruning.spared_count);
    pruning.spared = spared;
    r = queue_prune(engine, &pruning, &removed);
    if (r < 0)
        return r;
    for (size_t i = 0; i < removed.count; i++)
        retention_remove_logs(engine, &removed.tasks[i]);
    engine->has_spare_room |= removed.count > 0;
    if (r == STORE_DONE)
        return 1;
    if (age_counts)
        engine->next_sweep = engine->now.mono + SWEEP_INTERVAL_MS;
    return 0;
}

int retention_step(struct engine *engine)
{
    int r = retention_remove_some(engine);

    /* Space is returned only when no more tasks are removed, so that few pages move. */
    if (r == 0 && engine->has_spare_room) {
        engine->has_spare_room = false;
        r = store_give_back(engine->store);
        engine->has_spare_room = r > 0;
    }
    if (r < 0)
        return r;
    engine->has_more_work |= r > 0;
    return 0;
}

int64_t retention_deadline(const struct engine *engine)
{
    return engine->next_sweep;
}
