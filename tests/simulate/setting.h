/* SPDX-License-Identifier: MIT */
/* The operator's configurations, which chance decides. */
#pragma once

#include "common/macros.h"

#define SETTING_LEASE_MS 30000
#define SETTING_AGING_MS 60000
/* The shortest timeout of a profile with workers: half as long again as a lease. */
#define SETTING_TIMEOUT_MIN_MS 45000

enum setting_kind { SETTING_WORKER, SETTING_COMMAND, SETTING_AGENT };

extern const struct setting_profile {
    const char *name;
    enum setting_kind kind;
    bool may_be_missing;
} setting_profiles[];
#define SETTING_PROFILES 4

/** The limit, in bytes, at this place in struct settings; the same in all configurations. */
size_t setting_limit(size_t place);
/** A world begins. */
void setting_begin(void);
/** The number of a profile in the table. */
size_t setting_find(const char *profile);
/** A configuration, as JSON; the caller frees it. `is_calm`: with every profile and room for all,
 *  and nothing is forgotten. */
char *setting_make(bool is_calm);

/* What a profile is like. */
struct setting_values {
    bool is_there; /* in the configuration */
    int slots, attempts, queue_limit;
    bool rejects; /* what its queue has no room for */
    enum setting_policy { SETTING_ALLOW, SETTING_REJECT, SETTING_ASK } policy;
};

/** As in the last configuration. */
const struct setting_values *setting_newest(size_t profile);
/* As in any configuration since the last setting_settle(). */
int setting_slots_max(size_t profile);
int setting_attempts_min(size_t profile);
int setting_attempts_max(size_t profile);
bool setting_may(size_t profile, enum setting_policy policy);
/** Whether any configuration of this world lets its queue evict tasks. */
bool setting_has_evicted(size_t profile);
/** What was in force before the last configuration has no effect any more. */
void setting_settle(size_t profile);
/** Whether the configurations of this world may keep few events, so that a subscriber may miss
 *  some. */
bool setting_has_few_events(void);
/** Whether they may forget finished tasks soon. */
bool setting_forgets(void);
