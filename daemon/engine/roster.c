/* SPDX-License-Identifier: MIT */
#include "engine/roster.h"

#include <string.h>

#include "common/alloc.h"

void roster_init(struct roster *roster)
{
    *roster = (struct roster){0};
    list_init(&roster->touched);
    list_init(&roster->hot);
}

void roster_deinit(struct roster *roster)
{
    free(roster->by_name);
    free(roster->by_id);
    heap_deinit(&roster->wakes);
    heap_deinit(&roster->cooldowns);
}

static int roster_compare_names(const void *a, const void *b)
{
    return strcmp((*(struct profile *const *)a)->config.name,
                  (*(struct profile *const *)b)->config.name);
}

static int roster_compare_ids(const void *a, const void *b)
{
    int64_t x = (*(struct profile *const *)a)->id, y = (*(struct profile *const *)b)->id;

    return (x > y) - (x < y);
}

static struct profile **roster_sort(struct profile *const *profiles, size_t count,
                                    int (*compare)(const void *, const void *))
{
    struct profile **copy = xcalloc(count + 1, sizeof(struct profile *));

    if (count)
        memcpy(copy, profiles, count * sizeof(struct profile *));
    qsort(copy, count, sizeof(struct profile *), compare);
    return copy;
}

void roster_fill(struct roster *roster, struct profile *const *profiles, size_t count)
{
    free(roster->by_name);
    free(roster->by_id);
    roster->by_name = roster_sort(profiles, count, roster_compare_names);
    roster->by_id = roster_sort(profiles, count, roster_compare_ids);
    roster->count = count;
    roster->version++;
    roster->totals = (struct task_counts){0};
    for (size_t i = 0; i < count; i++) {
        struct profile *profile = profiles[i];

        profile->touched_list = &roster->touched;
        task_counts_add(&roster->totals, &profile->counts);
        roster_heat(roster, profile);
        roster_set_wake(roster, profile, 0);
        profile_touch(profile);
    }
}

static int roster_compare_name_with(const void *name, const void *profile)
{
    return strcmp(name, (*(struct profile *const *)profile)->config.name);
}

static int roster_compare_id_with(const void *id, const void *profile)
{
    int64_t x = *(const int64_t *)id, y = (*(struct profile *const *)profile)->id;

    return (x > y) - (x < y);
}

static struct profile *roster_find(struct profile **sorted, size_t count, const void *key,
                                   int (*compare)(const void *, const void *))
{
    struct profile **found =
        count ? bsearch(key, sorted, count, sizeof(struct profile *), compare) : NULL;

    return found ? *found : NULL;
}

struct profile *roster_find_name(const struct roster *roster, const char *name)
{
    return roster_find(roster->by_name, roster->count, name, roster_compare_name_with);
}

struct profile *roster_find_id(const struct roster *roster, int64_t id)
{
    return roster_find(roster->by_id, roster->count, &id, roster_compare_id_with);
}

const char *roster_name_of(const struct roster *roster, int64_t id)
{
    const struct profile *profile = roster_find_id(roster, id);

    return profile ? profile->config.name : "";
}

int64_t roster_count(const struct roster *roster, enum task_status status)
{
    int64_t count = roster->totals.by_status[status];

    list_for_each (link, &roster->touched)
        count += list_entry(link, struct profile, touched)->staged.counts.by_status[status];
    return count;
}

int64_t roster_finished_bytes(const struct roster *roster)
{
    int64_t bytes = roster->totals.finished_bytes;

    list_for_each (link, &roster->touched)
        bytes += list_entry(link, struct profile, touched)->staged.counts.finished_bytes;
    return bytes;
}

void roster_set_wake(struct roster *roster, struct profile *profile, int64_t at)
{
    if (at == INT64_MAX || profile_count(profile, TASK_SCHEDULED) <= 0)
        heap_remove(&roster->wakes, &profile->wake);
    else
        heap_set(&roster->wakes, &profile->wake, at);
}

void roster_wake_by(struct roster *roster, struct profile *profile, int64_t at)
{
    if (!profile->wake.index || at < profile->wake.key)
        heap_set(&roster->wakes, &profile->wake, at);
}

void roster_recount(struct roster *roster, struct profile *profile,
                    const struct task_counts *counts)
{
    struct task_counts delta = {.finished_bytes =
                                    counts->finished_bytes - profile->counts.finished_bytes};
    bool has_changed = delta.finished_bytes != 0;

    profile->last = (struct queue_tail){0};
    for (int i = TASK_QUEUED; i < TASK_STATUS_COUNT; i++) {
        delta.by_status[i] = counts->by_status[i] - profile->counts.by_status[i];
        has_changed |= delta.by_status[i] != 0;
    }
    if (!has_changed)
        return;
    task_counts_add(&roster->totals, &delta);
    task_counts_add(&profile->counts, &delta);
    profile->oldest_ready = 0;
    roster_heat(roster, profile);
    roster_set_wake(roster, profile, 0);
}

void roster_heat(struct roster *roster, struct profile *profile)
{
    if (list_is_empty(&profile->hot))
        list_append(&roster->hot, &profile->hot);
}

static void roster_take_out(struct profile **sorted, size_t count, const struct profile *profile)
{
    size_t at = 0;

    while (sorted[at] != profile)
        at++;
    memmove(sorted + at, sorted + at + 1, (count - at - 1) * sizeof(struct profile *));
}

void roster_forget(struct roster *roster, struct profile *profile)
{
    roster_take_out(roster->by_name, roster->count, profile);
    roster_take_out(roster->by_id, roster->count, profile);
    roster->count--;
    roster->version++;
    for (int i = 0; i < TASK_STATUS_COUNT; i++)
        roster->totals.by_status[i] -= profile->counts.by_status[i];
    heap_remove(&roster->wakes, &profile->wake);
    heap_remove(&roster->cooldowns, &profile->cooled);
    list_remove(&profile->hot);
    list_remove(&profile->touched);
}

static void roster_settle(struct roster *roster, struct profile *profile)
{
    list_remove(&profile->touched);
    roster_heat(roster, profile);
    if (profile->cooldown.length)
        heap_set(&roster->cooldowns, &profile->cooled, profile->cooldown.until);
    else
        heap_remove(&roster->cooldowns, &profile->cooled);
}

void roster_commit(struct roster *roster, struct profile *profile)
{
    task_counts_add(&roster->totals, &profile->staged.counts);
    profile_commit(profile);
    roster_settle(roster, profile);
}

void roster_rollback(struct roster *roster, struct profile *profile)
{
    profile_rollback(profile);
    roster_set_wake(roster, profile, 0);
    roster_settle(roster, profile);
}
