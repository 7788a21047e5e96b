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

static int64_t metrics_number_of_minute(int64_t wall)
{
    return wall / METRICS_MINUTE;
}

const struct metrics_minute *metrics_minute_of(const struct profile *profile)
{
    return profile->staged.has_minute ? &profile->staged.minute : &profile->minute;
}

static int metrics_stage_minute(struct engine *engine, struct profile *profile,
                                const struct metrics_minute *minute)
{
    profile->staged.minute = *minute;
    profile->staged.has_minute = true;
    profile_touch(profile);
    return store_put_minute(engine->store, profile->id, minute);
}

/* Makes buckets of the profile's minute, unless that is still the one that began `at`. */
static int metrics_end_minute(struct engine *engine, struct profile *profile, int64_t at)
{
    const struct metrics_minute *minute = metrics_minute_of(profile);
    int r;

    if (!minute->at || minute->at == at)
        return 0;
    r = store_add_metrics(engine->store, profile->id, minute->at, &minute->sum);
    return r < 0 ? r : metrics_stage_minute(engine, profile, &(struct metrics_minute){0});
}

int metrics_keep(struct engine *engine, struct profile *profile)
{
    const int64_t at = metrics_number_of_minute(engine->now.wall) * METRICS_MINUTE;
    const struct metrics_peak *peak =
        engine->staged_peak.minute ? &engine->staged_peak : &engine->peak;
    struct metrics_minute minute;
    int r;

    if (metrics_bucket_is_empty(&profile->staged.bucket))
        return 0;
    r = metrics_end_minute(engine, profile, at);
    if (r < 0)
        return r;
    minute = *metrics_minute_of(profile);
    minute.at = at;
    metrics_bucket_add(&minute.sum, &profile->staged.bucket);
    if (peak->minute == metrics_number_of_minute(at) && peak->size > minute.queue_max)
        minute.queue_max = peak->size;
    r = metrics_stage_minute(engine, profile, &minute);
    return r < 0 || !engine->is_stopping ? r : metrics_end_minute(engine, profile, 0);
}

int metrics_inherit(struct engine *engine)
{
    struct metrics_minute minute = {0};
    int64_t profile_id;
    int r;

    while ((r = store_take_minute(engine->store, &profile_id, &minute)) == STORE_DONE) {
        const struct metrics_bucket peak = {.queue_max = minute.queue_max};

        r = minute.at ? store_add_metrics(engine->store, profile_id, minute.at, &minute.sum) : 0;
        if (r == 0 && minute.at && minute.queue_max)
            r = store_add_metrics(engine->store, 0, minute.at, &peak);
        if (r < 0)
            break;
    }
    return r < 0 ? r : 0;
}

/* At the stop everything is moved to buckets. */
static int metrics_end_minutes(struct engine *engine)
{
    int r = 0;

    for (size_t i = 0; i < engine->profile_count && r == 0; i++)
        r = metrics_end_minute(engine, engine->profiles[i], 0);
    return r;
}

/* One step of forgetting: some profiles' buckets. 1: there is more. */
static int metrics_prune_step(struct engine *engine)
{
    int64_t now = engine->now.wall;
    size_t end = engine->prune_at + PRUNED_PER_PASS;

    /* Profile 0: all of them together. */
    for (; engine->prune_at <= engine->profile_count && engine->prune_at < end;
         engine->prune_at++) {
        size_t p = engine->prune_at;
        int r = p ? metrics_end_minute(engine, engine->profiles[p - 1],
                                       metrics_number_of_minute(now) * METRICS_MINUTE)
                  : 0;

        if (r < 0)
            return r;
        for (size_t i = 0; i < ARRAY_SIZE(retention); i++) {
            r = store_prune_metrics(engine->store, p ? engine->profiles[p - 1]->id : 0,
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

static int metrics_prune(struct engine *engine)
{
    int r;

    if (engine->now.mono < engine->next_prune)
        return 0;
    r = metrics_prune_step(engine);
    if (r >= 0)
        engine->next_prune = engine->now.mono + (r ? PRUNE_STEP_MS : PRUNE_INTERVAL_MS);
    return r < 0 ? r : 0;
}

static bool metrics_is_tick(const struct engine *engine)
{
    if (store_error(engine->store)[0])
        return false;
    return metrics_number_of_minute(engine->now.wall) !=
               metrics_number_of_minute(engine->uptime.seen_at) ||
           (engine->is_stopping && engine->now.wall > engine->uptime.seen_at);
}

static int metrics_note_uptime(struct engine *engine)
{
    struct engine_uptime up = engine->uptime;
    int64_t ahead = engine->now.wall - engine->now.mono, last_event = engine->events.next - 1;

    if (up.started_at && llabs(ahead - up.wall_ahead) > METRICS_MINUTE) {
        /* It ends at the time at which the clock was set. */
        int r = store_put_uptime(engine->store, up.started_at, engine->now.mono + up.wall_ahead,
                                 last_event);

        if (r < 0)
            return r;
        up.started_at = 0;
    }
    if (!up.started_at)
        up.started_at = engine->now.wall;
    up.seen_at = engine->now.wall;
    up.wall_ahead = ahead;
    engine->staged_uptime = up;
    return store_put_uptime(engine->store, up.started_at, up.seen_at, last_event);
}

static void metrics_note_queue(struct profile *p, int64_t minute)
{
    p->staged.peak = p->peak;
    if (!metrics_peak_note(&p->staged.peak, minute, task_counts_waiting(&p->counts),
                           profile_waiting(p)))
        return;
    p->staged.bucket.queue_max = p->staged.peak.size;
    profile_touch(p);
}

static int64_t metrics_waiting_now(const struct engine *engine)
{
    return roster_count(&engine->roster, TASK_QUEUED) +
           roster_count(&engine->roster, TASK_SCHEDULED) +
           roster_count(&engine->roster, TASK_BLOCKED);
}

static int metrics_add_peak(struct engine *engine, const struct metrics_peak *peak)
{
    const struct metrics_bucket bucket = {.queue_max = peak->size};

    return peak->size ? store_add_metrics(engine->store, 0, peak->minute * METRICS_MINUTE, &bucket)
                      : 0;
}

/* A queue that stood when the minute began counts too, so a quiet minute shows it. Once a minute
 * all of them are looked at, else those that the pass has changed. */
static int metrics_note_queues(struct engine *engine, bool is_new_minute)
{
    const struct metrics_peak *was = &engine->peak;
    int64_t minute = metrics_number_of_minute(engine->now.wall);
    int r = 0;

    for (size_t i = 0; is_new_minute && i < engine->profile_count; i++)
        metrics_note_queue(engine->profiles[i], minute);
    list_for_each (link, &engine->roster.touched)
        metrics_note_queue(list_entry(link, struct profile, touched), minute);
    engine->staged_peak = *was;
    metrics_peak_note(&engine->staged_peak, minute, task_counts_waiting(&engine->roster.totals),
                      metrics_waiting_now(engine));
    if (was->minute != minute)
        r = metrics_add_peak(engine, was);
    return r < 0 || !engine->is_stopping ? r : metrics_add_peak(engine, &engine->staged_peak);
}

int metrics_step(struct engine *engine)
{
    bool is_new_minute = metrics_is_tick(engine);
    int r = metrics_prune(engine);

    if (r == 0 && is_new_minute)
        r = metrics_note_uptime(engine);
    if (r == 0 && engine->is_stopping && !store_error(engine->store)[0])
        r = metrics_end_minutes(engine);
    /* A pass that writes nothing changes no queue. */
    return r == 0 && store_is_writing(engine->store) ? metrics_note_queues(engine, is_new_minute)
                                                     : r;
}

/* A minute is over: how much arrived in it, unless the clock was set. */
static void metrics_chart_arrivals(struct engine *engine, const struct engine_uptime *was,
                                   const struct engine_uptime *is)
{
    bool was_set = is->started_at != was->started_at;

    if (!was->started_at || (!was_set && metrics_number_of_minute(is->seen_at) <=
                                             metrics_number_of_minute(was->seen_at)))
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
        metrics_chart_arrivals(engine, &engine->uptime, &engine->staged_uptime);
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

/* Adds up a range of whole minutes, the one that is not over included. */
static int metrics_sum_up(struct engine *engine, const struct profile *profile, int64_t from,
                          int64_t to, struct metrics_bucket *ret_sum)
{
    CLEANUP(freep) struct store_bucket *others = NULL;
    size_t count = 0;
    int r = store_sum_metrics(engine->store, profile->id, from, to, ret_sum);

    if (r == 0)
        r = store_list_minutes(engine->store, profile->id, &others, &count);
    if (r == 0 && profile->minute.at >= from && profile->minute.at < to)
        metrics_bucket_add(ret_sum, &profile->minute.sum);
    for (size_t i = 0; i < count; i++)
        if (others[i].at >= from && others[i].at < to)
            metrics_bucket_add(ret_sum, &others[i].sum);
    return r;
}

int engine_metrics(struct engine *engine, const struct profile *profile,
                   const struct metrics_range *range, struct metrics *ret_metrics)
{
    int64_t length = metrics_range_ms(range);
    int64_t to = (metrics_number_of_minute(engine->now.wall) + 1) * METRICS_MINUTE;
    struct metrics_bucket sum;
    int r = metrics_sum_up(engine, profile, to - length, to, &sum);

    if (r < 0)
        return r;
    metrics_from_bucket(&sum, length, ret_metrics);
    return 0;
}

/* Spans of running, by their start. They may overlap where the clock was set back. */
struct spans {
    struct store_span *spans;
    size_t count;
};

static void metrics_spans_deinit(struct spans *spans)
{
    free(spans->spans);
}

static int metrics_list_spans(struct engine *engine, int64_t from, int64_t to, struct spans *spans)
{
    const struct engine_uptime *up = &engine->uptime;
    int r;

    /* The store only has the last recorded time of the current span. */
    if (up->started_at && up->seen_at < from)
        from = up->seen_at;
    r = store_list_uptime(engine->store, from, to, &spans->spans, &spans->count);
    for (size_t i = 0; i < spans->count; i++) {
        struct store_span *span = &spans->spans[i];

        if (span->started_at == up->started_at && span->seen_at < engine->now.wall)
            span->seen_at = engine->now.wall;
    }
    return r;
}

static bool metrics_spans_touch(const struct spans *spans, int64_t from, int64_t to)
{
    for (size_t i = 0; i < spans->count; i++)
        if (spans->spans[i].started_at < to && spans->spans[i].seen_at >= from)
            return true;
    return false;
}

/* How much of it the spans cover together, in ms. */
static int64_t metrics_spans_cover(const struct spans *spans, int64_t from, int64_t to)
{
    int64_t covered = 0, reached = from;

    for (size_t i = 0; i < spans->count; i++) {
        const struct store_span *span = &spans->spans[i];
        int64_t begin = span->started_at > reached ? span->started_at : reached;
        int64_t end = span->seen_at < to ? span->seen_at : to;

        if (end <= begin)
            continue;
        covered += end - begin;
        reached = end;
    }
    return covered;
}

static void metrics_add_bucket(struct engine_history *history, int64_t at,
                               const struct metrics_bucket *bucket)
{
    int64_t length = metrics_range_ms(history->range);
    struct metrics_bucket *sum = &history->previous;

    if (at < history->start - length || at >= history->start + length)
        return;
    if (at >= history->start) {
        sum = &history->buckets[(at - history->start) / history->range->span].sum;
        metrics_bucket_add(&history->total, bucket);
    }
    metrics_bucket_add(sum, bucket);
}

/* `is_whole`: for all profiles together, where their own maxima do not count. */
static void metrics_add_buckets(struct engine_history *history, struct store_bucket *buckets,
                                size_t count, bool is_whole)
{
    for (size_t i = 0; i < count; i++) {
        if (is_whole)
            buckets[i].sum.queue_max = 0;
        metrics_add_bucket(history, buckets[i].at, &buckets[i].sum);
    }
}

static int metrics_read_buckets(struct engine *engine, int64_t profile_id,
                                const struct metrics_minute *minute, bool is_whole,
                                struct engine_history *history)
{
    int64_t length = metrics_range_ms(history->range);
    CLEANUP(freep) struct store_bucket *buckets = NULL, *others = NULL;
    struct metrics_bucket last = minute->sum;
    size_t count = 0, other_count = 0;
    int r = store_list_metrics(engine->store, profile_id, history->range->span,
                               history->start - length, history->start + length, &buckets, &count);

    if (r == 0)
        r = store_list_minutes(engine->store, profile_id, &others, &other_count);
    metrics_add_buckets(history, buckets, count, is_whole);
    metrics_add_buckets(history, others, other_count, is_whole);
    if (is_whole)
        last.queue_max = 0;
    if (minute->at)
        metrics_add_bucket(history, minute->at, &last);
    return r;
}

static int metrics_read_profiles(struct engine *engine, const struct profile *profile,
                                 struct engine_history *history)
{
    const struct metrics_minute longest = {
        .at = engine->peak.minute * METRICS_MINUTE,
        .sum.queue_max = engine->peak.size,
    };
    int r = 0;

    if (profile)
        return metrics_read_buckets(engine, profile->id, &profile->minute, false, history);
    for (size_t i = 0; r == 0 && i < engine->profile_count; i++) {
        profile = engine->profiles[i];
        r = metrics_read_buckets(engine, profile->id, &profile->minute, true, history);
    }
    return r < 0 ? r : metrics_read_buckets(engine, 0, &longest, false, history);
}

int engine_history(struct engine *engine, const struct profile *profile,
                   const struct metrics_range *range, struct engine_history *ret_history)
{
    CLEANUP(engine_history_deinit)
    struct engine_history history = {
        .range = range,
        .start = metrics_range_start(range, engine->now.wall),
    };
    CLEANUP(metrics_spans_deinit) struct spans spans = {0};
    int r;

    history.buckets = xcalloc(range->count, sizeof(*history.buckets));
    r = metrics_read_profiles(engine, profile, &history);
    if (r == 0)
        r = metrics_list_spans(engine, history.start, history.start + metrics_range_ms(range),
                               &spans);
    if (r < 0)
        return r;
    for (size_t i = 0; i < range->count; i++) {
        int64_t at = history.start + (int64_t)i * range->span;

        history.buckets[i].has_run = metrics_spans_touch(&spans, at, at + range->span);
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
    int64_t to = (metrics_number_of_minute(now) + 1) * METRICS_MINUTE,
            from = to - metrics_range_ms(range);
    CLEANUP(metrics_spans_deinit) struct spans spans = {0};
    struct engine_capacity capacity = {0};
    struct metrics_bucket sum;
    struct metrics m;
    double offered;
    int r = metrics_sum_up(engine, profile, from, to, &sum);

    if (r == 0)
        r = metrics_list_spans(engine, from, to, &spans);
    if (r < 0)
        return r;
    ran = metrics_spans_cover(&spans, from, now);
    /* A few seconds are not enough for a rate. */
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

static void metrics_recall_minute(struct recent *recent, int64_t at,
                                  const struct metrics_bucket *bucket)
{
    int64_t i = (at - recent->from) / METRICS_MINUTE;

    if (at < recent->from || i > RECALL_MINUTES)
        return;
    recent->minutes[i].has_run = true;
    recent->minutes[i].arrived += bucket->arrived;
}

static int metrics_recall_profile(struct engine *engine, struct profile *profile,
                                  struct recent recent)
{
    int64_t to = recent.from + (RECALL_MINUTES + 1) * METRICS_MINUTE;
    CLEANUP(freep) struct store_bucket *buckets = NULL;
    size_t count = 0;
    int r = store_list_metrics(engine->store, profile->id, METRICS_MINUTE, recent.from, to,
                               &buckets, &count);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        metrics_recall_minute(&recent, buckets[i].at, &buckets[i].sum);
    metrics_recall_minute(&recent, profile->minute.at, &profile->minute.sum);
    for (size_t i = 0; i < RECALL_MINUTES; i++)
        if (recent.minutes[i].has_run)
            anomaly_add(&profile->charts, ANOMALY_ARRIVALS, (double)recent.minutes[i].arrived);
    profile->arrivals = recent.minutes[RECALL_MINUTES].arrived;
    return 0;
}

/* Restores the maximum total length of all queues in the last recorded minute. */
static void metrics_recall_peak(struct engine *engine)
{
    for (size_t i = 0; i < engine->profile_count; i++) {
        const struct metrics_minute *minute = &engine->profiles[i]->minute;
        struct metrics_peak peak = {metrics_number_of_minute(minute->at), minute->queue_max};

        if (peak.minute > engine->peak.minute ||
            (peak.minute == engine->peak.minute && peak.size > engine->peak.size))
            engine->peak = peak;
    }
}

int metrics_recall(struct engine *engine)
{
    int64_t now = metrics_number_of_minute(engine->now.wall) * METRICS_MINUTE;
    struct recent recent = {.from = now - RECALL_MINUTES * METRICS_MINUTE};
    CLEANUP(metrics_spans_deinit) struct spans spans = {0};
    int r = metrics_list_spans(engine, recent.from, now, &spans);

    metrics_recall_peak(engine);
    for (size_t i = 0; i < RECALL_MINUTES; i++) {
        int64_t at = recent.from + (int64_t)i * METRICS_MINUTE;

        recent.minutes[i].has_run = metrics_spans_touch(&spans, at, at + METRICS_MINUTE);
    }
    for (size_t i = 0; r == 0 && i < engine->profile_count; i++)
        r = metrics_recall_profile(engine, engine->profiles[i], recent);
    return r;
}
