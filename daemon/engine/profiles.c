/* SPDX-License-Identifier: MIT */
#include "engine/profiles.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "engine/metrics.h"

struct profile *engine_find_known_profile(const struct engine *engine, const char *name)
{
    return roster_find_name(&engine->roster, name);
}

bool engine_is_visible(const struct profile *profile)
{
    return !profile->staged.is_forgotten && (!profile->is_removed || profile_waiting(profile) > 0 ||
                                             profile_count(profile, TASK_RUNNING) > 0);
}

struct profile *engine_next_profile(const struct engine *engine, size_t *at)
{
    while (*at < engine->profile_count) {
        struct profile *profile = engine->profiles[(*at)++];

        if (engine_is_visible(profile))
            return profile;
    }
    return NULL;
}

uint64_t engine_profiles_version(const struct engine *engine)
{
    return engine->roster.version;
}

struct profile *engine_find_profile(const struct engine *engine, const char *name)
{
    struct profile *profile = engine_find_known_profile(engine, name);

    return profile && engine_is_visible(profile) ? profile : NULL;
}

/* Whether nothing is left of it: no task, no attempt and no history. 1: nothing. */
static int profiles_is_spent(struct engine *engine, const struct profile *profile)
{
    int r;

    if (profile_waiting(profile) > 0 || profile_count(profile, TASK_RUNNING) > 0 ||
        profile->slots_used || profile->staged.slots_used || profile->running_count ||
        profile->counts.finished_bytes + profile->staged.counts.finished_bytes > 0 ||
        metrics_minute_of(profile)->at || !metrics_bucket_is_empty(&profile->staged.bucket))
        return 0;
    /* Removing it checks this too, but in a transaction, which most profiles need not open. */
    r = store_has_history(engine->store, profile->id);
    return r < 0 ? r : !r;
}

static int profiles_forget(struct engine *engine, struct profile *profile)
{
    int r = store_remove_profile(engine->store, profile->id);

    if (r != STORE_DONE)
        return r < 0 ? r : 0; /* something is left after all */
    profile->staged.is_forgotten = true;
    profile_touch(profile);
    return 0;
}

int profiles_forget_if_spent(struct engine *engine, struct profile *profile)
{
    int r = profiles_is_spent(engine, profile);

    return r > 0 ? profiles_forget(engine, profile) : r;
}

int engine_set_active(struct engine *engine, struct profile *profile, bool is_active)
{
    if (engine->is_stopping)
        return -ESHUTDOWN;
    if (profile_is_active(profile) != is_active) {
        profile->staged.is_active = is_active;
        profile_touch(profile);
        /* A user who resumes it wants it to try at once. */
        if (is_active)
            profile_stage_cooldown(profile)->until = 0;
    }
    /* In any case: another node may have changed it, and this reply and its line of the audit log
     * fall with the pass. */
    return store_update_profile(engine->store, profile->id, is_active, 0);
}

int engine_oldest_queued(struct engine *engine, struct profile *profile, double *ret_age)
{
    int64_t ready_at = profile->staged.is_dirty ? 0 : profile->oldest_ready;
    int r;

    *ret_age = -1;
    if (profile_count(profile, TASK_QUEUED) <= 0)
        return 0;
    if (!ready_at) {
        r = store_oldest_queued(engine->store, profile->id, ENGINE_POSITION_MAX, &ready_at);
        if (r <= 0)
            return r;
        if (!profile->staged.is_dirty)
            profile->oldest_ready = ready_at;
    }
    *ret_age = (double)(engine->now.queue - ready_at) / 1000;
    return 0;
}

int profiles_step(struct engine *engine)
{
    list_for_each (link, &engine->roster.touched) {
        struct profile *p = list_entry(link, struct profile, touched);
        int r;

        if (p->staged.is_active >= 0 || p->staged.last_activity) {
            r = store_update_profile(engine->store, p->id, p->staged.is_active,
                                     p->staged.last_activity);
            if (r < 0)
                return r;
        }
        r = metrics_keep(engine, p);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Its row was removed by the pass that is now committed. */
static void profiles_let_go(struct engine *engine, struct profile *profile)
{
    size_t at = 0;

    while (engine->profiles[at] != profile)
        at++;
    engine->profile_count--;
    memmove(engine->profiles + at, engine->profiles + at + 1,
            (engine->profile_count - at) * sizeof(struct profile *));
    engine->health_at = engine->prune_at = 0;
    roster_forget(&engine->roster, profile);
    profile_free(profile);
}

static void profiles_commit_one(struct engine *engine, struct profile *profile)
{
    enum profile_health health = profile->health;
    bool was_active = profile->is_active, was_cooling = profile->cooldown.length > 0;
    bool has_changed = profile->staged.is_dirty || profile->staged.has_cooldown ||
                       profile->staged.is_active >= 0 || profile->seen.is_new;
    bool is_forgotten = profile->staged.is_forgotten;

    roster_commit(&engine->roster, profile);
    if (has_changed)
        profile_update_health(profile, &engine->settings.health, engine->now.mono);
    profile->seen.is_new = false;
    if (health != profile->health || was_active != profile->is_active ||
        was_cooling != (profile->cooldown.length > 0))
        event_stage(&engine->events,
                    &(struct event){.type = EVENT_PROFILE, .profile_id = profile->id});
    if (is_forgotten)
        profiles_let_go(engine, profile);
}

void profiles_commit(struct engine *engine)
{
    list_for_each_safe (link, &engine->roster.touched)
        profiles_commit_one(engine, list_entry(link, struct profile, touched));
}

void profiles_rollback(struct engine *engine)
{
    list_for_each_safe (link, &engine->roster.touched)
        roster_rollback(&engine->roster, list_entry(link, struct profile, touched));
}
