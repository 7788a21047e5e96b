/* SPDX-License-Identifier: MIT */
/*
 * The health of a profile: a state and a reason in plain words. The worst sign in a table decides;
 * among equally bad ones, the first gives the reason.
 *
 * The success rate is that of the last 20 attempts, not of the whole window: a profile that failed
 * for a while is healthy again after ten successes, and no longer unhealthy after three in a row.
 * An unhealthy profile runs one attempt at a time (see profile_slots()). After a while without any,
 * the router treats it as better.
 */
#include <stdio.h>
#include <string.h>

#include "core/profile.h"

#define LAST             20  /* attempts that count */
#define SAMPLE_MIN       5   /* for a rate */
#define DEGRADED_BELOW   0.9 /* success rate */
#define UNHEALTHY_BELOW  0.5
#define DEGRADED_IN_ROW  3 /* failures */
#define UNHEALTHY_IN_ROW 5
#define RECOVERED_IN_ROW 3 /* successes */

#define WORDS (sizeof(((struct profile *)NULL)->health_reason))

const char *const profile_health_names[] = {
    [HEALTH_HEALTHY] = "healthy",
    [HEALTH_DEGRADED] = "degraded",
    [HEALTH_UNHEALTHY] = "unhealthy",
    NULL,
};

const char *profile_health_name(enum profile_health health)
{
    return profile_health_names[health];
}

/* A duration in a readable unit. */
static const char *health_words_of(int64_t ms, char text[32])
{
    double seconds = (double)ms / 1000;

    if (seconds < 120)
        snprintf(text, 32, "%.3g s", seconds);
    else if (seconds < 7200)
        snprintf(text, 32, "%.0f min", seconds / 60);
    else
        snprintf(text, 32, "%.1f h", seconds / 3600);
    return text;
}

static enum profile_health health_sign_missing(const struct profile *profile,
                                               const struct health_limits *limits UNUSED,
                                               char reason[WORDS])
{
    if (!profile->seen.missing[0])
        return HEALTH_HEALTHY;
    snprintf(reason, WORDS, "%s was not found", profile->seen.missing);
    return HEALTH_UNHEALTHY;
}

static enum profile_health health_sign_cooldown(const struct profile *profile,
                                                const struct health_limits *limits UNUSED,
                                                char reason[WORDS])
{
    if (!profile->cooldown.length)
        return HEALTH_HEALTHY;
    snprintf(reason, WORDS, "cooling down for %g s after %s",
             (double)profile->cooldown.length / 1000, profile->cooldown.reason);
    return HEALTH_DEGRADED;
}

static enum profile_health health_sign_in_a_row(const struct profile *profile,
                                                const struct health_limits *limits UNUSED,
                                                char reason[WORDS])
{
    size_t failed = profile->window.errors_in_a_row;

    if (failed < DEGRADED_IN_ROW)
        return HEALTH_HEALTHY;
    snprintf(reason, WORDS, "the last %zu attempts failed", failed);
    return failed >= UNHEALTHY_IN_ROW ? HEALTH_UNHEALTHY : HEALTH_DEGRADED;
}

static enum profile_health health_sign_rate(const struct profile *profile,
                                            const struct health_limits *limits UNUSED,
                                            char reason[WORDS])
{
    const struct metrics_window *window = &profile->window;
    size_t count = window->count < LAST ? window->count : LAST, successes = 0, in_a_row = 0;
    double rate;

    for (size_t i = 0; i < count; i++) {
        successes += metrics_window_at(window, i)->success;
        in_a_row += in_a_row == i && metrics_window_at(window, i)->success;
    }
    rate = count ? (double)successes / (double)count : 1;
    if (count < SAMPLE_MIN || rate >= DEGRADED_BELOW)
        return HEALTH_HEALTHY;
    snprintf(reason, WORDS, "%zu of the last %zu attempts succeeded", successes, count);
    return rate < UNHEALTHY_BELOW && in_a_row < RECOVERED_IN_ROW ? HEALTH_UNHEALTHY
                                                                 : HEALTH_DEGRADED;
}

static enum profile_health health_sign_stuck(const struct profile *profile,
                                             const struct health_limits *limits UNUSED,
                                             char reason[WORDS])
{
    const struct profile_seen *seen = &profile->seen;
    char longest[32], usual[32];

    if (!seen->stuck)
        return HEALTH_HEALTHY;
    health_words_of(seen->stuck_ms, longest);
    health_words_of(seen->usual_ms, usual);
    if (seen->stuck == 1)
        snprintf(reason, WORDS, "an attempt has been running for %s; 95 %% end within %s", longest,
                 usual);
    else
        snprintf(reason, WORDS,
                 "%lld attempts are stuck, one has been running for %s; 95 %% end within %s",
                 (long long)seen->stuck, longest, usual);
    return HEALTH_DEGRADED;
}

static enum profile_health health_sign_wait(const struct profile *profile,
                                            const struct health_limits *limits, char reason[WORDS])
{
    char wait[32];

    if (!limits->wait_ms || profile->seen.wait_ms <= limits->wait_ms ||
        !profile_is_active(profile) || profile->is_removed)
        return HEALTH_HEALTHY;
    snprintf(reason, WORDS, "a task has been waiting for %s",
             health_words_of(profile->seen.wait_ms, wait));
    return HEALTH_DEGRADED;
}

static enum profile_health health_sign_no_worker(const struct profile *profile,
                                                 const struct health_limits *limits UNUSED,
                                                 char reason[WORDS])
{
    if (!profile->seen.has_no_worker)
        return HEALTH_HEALTHY;
    snprintf(reason, WORDS, "tasks are waiting and no worker claims them");
    return HEALTH_DEGRADED;
}

void profile_update_health(struct profile *profile, const struct health_limits *limits, int64_t now)
{
    static enum profile_health (*const signs[])(
        const struct profile *profile, const struct health_limits *limits, char reason[WORDS]) = {
        health_sign_missing, health_sign_cooldown, health_sign_in_a_row,  health_sign_rate,
        health_sign_stuck,   health_sign_wait,     health_sign_no_worker,
    };

    profile->health = HEALTH_HEALTHY;
    profile->health_reason[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
        char reason[WORDS];
        enum profile_health health = signs[i](profile, limits, reason);

        if (health <= profile->health)
            continue;
        profile->health = health;
        memcpy(profile->health_reason, reason, sizeof(reason));
    }
    if (profile->health != HEALTH_UNHEALTHY)
        profile->probes_since = -1;
    else if (profile->probes_since < 0)
        profile->probes_since = now;
    /* The router sends it nothing while others are healthy, so it cannot recover by itself. Only
     * the router treats it as better: it still runs one attempt at a time. */
    if (profile->health == HEALTH_UNHEALTHY && !profile->seen.missing[0] &&
        !profile_has_probe(profile) && now - profile->last_end >= limits->lapse_ms)
        profile->health = HEALTH_DEGRADED;
    /* Takes precedence: this is why nothing runs. */
    health_sign_cooldown(profile, limits, profile->health_reason);
}
