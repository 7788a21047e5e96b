/* SPDX-License-Identifier: MIT */
/* What an attempt of one type takes at each of several profiles, as far as their windows tell. */
#pragma once

#include "core/metrics.h"

/* Without any attempt to go by, one is taken to last this long. */
#define ESTIMATE_TYPICAL_SECONDS 60.0

struct estimate {
    double count;   /* attempts of the type that succeeded */
    double mean;    /* their seconds */
    double scatter; /* sum of (seconds / mean - 1)^2 */
    double seconds; /* what comes out: see estimate_compare() */
};

/** Only successes count: an attempt that fails may do so at once, and failing fast is not being
 *  fast. Nothing is taken from other types: see estimate.c. */
void estimate_init(struct estimate *estimate, const struct metrics_window *window, uint64_t type);

/** Works `seconds` out for profiles that are to be compared with each other; it is never 0. */
void estimate_compare(struct estimate *const *estimates, size_t count);
