/* SPDX-License-Identifier: MIT */
#include "core/router.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/strv.h"

/* The prior of the success rate: Beta(4, 1), as if four attempts had succeeded and one failed, so
 * that the first few outcomes do not decide. */
#define PRIOR_SUCCESSES 4.0
#define PRIOR_FAILURES  1.0

/* An attempt's weight halves after this many later ones. */
#define HISTORY_HALF_LIFE  20.0
#define HISTORY_WEIGHT_MIN 1e-6

/* Forecasts are medians; for waits that vary like agents' attempts, the mean is greater by about
 * this factor. */
#define MEAN_OVER_MEDIAN 1.25

/* The exponents of router_rate_load(). */
#define LOAD_SHARPNESS 6.0
#define LOAD_LEVEL     0.1

/* The upper bound of the setting `priority`. */
#define PRIORITY_BEST 10.0

/* The input of the terms: the candidate, the task, and the shortest times among the candidates
 * with the best health. */
struct judgement {
    const struct router_candidate *candidate;
    const struct router_request *request;
    double best_duration, best_time; /* seconds */
};

/* How specialised the profile is: the Jaccard index |W and O| / |W or O| of the capabilities
 * wanted (required or preferred) and offered (Jaccard, "The distribution of the flora in the alpine
 * zone", 1912). All required ones are offered, otherwise the profile would not be a candidate. */
static double router_rate_capability(const struct judgement *j)
{
    const struct profile *profile = j->candidate->profile;
    size_t shared = strv_length(j->request->capabilities);
    size_t all = strv_length(profile->config.capabilities);

    if (strv_contains(j->request->capabilities, profile->config.name) &&
        !strv_contains(profile->config.capabilities, profile->config.name))
        all++;
    for (size_t i = 0; j->request->prefers && j->request->prefers[i]; i++) {
        const char *word = j->request->prefers[i];
        bool is_offered = profile_has_capability(profile, word);

        shared += is_offered;
        all += !is_offered || !strv_contains(profile->config.capabilities, word);
    }
    return all ? (double)shared / (double)all : 0;
}

/* The expected seconds until the task would be done. */
static double router_time_of(const struct router_candidate *candidate)
{
    return candidate->wait + candidate->estimate.seconds;
}

/*
 * How soon the task would be done. For each candidate, W is the expected wait (core/forecast.c), D
 * the duration of an attempt (core/estimate.c), and T = W + D; T* and D* are the least T and D of
 * all. Then
 *
 *     load = min(1, T* / T)^6 * (D* / T*)^0.1
 *
 * The first factor compares candidates: it is 1 for the fastest and falls steeply, so that a
 * significant wait outweighs the other terms. The second tells how busy even the fastest is, by its
 * stretch T* / D*: how much longer the task takes than on an idle profile (Bender, Chakrabarti,
 * Muthukrishnan, "Flow and Stretch Metrics", 1998). It falls slowly, because it reduces the
 * differences between all candidates; a term such as 1 / (1 + W / 60 s) would make long queues look
 * alike.
 *
 * The constants were chosen by ./dev bench routing; from 4 to 20 the first exponent makes little
 * difference.
 */
static double router_rate_load(const struct judgement *j)
{
    return pow(fmin(1, j->best_time / router_time_of(j->candidate)), LOAD_SHARPNESS) *
           pow(j->best_duration / j->best_time, LOAD_LEVEL);
}

/* The success rate: the mean of a Beta posterior of the latest attempts. The newest has weight 1,
 * older ones less. */
static double router_rate_history(const struct judgement *j)
{
    const struct metrics_window *window = &j->candidate->profile->window;
    const double decay = exp2(-1 / HISTORY_HALF_LIFE);
    double weight = 1, successes = PRIOR_SUCCESSES, attempts = PRIOR_SUCCESSES + PRIOR_FAILURES;

    for (size_t i = 0; i < window->count && weight > HISTORY_WEIGHT_MIN; i++) {
        successes += metrics_window_at(window, i)->success ? weight : 0;
        attempts += weight;
        weight *= decay;
    }
    return successes / attempts;
}

/* The profile's configured priority. */
static double router_rate_priority(const struct judgement *j)
{
    return (double)j->candidate->profile->config.priority / PRIORITY_BEST;
}

const char *const router_term_names[] = {
    [TERM_CAPABILITY] = "capability", [TERM_LOAD] = "load", [TERM_HISTORY] = "history",
    [TERM_PRIORITY] = "priority",     [TERM_COUNT] = NULL,
};

static const struct {
    double (*value)(const struct judgement *judgement);
    size_t weight; /* offset in struct routing_weights */
} terms[TERM_COUNT] = {
    [TERM_CAPABILITY] = {router_rate_capability, offsetof(struct routing_weights, capability)},
    [TERM_LOAD] = {router_rate_load, offsetof(struct routing_weights, load)},
    [TERM_HISTORY] = {router_rate_history, offsetof(struct routing_weights, history)},
    [TERM_PRIORITY] = {router_rate_priority, offsetof(struct routing_weights, priority)},
};

/* The filters: whether the profile cannot take the task, with the reason. */
static bool router_reject(struct router_candidate *candidate, const struct router_request *request)
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
    if (strv_contains(request->avoid, profile->config.name)) {
        snprintf(candidate->reason, size, "the task avoids it");
        return true;
    }
    if (request->node && (request->is_nowhere || !profile_runs_on(profile, request->node))) {
        snprintf(candidate->reason, size, "it does not run on node \"%s\"", request->node);
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

static int router_compare(const void *left, const void *right)
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

static void router_score(struct router_candidate *candidate, const struct judgement *judgement,
                         const struct routing_weights *weights)
{
    for (int t = 0; t < TERM_COUNT; t++) {
        double weight;

        memcpy(&weight, (const char *)weights + terms[t].weight, sizeof(weight));
        candidate->terms[t] = terms[t].value(judgement);
        candidate->score += weight * candidate->terms[t];
    }
}

/* Computes W and D of the candidates that fit. */
static void router_measure(struct router_candidate *candidates, size_t count,
                           const struct router_request *request)
{
    CLEANUP(freep) struct estimate **estimates = xcalloc(count + 1, sizeof(*estimates));
    size_t fit = 0;

    for (size_t i = 0; i < count; i++) {
        struct router_candidate *candidate = &candidates[i];
        struct profile *profile = candidate->profile;

        if (candidate->is_rejected)
            continue;
        candidate->wait =
            MEAN_OVER_MEDIAN *
            forecast_wait(profile, profile_count(profile, TASK_QUEUED) + 1, request->now);
        estimate_init(&candidate->estimate, &profile->window, request->type);
        estimates[fit++] = &candidate->estimate;
    }
    estimate_compare(estimates, fit);
}

/* T* and D* are those of the profiles with the best health: an idle profile that gets no tasks is
 * no reference. */
static void router_find_best(struct judgement *judgement, const struct router_candidate *candidates,
                             size_t count)
{
    bool is_healthy_found = false;

    for (size_t i = 0; i < count; i++) {
        const struct router_candidate *candidate = &candidates[i];
        bool is_healthy = candidate->profile->health != HEALTH_UNHEALTHY;

        if (candidate->is_rejected || (is_healthy_found && !is_healthy))
            continue;
        if (is_healthy && !is_healthy_found)
            judgement->best_duration = judgement->best_time = INFINITY;
        is_healthy_found |= is_healthy;
        judgement->best_duration = fmin(judgement->best_duration, candidate->estimate.seconds);
        judgement->best_time = fmin(judgement->best_time, router_time_of(candidate));
    }
}

size_t router_rank(const struct router_request *request, struct profile *const *profiles,
                   size_t count, const struct routing_weights *weights,
                   struct router_candidate *ret_candidates)
{
    struct judgement judgement = {
        .request = request, .best_duration = INFINITY, .best_time = INFINITY};
    size_t fit = 0;

    for (size_t i = 0; i < count; i++) {
        struct router_candidate *candidate = &ret_candidates[i];

        *candidate = (struct router_candidate){.profile = profiles[i]};
        candidate->is_rejected = router_reject(candidate, request);
        fit += !candidate->is_rejected;
    }
    router_measure(ret_candidates, count, request);
    router_find_best(&judgement, ret_candidates, count);
    for (size_t i = 0; i < count; i++) {
        judgement.candidate = &ret_candidates[i];
        if (!ret_candidates[i].is_rejected)
            router_score(&ret_candidates[i], &judgement, weights);
    }
    qsort(ret_candidates, count, sizeof(*ret_candidates), router_compare);
    return fit;
}
