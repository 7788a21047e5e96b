/* SPDX-License-Identifier: MIT */
/*
 * Profiles by what one looks for, so that what a pass does grows with what happened in it and not
 * with the number of profiles:
 *
 *   by_name, by_id   for whoever names one
 *   touched          those that the pass under way has changed: its commit is about them
 *   hot              those whose free slots may be for waiting tasks: the planner looks at them. A
 *                    change makes one hot, and so does the end of a cooldown
 *   wakes            those with scheduled tasks, by when the first may be due (wall ms)
 *   cooldowns        those that cool down, by when that ends (monotonic ms)
 *   totals           the counters of all of them together, as committed
 */
#pragma once

#include "core/profile.h"

struct roster {
    struct profile **by_name, **by_id;
    size_t count;
    struct list touched, hot;
    struct heap wakes, cooldowns;
    struct task_counts totals;
};

void roster_init(struct roster *roster);
void roster_deinit(struct roster *roster);
/** Begins anew with these profiles, which are all looked at by the next pass. */
void roster_fill(struct roster *roster, struct profile *const *profiles, size_t count);
struct profile *roster_find_name(const struct roster *roster, const char *name);
struct profile *roster_find_id(const struct roster *roster, int64_t id);
/** The name of the profile, empty when there is none. */
const char *roster_name_of(const struct roster *roster, int64_t id);
/** Tasks of all profiles in this status, with what the pass under way did. */
int64_t roster_count(const struct roster *roster, enum task_status status);
/** Bytes of all finished tasks, likewise. */
int64_t roster_finished_bytes(const struct roster *roster);
/** No scheduled task of the profile is due before `at`; INT64_MAX: there is none. */
void roster_set_wake(struct roster *roster, struct profile *profile, int64_t at);
/** The same if that is sooner than what is known. */
void roster_wake_by(struct roster *roster, struct profile *profile, int64_t at);
/** The planner looks at the profile. */
void roster_heat(struct roster *roster, struct profile *profile);
/** Lets go of a profile. */
void roster_forget(struct roster *roster, struct profile *profile);
/** Takes over what the pass under way did to a profile, or forgets it. */
void roster_commit(struct roster *roster, struct profile *profile);
void roster_rollback(struct roster *roster, struct profile *profile);
