/* SPDX-License-Identifier: MIT */
/* Health from the last attempts: how many failed, and how many in a row. */
#include <stdio.h>

#include "core/profile.h"

#define SAMPLE_MIN       5   /* fewer attempts say nothing about a rate */
#define DEGRADED_BELOW   0.9 /* success rate */
#define UNHEALTHY_BELOW  0.5
#define UNHEALTHY_IN_ROW 5
#define DEGRADED_IN_ROW  3

const char *profile_health_name(enum profile_health health)
{
    static const char *const names[] = {
        [HEALTH_HEALTHY] = "healthy",
        [HEALTH_DEGRADED] = "degraded",
        [HEALTH_UNHEALTHY] = "unhealthy",
    };

    return names[health];
}

void profile_update_health(struct profile *profile)
{
    const struct metrics_window *w = &profile->window;
    double rate = w->count ? (double)w->successes / (double)w->count : 1;
    char *reason = profile->health_reason;
    size_t size = sizeof(profile->health_reason);

    reason[0] = '\0';
    profile->health = HEALTH_HEALTHY;
    if (w->errors_in_a_row >= DEGRADED_IN_ROW) {
        profile->health =
            w->errors_in_a_row >= UNHEALTHY_IN_ROW ? HEALTH_UNHEALTHY : HEALTH_DEGRADED;
        snprintf(reason, size, "the last %zu attempts failed", w->errors_in_a_row);
    }
    if (w->count >= SAMPLE_MIN && rate < DEGRADED_BELOW && profile->health != HEALTH_UNHEALTHY) {
        profile->health = rate < UNHEALTHY_BELOW ? HEALTH_UNHEALTHY : HEALTH_DEGRADED;
        snprintf(reason, size, "%.0f%% of the last %zu attempts succeeded", 100 * rate, w->count);
    }
    /* Whatever else there is, this is why nothing runs. */
    if (profile->cooldown.length) {
        if (profile->health == HEALTH_HEALTHY)
            profile->health = HEALTH_DEGRADED;
        snprintf(reason, size, "cooling down for %g s after %s",
                 (double)profile->cooldown.length / 1000, profile->cooldown.reason);
    }
}
