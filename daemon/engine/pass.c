/* SPDX-License-Identifier: MIT */
/*
 * The steps of a pass, in order. What a step stages in memory takes effect with the commit, or is
 * dropped if the pass fails. To add a step, add a row.
 */
#include <errno.h>

#include "engine/claim.h"
#include "engine/dependency.h"
#include "engine/fleet.h"
#include "engine/health.h"
#include "engine/metrics.h"
#include "engine/news.h"
#include "engine/permission.h"
#include "engine/profiles.h"
#include "engine/reload.h"
#include "engine/retention.h"
#include "engine/settle.h"
#include "engine/wake.h"

#define STORE_RETRY_MS 1000
#define RESOLVE_MS     100

/* After a failure, tests the storage with a write that changes nothing. */
static int pass_probe_storage(struct engine *engine)
{
    if (store_has_failed(engine->store))
        return -EIO;
    if (!store_error(engine->store)[0] || engine->now.mono < engine->next_probe)
        return 0;
    engine->next_probe = engine->now.mono + STORE_RETRY_MS;
    return store_update_profile(engine->store, engine->profiles[0]->id, -1, 0);
}

static void pass_await_storage(struct engine *engine)
{
    engine->next_probe = engine->now.mono + STORE_RETRY_MS;
}

static void pass_number_events(struct engine *engine)
{
    event_commit(&engine->events, engine->now.wall);
}

static void pass_drop_events(struct engine *engine)
{
    event_rollback(&engine->events);
}

static void pass_write_audit(struct engine *engine)
{
    audit_commit(&engine->audit, engine->settings.audit_limit);
}

static void pass_drop_audit(struct engine *engine)
{
    audit_rollback(&engine->audit);
}

enum pass_phase {
    PLAN,   /* before waiting claims are handled */
    FINISH, /* once all requests have been handled */
};

static const struct pass_step {
    enum pass_phase phase;
    int (*run)(struct engine *engine); /* NULL here and below: nothing to do */
    void (*commit)(struct engine *engine);
    void (*rollback)(struct engine *engine);
    /** When the step is due without any event, monotonic ms. */
    int64_t (*deadline)(const struct engine *engine);
} steps[] = {
    {PLAN, settle_overdue_step, NULL, NULL,
     settle_overdue_deadline}, /* even while the storage is failing */
    {PLAN, pass_probe_storage, NULL, pass_await_storage, NULL},
    {PLAN, fleet_step, fleet_commit, fleet_rollback, fleet_deadline},
    {PLAN, settle_step, settle_commit, settle_rollback, settle_deadline},
    {PLAN, wake_step, wake_commit, NULL, wake_deadline},
    {PLAN, dependency_step, NULL, dependency_rollback, NULL},
    {PLAN, claim_step, NULL, NULL, claim_deadline},
    {FINISH, health_step, NULL, NULL, health_deadline},
    {FINISH, retention_step, NULL, NULL, retention_deadline},
    {FINISH, metrics_step, metrics_commit, metrics_rollback, metrics_deadline},
    {FINISH, profiles_step, profiles_commit, profiles_rollback, NULL},
    {FINISH, permission_step, NULL, NULL, NULL},
    {FINISH, news_tell, NULL, NULL, NULL},
    {FINISH, NULL, reload_commit, reload_rollback, NULL},
    {FINISH, NULL, pass_number_events, pass_drop_events, NULL},
    {FINISH, NULL, pass_write_audit, pass_drop_audit, NULL},
};

static int pass_run_steps(struct engine *engine, enum pass_phase phase)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(steps) && r >= 0; i++)
        if (steps[i].phase == phase && steps[i].run)
            r = steps[i].run(engine);
    return r < 0 ? r : 0;
}

int engine_plan(struct engine *engine)
{
    return pass_run_steps(engine, PLAN);
}

int engine_finish_pass(struct engine *engine)
{
    return store_has_failed(engine->store) ? -EIO : pass_run_steps(engine, FINISH);
}

static void pass_roll_back(struct engine *engine)
{
    store_rollback(engine->store);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        if (steps[i].rollback)
            steps[i].rollback(engine);
}

/* What the pass staged takes effect, is dropped, or is kept until the outcome is known. */
static int pass_conclude(struct engine *engine, int r, bool is_writing)
{
    engine->is_in_doubt = r == STORE_UNKNOWN;
    if (engine->is_in_doubt) {
        engine->next_probe = clock_mono_ms() + RESOLVE_MS;
        return ENGINE_UNKNOWN;
    }
    if (r < 0) {
        pass_roll_back(engine);
        return r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        if (steps[i].commit)
            steps[i].commit(engine);
    if (!is_writing)
        return 0;
    engine->commits++;
    engine->last_commit = engine->now.wall;
    engine->commit_us = clock_mono_us() - engine->commit_began_us;
    return 1;
}

int engine_commit(struct engine *engine, int r)
{
    bool is_writing = store_is_writing(engine->store);

    engine->commit_began_us = clock_mono_us();
    return pass_conclude(engine, r == 0 ? store_commit(engine->store) : r, is_writing);
}

int engine_resolve(struct engine *engine)
{
    int r = pass_conclude(engine, store_resolve(engine->store), true);

    engine->has_more_work |= r != ENGINE_UNKNOWN; /* postponed by the open pass */
    return r;
}

bool engine_is_in_doubt(const struct engine *engine)
{
    return engine->is_in_doubt;
}

int64_t engine_next_deadline(const struct engine *engine)
{
    int64_t next = INT64_MAX;

    /* While the storage is failing, retry after a delay. */
    if (engine->is_in_doubt || store_error(engine->store)[0])
        return engine->next_probe;
    if (engine->has_more_work)
        return engine->now.mono;
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int64_t at = steps[i].deadline ? steps[i].deadline(engine) : INT64_MAX;

        if (at < next)
            next = at;
    }
    return next;
}
