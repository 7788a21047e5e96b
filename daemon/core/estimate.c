/* SPDX-License-Identifier: MIT */
/*
 * Averages of few attempts differ by chance. Used as they are, they would make differences between
 * equal profiles, and a profile that was unlucky once would never get a task again. So:
 *
 * 1. The means are shrunk towards each other as far as chance explains their differences. With s^2
 *    the relative variance of an attempt, the mean of n attempts has the variance s^2 / n. What the
 *    means vary beyond that, t^2, is how much the profiles really differ. Each mean m_i, as
 *    log(m_i / m), keeps the share t^2 / (t^2 + s^2 / n_i) of its distance from the common mean m
 *    (empirical Bayes: Efron and Morris, "Data Analysis Using Stein's Estimator", 1975; t^2 by the
 *    moments of DerSimonian and Laird, "Meta-analysis in clinical trials", 1986).
 *
 * 2. Optimism in the face of uncertainty (Lai and Robbins, 1985): each profile gets one extra
 *    attempt that took as long as the shortest estimate, so that profiles with few or no attempts
 *    are tried again.
 *
 * A profile's durations for other types say little: guessing an unknown type from their average was
 * clearly worse, and so was guessing from how slow the profile is at types that others do too.
 */
#include "core/estimate.h"

#include <math.h>

/* The number of optimistic attempts of step 2. */
#define HOPE 1.0

#define SHORTEST 0.001 /* seconds, so that ratios exist */

void estimate_init(struct estimate *estimate, const struct metrics_window *window, uint64_t type)
{
    double count = 0, sum = 0, squares = 0;

    for (size_t i = 0; i < window->count && i < METRICS_RECENT; i++) {
        const struct metrics_sample *sample = metrics_window_at(window, i);
        double seconds = fmax(SHORTEST, (double)sample->duration_ms / 1000);

        if (!sample->success || sample->type != type)
            continue;
        count++;
        sum += seconds;
        squares += seconds * seconds;
    }
    *estimate = (struct estimate){.count = count};
    if (count == 0)
        return;
    estimate->mean = estimate->seconds = sum / count;
    estimate->scatter = fmax(0, squares / (estimate->mean * estimate->mean) - count);
}

/* Step 1, for those that have attempts. */
static void estimate_draw_together(struct estimate *const *estimates, size_t count)
{
    double known = 0, attempts = 0, squares = 0, sum = 0, scatter = 0, distance = 0;
    double mean, chance, difference;

    for (size_t i = 0; i < count; i++) {
        known += estimates[i]->count > 0;
        attempts += estimates[i]->count;
        squares += estimates[i]->count * estimates[i]->count;
        sum += estimates[i]->count * estimates[i]->mean;
        scatter += estimates[i]->scatter;
    }
    if (known < 2 || attempts <= known || scatter <= 0)
        return; /* nothing to compare with, or no estimate of the variance */
    mean = sum / attempts;
    chance = scatter / (attempts - known);
    for (size_t i = 0; i < count; i++)
        if (estimates[i]->count > 0)
            distance += estimates[i]->count * pow(log(estimates[i]->mean / mean), 2);
    difference = fmax(0, (distance - (known - 1) * chance) / (attempts - squares / attempts));
    for (size_t i = 0; i < count; i++) {
        struct estimate *e = estimates[i];

        if (e->count > 0)
            e->seconds = mean * pow(e->mean / mean, difference / (difference + chance / e->count));
    }
}

void estimate_compare(struct estimate *const *estimates, size_t count)
{
    double shortest = INFINITY;

    estimate_draw_together(estimates, count);
    for (size_t i = 0; i < count; i++)
        if (estimates[i]->count > 0)
            shortest = fmin(shortest, estimates[i]->seconds);
    if (isinf(shortest))
        shortest = ESTIMATE_TYPICAL_SECONDS;
    for (size_t i = 0; i < count; i++) {
        struct estimate *e = estimates[i];

        e->seconds = (e->count * e->seconds + HOPE * shortest) / (e->count + HOPE);
    }
}
