/* SPDX-License-Identifier: MIT */
/*
 * Finished tasks are kept for so many days, and so many bytes of them with their logs; those that
 * finished first go first.
 *
 * What a finished task weighs is noted in its row, and the sum per profile in the profile's, by the
 * transactions that change them: nothing is ever counted. Tasks go in small steps, so that no pass
 * is held up. Logs go before the commit that removes their task: a crash in between leaves a task
 * without logs to be removed again, never logs without a task.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/log.h"
#include "engine/attempt.h"

#define DAY_MS            INT64_C(86400000)
#define SWEEP_INTERVAL_MS 60000

/* In one pass: */
#define TASKS_PER_PASS 64
#define FILES_PER_PASS 256
#define BYTES_PER_PASS (16 * 1024 * 1024)

/* The row itself, its place in the indices, its attempts: about. */
#define ROW_BYTES 512

static int64_t length_of(const char *text)
{
    return text ? (int64_t)strlen(text) : 0;
}

static int64_t weight_of(const struct engine *engine, const struct task *task)
{
    int64_t bytes = ROW_BYTES + length_of(task->body) + length_of(task->result) +
                    length_of(task->routing) + length_of(task->error_message);

    for (int64_t i = task->attempt; i > 0 && i > task->attempt - FILES_PER_PASS; i--) {
        CLEANUP(freep) char *path = engine_log_path(engine, task->id, i);
        struct stat st;

        if (stat(path, &st) == 0)
            bytes += st.st_size;
    }
    return bytes;
}

void task_weigh(struct engine *engine, struct profile *profile, struct task *task)
{
    int64_t bytes = task_status_is_finished(task->status) ? weight_of(engine, task) : 0;

    profile_stage_counts(profile)->finished_bytes += bytes - task->bytes;
    task->bytes = bytes;
}

static bool are_too_many(const struct engine *engine)
{
    return roster_finished_bytes(&engine->roster) > engine->settings.retention_bytes;
}

static bool is_too_old(const struct engine *engine, const struct task *task)
{
    return task->finished_at < engine->now.wall - engine->settings.retention_days * DAY_MS;
}

static void remove_logs(const struct engine *engine, const struct task *task)
{
    CLEANUP(freep) char *folder = NULL;

    for (int64_t i = 1; i <= task->attempt; i++) {
        CLEANUP(freep) char *path = engine_log_path(engine, task->id, i);

        unlink(path);
        if (i == task->attempt) {
            *strrchr(path, '/') = '\0';
            folder = STEAL(path);
        }
    }
    if (folder)
        rmdir(folder); /* refused while it has other tasks' logs */
}

/* 1: the bounds of a pass were reached. */
static int remove_some(struct engine *engine)
{
    bool age_counts = engine->now.mono >= engine->next_sweep;
    int64_t files = 0, bytes = 0;
    int tasks = 0;

    /* Whoever waits for a task that failed must hear of it first. */
    if (engine->has_releases || !(age_counts || are_too_many(engine)))
        return 0;
    while (tasks < TASKS_PER_PASS && files < FILES_PER_PASS && bytes < BYTES_PER_PASS) {
        CLEANUP(task_deinit) struct task task = {0};
        struct profile *profile;
        int r = store_oldest_finished(engine->store, &task);

        if (r < 0)
            return r;
        /* One whose processes are still being ended goes when they are gone. */
        if (r == 0 || !(are_too_many(engine) || (age_counts && is_too_old(engine, &task))) ||
            attempt_is_left(engine, task.id)) {
            if (age_counts)
                engine->next_sweep = engine->now.mono + SWEEP_INTERVAL_MS;
            return 0;
        }
        profile = engine_profile_by_id(engine, task.profile_id);
        remove_logs(engine, &task);
        r = store_remove_task(engine->store, task.id);
        if (r < 0)
            return r;
        if (profile)
            profile_stage_counts(profile)->finished_bytes -= task.bytes;
        engine->has_spare_room = true;
        tasks++;
        files += task.attempt;
        bytes += task.bytes;
    }
    return 1;
}

int retention_sweep(struct engine *engine)
{
    int r = remove_some(engine);

    /* What has become free goes when nothing more does, and so in as few moves as can be. */
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
