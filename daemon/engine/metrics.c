/* SPDX-License-Identifier: MIT */
#include "engine/metrics.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "core/capacity.h"

#define DAY_MS (24 * METRICS_HOUR)

#define LONGEST_KEEP_MS   (15 * DAY_MS)
#define PRUNE_INTERVAL_MS METRICS_HOUR
#define PRUNE_STEP_MS     100 /* while there is more to forget */
#define PRUNED_PER_PASS   64  /* profiles */

#define RECALL_MINUTES 240 /* as far as the charts remember */

/* How long buckets are kept: a range and the one before it, and for 7d the minutes at its ends. */
static const struct {
    int64_t span, keep_ms;
} retention[] = {
    {METRICS_MINUTE, 8 * DAY_MS},
    {METRICS_QUARTER, 8 * DAY_MS},
    {METRICS_HOUR, LONGEST_KEEP_MS},
};

static int64_t minute_of(int64_t wall)
{
    return wall / METRICS_MINUTE;
}

/* One step of forgetting: some profiles' buckets. 1: there is more. */
static int prune_step(struct engine *engine)
{
    int64_t now = engine->now.wall;
    size_t end = engine->prune_at + PRUNED_PER_PASS;

    /* Profile 0: all of them together. */
    for (; engine->prune_at <= engine->profile_count && engine->prune_at < end;
         engine->prune_at++) {
        size_t p = engine->prune_at;

        for (size_t i = 0; i < ARRAY_SIZE(retention); i++) {
            int r = store_prune_metrics(engine->store, p ? engine->profiles[p - 1]->id : 0,
                                        retention[i].span, now - retention[i].keep_ms);

            if (r)
                return r;
        }
    }
    if (engine->prune_at <= engine->profile_count)
        return 1;
    engine->prune_at = 0;
    return store_prune_uptime(engine->store, now - LONGEST_KEEP_MS);
}

static int prune(struct engine *engine)
{
    int r;

    if (engine->now.mono < engine->next_prune)
        return 0;
    r = prune_step(engine);
    if (r >= 0)
        engine->next_prune = engine->now.mono + (r ? PRUNE_STEP_MS : PRUNE_INTERVAL_MS);
    return r < 0 ? r : 0;
}

static bool is_tick(const struct engine *engine)
{
    if (store_error(engine->store)[0])
        return false;
    return minute_of(engine->now.wall) != minute_of(engine->uptime.seen_at) ||
           (engine->is_stopping && engine->now.wall > engine->uptime.seen_at);
}

static int note_uptime(struct engine *engine)
{
    struct engine_uptime up = engine->uptime;
    int64_t ahead = engine->now.wall - engine->now.mono;

    if (up.started_at && llabs(ahead - up.wall_ahead) > METRICS_MINUTE) {
        /* It ends where the clock stood when it was set. */
        int r = store_put_uptime(engine->store, up.started_at, engine->now.mono + up.wall_ahead);

        if (r < 0)
            return r;
        up.started_at = 0;
    }
    if (!up.started_at)
        up.started_at = engine->now.wall;
    up.seen_at = engine->now.wall;
    up.wall_ahead = ahead;
    engine->staged_uptime = up;
    return store_put_uptime(engine->store, up.started_at, up.seen_at);
}

static void note_queue(struct profile *p, int64_t minute)
{
    p->staged.peak = p->peak;
    if (!metrics_peak_note(&p->staged.peak, minute, task_counts_waiting(&p->counts),
                           profile_waiting(p)))
        return;
    p->staged.bucket.queue_max = p->staged.peak.size;
    profile_touch(p);
}

static int64_t waiting_now(const struct engine *engine)
{
    return roster_count(&engine->roster, TASK_QUEUED) +
           roster_count(&engine->roster, TASK_SCHEDULED) +
           roster_count(&engine->roster, TASK_BLOCKED);
}

/* A queue that stood when the minute began counts too, so a quiet minute shows it. Once a minute
 * all of them are looked at, else those that the pass has changed. */
static int note_queues(struct engine *engine, bool is_new_minute)
{
    int64_t minute = minute_of(engine->now.wall);

    for (size_t i = 0; is_new_minute && i < engine->profile_count; i++)
        note_queue(engine->profiles[i], minute);
    list_for_each (link, &engine->roster.touched)
        note_queue(list_entry(link, struct profile, touched), minute);
    engine->staged_peak = engine->peak;
    if (!metrics_peak_note(&engine->staged_peak, minute,
                           task_counts_waiting(&engine->roster.totals), waiting_now(engine)))
        return 0;
    return store_add_metrics(engine->store, 0, engine->now.wall,
                             &(struct metrics_bucket){.queue_max = engine->staged_peak.size});
}

int metrics_step(struct engine *engine)
{
    bool is_new_minute = is_tick(engine);
    int r = prune(engine);

    if (r == 0 && is_new_minute)
        r = note_uptime(engine);
    /* A pass that writes nothing changes no queue. */
    return r == 0 && store_is_writing(engine->store) ? note_queues(engine, is_new_minute) : r;
}

/* A minute is over: how much arrived in it, unless the clock was set. */
static void chart_arrivals(struct engine *engine, const struct engine_uptime *was,
                           const struct engine_uptime *is)
{
    bool was_set = is->started_at != was->started_at;

    if (!was->started_at || (!was_set && minute_of(is->seen_at) <= minute_of(was->seen_at)))
        return;
    for (size_t i = 0; i < engine->profile_count; i++) {
        struct profile *p = engine->profiles[i];

        if (!was_set)
            anomaly_add(&p->charts, ANOMALY_ARRIVALS, (double)p->arrivals);
        p->arrivals = 0;
    }
}

void metrics_commit(struct engine *engine)
{
    if (engine->staged_uptime.started_at) {
        chart_arrivals(engine, &engine->uptime, &engine->staged_uptime);
        engine->uptime = engine->staged_uptime;
    }
    if (engine->staged_peak.minute)
        engine->peak = engine->staged_peak;
    metrics_rollback(engine);
}

void metrics_rollback(struct engine *engine)
{
    engine->staged_uptime = (struct engine_uptime){0};
    engine->staged_peak = (struct metrics_peak){0};
}

int64_t metrics_deadline(const struct engine *engine)
{
    int64_t tick = engine->now.mono + METRICS_MINUTE - engine->now.wall % METRICS_MINUTE;

    return engine->next_prune < tick ? engine->next_prune : tick;
}

int engine_metrics(struct engine *engine, const struct profile *profile,
                   const struct metrics_range *range, struct metrics *ret_metrics)
{
    int64_t length = metrics_range_ms(range);
    int64_t to = (minute_of(engine->now.wall) + 1) * METRICS_MINUTE;
    struct metrics_bucket sum;
    int r = store_sum_metrics(engine->store, profile->id, to - length, to, &sum);

    if (r < 0)
        return r;
    metrics_from_bucket(&sum, length, ret_metrics);
    return 0;
}

/* Spans of running, by their start. They may overlap where the clock was set back. */
struct spans {
    const struct engine *engine;
    struct span {
        int64_t from, to;
    } * spans;
    size_t count;
};

static void spans_deinit(struct spans *spans)
{
    free(spans->spans);
}

static void add_span(int64_t started_at, int64_t seen_at, void *data)
{
    struct spans *spans = data;
    const struct engine *engine = spans->engine;

    if (started_at == engine->uptime.started_at && seen_at < engine->now.wall)
        seen_at = engine->now.wall;
    spans->spans = xrealloc(spans->spans, (spans->count + 1) * sizeof(*spans->spans));
    spans->spans[spans->count++] = (struct span){started_at, seen_at};
}

static int list_spans(struct engine *engine, int64_t from, int64_t to, struct spans *spans)
{
    const struct engine_uptime *up = &engine->uptime;

    spans->engine = engine;
    /* Of the present span the store knows what was seen of it last. */
    if (up->started_at && up->seen_at < from)
        from = up->seen_at;
    return store_list_uptime(engine->store, from, to, add_span, spans);
}

static bool spans_touch(const struct spans *spans, int64_t from, int64_t to)
{
    for (size_t i = 0; i < spans->count; i++)
        if (spans->spans[i].from < to && spans->spans[i].to >= from)
            return true;
    return false;
}

/* How much of it the spans cover together, in ms. */
static int64_t spans_cover(const struct spans *spans, int64_t from, int64_t to)
{
    int64_t covered = 0, reached = from;

    for (size_t i = 0; i < spans->count; i++) {
        const struct span *span = &spans->spans[i];
        int64_t begin = span->from > reached ? span->from : reached;
        int64_t end = span->to < to ? span->to : to;

        if (end <= begin)
            continue;
        covered += end - begin;
        reached = end;
    }
    return covered;
}

struct history_reader {
    struct engine_history *history;
    bool is_whole; /* of all profiles together: their own maxima do not count */
};

static void add_bucket(int64_t at, const struct metrics_bucket *bucket, void *data)
{
    struct history_reader *reader = data;
    struct engine_history *history = reader->history;
    struct metrics_bucket part = *bucket, *sum = &history->previous;

    if (reader->is_whole)
        part.queue_max = 0;
    if (at >= history->start) {
        sum = &history->buckets[(at - history->start) / history->range->span].sum;
        metrics_bucket_add(&history->total, &part);
    }
    metrics_bucket_add(sum, &part);
}

static int read_buckets(struct engine *engine, int64_t profile_id, struct history_reader *reader)
{
    const struct engine_history *history = reader->history;
    int64_t length = metrics_range_ms(history->range);

    return store_list_metrics(engine->store, profile_id, history->range->span,
                              history->start - length, history->start + length, add_bucket, reader);
}

static int read_profiles(struct engine *engine, const struct profile *profile,
                         struct engine_history *history)
{
    struct history_reader reader = {.history = history, .is_whole = !profile};
    int r = 0;

    if (profile)
        return read_buckets(engine, profile->id, &reader);
    for (size_t i = 0; r == 0 && i < engine->profile_count; i++)
        r = read_buckets(engine, engine->profiles[i]->id, &reader);
    reader.is_whole = false;
    return r < 0 ? r : read_buckets(engine, 0, &reader);
}

int engine_history(struct engine *engine, const struct profile *profile,
                   const struct metrics_range *range, struct engine_history *ret_history)
{
    CLEANUP(engine_history_deinit)
    struct engine_history history = {
        .range = range,
        .start = metrics_range_start(range, engine->now.wall),
    };
    CLEANUP(spans_deinit) struct spans spans = {0};
    int r;

    history.buckets = xcalloc(range->count, sizeof(*history.buckets));
    r = read_profiles(engine, profile, &history);
    if (r == 0)
        r = list_spans(engine, history.start, history.start + metrics_range_ms(range), &spans);
    if (r < 0)
        return r;
    for (size_t i = 0; i < range->count; i++) {
        int64_t at = history.start + (int64_t)i * range->span;

        history.buckets[i].has_run = spans_touch(&spans, at, at + range->span);
    }
    *ret_history = history;
    history.buckets = NULL;
    return 0;
}

void engine_history_deinit(struct engine_history *history)
{
    free(history->buckets);
}

int engine_capacity(struct engine *engine, const struct profile *profile,
                    const struct metrics_range *range, double target_wait,
                    struct engine_capacity *ret_capacity)
{
    int64_t now = engine->now.wall, slots = profile->config.max_concurrent_tasks, ran;
    int64_t to = (minute_of(now) + 1) * METRICS_MINUTE, from = to - metrics_range_ms(range);
    CLEANUP(spans_deinit) struct spans spans = {0};
    struct engine_capacity capacity = {0};
    struct metrics_bucket sum;
    struct metrics m;
    double offered;
    int r = store_sum_metrics(engine->store, profile->id, from, to, &sum);

    if (r == 0)
        r = list_spans(engine, from, to, &spans);
    if (r < 0)
        return r;
    ran = spans_cover(&spans, from, now);
    /* A few seconds say nothing about a rate. */
    if (ran < METRICS_MINUTE)
        ran = METRICS_MINUTE;
    metrics_from_bucket(&sum, ran, &m);
    capacity.arrival_rate = (double)(sum.arrived + sum.retried) / ((double)ran / 1000);
    capacity.sample_size = m.sample_size;
    capacity.average_duration = m.average_duration;
    offered = capacity.arrival_rate * m.average_duration;
    capacity.utilization = offered / (double)slots;
    capacity.predicted_wait = capacity_wait(offered, m.average_duration, slots);
    capacity.recommended_slots = capacity_slots(offered, m.average_duration, target_wait);
    *ret_capacity = capacity;
    return 0;
}

/* The minutes that are charted again at a start, and the present one. */
struct recent {
    int64_t from;
    struct {
        bool has_run;
        int64_t arrived;
    } minutes[RECALL_MINUTES + 1];
};

static void recall_minute(int64_t at, const struct metrics_bucket *bucket, void *data)
{
    struct recent *recent = data;
    int64_t i = (at - recent->from) / METRICS_MINUTE;

    recent->minutes[i].has_run = true;
    recent->minutes[i].arrived = bucket->arrived;
}

static int recall_profile(struct engine *engine, struct profile *profile, struct recent recent)
{
    int64_t to = recent.from + (RECALL_MINUTES + 1) * METRICS_MINUTE;
    int r = store_list_metrics(engine->store, profile->id, METRICS_MINUTE, recent.from, to,
                               recall_minute, &recent);

    if (r < 0)
        return r;
    for (size_t i = 0; i < RECALL_MINUTES; i++)
        if (recent.minutes[i].has_run)
            anomaly_add(&profile->charts, ANOMALY_ARRIVALS, (double)recent.minutes[i].arrived);
    profile->arrivals = recent.minutes[RECALL_MINUTES].arrived;
    return 0;
}

int metrics_recall(struct engine *engine)
{
    int64_t now = minute_of(engine->now.wall) * METRICS_MINUTE;
    struct recent recent = {.from = now - RECALL_MINUTES * METRICS_MINUTE};
    CLEANUP(spans_deinit) struct spans spans = {0};
    int r = list_spans(engine, recent.from, now, &spans);

    for (size_t i = 0; i < RECALL_MINUTES; i++) {
        int64_t at = recent.from + (int64_t)i * METRICS_MINUTE;

        recent.minutes[i].has_run = spans_touch(&spans, at, at + METRICS_MINUTE);
    }
    for (size_t i = 0; r == 0 && i < engine->profile_count; i++)
        r = recall_profile(engine, engine->profiles[i], recent);
    return r;
}
