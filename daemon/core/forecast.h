/* SPDX-License-Identifier: MIT */
/*
 * When will a task start? Learnt from the profile's window of attempts; the eta of `pending` and
 * the load term of the router are built on it.
 */
#pragma once

#include "common/list.h"
#include "core/metrics.h"

struct profile;

/* An attempt that occupies a slot, in the list of its profile. */
struct forecast_run {
    struct list link;
    uint64_t type;   /* of its task: metrics_type() */
    int64_t started; /* monotonic ms */
};

/* How many waiting tasks a profile is expected to have started by then: a function of time that
 * grows in steps and in straight lines. It holds for one moment. */
struct forecast {
    bool is_current;
    int64_t now; /* monotonic ms */
    int64_t slots, free_slots;
    double rest;    /* seconds of the cooldown that are left */
    double average; /* seconds of an attempt, whatever its type and end */
    struct forecast_step {
        double at;     /* seconds from now */
        double starts; /* expected until then, this step's own included */
        double rate;   /* further ones a second from then on */
    } * steps;
    size_t count;
};

static inline void forecast_deinit(struct forecast *forecast)
{
    free(forecast->steps);
    *forecast = (struct forecast){0};
}

/** Notes that an attempt occupies a slot of the profile. */
void forecast_begin_run(struct profile *profile, struct forecast_run *run, uint64_t type,
                        int64_t now);
/** That it no longer does. */
void forecast_end_run(struct profile *profile, struct forecast_run *run);

/**
 * The seconds until the task at this place of the queue starts: 1 is the one that starts next. A
 * cooldown is included, whether the profile is active is not.
 */
double forecast_wait(struct profile *profile, int64_t position, int64_t now);
