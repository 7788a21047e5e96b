/* SPDX-License-Identifier: MIT */
/*
 * Routing, simulated by discrete events: tasks arrive, a policy sends each to a profile, profiles
 * run them in slots, fail, retry and cool down. A task that failed is submitted again at once,
 * until it succeeds. Router, forecast, retry, health and cooldown are acpd's own. In a seed every
 * policy meets the same arrivals, and a task takes the same time at a profile whoever sends it
 * there (common random numbers).
 *
 *     routing [--seeds N] [--tasks N] [--spread SIGMA] [--load-weight W]
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/heap.h"
#include "common/strv.h"
#include "core/retry.h"
#include "core/router.h"

#define RETENTION   100  /* metricsRetention: acpd's default */
#define FAIL_CHANCE 0.02 /* of an attempt at any profile */
#define FAIL_AFTER  0.3  /* of the time that it would have taken */
#define LIMIT_MS    2000 /* an attempt that meets a rate limit ends after this */
#define SEEDS_MAX   1000

static double spread = 0.5; /* sigma of the log-normal sizes of the tasks of a type */
static struct routing_weights weights = {0.3, 0.4, 0.2, 0.1}; /* acpd's defaults */
static const struct health_limits limits = {.lapse_ms = 300000};

/* The kinds of work: mean size in seconds at speed 1, and their share of the arrivals. */
enum { CODING, TESTING, DOCS, ANALYSIS, TYPES };

static const struct {
    const char *name;
    double mean, share;
} types[TYPES] = {
    {"coding", 60, 0.4},
    {"testing", 30, 0.3},
    {"docs", 20, 0.2},
    {"analysis", 120, 0.1},
};

/* Profiles: a speed of 0 is a capability that it lacks. */
#define PROFILES_MAX 8

struct worker {
    const char *name;
    int slots, priority;
    double speed[TYPES];
};

/* Generalists that do everything, beside those that are quicker at the one or two that they do. */
static const struct worker team[] = {
    {"coder", 2, 3, {2, 1, 0, 0}},
    {"tester", 1, 3, {0, 2, 1, 0}},
    {"writer", 1, 3, {0, 0, 2, 1}},
    {"analyst", 1, 3, {0, 0, 1, 2}},
    {"senior", 4, 3, {1, 1, 1, 1}},
    {"junior", 3, 3, {0.5, 0.5, 0.5, 0.5}},
    {NULL},
};

/* One capability each, at two and a half times the speed, and two that have them all. */
static const struct worker specialists[] = {
    {"coder", 2, 3, {2.5, 0, 0, 0}},
    {"tester", 1, 3, {0, 2.5, 0, 0}},
    {"writer", 1, 3, {0, 0, 2.5, 0}},
    {"analyst", 1, 3, {0, 0, 0, 2.5}},
    {"all-a", 3, 3, {1, 1, 1, 1}},
    {"all-b", 3, 3, {1, 1, 1, 1}},
    {NULL},
};

/* The same agent behind profiles of different size. */
static const struct worker sizes[] = {
    {"one", 1, 3, {1, 1, 1, 1}},
    {"two", 2, 3, {1, 1, 1, 1}},
    {"four", 4, 3, {1, 1, 1, 1}},
    {"eight", 8, 3, {1, 1, 1, 1}},
    {NULL},
};

/* The same abilities at different speeds. */
static const struct worker speeds[] = {
    {"fast", 2, 3, {4, 4, 4, 4}},
    {"brisk", 2, 3, {2, 2, 2, 2}},
    {"steady", 2, 3, {1, 1, 1, 1}},
    {"slow", 2, 3, {0.5, 0.5, 0.5, 0.5}},
    {NULL},
};

/* The team, with priorities that someone chose by taste. */
static const struct worker tastes[] = {
    {"coder", 2, 2, {2, 1, 0, 0}},
    {"tester", 1, 5, {0, 2, 1, 0}},
    {"writer", 1, 3, {0, 0, 2, 1}},
    {"analyst", 1, 1, {0, 0, 1, 2}},
    {"senior", 4, 4, {1, 1, 1, 1}},
    {"junior", 3, 5, {0.5, 0.5, 0.5, 0.5}},
    {NULL},
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

static const struct scenario scenarios[] = {
    {"light", team, 0.3, 1},
    {"medium", team, 0.6, 1},
    {"heavy", team, 0.85, 1},
    {"bursts", team, 0.5, 25},
    {"overload", team, 0.5, 1, .peak = 1.3},
    {"specialists", specialists, 0.6, 1},
    {"sizes", sizes, 0.85, 1},
    {"speeds", speeds, 0.6, 1},
    {"priorities", tastes, 0.6, 1},
    {"failing", team, 0.5, 1, .sick = "coder", .sick_chance = 0.8, .class = ERROR_EXIT},
    {"limited", team, 0.5, 1, .sick = "senior", .sick_chance = 1, .class = ERROR_RATE_LIMIT},
};

enum policy { ACPD, RANDOM, ROUND_ROBIN, LEAST_LOADED, INFORMED, ORACLE, POLICIES };

static const char *const policy_names[POLICIES] = {
    "acpd", "random", "round robin", "least loaded", "means known", "oracle",
};

/* --- what is random ------------------------------------------------------------------------- */

/* What a number of the seed stands for. */
enum stream { SEED_GAP, SEED_TYPE, SEED_WORK, SEED_FAIL, SEED_RETRY, SEED_CHOICE, SEED_PAST };

/* Uniform in (0, 1): splitmix64 of what it is for, so that it does not depend on who asked before.
 */
static double uniform(uint64_t seed, enum stream stream, int64_t a, int64_t b)
{
    const uint64_t parts[] = {(uint64_t)stream, (uint64_t)a, (uint64_t)b};
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        x += parts[i] + UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        x ^= x >> 31;
    }
    return ((double)(x >> 11) + 0.5) * 0x1p-53;
}

/* Log-normal with mean 1. */
static double lognormal(uint64_t seed, enum stream stream, int64_t a, int64_t b, double sigma)
{
    double u = uniform(seed, stream, a, 2 * b), v = uniform(seed, stream, a, 2 * b + 1);

    return exp(sigma * sqrt(-2 * log(u)) * cos(2 * M_PI * v) - sigma * sigma / 2);
}

static int draw_type(double chance)
{
    int type = 0;

    while (type < TYPES - 1 && chance >= types[type].share)
        chance -= types[type++].share;
    return type;
}

/* --- the world ------------------------------------------------------------------------------- */

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

static double mean_work(void)
{
    double sum = 0;

    for (int t = 0; t < TYPES; t++)
        sum += types[t].share * types[t].mean;
    return sum;
}

/* Seconds of work that the workers do in a second. */
static double capacity_of(const struct worker *workers)
{
    double sum = 0;

    for (; workers->name; workers++) {
        double speed = 0, share = 0;

        for (int t = 0; t < TYPES; t++) {
            double part = types[t].share * types[t].mean;

            if (workers->speed[t] > 0) {
                speed += part * workers->speed[t];
                share += part;
            }
        }
        sum += workers->slots * speed / share;
    }
    return sum;
}

static int64_t duration_of(const struct job *job, const struct place *place)
{
    return 1 + (int64_t)(1000 * job->work / place->worker->speed[job->type]);
}

/* Attempts before the beginning: of each type that the profile does, by their share. */
static void fill_window(const struct world *world, struct place *place)
{
    for (int64_t i = 0; i < 3 * RETENTION; i++) {
        int type = draw_type(uniform(world->seed, SEED_PAST, place->number, i));
        double work = types[type].mean *
                      lognormal(world->seed, SEED_PAST, PROFILES_MAX + place->number, i, spread);

        if (place->worker->speed[type] > 0)
            metrics_window_add(
                &place->profile->window,
                &(struct metrics_sample){
                    .duration_ms = (int64_t)(1000 * work / place->worker->speed[type]),
                    .type = metrics_type(types[type].name),
                    .success = true,
                });
    }
}

static void make_places(struct world *world)
{
    for (const struct worker *worker = world->scenario->workers; worker->name; worker++) {
        struct place *place = &world->places[world->place_count];
        struct profile_config config = {
            .name = xstrdup(worker->name),
            .max_concurrent_tasks = worker->slots,
            .priority = worker->priority,
            .queue_limit = INT64_MAX,
            .max_attempts = 3,
            .backoff_ms = 1000,
            .max_backoff_ms = 300000,
            .cooldown_min_ms = 5000,
            .cooldown_max_ms = 600000,
        };

        for (int t = 0; t < TYPES; t++)
            if (worker->speed[t] > 0)
                strv_push(&config.capabilities, xstrdup(types[t].name));
        *place = (struct place){
            .worker = worker,
            .profile = profile_new(&config),
            .number = (int64_t)world->place_count++,
            .cooled.type = EVENT_COOLED,
        };
        metrics_window_resize(&place->profile->window, RETENTION);
        if (world->is_warm)
            fill_window(world, place);
        list_init(&place->queue);
        list_init(&place->asleep);
    }
}

static void make_jobs(struct world *world)
{
    const struct scenario *scenario = world->scenario;
    double rate = scenario->load * capacity_of(scenario->workers) / mean_work(), at = 0;

    world->jobs = xcalloc(world->job_count, sizeof(*world->jobs));
    for (size_t i = 0; i < world->job_count; i++) {
        struct job *job = &world->jobs[i];
        int64_t id = (int64_t)i + 1;
        bool is_peak = scenario->peak > 0 && i < world->job_count / 3;

        if (i % (size_t)scenario->burst == 0)
            at -= log(uniform(world->seed, SEED_GAP, id, 0)) * scenario->burst /
                  (is_peak ? rate * scenario->peak / scenario->load : rate);
        job->type = draw_type(uniform(world->seed, SEED_TYPE, id, 0));
        job->task = (struct task){.id = id, .priority = PRIORITY_MEDIUM};
        job->work = types[job->type].mean * lognormal(world->seed, SEED_WORK, id, 0, spread);
        job->arrived = (int64_t)(1000 * at);
        job->event.type = EVENT_ARRIVAL;
        list_init(&job->link);
        heap_set(&world->events, &job->event.node, job->arrived);
    }
    world->sick_from = (int64_t)(1000 * at / 4);
    world->sick_to = (int64_t)(1000 * at / 2);
}

static void world_deinit(struct world *world)
{
    for (size_t i = 0; i < world->place_count; i++)
        profile_free(world->places[i].profile);
    heap_deinit(&world->events);
    free(world->jobs);
}

/* --- the policies ---------------------------------------------------------------------------- */

static bool fits(const struct job *job, const struct place *place)
{
    return place->worker->speed[job->type] > 0;
}

static struct place *choose_acpd(struct world *world, const struct job *job)
{
    char *capabilities[] = {(char *)types[job->type].name, NULL};
    struct router_request request = {
        .capabilities = capabilities,
        .type = metrics_type(types[job->type].name),
        .now = world->now,
    };
    struct router_candidate candidates[PROFILES_MAX];
    struct profile *profiles[PROFILES_MAX];

    for (size_t i = 0; i < world->place_count; i++) {
        profiles[i] = world->places[i].profile;
        profile_update_health(profiles[i], &limits, world->now);
    }
    router_rank(&request, profiles, world->place_count, &weights, candidates);
    for (size_t i = 0; i < world->place_count; i++)
        if (profiles[i] == candidates[0].profile)
            return &world->places[i];
    abort();
}

static struct place *choose_random(struct world *world, const struct job *job)
{
    struct place *found[PROFILES_MAX];
    size_t count = 0;

    for (size_t i = 0; i < world->place_count; i++)
        if (fits(job, &world->places[i]))
            found[count++] = &world->places[i];
    return found[(size_t)(uniform(world->seed, SEED_CHOICE, job->task.id, 0) * (double)count)];
}

static struct place *choose_in_turn(struct world *world, const struct job *job)
{
    struct place *place;

    do {
        place = &world->places[world->turn++ % world->place_count];
    } while (!fits(job, place));
    return place;
}

/* The least of running and waiting ones for each slot; among equals by lot. */
static double load_of(const struct world *world, const struct job *job, const struct place *place)
{
    double work =
        (double)(profile_count(place->profile, TASK_RUNNING) + profile_waiting(place->profile));

    return work / place->worker->slots +
           1e-6 * uniform(world->seed, SEED_CHOICE, job->task.id, place->number);
}

/* What the policy knows of a duration: all, or its mean. */
static int64_t known_duration(const struct world *world, const struct job *job,
                              const struct place *place)
{
    if (world->policy == ORACLE)
        return duration_of(job, place);
    return (int64_t)(1000 * types[job->type].mean / place->worker->speed[job->type]);
}

/* When a running attempt ends: so, or by the mean residual life of a log-normal distribution. */
static int64_t known_end(const struct world *world, const struct job *job)
{
    double sigma = fmax(spread, 1e-3), elapsed, mean, z;

    if (world->policy == ORACLE)
        return job->ends;
    mean = types[job->type].mean / job->place->worker->speed[job->type];
    elapsed = fmax(1e-3, (double)(world->now - job->run.started) / 1000);
    z = log(elapsed / mean) / sigma + sigma / 2;
    return job->run.started +
           (int64_t)(1000 * mean * erfc((z - sigma) / M_SQRT2) / fmax(1e-12, erfc(z / M_SQRT2)));
}

#define SLOTS_MAX 64

/* When each slot of a place is free. */
struct slots {
    int64_t free_at[SLOTS_MAX];
    size_t count;
};

/* Runs a job on the slot that is free first, and not before `due`; returns when it ends. */
static int64_t serve(struct slots *slots, int64_t due, int64_t duration)
{
    int64_t *first = slots->free_at;

    for (size_t i = 1; i < slots->count; i++)
        if (slots->free_at[i] < *first)
            first = &slots->free_at[i];
    *first = (*first < due ? due : *first) + duration;
    return *first;
}

/* The end of the job at the place, as far as the policy knows, if nothing fails. Those that wait
 * for a retry are older and come first. */
static double end_at(const struct world *world, const struct job *job, const struct place *place)
{
    const struct profile *profile = place->profile;
    int64_t due = world->now > profile->cooldown.until ? world->now : profile->cooldown.until;
    struct slots slots = {.count = (size_t)place->worker->slots};
    size_t running = 0;

    list_for_each (link, &profile->running)
        slots.free_at[running++] = known_end(world, list_entry(link, struct job, run.link));
    list_for_each (link, &place->asleep) {
        const struct job *next = list_entry(link, struct job, link);

        serve(&slots, next->event.node.key > due ? next->event.node.key : due,
              known_duration(world, next, place));
    }
    list_for_each (link, &place->queue)
        serve(&slots, due, known_duration(world, list_entry(link, struct job, link), place));
    return (double)serve(&slots, due, known_duration(world, job, place));
}

static struct place *choose_least(struct world *world, const struct job *job,
                                  double (*cost)(const struct world *world, const struct job *job,
                                                 const struct place *place),
                                  bool sees_health)
{
    struct place *best = NULL;
    double least = INFINITY;

    for (size_t i = 0; i < world->place_count; i++) {
        struct place *place = &world->places[i];
        double value;

        if (!fits(job, place))
            continue;
        value = cost(world, job, place);
        if (sees_health && place->profile->health == HEALTH_UNHEALTHY)
            value += 1e15;
        if (value < least) {
            least = value;
            best = place;
        }
    }
    return best;
}

static struct place *choose(struct world *world, const struct job *job)
{
    switch (world->policy) {
    case ACPD:
        return choose_acpd(world, job);
    case RANDOM:
        return choose_random(world, job);
    case ROUND_ROBIN:
        return choose_in_turn(world, job);
    case LEAST_LOADED:
        return choose_least(world, job, load_of, false);
    case INFORMED:
    case ORACLE:
        return choose_least(world, job, end_at, true);
    case POLICIES:
        break;
    }
    abort();
}

/* --- what happens ---------------------------------------------------------------------------- */

static bool is_before(const struct job *a, const struct job *b)
{
    int64_t a_rank = task_rank(&a->task, 0), b_rank = task_rank(&b->task, 0);

    return a_rank != b_rank ? a_rank < b_rank : a->task.id < b->task.id;
}

static void enqueue(struct world *world, struct job *job)
{
    struct list *at = job->place->queue.prev;

    if (!job->task.ready_at)
        job->task.ready_at = world->now + 1;
    task_transition(&job->task, TASK_QUEUED, &job->place->profile->counts);
    list_remove(&job->link);
    while (at != &job->place->queue && is_before(job, list_entry(at, struct job, link)))
        at = at->prev;
    list_append(at->next, &job->link);
}

static void start(struct world *world, struct job *job)
{
    const struct scenario *scenario = world->scenario;
    struct place *place = job->place;
    struct profile *profile = place->profile;
    int64_t duration = duration_of(job, place);
    bool is_sick = scenario->sick && strcmp(place->worker->name, scenario->sick) == 0 &&
                   world->now >= world->sick_from && world->now < world->sick_to;
    double chance = uniform(world->seed, SEED_FAIL, job->task.id, ++job->task.attempt);

    list_remove(&job->link);
    task_transition(&job->task, TASK_RUNNING, &profile->counts);
    profile->slots_used++;
    forecast_begin_run(profile, &job->run, metrics_type(types[job->type].name), world->now);
    if (!job->started)
        job->started = world->now;
    job->is_probe = profile->cooldown.length > 0;
    profile->cooldown.is_probing |= job->is_probe;
    job->class = ERROR_NONE;
    if (is_sick && chance < scenario->sick_chance)
        job->class = scenario->class;
    else if (chance > 1 - FAIL_CHANCE)
        job->class = ERROR_EXIT;
    if (job->class == ERROR_RATE_LIMIT)
        duration = LIMIT_MS;
    else if (job->class != ERROR_NONE)
        duration = 1 + (int64_t)(FAIL_AFTER * (double)duration);
    job->ends = world->now + duration;
    job->event.type = EVENT_END;
    heap_set(&world->events, &job->event.node, job->ends);
}

static void fill_slots(struct world *world, struct place *place)
{
    const struct profile *profile = place->profile;

    while (!list_is_empty(&place->queue) && profile_free_slots(profile) > 0 &&
           !cooldown_blocks(&profile->cooldown, world->now))
        start(world, list_entry(place->queue.next, struct job, link));
    if (profile->cooldown.until > world->now)
        heap_set(&world->events, &place->cooled.node, profile->cooldown.until);
}

/* What counting alone would tell: as many average durations as stand in its way. */
static double count_wait(const struct profile *profile, int64_t position)
{
    int64_t ahead = position - profile_free_slots(profile);

    return ahead <= 0 ? 0
                      : (double)ahead * metrics_window_average(&profile->window) /
                            (double)profile_slots(profile);
}

static void submit(struct world *world, struct job *job)
{
    struct profile *profile;
    int64_t position;

    job->place = choose(world, job);
    profile = job->place->profile;
    position = profile_count(profile, TASK_QUEUED) + 1;
    job->told = job->told_before = -1;
    if (world->policy == ACPD && profile->window.count && position > profile_free_slots(profile)) {
        job->told = forecast_wait(profile, position, world->now);
        job->told_before = count_wait(profile, position);
    }
    enqueue(world, job);
    fill_slots(world, job->place);
}

static void end(struct world *world, struct job *job)
{
    struct profile *profile = job->place->profile;
    int64_t delay = 0, began = job->run.started;
    enum task_status to = TASK_COMPLETED;

    if (job->class != ERROR_NONE)
        to = retry_decide(
            &job->task, job->class, &profile->config, profile->counts.by_status[TASK_COMPLETED],
            uniform(world->seed, SEED_RETRY, job->task.id, job->task.attempt), &delay);
    if (error_class_info(job->class)->counts)
        metrics_window_add(&profile->window, &(struct metrics_sample){
                                                 .duration_ms = world->now - began,
                                                 .type = job->run.type,
                                                 .success = job->class == ERROR_NONE,
                                             });
    if (error_class_info(job->class)->counts)
        profile->last_end = world->now;
    forecast_end_run(profile, &job->run);
    profile->slots_used--;
    cooldown_note(&profile->cooldown,
                  &(struct cooldown_end){
                      .class = job->class,
                      .task_id = job->task.id,
                      .started = began,
                      .ended = world->now,
                      .is_probe = job->is_probe,
                  },
                  profile->config.cooldown_min_ms, profile->config.cooldown_max_ms);
    profile_update_health(profile, &limits, world->now);
    if (to == TASK_QUEUED) { /* it met a cooldown: behind the others */
        job->task.ready_at = world->now + 1;
        enqueue(world, job);
        return;
    }
    task_transition(&job->task, to, &profile->counts);
    if (to == TASK_SCHEDULED) {
        job->event.type = EVENT_WAKE;
        list_append(&job->place->asleep, &job->link);
        heap_set(&world->events, &job->event.node, world->now + delay);
    } else if (to == TASK_FAILED) {
        world->failed++;
        job->task = (struct task){.id = job->task.id, .attempt = job->task.attempt};
        submit(world, job);
    }
}

static void happen(struct world *world, struct event *event)
{
    struct job *job = CONTAINER_OF(event, struct job, event);
    struct place *place =
        event->type == EVENT_COOLED ? CONTAINER_OF(event, struct place, cooled) : job->place;

    switch (event->type) {
    case EVENT_ARRIVAL:
        submit(world, job);
        return;
    case EVENT_END:
        end(world, job);
        break;
    case EVENT_WAKE:
        enqueue(world, job);
        break;
    case EVENT_COOLED:
        break;
    }
    fill_slots(world, place);
}

static void run(struct world *world)
{
    struct heap_node *top;

    make_places(world);
    make_jobs(world);
    while ((top = heap_top(&world->events))) {
        world->now = top->key;
        heap_remove(&world->events, top);
        happen(world, CONTAINER_OF(top, struct event, node));
    }
}

/* --- figures --------------------------------------------------------------------------------- */

struct outcome {
    double mean, p95; /* seconds from arrival to success */
    double failed;    /* tasks */
};

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static double quantile(double *values, size_t count, double fraction)
{
    if (!count)
        return NAN;
    qsort(values, count, sizeof(*values), compare_doubles);
    return values[(size_t)(fraction * (double)(count - 1) + 0.5)];
}

static struct outcome outcome_of(const struct world *world)
{
    CLEANUP(freep) double *times = xcalloc(world->job_count, sizeof(*times));
    struct outcome outcome = {.failed = (double)world->failed};

    for (size_t i = 0; i < world->job_count; i++) {
        times[i] = (double)(world->jobs[i].ends - world->jobs[i].arrived) / 1000;
        outcome.mean += times[i] / (double)world->job_count;
    }
    outcome.p95 = quantile(times, world->job_count, 0.95);
    return outcome;
}

struct mean {
    double value, half_width; /* of the 95 % interval */
};

/* Student's t for 95 %, by the usual expansion from the normal quantile. */
static double student(double freedom)
{
    const double z = 1.959964;

    return z + (z * z * z + z) / (4 * freedom) +
           (5 * pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * freedom * freedom);
}

static struct mean mean_of(const double *values, size_t count)
{
    struct mean mean = {0};
    double squares = 0;

    for (size_t i = 0; i < count; i++)
        mean.value += values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean.value) * (values[i] - mean.value);
    if (count > 1)
        mean.half_width =
            student((double)count - 1) * sqrt(squares / (double)(count - 1) / (double)count);
    return mean;
}

/* How far what was told at admission is from the true start. */
struct accuracy {
    double absolute, relative;
};

struct errors {
    double *absolute, *relative;
    size_t count;
};

static void add_error(struct errors *errors, double told, double waited)
{
    errors->absolute[errors->count] = fabs(told - waited);
    errors->relative[errors->count++] = fabs(told - waited) / waited;
}

struct eta {
    struct accuracy forecast, counting;
    double waited; /* median */
    size_t count;
};

static struct accuracy accuracy_of(struct errors *errors)
{
    return (struct accuracy){
        .absolute = quantile(errors->absolute, errors->count, 0.5),
        .relative = quantile(errors->relative, errors->count, 0.5),
    };
}

static struct eta eta_of(const struct world *world)
{
    size_t n = world->job_count;
    CLEANUP(freep) double *buffer = xcalloc(5 * n, sizeof(*buffer));
    struct errors forecast = {buffer, buffer + n, 0},
                  counting = {buffer + 2 * n, buffer + 3 * n, 0};
    double *waits = buffer + 4 * n;

    for (size_t i = 0; i < n; i++) {
        const struct job *job = &world->jobs[i];
        double waited = (double)(job->started - job->arrived) / 1000;

        if (job->told < 0 || waited <= 0 || job->task.spent > 1)
            continue;
        waits[forecast.count] = waited;
        add_error(&forecast, job->told, waited);
        add_error(&counting, job->told_before, waited);
    }
    return (struct eta){
        .waited = quantile(waits, forecast.count, 0.5),
        .count = forecast.count,
        .forecast = accuracy_of(&forecast),
        .counting = accuracy_of(&counting),
    };
}

/* --- tables ---------------------------------------------------------------------------------- */

struct results {
    double mean[POLICIES][SEEDS_MAX], p95[POLICIES][SEEDS_MAX], failed[POLICIES][SEEDS_MAX];
    double ratio[POLICIES][SEEDS_MAX];
    struct eta eta[SEEDS_MAX];
};

static void simulate(const struct scenario *scenario, bool is_warm, size_t seeds, size_t tasks,
                     struct results *results)
{
    for (size_t s = 0; s < seeds; s++) {
        for (int p = 0; p < POLICIES; p++) {
            struct world world = {
                .scenario = scenario,
                .policy = (enum policy)p,
                .is_warm = is_warm,
                .seed = s + 1,
                .job_count = tasks,
            };
            struct outcome outcome;

            run(&world);
            outcome = outcome_of(&world);
            results->mean[p][s] = outcome.mean;
            results->p95[p][s] = outcome.p95;
            results->failed[p][s] = outcome.failed;
            if (p == ACPD)
                results->eta[s] = eta_of(&world);
            world_deinit(&world);
        }
        for (int p = 0; p < POLICIES; p++)
            results->ratio[p][s] = results->mean[p][s] / results->mean[ORACLE][s];
    }
}

/* Whether acpd is within a tenth of the oracle, and quicker than the other three. */
static const char *verdict(const struct results *results, size_t seeds)
{
    double acpd = mean_of(results->ratio[ACPD], seeds).value;

    for (int p = RANDOM; p <= LEAST_LOADED; p++)
        if (mean_of(results->ratio[p], seeds).value <= acpd)
            return "MISSED: a simpler policy is better";
    return acpd <= 1.1 ? "met" : "MISSED: more than 1.10";
}

static void print_scenario(const struct scenario *scenario, const struct results *results,
                           const struct results *warm, size_t seeds)
{
    for (int p = 0; p < POLICIES; p++) {
        struct mean ratio = mean_of(results->ratio[p], seeds);
        struct mean warm_ratio = mean_of(warm->ratio[p], seeds);

        printf("| %s | %s | %.1f | %.1f | %.1f | %.2f ± %.2f | %s | %.2f ± %.2f |\n",
               p == ACPD ? scenario->name : "", policy_names[p],
               mean_of(results->mean[p], seeds).value, mean_of(results->p95[p], seeds).value,
               mean_of(results->failed[p], seeds).value, ratio.value, ratio.half_width,
               p == ACPD ? verdict(results, seeds) : "", warm_ratio.value, warm_ratio.half_width);
    }
    fflush(stdout);
}

static double median_eta(const struct results *results, size_t seeds, size_t offset)
{
    double values[SEEDS_MAX];

    for (size_t s = 0; s < seeds; s++)
        memcpy(&values[s], (const char *)&results->eta[s] + offset, sizeof(values[s]));
    return quantile(values, seeds, 0.5);
}

#define ETA(member) median_eta(results, seeds, offsetof(struct eta, member))

static void print_eta(const struct scenario *scenario, const struct results *results, size_t seeds)
{
    printf("| %s | %.1f | %.1f | %.0f %% | %.1f | %.0f %% |\n", scenario->name, ETA(waited),
           ETA(forecast.absolute), 100 * ETA(forecast.relative), ETA(counting.absolute),
           100 * ETA(counting.relative));
}

static void print_parameters(size_t seeds, size_t tasks)
{
    printf(
        "%zu seeds of %zu tasks a scenario, all of them counted. Windows of %d attempts: empty at\n"
        "the start, and full for the last column. Weights %g, %g, %g, %g.\n"
        "Sizes log-normal (sigma %g) around the mean of their type; a task takes its size over\n"
        "the profile's speed at its type. An attempt fails with probability %g, after %g of its\n"
        "time; then acpd's retries: 3 attempts, backoff from 1 s to 300 s with full jitter. A "
        "task\n"
        "that failed is submitted again. Cooldown from 5 s to 600 s.\n\n",
        seeds, tasks, RETENTION, weights.capability, weights.load, weights.history,
        weights.priority, spread, FAIL_CHANCE, FAIL_AFTER);
    for (int t = 0; t < TYPES; t++)
        printf("%s %s (%g s, %g %%)", t ? "," : "Types:", types[t].name, types[t].mean,
               100 * types[t].share);
    printf(".\n\n| scenario | load | arrivals | profiles: slots, priority; speed at each type |\n"
           "|---|---:|---|---|\n");
    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
        const struct scenario *s = &scenarios[i];

        printf("| %s | %g |", s->name, s->load);
        if (s->burst > 1)
            printf(" %d at once |", s->burst);
        else if (s->peak > 0)
            printf(" Poisson; %g for the first third |", s->peak);
        else
            printf(" Poisson |");
        for (const struct worker *w = s->workers; w->name; w++)
            printf(" %s: %d, %d; %g %g %g %g%s", w->name, w->slots, w->priority, w->speed[0],
                   w->speed[1], w->speed[2], w->speed[3], w[1].name ? "." : "");
        if (s->sick)
            printf(". From a quarter to a half of the time %g %% of the attempts of %s end as %s",
                   100 * s->sick_chance, s->sick, error_class_info(s->class)->name);
        printf(" |\n");
    }
}

static size_t number_of(const char *text, size_t max)
{
    char *rest;
    unsigned long number = strtoul(text, &rest, 10);

    if (*rest || number < 2 || number > max) {
        fprintf(stderr, "routing: \"%s\" is not a number from 2 to %zu\n", text, max);
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    static struct results results[ARRAY_SIZE(scenarios)], warm;
    size_t seeds = 20, tasks = 2000;

    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--seeds") == 0) {
            seeds = number_of(argv[++i], SEEDS_MAX);
        } else if (i + 1 < argc && strcmp(argv[i], "--tasks") == 0) {
            tasks = number_of(argv[++i], 1000000);
        } else if (i + 1 < argc && strcmp(argv[i], "--spread") == 0) {
            spread = strtod(argv[++i], NULL);
        } else if (i + 1 < argc && strcmp(argv[i], "--load-weight") == 0) {
            weights.load = strtod(argv[++i], NULL);
        } else {
            fprintf(stderr,
                    "Usage: routing [--seeds N] [--tasks N] [--spread SIGMA] [--load-weight W]\n");
            return 2;
        }
    }
    print_parameters(seeds, tasks);
    printf("\n| scenario | policy | mean s | p95 s | failed | mean / oracle | goal | with full "
           "windows |\n"
           "|---|---|---:|---:|---:|---:|---|---:|\n");
    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
        simulate(&scenarios[i], false, seeds, tasks, &results[i]);
        simulate(&scenarios[i], true, seeds, tasks, &warm);
        print_scenario(&scenarios[i], &results[i], &warm, seeds);
    }
    printf("\nThe wait told at admission to tasks that had to wait, medians:\n\n"
           "| scenario | waited s | off by s | relative | counting alone: off by s | relative |\n"
           "|---|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
        print_eta(&scenarios[i], &results[i], seeds);
    return 0;
}
