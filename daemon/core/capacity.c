/* SPDX-License-Identifier: MIT */
#include "core/capacity.h"

#include <math.h>

static double capacity_next_b(double b, double offered, int64_t slots)
{
    return offered * b / ((double)slots + offered * b);
}

static double capacity_c_of_b(double b, double offered, int64_t slots)
{
    double utilization = offered / (double)slots;

    return utilization < 1 ? b / (1 - utilization * (1 - b)) : 1;
}

static double capacity_wait_of_b(double b, double offered, double duration, int64_t slots)
{
    if (offered >= (double)slots)
        return INFINITY;
    return capacity_c_of_b(b, offered, slots) * duration / ((double)slots - offered);
}

double capacity_erlang_b(double offered, int64_t slots)
{
    double b = 1;

    for (int64_t k = 1; k <= slots && b > 0; k++)
        b = capacity_next_b(b, offered, k);
    return b;
}

double capacity_erlang_c(double offered, int64_t slots)
{
    return capacity_c_of_b(capacity_erlang_b(offered, slots), offered, slots);
}

double capacity_wait(double offered, double duration, int64_t slots)
{
    return capacity_wait_of_b(capacity_erlang_b(offered, slots), offered, duration, slots);
}

int64_t capacity_slots(double offered, double duration, double target)
{
    double b = 1;

    if (offered >= CAPACITY_SLOTS_MAX)
        return 0;
    for (int64_t k = 1; k <= CAPACITY_SLOTS_MAX; k++) {
        b = capacity_next_b(b, offered, k);
        if (capacity_wait_of_b(b, offered, duration, k) <= target)
            return k;
    }
    return 0;
}
