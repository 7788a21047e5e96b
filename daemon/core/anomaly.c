/* SPDX-License-Identifier: MIT */
#include "core/anomaly.h"

#include <math.h>
#include <stdio.h>

#define L           4  /* standard deviations; wide, because there are many charts */
#define SAMPLES_MIN 30 /* for a baseline */

const char *const anomaly_metric_names[] = {
    [ANOMALY_DURATION] = "duration",
    [ANOMALY_FAILURES] = "failureRate",
    [ANOMALY_ARRIVALS] = "arrivalRate",
    [ANOMALY_METRIC_COUNT] = NULL,
};

static const struct row {
    const char *subject, *unit;
    double lambda;
    double memory;       /* number of samples over which the baseline adapts */
    double variance_min; /* of a sample */
    double distance_min; /* between the mean and a limit */
} rows[] = {
    /* Durations differ by factors, so their logarithms are charted. A factor of 1.5 matters. */
    [ANOMALY_DURATION] = {"attempts take", " s", 0.2, 100, 0, 0.4054651081081644 /* ln 1.5 */},
    /* Two failures in a row are acceptable, three are not. */
    [ANOMALY_FAILURES] = {"the failure rate is", " %", 0.1, 100, 0, 0.2},
    /* The variance of a Poisson process is its mean; see anomaly_variance_of(). */
    [ANOMALY_ARRIVALS] = {"the arrival rate is", " per minute", 0.1, 240, 1, 0},
};

/* West's incremental mean and variance ("Updating mean and variance estimates", 1979), where the
 * weight of a new sample never falls below that of a moving average. */
static void anomaly_learn(struct anomaly_chart *chart, double x, double memory)
{
    double n = (double)chart->count, weight = 1 / (n < memory ? n : memory),
           delta = x - chart->mean;

    chart->mean += weight * delta;
    chart->variance = (1 - weight) * (chart->variance + weight * delta * delta);
}

void anomaly_add(struct anomaly_charts *charts, enum anomaly_metric metric, double x)
{
    const struct row *row = &rows[metric];
    struct anomaly_chart *chart = &charts->charts[metric];

    chart->count++;
    anomaly_learn(chart, x, row->memory);
    if (chart->count <= SAMPLES_MIN)
        chart->z = chart->mean;
    else
        chart->z += row->lambda * (x - chart->z);
}

void anomaly_add_attempt(struct anomaly_charts *charts, bool success, int64_t duration_ms)
{
    anomaly_add(charts, ANOMALY_DURATION, log(duration_ms > 1 ? (double)duration_ms : 1));
    anomaly_add(charts, ANOMALY_FAILURES, !success);
}

static double anomaly_variance_of(const struct anomaly_chart *chart, enum anomaly_metric metric)
{
    double least = rows[metric].variance_min;

    if (metric == ANOMALY_ARRIVALS && chart->mean > least)
        least = chart->mean;
    return chart->variance > least ? chart->variance : least;
}

static double anomaly_distance_of(const struct anomaly_chart *chart, enum anomaly_metric metric)
{
    const struct row *row = &rows[metric];
    double distance =
        L * sqrt(anomaly_variance_of(chart, metric)) * sqrt(row->lambda / (2 - row->lambda));

    return distance > row->distance_min ? distance : row->distance_min;
}

/* The charted value in users' units. */
static double anomaly_shown(enum anomaly_metric metric, double figure)
{
    switch (metric) {
    case ANOMALY_DURATION:
        return exp(figure) / 1000;
    case ANOMALY_FAILURES:
        return 100 * figure;
    case ANOMALY_ARRIVALS:
    case ANOMALY_METRIC_COUNT:
        break;
    }
    return figure;
}

/* About three significant digits, without an exponent. */
static int anomaly_decimals(double figure)
{
    return figure >= 100 || figure == 0 ? 0 : figure >= 10 ? 1 : figure >= 1 ? 2 : 3;
}

static void anomaly_describe(enum anomaly_metric metric, struct anomaly *a)
{
    const char *unit = rows[metric].unit;

    snprintf(a->text, sizeof(a->text), "%s %.*f%s lately, usually %.*f%s: %s the limit of %.*f%s",
             rows[metric].subject, anomaly_decimals(a->value), a->value, unit,
             anomaly_decimals(a->usual), a->usual, unit, a->is_high ? "above" : "below",
             anomaly_decimals(a->limit), a->limit, unit);
}

bool anomaly_find(const struct anomaly_charts *charts, enum anomaly_metric metric,
                  struct anomaly *ret_anomaly)
{
    const struct anomaly_chart *chart = &charts->charts[metric];
    double off = chart->z - chart->mean, distance = anomaly_distance_of(chart, metric);
    struct anomaly anomaly = {.metric = anomaly_metric_names[metric], .is_high = off > 0};

    if (chart->count <= SAMPLES_MIN || fabs(off) <= distance)
        return false;
    anomaly.value = anomaly_shown(metric, chart->z);
    anomaly.usual = anomaly_shown(metric, chart->mean);
    anomaly.limit = anomaly_shown(metric, chart->mean + (off > 0 ? distance : -distance));
    anomaly_describe(metric, &anomaly);
    *ret_anomaly = anomaly;
    return true;
}
