/* SPDX-License-Identifier: MIT */
/*
 * The wait of the task at position p of a queue is the time by which p tasks will have started.
 * The number that start by time t is a sum over the slots. Each slot starts a task when it becomes
 * free, at time b, and again after every attempt. The expected number of renewals of a source with
 * mean duration D tends to u/D - 1/2 after time u (for equal durations, exactly so in the long run;
 * see Cox, "Renewal Theory", 1962). So
 *
 *     N(t) = sum over the slots with b <= t of 1 + max(0, (t - b) / D - 1/2)
 *
 * and the wait is the first t with N(t) >= p - 1/2, which is about the median. For one slot and
 * equal durations, this is exactly b, b + D, b + 2D...
 *
 * A free slot has b = 0. The end of a running attempt is estimated: attempts in the window that
 * lasted longer than it has run so far form an empirical distribution of its remaining time (whose
 * mean is the mean residual life). Such a slot counts in parts: quantiles of that distribution,
 * each with an equal share of the slot. The shape of N matters when many slots are busy: the first
 * of ten attempts ends long before an average one.
 */
#include "core/forecast.h"

#include <math.h>

#include "common/alloc.h"
#include "core/estimate.h"
#include "core/profile.h"

/* Parts into which an attempt's remaining time is divided; fewer if many run. */
#define PARTS_MAX 8
#define PARTS_SUM 512

#define ROUNDING 1e-9 /* of sums of parts */

void forecast_begin_run(struct profile *profile, struct forecast_run *run, uint64_t type,
                        int64_t now)
{
    run->type = type;
    run->started = now;
    list_append(&profile->running, &run->link);
    profile->running_count++;
    profile->forecast.is_current = false;
}

void forecast_end_run(struct profile *profile, struct forecast_run *run)
{
    list_remove(&run->link);
    profile->running_count--;
    profile->forecast.is_current = false;
}

/* The samples, sorted by type, then by duration. */
struct samples {
    struct metrics_sample *array;
    size_t count;
};

static int forecast_compare_samples(const void *left, const void *right)
{
    const struct metrics_sample *a = left, *b = right;

    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    return (a->duration_ms > b->duration_ms) - (a->duration_ms < b->duration_ms);
}

static struct samples forecast_sort_samples(const struct metrics_window *window)
{
    struct samples samples = {.count =
                                  window->count < METRICS_RECENT ? window->count : METRICS_RECENT};

    samples.array = xcalloc(samples.count + 1, sizeof(*samples.array));
    for (size_t i = 0; i < samples.count; i++)
        samples.array[i] = *metrics_window_at(window, i);
    qsort(samples.array, samples.count, sizeof(*samples.array), forecast_compare_samples);
    return samples;
}

/* The index behind all samples of this type up to this duration. */
static size_t forecast_first_behind(const struct samples *samples, uint64_t type,
                                    int64_t duration_ms)
{
    const struct metrics_sample limit = {.type = type, .duration_ms = duration_ms};
    size_t low = 0, high = samples->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (forecast_compare_samples(&samples->array[middle], &limit) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The remaining time of a run in seconds: a quantile of the samples of its type that lasted
 * longer. If there are none, an exponential distribution, which assumes least: its mean is the time
 * that the run has lasted, at least that of an average attempt. */
static double forecast_remaining(const struct samples *samples, const struct forecast_run *run,
                                 const struct forecast *forecast, double quantile)
{
    int64_t elapsed = forecast->now - run->started;
    size_t first = forecast_first_behind(samples, run->type, elapsed);
    size_t end = forecast_first_behind(samples, run->type, INT64_MAX);

    if (first == end)
        return -log1p(-quantile) * fmax(forecast->average, (double)elapsed / 1000);
    first += (size_t)(quantile * (double)(end - first));
    return (double)(samples->array[first].duration_ms - elapsed) / 1000;
}

static size_t forecast_parts_of(const struct profile *profile)
{
    size_t parts = PARTS_SUM / (profile->running_count + 1);

    return parts < 1 ? 1 : parts > PARTS_MAX ? PARTS_MAX : parts;
}

static int forecast_compare_steps(const void *left, const void *right)
{
    const struct forecast_step *a = left, *b = right;

    return (a->at > b->at) - (a->at < b->at);
}

/* Seconds until something may start. */
static double forecast_cooldown_rest(const struct profile *profile, int64_t now)
{
    int64_t until = profile_cooldown(profile)->until;

    return profile_cooldown(profile)->length && until > now ? (double)(until - now) / 1000 : 0;
}

/* A worker's slot does not count while tasks wait unclaimed. */
static int64_t forecast_count_free_slots(const struct profile *profile)
{
    if (profile->config.runner.type == RUNNER_WORKER && profile_count(profile, TASK_QUEUED) > 0)
        return 0;
    return profile_free_slots(profile);
}

/* Adds a source of starts: so many at once, and as many again in every average duration. */
static void forecast_add_source(struct forecast *forecast, double at, double starts, double renewed)
{
    forecast->steps[forecast->count++] = (struct forecast_step){.at = at, .starts = starts};
    forecast->steps[forecast->count++] = (struct forecast_step){
        .at = at + forecast->average / 2,
        .rate = renewed / forecast->average,
    };
}

/* After a cooldown one probe may start, and others when it has ended. */
static void forecast_add_free_slots(struct forecast *forecast, const struct profile *profile)
{
    const struct cooldown *cooldown = profile_cooldown(profile);
    double slots = (double)forecast->free_slots, rest = forecast->rest;

    if (slots > 0 && cooldown->length && !cooldown->is_probing) {
        forecast_add_source(forecast, rest, 1, 1);
        slots--;
    }
    if (slots > 0)
        forecast_add_source(forecast, cooldown->length ? rest + forecast->average : rest, slots,
                            slots);
}

/* If more are running than allowed, as after the limit was lowered, the first ones to end free no
 * slot. */
static void forecast_add_runs(struct forecast *forecast, const struct profile *profile)
{
    struct samples samples = forecast_sort_samples(&profile->window);
    double runs = (double)profile->running_count, slots = (double)forecast->slots;
    double renewed = runs > slots ? slots / runs : 1;
    size_t parts = forecast_parts_of(profile);

    list_for_each (link, &profile->running) {
        const struct forecast_run *run = list_entry(link, struct forecast_run, link);

        for (size_t i = 0; i < parts; i++) {
            double share = 1 / (double)parts;
            double left = forecast_remaining(&samples, run, forecast, ((double)i + 0.5) * share);

            forecast_add_source(forecast, fmax(left, forecast->rest), share, renewed * share);
        }
    }
    free(samples.array);
}

static void forecast_sum_up(struct forecast *forecast)
{
    struct forecast_step *steps = forecast->steps;

    qsort(steps, forecast->count, sizeof(*steps), forecast_compare_steps);
    for (size_t i = 1; i < forecast->count; i++) {
        steps[i].starts +=
            steps[i - 1].starts + steps[i - 1].rate * (steps[i].at - steps[i - 1].at);
        steps[i].rate += steps[i - 1].rate;
    }
}

/* Updates the profile's forecast to the present. A large one is computed only once per millisecond:
 * a run more or less makes no difference to it, but computing it is expensive. */
static void forecast_update(struct profile *profile, int64_t now)
{
    struct forecast *forecast = &profile->forecast, old = *forecast;
    bool is_large = old.count > 4 * PARTS_SUM;
    size_t sources = 3 + forecast_parts_of(profile) * profile->running_count;
    double average =
        profile->window.count ? metrics_window_average(&profile->window) : ESTIMATE_TYPICAL_SECONDS;

    *forecast = (struct forecast){
        .is_current = true,
        .now = now,
        .slots = profile_slots(profile),
        .free_slots = forecast_count_free_slots(profile),
        .rest = forecast_cooldown_rest(profile, now),
        .average = fmax(average, 0.001),
        .steps = old.steps,
        .count = old.count,
    };
    if (old.now == now && old.count > 0 &&
        (is_large || (old.is_current && old.slots == forecast->slots &&
                      old.free_slots == forecast->free_slots && old.rest == forecast->rest)))
        return;
    forecast->count = 0;
    forecast->steps = xrealloc(forecast->steps, 2 * sources * sizeof(*forecast->steps));
    forecast_add_free_slots(forecast, profile);
    forecast_add_runs(forecast, profile);
    if (!forecast->count) /* no slot: assume one after the duration of an attempt */
        forecast_add_source(forecast, forecast->rest + forecast->average, 1, 1);
    forecast_sum_up(forecast);
}

double forecast_wait(struct profile *profile, int64_t position, int64_t now)
{
    const struct forecast *forecast = &profile->forecast;
    const struct forecast_step *steps;
    double target, at;
    size_t low = 0, high;

    forecast_update(profile, now);
    steps = forecast->steps;
    target = (double)position - 0.5;
    if ((int64_t)profile->running_count > forecast->slots)
        target += (double)((int64_t)profile->running_count - forecast->slots);
    for (high = forecast->count; low < high;) {
        size_t middle = low + (high - low) / 2;

        if (steps[middle].starts < target - ROUNDING)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return steps[0].at;
    /* Interpolate before that step, or take the step itself. */
    at = steps[low - 1].at + (target - steps[low - 1].starts) / steps[low - 1].rate;
    return low < forecast->count ? fmin(at, steps[low].at) : at;
}
