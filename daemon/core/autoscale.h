/* SPDX-License-Identifier: MIT */
/*
 * How many attempts a profile may run at once, when it is told to find that out: additive increase,
 * multiplicative decrease (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
 * Congestion Avoidance", 1989; as TCP does it). Success adds 1/limit, so that a whole round of
 * attempts adds one; a provider that says to slow down halves the limit, once for all attempts that
 * were under way at that moment. Times are monotonic ms.
 */
#pragma once

#include "core/error_class.h"

struct autoscale {
    double limit; /* 0: as many as are configured */
    int64_t cut_at;
};

/** Notes the end of an attempt that began at `started`. min 0 turns it off. */
void autoscale_note(struct autoscale *scale, enum error_class class, int64_t started, int64_t min,
                    int64_t max, int64_t now);
/** Attempts at once, from min to max; max when it is off. */
int64_t autoscale_slots(const struct autoscale *scale, int64_t min, int64_t max);
