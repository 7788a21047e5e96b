/* SPDX-License-Identifier: MIT */
#include "engine/takeover.h"

#include <stdio.h>

#include "common/alloc.h"
#include "common/log.h"
#include "engine/metrics.h"
#include "engine/queue.h"
#include "engine/runner_lease.h"

#define TASKS_PER_STEP 256

/* 1: interrupted; 0: it has ended meanwhile. */
static int takeover_interrupt(struct engine *engine, struct profile *profile,
                              const struct task *task)
{
    const struct queue_end end = {
        .class = ERROR_INTERRUPTED,
        .message = "acpd ended while it was running",
        .duration_ms = engine->now.wall - task->started_at,
    };
    struct task after;
    int r = queue_finish(engine, profile, task, &end, &after);

    return r < 0 ? r : r == 0;
}

/* Tasks that are running in the store and of no living acpd ran under one that is dead. Rows that
 * are damaged, or whose profile is gone, are skipped. */
static int takeover_interrupt_all(struct engine *engine)
{
    struct store_cursor cursor = {0};
    int64_t count = 0, skipped = 0;
    bool has_more = true;
    int r = 0;

    while (has_more && r >= 0) {
        CLEANUP(task_list_deinit) struct task_list tasks = {0};
        int64_t damaged;

        r = store_take_over(engine->store, &cursor, TASKS_PER_STEP, &tasks, &damaged);
        has_more = r == STORE_DONE;
        skipped += damaged;
        for (size_t i = 0; i < tasks.count && r >= 0; i++) {
            const struct task *task = &tasks.tasks[i];
            struct profile *profile = roster_find_id(&engine->roster, task->profile_id);

            r = profile ? takeover_interrupt(engine, profile, task) : 0;
            count += r > 0;
            skipped += !profile;
        }
    }
    if (count)
        log_info("%lld %s queued again", (long long)count,
                 count == 1 ? "attempt was interrupted; its task is"
                            : "attempts were interrupted; their tasks are");
    if (skipped)
        log_error("skipped %lld running task%s: %s", (long long)skipped, skipped == 1 ? "" : "s",
                  store_damage(engine->store)[0] ? store_damage(engine->store)
                                                 : "the profile is gone");
    return r < 0 ? r : 0;
}

/* Questions of agents that are dead are closed, which followers learn. */
static int takeover_close_questions(struct engine *engine)
{
    int r;

    do {
        CLEANUP(freep) char *id = NULL;
        CLEANUP(task_deinit) struct task task = {0};
        long long task_id, attempt, question;

        r = store_take_question(engine->store, &id);
        if (r != STORE_DONE || sscanf(id, "%lld-%lld-%lld", &task_id, &attempt, &question) != 3)
            continue;
        r = store_get_task(engine->store, task_id, &task);
        if (r > 0)
            event_stage(&engine->events, &(struct event){.type = EVENT_PERMISSION,
                                                         .is_fact = true,
                                                         .profile_id = task.profile_id,
                                                         .task_id = task_id,
                                                         .attempt = attempt,
                                                         .question = question});
        r = r < 0 && !store_is_damage(engine->store, r) ? r : STORE_DONE;
    } while (r == STORE_DONE);
    return r;
}

int takeover_from_dead(struct engine *engine)
{
    int r = takeover_interrupt_all(engine);

    if (r == 0)
        r = queue_let_go_of_dead(engine);
    if (r >= 0)
        r = takeover_close_questions(engine);
    if (r >= 0)
        r = runner_lease_adopt_all(engine);
    if (r == 0)
        r = metrics_inherit(engine);
    engine->has_releases = true;
    return r < 0 ? r : 0;
}
