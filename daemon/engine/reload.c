/* SPDX-License-Identifier: MIT */
#include "engine/reload.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "engine/profiles.h"
#include "engine/runner_acp.h"

/* A profile as the store knows it, with its history. */
static int reload_make_profile(struct engine *engine, const struct settings *settings,
                               struct profile_config *config, const struct store_profile *row,
                               struct profile **ret_profile)
{
    CLEANUP(profile_freep) struct profile *profile = profile_new(config);
    int r;

    profile->id = row->id;
    profile->is_active = row->is_active;
    profile->counts = row->counts;
    profile->last_activity = row->last_activity;
    profile->minute = row->minute;
    metrics_window_resize(&profile->window, (size_t)settings->metrics_retention);
    r = store_fill_window(engine->store, row->id, &profile->window);
    if (r < 0)
        return r;
    for (size_t i = profile->window.count; i--;) {
        const struct metrics_sample *sample = metrics_window_at(&profile->window, i);

        anomaly_add_attempt(&profile->charts, sample->success, sample->duration_ms);
    }
    profile->last_claim = engine->now.mono;
    profile->last_end = engine->now.mono;
    profile_update_health(profile, &settings->health, engine->now.mono);
    *ret_profile = STEAL(profile);
    return 0;
}

static void reload_push_profile(struct profile ***profiles, size_t *count, struct profile *profile)
{
    *profiles = xrealloc(*profiles, (*count + 1) * sizeof(**profiles));
    (*profiles)[(*count)++] = profile;
}

static int reload_compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the configured profiles, sorted. The caller frees the array. */
static char **reload_sorted_names(const struct settings *settings)
{
    char **names = xcalloc(settings->profile_count + 1, sizeof(*names));

    for (size_t i = 0; i < settings->profile_count; i++)
        names[i] = settings->profiles[i].name;
    qsort(names, settings->profile_count, sizeof(*names), reload_compare_names);
    return names;
}

/* The configuration of a profile that has none: workers may still hold its tasks, which end as
 * those of other profiles do. */
static struct profile_config reload_make_config(const struct profile_config *defaults, char *name)
{
    return (struct profile_config){
        .name = name,
        .role = xstrdup(name),
        .color = xstrdup("#6b7280"),
        .icon = xstrdup(""),
        .max_concurrent_tasks = 1,
        .queue_limit = defaults->queue_limit,
        .timeout_ms = defaults->timeout_ms,
        .max_attempts = defaults->max_attempts,
        .backoff_ms = defaults->backoff_ms,
        .max_backoff_ms = defaults->max_backoff_ms,
        .cooldown_min_ms = defaults->cooldown_min_ms,
        .cooldown_max_ms = defaults->cooldown_max_ms,
    };
}

static int reload_make_unconfigured(struct engine *engine, const struct settings *settings,
                                    struct store_profile *row, struct profile **ret_profile)
{
    struct profile_config config = reload_make_config(&settings->defaults, STEAL(row->name));
    int r = reload_make_profile(engine, settings, &config, row, ret_profile);

    if (r < 0)
        return r;
    (*ret_profile)->is_removed = true;
    return 0;
}

int reload_adopt(struct engine *engine, struct store_profile *row)
{
    struct profile *profile;
    int r = reload_make_unconfigured(engine, &engine->settings, row, &profile);

    if (r < 0)
        return r;
    reload_push_profile(&engine->profiles, &engine->profile_count, profile);
    engine->health_at = engine->prune_at = 0;
    roster_fill(&engine->roster, engine->profiles, engine->profile_count);
    return 0;
}

/* A profile that the store knows and the configuration does not: its tasks keep a name. */
static int reload_adopt_unconfigured(struct engine *engine, struct store_profile *row,
                                     char *const *configured)
{
    struct profile *profile;
    int r;

    if (engine_find_known_profile(engine, row->name) ||
        bsearch(&row->name, configured, engine->staged.settings.profile_count, sizeof(*configured),
                reload_compare_names))
        return 0;
    r = reload_make_unconfigured(engine, &engine->staged.settings, row, &profile);
    if (r < 0)
        return r;
    reload_push_profile(&engine->staged.unconfigured, &engine->staged.unconfigured_count, profile);
    return 0;
}

static int reload_adopt_all_unconfigured(struct engine *engine, char *const *configured)
{
    CLEANUP(store_profiles_deinit) struct store_profiles rows = {0};
    int r = store_list_profiles(engine->store, &rows);

    for (size_t i = 0; i < rows.count && r == 0; i++)
        r = reload_adopt_unconfigured(engine, &rows.profiles[i], configured);
    return r;
}

/* Profiles that this configuration no longer has and that were never used go with it. */
static int reload_forget_unused(struct engine *engine, char *const *configured)
{
    for (size_t i = 0; i < engine->profile_count; i++) {
        struct profile *profile = engine->profiles[i];
        int r;

        if (bsearch(&profile->config.name, configured, engine->staged.settings.profile_count,
                    sizeof(*configured), reload_compare_names))
            continue;
        r = profiles_forget_if_spent(engine, profile);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The part that can fail, before anything takes effect. */
static int reload_stage_profiles(struct engine *engine)
{
    struct settings *staged = &engine->staged.settings;
    /* Added by another node, or by another reload in this pass. */
    bool may_be_unknown = store_node(engine->store) || store_is_writing(engine->store);
    char **configured;
    int r = 0;

    for (size_t i = 0; i < staged->profile_count; i++) {
        CLEANUP(store_profile_deinit) struct store_profile row = {0};
        struct profile_config *config = &staged->profiles[i], copy = *config;
        const struct profile *known = engine_find_known_profile(engine, config->name);
        /* One that was forgotten earlier in this pass comes back as another. */
        bool is_known = known && !known->staged.is_forgotten;

        /* Another node may have removed the row of a known one. The first is written in any case:
         * a reload that the storage cannot keep, with its line of the audit log, must fail. */
        if (is_known && i && !store_node(engine->store))
            continue;
        r = store_ensure_profile(engine->store, config->name, &row);
        if (r < 0)
            return r;
        if (is_known)
            continue;
        /* The name stays here too, for those that come after. */
        *config = (struct profile_config){.name = xstrdup(copy.name)};
        r = reload_make_profile(engine, staged, &copy, &row, &engine->staged.fresh[i]);
        if (r < 0)
            return r;
    }
    configured = reload_sorted_names(staged);
    if (!engine->profile_count || may_be_unknown)
        r = reload_adopt_all_unconfigured(engine, configured);
    if (r == 0)
        r = reload_forget_unused(engine, configured);
    free(configured);
    return r;
}

int engine_configure(struct engine *engine, struct settings *settings)
{
    int r;

    reload_rollback(engine);
    engine->staged.is_set = true;
    engine->staged.settings = *settings;
    engine->staged.fresh = xcalloc(settings->profile_count, sizeof(*engine->staged.fresh));
    *settings = (struct settings){0};
    r = reload_stage_profiles(engine);
    if (r < 0)
        reload_rollback(engine);
    return r;
}

void reload_rollback(struct engine *engine)
{
    if (!engine->staged.is_set)
        return;
    for (size_t i = 0; i < engine->staged.settings.profile_count; i++)
        profile_free(engine->staged.fresh[i]);
    for (size_t i = 0; i < engine->staged.unconfigured_count; i++)
        profile_free(engine->staged.unconfigured[i]);
    free(engine->staged.fresh);
    free(engine->staged.unconfigured);
    settings_deinit(&engine->staged.settings);
    memset(&engine->staged, 0, sizeof(engine->staged));
}

/* The profile of this name, with its new configuration. */
static struct profile *reload_reconfigure(const struct engine *engine,
                                          struct profile_config *config, int64_t retention)
{
    struct profile *profile = engine_find_known_profile(engine, config->name);

    assert(profile); /* else engine_configure() has made a fresh one */
    profile_config_deinit(&profile->config);
    profile->config = *config;
    *config = (struct profile_config){0};
    profile->is_removed = false;
    metrics_window_resize(&profile->window, (size_t)retention);
    return profile;
}

static void reload_say_removed(const struct profile *profile)
{
    if (engine_is_visible(profile))
        log_warning("profile \"%s\" is not configured but has unfinished tasks: it stays, "
                    "inactive, until they finish",
                    profile->config.name);
}

static void reload_tell_all(struct engine *engine)
{
    for (size_t i = 0; i < engine->profile_count; i++)
        event_stage(&engine->events,
                    &(struct event){.type = EVENT_PROFILE, .profile_id = engine->profiles[i]->id});
}

void reload_commit(struct engine *engine)
{
    struct settings *settings = &engine->staged.settings;
    struct profile **old = engine->profiles;
    size_t old_count = engine->profile_count;

    if (!engine->staged.is_set)
        return;
    runner_acp_dismiss_idle(engine); /* they may be others now */
    engine->next_health_check = 0;
    engine->has_more_work = true; /* there may be free slots for waiting tasks */
    engine->profiles = NULL;
    engine->profile_count = 0;
    for (size_t i = 0; i < settings->profile_count; i++) {
        struct profile *fresh = STEAL(engine->staged.fresh[i]);

        reload_push_profile(&engine->profiles, &engine->profile_count,
                            fresh ? fresh
                                  : reload_reconfigure(engine, &settings->profiles[i],
                                                       settings->metrics_retention));
        engine->profiles[i]->is_configured = true;
    }
    for (size_t i = 0; i < old_count; i++) {
        if (old[i]->is_configured)
            continue;
        if (!old[i]->is_removed) {
            old[i]->is_removed = true;
            reload_say_removed(old[i]);
        }
        reload_push_profile(&engine->profiles, &engine->profile_count, old[i]);
    }
    for (size_t i = 0; i < engine->staged.unconfigured_count; i++) {
        struct profile *profile = STEAL(engine->staged.unconfigured[i]);

        reload_say_removed(profile);
        reload_push_profile(&engine->profiles, &engine->profile_count, profile);
    }
    free(old);
    for (size_t i = 0; i < engine->profile_count; i++) {
        engine->profiles[i]->is_configured = false;
        engine->profiles[i]->is_elsewhere =
            !profile_runs_on(engine->profiles[i], engine->fleet.name);
    }
    engine->health_at = engine->prune_at = 0;
    roster_fill(&engine->roster, engine->profiles, engine->profile_count);
    if (old_count)
        reload_tell_all(engine);
    if (old_count)
        log_info("configuration reloaded: %zu profile%s", settings->profile_count,
                 PLURAL(settings->profile_count));
    free(STEAL(engine->fleet.config)); /* the other nodes have to be told */
    settings_deinit(&engine->settings);
    engine->settings = *settings;
    *settings = (struct settings){0};
    reload_rollback(engine);
}
