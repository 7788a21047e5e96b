/* SPDX-License-Identifier: MIT */
/* The profiles: those of the configuration, and removed ones whose tasks remain. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "engine/attempt.h"

static struct profile *find_any(const struct engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->profile_count; i++)
        if (strcmp(engine->profiles[i]->config.name, name) == 0)
            return engine->profiles[i];
    return NULL;
}

bool engine_is_visible(const struct profile *profile)
{
    return !profile->is_removed || profile_waiting(profile) > 0 ||
           profile_count(profile, TASK_RUNNING) > 0;
}

struct profile *engine_find_profile(const struct engine *engine, const char *name)
{
    struct profile *profile = find_any(engine, name);

    return profile && engine_is_visible(profile) ? profile : NULL;
}

struct profile *engine_profile_by_id(const struct engine *engine, int64_t id)
{
    for (size_t i = 0; i < engine->profile_count; i++)
        if (profile_id(engine->profiles[i]) == id)
            return engine->profiles[i];
    return NULL;
}

const char *engine_profile_name(const struct engine *engine, int64_t id)
{
    const struct profile *profile = engine_profile_by_id(engine, id);

    return profile ? profile->config.name : "";
}

static void add_profile(struct engine *engine, struct profile *profile)
{
    engine->profiles =
        xrealloc(engine->profiles, (engine->profile_count + 1) * sizeof(*engine->profiles));
    engine->profiles[engine->profile_count++] = profile;
}

static void adopt_row(struct profile *profile, const struct store_profile *row)
{
    profile->id = row->id;
    profile->is_active = row->is_active;
    profile->counts = row->counts;
    profile->last_activity = row->last_activity;
}

/* A profile that the store knows and the configuration does not: its tasks keep a name. */
static void adopt_unconfigured(struct store_profile *row, void *data)
{
    struct engine *engine = data;
    struct profile_config config = {.max_concurrent_tasks = 1};
    struct profile *profile;

    if (find_any(engine, row->name))
        return;
    config.name = STEAL(row->name);
    config.role = xstrdup(config.name);
    config.color = xstrdup("#6b7280");
    config.icon = xstrdup("");
    profile = profile_new(&config);
    profile->is_removed = true;
    adopt_row(profile, row);
    add_profile(engine, profile);
    if (engine_is_visible(profile))
        log_warning(
            "profile \"%s\" is not configured but has unfinished tasks: it stays, inactive, "
            "until it is empty",
            profile->config.name);
}

int engine_configure(struct engine *engine, struct settings *settings)
{
    struct profile **old = engine->profiles;
    size_t old_count = engine->profile_count, configured = settings->profile_count;
    struct store_profile *rows = xcalloc(configured, sizeof(*rows));
    int r = 0;

    /* All that can fail comes first. */
    for (size_t i = 0; i < configured && r == 0; i++)
        r = store_ensure_profile(engine->store, settings->profiles[i].name, &rows[i]);
    if (r < 0)
        goto out;

    engine->profiles = NULL;
    engine->profile_count = 0;
    for (size_t i = 0; i < configured; i++) {
        struct profile_config *config = &settings->profiles[i];
        struct profile *profile = NULL;

        for (size_t k = 0; k < old_count && !profile; k++)
            if (old[k] && strcmp(old[k]->config.name, config->name) == 0)
                profile = STEAL(old[k]);
        if (profile) {
            profile_config_deinit(&profile->config);
            profile->config = *config;
            *config = (struct profile_config){0};
            profile->is_removed = false;
            if (!profile->id)
                profile->staged.id = rows[i].id;
        } else {
            profile = profile_new(config);
            adopt_row(profile, &rows[i]);
            /* Until the commit the row may still vanish; see save_new_profiles(). */
            profile->id = 0;
            profile->staged.id = rows[i].id;
            metrics_window_resize(&profile->window, (size_t)settings->metrics_retention);
            r = store_fill_window(engine->store, rows[i].id, &profile->window);
            profile_update_health(profile);
        }
        metrics_window_resize(&profile->window, (size_t)settings->metrics_retention);
        add_profile(engine, profile);
    }
    for (size_t i = 0; i < old_count; i++) {
        if (!old[i])
            continue;
        old[i]->is_removed = true;
        add_profile(engine, old[i]);
    }
    free(old);
    if (r == 0)
        r = store_list_profiles(engine->store, adopt_unconfigured, engine);
    settings_deinit(&engine->settings);
    engine->settings = *settings;
    *settings = (struct settings){0};
out:
    for (size_t i = 0; i < configured; i++)
        store_profile_deinit(&rows[i]);
    free(rows);
    return r;
}

int engine_set_active(struct engine *engine, struct profile *profile, bool is_active)
{
    if (engine->is_stopping)
        return -ESHUTDOWN;
    if (profile_is_active(profile) == is_active)
        return 0;
    profile->staged.is_active = is_active;
    /* The row is written by engine_plan; the transaction is opened here, so that this reply, too,
     * falls with the pass. */
    return store_update_profile(engine->store, profile_id(profile), &(struct task_counts){0},
                                is_active, 0);
}

int engine_metrics(struct engine *engine, const struct profile *profile, int64_t range_ms,
                   struct metrics *ret_metrics)
{
    const int64_t minute = 60000;
    struct metrics_bucket sum;
    int64_t to = (engine->now.wall / minute + 1) * minute;
    int r = store_sum_metrics(engine->store, profile_id(profile), to - range_ms, to, &sum);

    if (r < 0)
        return r;
    metrics_from_bucket(&sum, range_ms, ret_metrics);
    return 0;
}

int engine_oldest_queued(struct engine *engine, const struct profile *profile, double *ret_age)
{
    int64_t ready_at;
    int r;

    if (profile_count(profile, TASK_QUEUED) <= 0) {
        *ret_age = -1;
        return 0;
    }
    r = store_oldest_queued(engine->store, profile_id(profile), ENGINE_POSITION_MAX, &ready_at);
    if (r < 0)
        return r;
    *ret_age = r ? (double)(engine->now.queue - ready_at) / 1000 : -1;
    return 0;
}

size_t engine_route(struct engine *engine, const struct router_request *request,
                    struct router_candidate **ret_candidates, size_t *ret_count)
{
    CLEANUP(freep) struct profile **visible = xcalloc(engine->profile_count, sizeof(*visible));
    size_t count = 0;

    for (size_t i = 0; i < engine->profile_count; i++)
        if (engine_is_visible(engine->profiles[i]))
            visible[count++] = engine->profiles[i];
    *ret_candidates = xcalloc(count, sizeof(**ret_candidates));
    *ret_count = count;
    return router_rank(request, visible, count, &engine->settings.routing, *ret_candidates);
}
