/* SPDX-License-Identifier: MIT */
#include "engine/claim.h"

#include "engine/queue.h"
#include "engine/runner.h"

#define CLAIMS_PER_PASS 64 /* so that no reply is delayed for long */

/* Claims waiting tasks of the profile for its free slots, at most `limit`; returns how many. */
static int claim_tasks(struct engine *engine, struct profile *profile, int limit)
{
    const struct runner *runner = runner_of(profile->config.runner.type);
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    int64_t count;
    int r;

    if (runner == &runner_lease || !profile_may_claim(profile, engine->now.mono))
        return 0;
    /* A profile that cools down gets one attempt as a probe. */
    count = profile_cooldown(profile)->length ? 1 : profile_free_slots(profile);
    r = queue_claim(engine, profile, (size_t)(count < limit ? count : limit), NULL, &tasks);
    if (store_is_damage(engine->store, r))
        return 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < tasks.count; i++) {
        struct attempt *attempt = attempt_begin(engine, profile, &tasks.tasks[i], runner);

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
    if (engine->is_stopping || engine->fleet.is_retiring || !engine_can_launch(engine))
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

int64_t claim_deadline(const struct engine *engine)
{
    const struct heap_node *top = heap_top(&engine->roster.cooldowns);

    return top ? top->key : INT64_MAX;
}
