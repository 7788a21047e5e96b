/* SPDX-License-Identifier: MIT */
/*
 * The number of attempts that an autoscaling profile may run at once: additive increase,
 * multiplicative decrease (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
 * Congestion Avoidance", 1989; as TCP does it). Success adds 1/limit, so a whole round of attempts
 * adds one; a provider's request to slow down halves the limit, once for all attempts running at
 * that moment. Times are monotonic ms.
 */
#pragma once

#include "core/error_class.h"

struct autoscale {
    double limit; /* 0: as many as are configured */
    int64_t cut_at;
};

/** Records the end of an attempt that began at `started`. min 0 disables autoscaling. */
void autoscale_note(struct autoscale *scale, enum error_class class, int64_t started, int64_t min,
                    int64_t max, int64_t now);
/** The limit of concurrent attempts, from min to max; max if disabled. */
int64_t autoscale_slots(const struct autoscale *scale, int64_t min, int64_t max);
