/* SPDX-License-Identifier: MIT */
/*
 * Predicts when a task will start, from the profile's window of attempts. The eta of `pending` and
 * the load term of the router are based on it.
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

/* The expected number of waiting tasks that a profile has started by a given time: a function that
 * grows in steps and linearly. It is valid for one moment. */
struct forecast {
    bool is_current;
    int64_t now; /* monotonic ms */
    int64_t slots, free_slots;
    double rest;    /* seconds of the cooldown that are left */
    double average; /* seconds of an attempt, whatever its type and end */
    struct forecast_step {
        double at;     /* seconds from now */
        double starts; /* expected until then, including this step */
        double rate;   /* further ones per second from then on */
    } * steps;
    size_t count;
};

static inline void forecast_deinit(struct forecast *forecast)
{
    free(forecast->steps);
    *forecast = (struct forecast){0};
}

/** Records that an attempt occupies a slot of the profile. */
void forecast_begin_run(struct profile *profile, struct forecast_run *run, uint64_t type,
                        int64_t now);
/** Records that it no longer does. */
void forecast_end_run(struct profile *profile, struct forecast_run *run);

/**
 * The seconds until the task at this position in the queue starts; 1 starts next. Includes a
 * cooldown; ignores whether the profile is active.
 */
double forecast_wait(struct profile *profile, int64_t position, int64_t now);
