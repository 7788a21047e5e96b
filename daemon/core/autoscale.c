/* SPDX-License-Identifier: MIT */
#include "core/autoscale.h"

#include <math.h>

static double autoscale_limit_of(const struct autoscale *scale, int64_t min, int64_t max)
{
    return scale->limit > 0 ? fmin(fmax(scale->limit, (double)min), (double)max) : (double)max;
}

int64_t autoscale_slots(const struct autoscale *scale, int64_t min, int64_t max)
{
    return min ? (int64_t)autoscale_limit_of(scale, min, max) : max;
}

void autoscale_note(struct autoscale *scale, enum error_class class, int64_t started, int64_t min,
                    int64_t max, int64_t now)
{
    double limit = autoscale_limit_of(scale, min, max);

    if (!min)
        return;
    if (class == ERROR_NONE) {
        limit += 1 / limit;
    } else if (error_class_info(class)->halves_slots && started >= scale->cut_at) {
        limit /= 2;
        scale->cut_at = now;
    }
    scale->limit = fmin(fmax(limit, (double)min), (double)max);
}
