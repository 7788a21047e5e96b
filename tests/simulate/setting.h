/* SPDX-License-Identifier: MIT */
/* The operator's configurations, which chance decides. */
#pragma once

#include "common/macros.h"

#define SETTING_LEASE_MS 30000
#define SETTING_AGING_MS 60000

enum setting_kind { SETTING_WORKER, SETTING_COMMAND, SETTING_AGENT };

extern const struct setting_profile {
    const char *name;
    enum setting_kind kind;
    bool may_be_missing;
} setting_profiles[];
#define SETTING_PROFILES 4

/** The number of a profile in the table. */
size_t setting_find(const char *profile);
/** A configuration, as JSON; the caller frees it. `is_calm`: with every profile and room for all,
 *  and nothing is forgotten. */
char *setting_make(bool is_calm);
/** How many attempts of this profile any configuration since the last setting_settle() allows. */
size_t setting_limit(size_t profile);
/** What was in force before the last configuration has no effect any more. */
void setting_settle(size_t profile);
/** Whether a configuration did without it: a profile that has no tasks is forgotten then, and with
 *  it that it was paused. */
bool setting_was_without(size_t profile);
/** Whether one of them keeps few events, so that a subscriber may miss some. */
bool setting_has_few_events(void);
/** Whether one of them forgets finished tasks soon. */
bool setting_forgets(void);
