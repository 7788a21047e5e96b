/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "common/alloc.h"
#include "common/strv.h"
#include "routing.h"

double spread = 0.5;
struct routing_weights weights;
const struct health_limits limits = {.lapse_ms = 300000};

const struct work_type types[TYPES] = {
    {"coding", 60, 0.4},
    {"testing", 30, 0.3},
    {"docs", 20, 0.2},
    {"analysis", 120, 0.1},
};

/* Generalists, and profiles that are quicker at the one or two types that they do. */
static const struct worker team[] = {
    {"coder", 2, 3, {2, 1, 0, 0}},
    {"tester", 1, 3, {0, 2, 1, 0}},
    {"writer", 1, 3, {0, 0, 2, 1}},
    {"analyst", 1, 3, {0, 0, 1, 2}},
    {"senior", 4, 3, {1, 1, 1, 1}},
    {"junior", 3, 3, {0.5, 0.5, 0.5, 0.5}},
    {NULL},
};

/* Specialists in one type, two and a half times as fast, and two generalists. */
static const struct worker specialists[] = {
    {"coder", 2, 3, {2.5, 0, 0, 0}},
    {"tester", 1, 3, {0, 2.5, 0, 0}},
    {"writer", 1, 3, {0, 0, 2.5, 0}},
    {"analyst", 1, 3, {0, 0, 0, 2.5}},
    {"all-a", 3, 3, {1, 1, 1, 1}},
    {"all-b", 3, 3, {1, 1, 1, 1}},
    {NULL},
};

/* The same agent behind profiles of different sizes. */
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

/* The team, with arbitrary priorities. */
static const struct worker tastes[] = {
    {"coder", 2, 2, {2, 1, 0, 0}},
    {"tester", 1, 5, {0, 2, 1, 0}},
    {"writer", 1, 3, {0, 0, 2, 1}},
    {"analyst", 1, 1, {0, 0, 1, 2}},
    {"senior", 4, 4, {1, 1, 1, 1}},
    {"junior", 3, 5, {0.5, 0.5, 0.5, 0.5}},
    {NULL},
};

const struct scenario scenarios[SCENARIOS] = {
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

const char *const policy_names[POLICIES] = {
    "acpd", "random", "round robin", "least loaded", "means known", "oracle",
};

/* --- random numbers ------------------------------------------------------------------------- */

double uniform(uint64_t seed, enum stream stream, int64_t a, int64_t b)
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

static double mean_work(void)
{
    double sum = 0;

    for (int t = 0; t < TYPES; t++)
        sum += types[t].share * types[t].mean;
    return sum;
}

/* Seconds of work that the workers do per second. */
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

int64_t duration_of(const struct job *job, const struct place *place)
{
    return 1 + (int64_t)(1000 * job->work / place->worker->speed[job->type]);
}

/* Adds attempts before the start: of the types that the profile does, by their share. */
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

void make_places(struct world *world)
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

void make_jobs(struct world *world)
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

void world_deinit(struct world *world)
{
    for (size_t i = 0; i < world->place_count; i++)
        profile_free(world->places[i].profile);
    heap_deinit(&world->events);
    free(world->jobs);
}
