/* SPDX-License-Identifier: MIT */
#include "core/profile.h"

#include <fnmatch.h>
#include <string.h>

#include "common/alloc.h"
#include "common/strv.h"

struct profile *profile_new(struct profile_config *config)
{
    struct profile *profile = xcalloc(1, sizeof(*profile));

    profile->config = *config;
    *config = (struct profile_config){0};
    profile->is_active = true;
    list_init(&profile->running);
    list_init(&profile->touched);
    list_init(&profile->hot);
    profile->staged.is_active = -1;
    profile->probes_since = -1;
    return profile;
}

void profile_free(struct profile *profile)
{
    if (!profile)
        return;
    list_remove(&profile->touched);
    list_remove(&profile->hot);
    profile_config_deinit(&profile->config);
    metrics_window_deinit(&profile->window);
    forecast_deinit(&profile->forecast);
    free(profile);
}

void profile_freep(struct profile **profile)
{
    profile_free(*profile);
}

int64_t profile_count(const struct profile *profile, enum task_status status)
{
    int64_t count = profile->counts.by_status[status] + profile->staged.counts.by_status[status];

    return count < 0 ? 0 : count;
}

int64_t profile_waiting(const struct profile *profile)
{
    return task_counts_waiting(&profile->counts) + task_counts_waiting(&profile->staged.counts);
}

static int64_t profile_slots_by_config(const struct profile *profile)
{
    int64_t slots = autoscale_slots(&profile->autoscale, profile->config.min_concurrent_tasks,
                                    profile->config.max_concurrent_tasks);
    int64_t here = profile->config.max_tasks_per_node;

    return here && here < slots ? here : slots;
}

static int64_t profile_slots_used(const struct profile *profile)
{
    return profile->slots_used + profile->staged.slots_used;
}

int64_t profile_slots(const struct profile *profile)
{
    return profile->probes_since >= 0 ? 1 : profile_slots_by_config(profile);
}

/* Runs are ordered by start. */
bool profile_has_probe(const struct profile *profile)
{
    return !list_is_empty(&profile->running) &&
           list_entry(profile->running.prev, struct forecast_run, link)->started >=
               profile->probes_since;
}

int64_t profile_free_slots(const struct profile *profile)
{
    int64_t used = profile_slots_used(profile), slots = profile_slots_by_config(profile);

    if (used >= slots)
        return 0;
    /* Attempts started before it became unhealthy do not prevent a probe. */
    return profile->probes_since < 0 ? slots - used : !profile_has_probe(profile);
}

bool profile_is_probing(const struct profile *profile)
{
    return profile->probes_since >= 0 && profile_has_probe(profile) &&
           profile_slots_used(profile) < profile_slots_by_config(profile);
}

bool profile_is_active(const struct profile *profile)
{
    return profile->staged.is_active >= 0 ? profile->staged.is_active : profile->is_active;
}

bool profile_may_claim(const struct profile *profile, int64_t now)
{
    return !profile->is_removed && !profile->is_elsewhere && profile_is_active(profile) &&
           profile_free_slots(profile) > 0 && profile_count(profile, TASK_QUEUED) > 0 &&
           !cooldown_blocks(profile_cooldown(profile), now);
}

bool profile_has_capability(const struct profile *profile, const char *capability)
{
    return strcmp(profile->config.name, capability) == 0 ||
           strv_contains(profile->config.capabilities, capability);
}

bool profile_runs_on(const struct profile *profile, const char *node)
{
    char *const *patterns = profile->config.nodes;

    for (size_t i = 0; patterns && patterns[i]; i++)
        if (fnmatch(patterns[i], node, 0) == 0)
            return true;
    return !patterns;
}

void profile_touch(struct profile *profile)
{
    if (profile->touched_list && list_is_empty(&profile->touched))
        list_append(profile->touched_list, &profile->touched);
}

const struct cooldown *profile_cooldown(const struct profile *profile)
{
    return profile->staged.has_cooldown ? &profile->staged.cooldown : &profile->cooldown;
}

struct cooldown *profile_stage_cooldown(struct profile *profile)
{
    if (!profile->staged.has_cooldown)
        profile->staged.cooldown = profile->cooldown;
    profile->staged.has_cooldown = true;
    profile_touch(profile);
    return &profile->staged.cooldown;
}

struct task_counts *profile_stage_counts(struct profile *profile)
{
    profile->staged.is_dirty = true;
    profile_touch(profile);
    return &profile->staged.counts;
}

bool profile_is_last(const struct profile *profile, const struct task *task)
{
    const struct queue_tail *last =
        profile->staged.last.id ? &profile->staged.last : &profile->last;

    return last->id && (task->sort_key > last->sort_key ||
                        (task->sort_key == last->sort_key && task->id >= last->id));
}

void profile_stage_last(struct profile *profile, const struct task *task)
{
    profile->staged.last = (struct queue_tail){task->sort_key, task->id};
    profile_touch(profile);
}

void profile_note_queued(struct profile *profile, const struct task *task)
{
    if (profile_is_last(profile, task))
        profile_stage_last(profile, task);
}

void profile_commit(struct profile *profile)
{
    task_counts_add(&profile->counts, &profile->staged.counts);
    if (profile->staged.is_dirty)
        profile->oldest_ready = 0;
    profile->slots_used += profile->staged.slots_used;
    if (profile->staged.has_cooldown)
        profile->cooldown = profile->staged.cooldown;
    if (profile->staged.is_active >= 0)
        profile->is_active = profile->staged.is_active;
    if (profile->staged.last.id)
        profile->last = profile->staged.last;
    if (profile->staged.last_activity)
        profile->last_activity = profile->staged.last_activity;
    profile->arrivals += profile->staged.bucket.arrived;
    if (!metrics_bucket_is_empty(&profile->staged.bucket))
        metrics_bucket_add(&profile->total, &profile->staged.bucket);
    if (profile->staged.has_minute)
        profile->minute = profile->staged.minute;
    if (profile->staged.peak.minute)
        profile->peak = profile->staged.peak;
    profile_rollback(profile);
}

void profile_rollback(struct profile *profile)
{
    memset(&profile->staged, 0, sizeof(profile->staged));
    profile->staged.is_active = -1;
}
