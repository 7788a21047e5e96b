/* SPDX-License-Identifier: MIT */
/*
 * Indexes of profiles, so that the cost of a pass grows with what happened in it and not with the
 * number of profiles:
 *
 *   by_name, by_id   lookup
 *   touched          changed by the current pass; its commit updates them
 *   hot              may have free slots for waiting tasks: the planner visits them. A change makes
 * a profile hot, and so does the end of its cooldown wakes            with scheduled tasks, by the
 * due time of the first one (wall ms) cooldowns        that cool down, by its end (monotonic ms)
 *   totals           the counters of all of them together, as committed
 */
#pragma once

#include "core/profile.h"

struct roster {
    struct profile **by_name, **by_id;
    size_t count;
    uint64_t version; /* of the list of profiles: how often it has changed */
    struct list touched, hot;
    struct heap wakes, cooldowns;
    struct task_counts totals;
};

void roster_init(struct roster *roster);
void roster_deinit(struct roster *roster);
/** Starts over with these profiles; the next pass visits all of them. */
void roster_fill(struct roster *roster, struct profile *const *profiles, size_t count);
struct profile *roster_find_name(const struct roster *roster, const char *name);
struct profile *roster_find_id(const struct roster *roster, int64_t id);
/** The name of the profile; empty if there is none. */
const char *roster_name_of(const struct roster *roster, int64_t id);
/** Number of tasks of all profiles in this status, including the current pass. */
int64_t roster_count(const struct roster *roster, enum task_status status);
/** Size of all finished tasks, likewise. */
int64_t roster_finished_bytes(const struct roster *roster);
/** Sets when the profile's next scheduled task is due; INT64_MAX: none. */
void roster_set_wake(struct roster *roster, struct profile *profile, int64_t at);
/** The same if that is sooner than the known time. */
void roster_wake_by(struct roster *roster, struct profile *profile, int64_t at);
/** Its counters as others have made them. */
void roster_recount(struct roster *roster, struct profile *profile,
                    const struct task_counts *counts);
/** Makes the planner visit the profile. */
void roster_heat(struct roster *roster, struct profile *profile);
/** Lets go of a profile. */
void roster_forget(struct roster *roster, struct profile *profile);
/** Applies the current pass's changes to a profile, or drops them. */
void roster_commit(struct roster *roster, struct profile *profile);
void roster_rollback(struct roster *roster, struct profile *profile);
