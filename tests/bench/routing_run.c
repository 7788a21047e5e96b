/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "core/retry.h"
#include "routing.h"

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

/* Running and waiting tasks per slot; ties are broken at random. */
static double load_of(const struct world *world, const struct job *job, const struct place *place)
{
    double work =
        (double)(profile_count(place->profile, TASK_RUNNING) + profile_waiting(place->profile));

    return work / place->worker->slots +
           1e-6 * uniform(world->seed, SEED_CHOICE, job->task.id, place->number);
}

/* The duration as far as the policy knows it: exactly, or the mean. */
static int64_t known_duration(const struct world *world, const struct job *job,
                              const struct place *place)
{
    if (world->policy == ORACLE)
        return duration_of(job, place);
    return (int64_t)(1000 * types[job->type].mean / place->worker->speed[job->type]);
}

/* When a running attempt ends: exactly, or by the mean residual life of a log-normal variable. */
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

/* When each slot of a place becomes free. */
struct slots {
    int64_t free_at[SLOTS_MAX];
    size_t count;
};

/* Runs a job on the first free slot, not before `due`; returns when it ends. */
static int64_t serve(struct slots *slots, int64_t due, int64_t duration)
{
    int64_t *first = slots->free_at;

    for (size_t i = 1; i < slots->count; i++)
        if (slots->free_at[i] < *first)
            first = &slots->free_at[i];
    *first = (*first < due ? due : *first) + duration;
    return *first;
}

/* When the job would end at the place, as far as the policy knows, if nothing fails. Jobs that wait
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

/* --- events ---------------------------------------------------------------------------------- */

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

/* The wait as predicted by counting: the tasks ahead times the average duration, per slot. */
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
    if (to == TASK_QUEUED) { /* it ran into a cooldown: behind the others */
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

void run(struct world *world)
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
