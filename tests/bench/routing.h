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
#define FAIL_AFTER  0.3  /* of the time that it would have taken otherwise */
#define LIMIT_MS    2000 /* duration of an attempt that hits a rate limit */

extern double spread; /* sigma of the log-normal sizes of the tasks of a type */
extern struct routing_weights weights;
extern const struct health_limits limits;

/* The kinds of work: mean size in seconds at speed 1, and their share of the arrivals. */
enum { CODING, TESTING, DOCS, ANALYSIS, TYPES };

extern const struct work_type {
    const char *name;
    double mean, share;
} types[TYPES];

/* Profiles. A speed of 0 means that the profile lacks the capability. */
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
    double peak;            /* load during the first third of the tasks, if above 0 */
    const char *sick;       /* profile that is sick from a quarter to a half of the time */
    double sick_chance;     /* probability that its attempts fail then, */
    enum error_class class; /* and their error class */
};

#define SCENARIOS 11

extern const struct scenario scenarios[SCENARIOS];

enum policy { ACPD, RANDOM, ROUND_ROBIN, LEAST_LOADED, INFORMED, ORACLE, POLICIES };

extern const char *const policy_names[POLICIES];

/* What a random number is used for. */
enum stream { SEED_GAP, SEED_TYPE, SEED_WORK, SEED_FAIL, SEED_RETRY, SEED_CHOICE, SEED_PAST };

enum event_type { EVENT_ARRIVAL, EVENT_END, EVENT_WAKE, EVENT_COOLED };

struct event {
    struct heap_node node; /* by ms */
    enum event_type type;
};

struct job {
    struct event event; /* its next event */
    struct list link;   /* in a queue, in the order of execution */
    struct forecast_run run;
    struct task task;
    int type;
    double work; /* seconds at speed 1 */
    struct place *place;
    int64_t arrived, started, ends;
    enum error_class class; /* how the attempt ends */
    bool is_probe;
    double told, told_before; /* predicted wait in seconds: by the forecast, by counting */
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

/** Uniform in (0, 1): splitmix64 of its use, so it does not depend on earlier calls. */
double uniform(uint64_t seed, enum stream stream, int64_t a, int64_t b);
int64_t duration_of(const struct job *job, const struct place *place);
void make_places(struct world *world);
void make_jobs(struct world *world);
void world_deinit(struct world *world);

/* Its events (routing_run.c) */

/** Runs until every job is done. */
void run(struct world *world);
