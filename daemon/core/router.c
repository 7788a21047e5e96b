/* SPDX-License-Identifier: MIT */
#include "core/router.h"

#include <stdio.h>
#include <string.h>

#include "common/strv.h"

/* Without any attempt to go by, one is taken to last this long. It is also the wait at which the
 * load term has fallen to one half. */
#define TYPICAL_SECONDS 60.0

/* The prior of the success rate: Beta(4, 1), as if four attempts had succeeded and one failed, so
 * that the first few outcomes do not decide. */
#define PRIOR_SUCCESSES 4.0
#define PRIOR_FAILURES  1.0

/* The bound of the setting `priority`. */
#define PRIORITY_BEST 10.0

/* How specialised: the required capabilities over those that the profile offers. */
static double term_capability(const struct profile *profile, const struct router_request *request)
{
    size_t required = strv_length(request->capabilities);
    size_t offered = strv_length(profile->config.capabilities);

    if (strv_contains(request->capabilities, profile->config.name) &&
        !strv_contains(profile->config.capabilities, profile->config.name))
        offered++;
    return offered ? (double)required / (double)offered : 0;
}

/* The expected wait W = (running + waiting) * average duration / slots, as 1 / (1 + W / 60 s). */
static double term_load(const struct profile *profile, const struct router_request *request UNUSED)
{
    double work = (double)(profile_count(profile, TASK_RUNNING) + profile_waiting(profile));
    double average =
        profile->window.count ? metrics_window_average(&profile->window) : TYPICAL_SECONDS;
    double wait = work * average / (double)profile->config.max_concurrent_tasks;

    return 1 / (1 + wait / TYPICAL_SECONDS);
}

/* The success rate of the last attempts, as the mean of a Beta posterior. */
static double term_history(const struct profile *profile,
                           const struct router_request *request UNUSED)
{
    const struct metrics_window *w = &profile->window;

    return ((double)w->successes + PRIOR_SUCCESSES) /
           ((double)w->count + PRIOR_SUCCESSES + PRIOR_FAILURES);
}

/* The profile's configured priority. */
static double term_priority(const struct profile *profile,
                            const struct router_request *request UNUSED)
{
    return (double)profile->config.priority / PRIORITY_BEST;
}

static const struct {
    const char *name;
    double (*value)(const struct profile *profile, const struct router_request *request);
    size_t weight; /* offset in struct routing_weights */
} terms[TERM_COUNT] = {
    [TERM_CAPABILITY] = {"capability", term_capability,
                         offsetof(struct routing_weights, capability)},
    [TERM_LOAD] = {"load", term_load, offsetof(struct routing_weights, load)},
    [TERM_HISTORY] = {"history", term_history, offsetof(struct routing_weights, history)},
    [TERM_PRIORITY] = {"priority", term_priority, offsetof(struct routing_weights, priority)},
};

const char *router_term_name(enum router_term term)
{
    return terms[term].name;
}

/* The filters: whether the profile cannot take the task, with the reason. */
static bool reject(struct router_candidate *candidate, const struct router_request *request)
{
    const struct profile *profile = candidate->profile;
    size_t size = sizeof(candidate->reason);

    if (profile->is_removed) {
        snprintf(candidate->reason, size, "it is no longer configured");
        return true;
    }
    if (!profile_is_active(profile)) {
        snprintf(candidate->reason, size, "it is not active");
        return true;
    }
    for (size_t i = 0; request->capabilities && request->capabilities[i]; i++) {
        if (!profile_has_capability(profile, request->capabilities[i])) {
            snprintf(candidate->reason, size, "it lacks the capability \"%s\"",
                     request->capabilities[i]);
            return true;
        }
    }
    if (request->has_room ? !request->has_room(profile, request->data)
                          : profile_waiting(profile) >= profile->config.queue_limit) {
        snprintf(candidate->reason, size, "its queue is full");
        candidate->is_full = true;
        return true;
    }
    return false;
}

static int compare(const void *left, const void *right)
{
    const struct router_candidate *a = left, *b = right;
    bool a_unhealthy, b_unhealthy;

    if (a->is_rejected != b->is_rejected)
        return a->is_rejected - b->is_rejected;
    a_unhealthy = a->profile->health == HEALTH_UNHEALTHY;
    b_unhealthy = b->profile->health == HEALTH_UNHEALTHY;
    if (!a->is_rejected && a_unhealthy != b_unhealthy)
        return a_unhealthy - b_unhealthy;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return strcmp(a->profile->config.name, b->profile->config.name);
}

size_t router_rank(const struct router_request *request, struct profile *const *profiles,
                   size_t count, const struct routing_weights *weights,
                   struct router_candidate *ret_candidates)
{
    size_t fit = 0;

    for (size_t i = 0; i < count; i++) {
        struct router_candidate *candidate = &ret_candidates[i];

        *candidate = (struct router_candidate){.profile = profiles[i]};
        candidate->is_rejected = reject(candidate, request);
        if (candidate->is_rejected)
            continue;
        fit++;
        for (int t = 0; t < TERM_COUNT; t++) {
            double weight;

            memcpy(&weight, (const char *)weights + terms[t].weight, sizeof(weight));
            candidate->terms[t] = terms[t].value(profiles[i], request);
            candidate->score += weight * candidate->terms[t];
        }
    }
    qsort(ret_candidates, count, sizeof(*ret_candidates), compare);
    return fit;
}
