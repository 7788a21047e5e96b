/* SPDX-License-Identifier: MIT */
/* Estimates the duration of an attempt of one type at each of several profiles from their windows.
 */
#pragma once

#include "core/metrics.h"

/* The assumed duration without any data. */
#define ESTIMATE_TYPICAL_SECONDS 60.0

struct estimate {
    double count;   /* attempts of the type that succeeded */
    double mean;    /* their seconds */
    double scatter; /* sum of (seconds / mean - 1)^2 */
    double seconds; /* the result of estimate_compare() */
};

/** Only successes count, because an attempt that fails may do so at once. Other types are ignored:
 *  see estimate.c. */
void estimate_init(struct estimate *estimate, const struct metrics_window *window, uint64_t type);

/** Computes `seconds` for profiles to be compared with each other; it is never 0. */
void estimate_compare(struct estimate *const *estimates, size_t count);
