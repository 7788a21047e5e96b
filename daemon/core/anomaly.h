/* SPDX-License-Identifier: MIT */
/*
 * Detects recent values that are unusual, with EWMA control charts.
 *
 * A chart follows a figure x by z = lambda x + (1 - lambda) z, and compares z with a baseline, the
 * mean and the standard deviation sigma of what came before. If nothing has changed, z has the
 * standard deviation sigma sqrt(lambda / (2 - lambda)), so it is unusual beyond
 *
 *     mean +- L sigma sqrt(lambda / (2 - lambda))
 *
 * (S. W. Roberts, "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1, 1959;
 * D. C. Montgomery, "Introduction to Statistical Quality Control", on the EWMA chart.)
 *
 * The baseline is first the average of all samples and then forgets slowly: a lasting shift is
 * reported for a while and then becomes usual. Small differences do not matter to people, so each
 * chart has a minimum distance between mean and limit.
 */
#pragma once

#include "common/macros.h"

enum anomaly_metric {
    ANOMALY_DURATION, /* of attempts: the logarithm of their ms */
    ANOMALY_FAILURES, /* of attempts: 1 or 0 */
    ANOMALY_ARRIVALS, /* of tasks, in one minute */
    ANOMALY_METRIC_COUNT,
};

/* Indexed by value, NULL-terminated. */
extern const char *const anomaly_metric_names[];

struct anomaly_chart {
    int64_t count;         /* samples */
    double mean, variance; /* the baseline */
    double z;
};

struct anomaly_charts {
    struct anomaly_chart charts[ANOMALY_METRIC_COUNT];
};

/* In users' units: seconds, percent, tasks per minute. */
struct anomaly {
    const char *metric;
    bool is_high;
    double value, usual, limit;
    char text[160];
};

void anomaly_add(struct anomaly_charts *charts, enum anomaly_metric metric, double x);
/** Records the duration and outcome of an attempt that counts. */
void anomaly_add_attempt(struct anomaly_charts *charts, bool success, int64_t duration_ms);
/** Whether the figure is unusual now. */
bool anomaly_find(const struct anomaly_charts *charts, enum anomaly_metric metric,
                  struct anomaly *ret_anomaly);
