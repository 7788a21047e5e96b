/* SPDX-License-Identifier: MIT */
/* The simulated world of ./dev bench routing: see routing.c. */
#pragma once

#include "common/heap.h"
#include "common/list.h"
#include "core/profile.h"
#include "core/router.h"
#include "core/task.h"

#define RETENTION   100  /* metricsRetention: acpd's default */
#define FAIL_CHANCE 0.02 /* of an attempt at any profile */
#define FAIL_AFTER  0.3  /* of the time that it would have taken */
#define LIMIT_MS    2000 /* an attempt that meets a rate limit ends after this */

extern double spread; /* sigma of the log-normal sizes of the tasks of a type */
extern struct routing_weights weights;
extern const struct health_limits limits;

/* The kinds of work: mean size in seconds at speed 1, and their share of the arrivals. */
enum { CODING, TESTING, DOCS, ANALYSIS, TYPES };

extern const struct work_type {
    const char *name;
    double mean, share;
} types[TYPES];

/* Profiles: a speed of 0 is a capability that it lacks. */
#define PROFILES_MAX 8

struct worker {
    const char *name;
    int slots, priority;
    double speed[TYPES];
};

struct scenario {
    const char *name;
    const struct worker *workers;
    double load;            /* of the capacity: slots times speed, over the types by their share */
    int burst;              /* tasks that arrive together */
    double peak;            /* for the first third of the tasks: the load instead */
    const char *sick;       /* this profile, from a quarter to a half of the time: */
    double sick_chance;     /* of an attempt to fail, */
    enum error_class class; /* so */
};

#define SCENARIOS 11

extern const struct scenario scenarios[SCENARIOS];

enum policy { ACPD, RANDOM, ROUND_ROBIN, LEAST_LOADED, INFORMED, ORACLE, POLICIES };

extern const char *const policy_names[POLICIES];

/* What a number of the seed stands for. */
enum stream { SEED_GAP, SEED_TYPE, SEED_WORK, SEED_FAIL, SEED_RETRY, SEED_CHOICE, SEED_PAST };

enum event_type { EVENT_ARRIVAL, EVENT_END, EVENT_WAKE, EVENT_COOLED };

struct event {
    struct heap_node node; /* by ms */
    enum event_type type;
};

struct job {
    struct event event; /* what happens to it next */
    struct list link;   /* in a queue, in the order in which they run */
    struct forecast_run run;
    struct task task;
    int type;
    double work; /* seconds at speed 1 */
    struct place *place;
    int64_t arrived, started, ends;
    enum error_class class; /* how the attempt ends */
    bool is_probe;
    double told, told_before; /* the wait, in seconds: by the forecast, and by counting */
};

struct place {
    struct event cooled;
    const struct worker *worker;
    struct profile *profile;
    struct list queue, asleep; /* struct job: ready, and waiting for a retry */
    int64_t number;
};

struct world {
    const struct scenario *scenario;
    enum policy policy;
    bool is_warm; /* windows are full at the start, as after a restart */
    uint64_t seed;
    int64_t now;
    struct heap events;
    struct job *jobs;
    size_t job_count;
    struct place places[PROFILES_MAX];
    size_t place_count, turn;
    int64_t sick_from, sick_to;
    int64_t failed;
};

/* The world (routing_world.c) */

/** Uniform in (0, 1): splitmix64 of what it is for, so that it does not depend on who asked before.
 */
double uniform(uint64_t seed, enum stream stream, int64_t a, int64_t b);
int64_t duration_of(const struct job *job, const struct place *place);
void make_places(struct world *world);
void make_jobs(struct world *world);
void world_deinit(struct world *world);

/* What happens in it (routing_run.c) */

/** Until every job has been done. */
void run(struct world *world);
