/* SPDX-License-Identifier: MIT */
/* Giving free slots to waiting tasks, for profiles whose programs acpd runs itself. */
#include "engine/attempt.h"
#include "engine/queue.h"

#define CLAIMS_PER_PASS 64 /* so that no one waits long for a reply */

/* Claims waiting tasks of the profile for its free slots, at most `limit`; returns how many. */
static int claim_tasks(struct engine *engine, struct profile *profile, int limit)
{
    CLEANUP(store_tasks_deinit) struct store_tasks tasks = {0};
    int64_t count;
    int r;

    if (profile->config.runner.type == RUNNER_WORKER ||
        !profile_may_claim(profile, engine->now.mono))
        return 0;
    /* A profile that cools down is probed by one attempt. */
    count = profile_cooldown(profile)->length ? 1 : profile_free_slots(profile);
    r = queue_claim(engine, profile, (size_t)(count < limit ? count : limit), &tasks);
    if (store_is_damage(engine->store, r))
        return 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < tasks.count; i++) {
        struct attempt *attempt = attempt_begin(engine, profile, &tasks.tasks[i]);

        engine_print_task(engine, &attempt->task, NULL, &attempt->input);
        buf_add_char(&attempt->input, '\n');
    }
    return (int)tasks.count;
}

/* Claims what waits for the profile's free slots; then it is hot no more, unless the budget ended.
 */
static int claim_for(struct engine *engine, struct profile *profile, int *budget)
{
    int r = claim_tasks(engine, profile, *budget);

    if (r < 0)
        return r;
    *budget -= r;
    if (*budget > 0)
        list_remove(&profile->hot);
    return 0;
}

int claim_step(struct engine *engine)
{
    struct roster *roster = &engine->roster;
    int budget = CLAIMS_PER_PASS, r = 0;
    struct heap_node *top;

    while ((top = heap_top(&roster->cooldowns)) && top->key <= engine->now.mono) {
        heap_remove(&roster->cooldowns, top);
        roster_heat(roster, CONTAINER_OF(top, struct profile, cooled));
    }
    if (engine->is_stopping || !engine->supervisor || !supervisor_is_ready(engine->supervisor))
        return 0;
    list_for_each (link, &roster->touched)
        roster_heat(roster, list_entry(link, struct profile, touched));
    list_for_each_safe (link, &roster->hot) {
        r = claim_for(engine, list_entry(link, struct profile, hot), &budget);
        if (r < 0 || budget <= 0)
            break;
    }
    if (budget <= 0)
        engine->has_more_work = true;
    return r;
}
