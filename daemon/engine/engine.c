/* SPDX-License-Identifier: MIT */
#include "engine/engine.h"

#include <errno.h>
#include <sys/random.h>

#include "common/alloc.h"
#include "engine/attempt.h"
#include "engine/fleet.h"
#include "engine/reload.h"
#include "engine/runner_acp.h"

#define BUCKETS_MIN 64 /* of attempts */

struct engine *engine_new(struct store *store, struct settings *settings, const char *node,
                          const char *state_dir, const char *socket_path)
{
    struct engine *engine = xcalloc(1, sizeof(*engine));
    CLEANUP(freep) char *audit_path = xasprintf("%s/audit.log", state_dir);

    engine->store = store;
    engine->fleet.name = xstrdup(node);
    engine->settings = *settings;
    *settings = (struct settings){0};
    engine->socket_path = xstrdup(socket_path);
    engine->log_folder = xasprintf("%s/logs", state_dir);
    audit_init(&engine->audit, audit_path);
    engine->has_releases = engine->has_spare_room = true;
    roster_init(&engine->roster);
    list_init(&engine->attempts);
    list_init(&engine->touched);
    attempt_index(engine, BUCKETS_MIN);
    list_init(&engine->idle_agents);
    if (getrandom(engine->rng, sizeof(engine->rng), 0) < 0)
        engine->rng[0] = (unsigned short)clock_mono_us();
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    reload_rollback(engine);
    list_for_each_safe (link, &engine->attempts)
        attempt_free(list_entry(link, struct attempt, link));
    for (size_t i = 0; i < engine->profile_count; i++)
        profile_free(engine->profiles[i]);
    free(engine->profiles);
    roster_deinit(&engine->roster);
    fleet_deinit(&engine->fleet);
    runner_acp_free_idle(engine);
    heap_deinit(&engine->deadlines);
    free(engine->by_task);
    event_log_deinit(&engine->events);
    audit_deinit(&engine->audit);
    settings_deinit(&engine->settings);
    free(engine->socket_path);
    free(engine->log_folder);
    free(engine);
}

void engine_set_supervisor(struct engine *engine, struct supervisor *supervisor)
{
    engine->supervisor = supervisor;
}

bool engine_is_descendant(const struct engine *engine, pid_t pid, uint64_t *ret_run)
{
    *ret_run = 0;
    return engine->supervisor && supervisor_is_above(engine->supervisor, pid, ret_run);
}

bool engine_can_launch(const struct engine *engine)
{
    return engine->supervisor && supervisor_is_ready(engine->supervisor);
}

void engine_set_reload(struct engine *engine, engine_reload_fn reload)
{
    engine->reload = reload;
}

int engine_reload(struct engine *engine, char **ret_error)
{
    return engine->reload(engine, ret_error);
}

const struct settings *engine_settings(const struct engine *engine)
{
    return &engine->settings;
}

const struct engine_now *engine_now(const struct engine *engine)
{
    return &engine->now;
}

uint64_t engine_pass(const struct engine *engine)
{
    return engine->passes;
}

bool engine_is_writing(const struct engine *engine)
{
    return store_is_writing(engine->store);
}

uint64_t engine_writes(const struct engine *engine)
{
    return store_writes(engine->store);
}

bool engine_is_stopping(const struct engine *engine)
{
    return engine->is_stopping;
}

bool engine_is_lost(const struct engine *engine)
{
    return store_is_lost(engine->store);
}

void engine_get_storage(const struct engine *engine, struct engine_storage *ret_storage)
{
    *ret_storage = (struct engine_storage){
        .type = store_type(engine->store),
        .error = store_error(engine->store),
        .damage = store_damage(engine->store),
        .audit_failure = engine->audit.failure,
        .size = store_size(engine->store),
        .commits = engine->commits,
        .last_commit = engine->last_commit,
        .commit_us = engine->commit_us,
    };
}

const struct event_log *engine_events(const struct engine *engine)
{
    return &engine->events;
}

void engine_audit(struct engine *engine, const struct audit_entry *entry)
{
    audit_stage(&engine->audit, entry);
}

void engine_begin(struct engine *engine)
{
    engine->passes++;
    engine->now.wall = store_wall_ms(engine->store);
    engine->now.mono = clock_mono_ms();
    engine->now.queue = engine->queue_base + (engine->now.mono - engine->mono_base);
    engine->has_more_work = false;
    fleet_look(engine);
}

void engine_stop(struct engine *engine)
{
    engine->is_stopping = true;
    runner_acp_dismiss_idle(engine);
    list_for_each (link, &engine->attempts) {
        struct attempt *attempt = list_entry(link, struct attempt, link);

        /* Workers continue, and keep their leases. */
        if (!attempt->lease)
            attempt_stop(attempt, ERROR_INTERRUPTED);
    }
}

bool engine_is_retired(const struct engine *engine)
{
    return engine->fleet.is_retiring && list_is_empty(&engine->attempts);
}

bool engine_is_idle(const struct engine *engine)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (!attempt->lease || attempt->state != ATTEMPT_RUNNING)
            return false;
    }
    return list_is_empty(&engine->idle_agents);
}

bool engine_has_runs(const struct engine *engine)
{
    list_for_each (link, &engine->attempts) {
        if (attempt_has_run(list_entry(link, struct attempt, link)))
            return true;
    }
    return false;
}
