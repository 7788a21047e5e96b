/* SPDX-License-Identifier: MIT */
/* Metrics over time, and capacity. */
#include <math.h>

#include "common/json_out.h"
#include "rpc/method.h"

#define NAME(text)                                                                                 \
    {                                                                                              \
        .name = "name", .alias = "profileName", .type = PARAM_STRING, .max_bytes = 256,            \
        .doc = text                                                                                \
    }
#define RANGE(text)                                                                                \
    {                                                                                              \
        .name = "range", .type = PARAM_ENUM, .values = metrics_range_names, .doc = text            \
    }
#define END                                                                                        \
    {                                                                                              \
        .type = PARAM_END                                                                          \
    }

static const struct param no_params[] = {END};

/* NULL: all together. False: unknown profile. */
static bool methods_metrics_get_optional_profile(struct rpc_call *call,
                                                 struct profile **ret_profile)
{
    struct profile *profile = NULL;

    if (json_value_get(call->params, "name")) {
        profile = rpc_get_profile(call, "name");
        if (!profile)
            return false;
    }
    *ret_profile = profile;
    return true;
}

/* null without measurements. */
static void methods_metrics_print_measured(struct buf *out, const char *name, bool is_measured,
                                           double number)
{
    if (is_measured)
        json_out_number(out, name, number);
    else
        json_out_null(out, name);
}

/* The members of a sum, without the braces. */
static void methods_metrics_print_sum(struct buf *out, const struct metrics_bucket *sum)
{
    bool has_attempts, has_waits = sum->started > 0, has_wait_bins;
    struct metrics m;

    metrics_from_bucket(sum, METRICS_HOUR, &m);
    has_attempts = m.sample_size > 0;
    has_wait_bins = m.p50_wait > 0; /* which buckets of an older acpd lack */
    json_out_int(out, "completed", sum->completed);
    json_out_int(out, "failed", sum->failed);
    json_out_int(out, "cancelled", sum->cancelled);
    json_out_int(out, "retried", sum->retried);
    json_out_int(out, "arrived", sum->arrived);
    methods_metrics_print_measured(out, "successRate", has_attempts, m.success_rate);
    json_out_int(out, "sampleSize", m.sample_size);
    methods_metrics_print_measured(out, "averageTaskDuration", has_attempts, m.average_duration);
    methods_metrics_print_measured(out, "p50TaskDuration", has_attempts, m.p50_duration);
    methods_metrics_print_measured(out, "p95TaskDuration", has_attempts, m.p95_duration);
    methods_metrics_print_measured(out, "queueWaitTime", has_waits, m.average_wait);
    methods_metrics_print_measured(out, "p50QueueWaitTime", has_wait_bins, m.p50_wait);
    methods_metrics_print_measured(out, "p95QueueWaitTime", has_wait_bins, m.p95_wait);
    json_out_int(out, "maxQueueSize", sum->queue_max);
}

static void methods_metrics_print_buckets(struct buf *out, const struct engine_history *history)
{
    const struct metrics_range *range = history->range;

    json_out_array(out, "buckets");
    for (size_t i = 0; i < range->count; i++) {
        const struct engine_history_bucket *bucket = &history->buckets[i];

        if (!bucket->has_run && metrics_bucket_is_empty(&bucket->sum)) {
            json_out_null(out, NULL);
            continue;
        }
        json_out_object(out, NULL);
        json_out_time(out, "at", history->start + (int64_t)i * range->span);
        methods_metrics_print_sum(out, &bucket->sum);
        json_out_end_object(out);
    }
    json_out_end_array(out);
}

static const struct param history_params[] = {
    NAME("The profile; default: all of them together."),
    RANGE("1h by the minute (the default), 24h by the quarter of an hour, 7d by the hour."),
    END,
};

static enum rpc_outcome get_metrics_history(struct rpc_call *call)
{
    CLEANUP(engine_history_deinit) struct engine_history history = {0};
    const struct metrics_range *range = rpc_get_range(call);
    struct buf *out = call->out;
    struct profile *profile;
    int r;

    if (!methods_metrics_get_optional_profile(call, &profile))
        return RPC_ERROR;
    r = engine_history(call->engine, profile, range, &history);
    if (r < 0)
        return rpc_error_storage(call, r);
    json_out_object(out, NULL);
    json_out_text(out, "range", range->name);
    json_out_int(out, "bucketSeconds", range->span / 1000);
    methods_metrics_print_buckets(out, &history);
    json_out_object(out, "total");
    methods_metrics_print_sum(out, &history.total);
    json_out_end_object(out);
    json_out_object(out, "previous");
    methods_metrics_print_sum(out, &history.previous);
    json_out_end_object(out);
    json_out_end_object(out);
    return RPC_REPLY;
}

static const struct param capacity_params[] = {
    NAME("The profile; default: every one."),
    {.name = "targetWait",
     .type = PARAM_NUMBER,
     .min = 0.001,
     .max = 31536000,
     .doc = "Mean wait to plan for, in seconds; default 60."},
    RANGE("The period to look at; default 1h."),
    END,
};

static int methods_metrics_print_capacity(struct rpc_call *call, struct profile *profile)
{
    const struct json_value *target = json_value_get(call->params, "targetWait");
    double target_wait = target ? target->number : 60;
    const struct metrics_range *range = rpc_get_range(call);
    struct buf *out = call->out;
    struct engine_capacity c;
    int r = engine_capacity(call->engine, profile, range, target_wait, &c);
    bool is_measured;

    if (r < 0)
        return r;
    is_measured = c.sample_size > 0;
    json_out_object(out, NULL);
    json_out_text(out, "name", profile->config.name);
    json_out_int(out, "slots", profile->config.max_concurrent_tasks);
    json_out_number(out, "arrivalRate", 3600 * c.arrival_rate);
    methods_metrics_print_measured(out, "averageTaskDuration", is_measured, c.average_duration);
    methods_metrics_print_measured(out, "utilization", is_measured, c.utilization);
    methods_metrics_print_measured(out, "predictedWait", is_measured && isfinite(c.predicted_wait),
                                   c.predicted_wait);
    json_out_number(out, "targetWait", target_wait);
    methods_metrics_print_measured(out, "recommendedConcurrentTasks",
                                   is_measured && c.recommended_slots, (double)c.recommended_slots);
    json_out_int(out, "sampleSize", c.sample_size);
    json_out_text(out, "range", range->name);
    json_out_end_object(out);
    return 0;
}

static enum rpc_outcome get_capacity(struct rpc_call *call)
{
    struct profile *only;
    int r;

    if (!methods_metrics_get_optional_profile(call, &only))
        return RPC_ERROR;
    if (!only)
        return rpc_print_array(call, methods_metrics_print_capacity);
    json_out_array(call->out, NULL);
    r = methods_metrics_print_capacity(call, only);
    if (r < 0)
        return rpc_error_storage(call, r);
    json_out_end_array(call->out);
    return RPC_REPLY;
}

void rpc_print_anomalies(const struct profile *profile, struct buf *out)
{
    struct anomaly a;

    json_out_array(out, NULL);
    for (int metric = 0; metric < ANOMALY_METRIC_COUNT; metric++) {
        if (!anomaly_find(&profile->charts, (enum anomaly_metric)metric, &a))
            continue;
        json_out_object(out, NULL);
        json_out_text(out, "metric", a.metric);
        json_out_text(out, "direction", a.is_high ? "high" : "low");
        json_out_number(out, "value", a.value);
        json_out_number(out, "usual", a.usual);
        json_out_number(out, "limit", a.limit);
        json_out_text(out, "text", a.text);
        json_out_end_object(out);
    }
    json_out_end_array(out);
}

const struct rpc_method rpc_metrics_methods[] = {
    {"get_metrics_history", "Returns metrics over time, of one profile or of all.", history_params,
     &shape_metrics_history, get_metrics_history, .is_reading = true},
    {"get_capacity",
     "Returns how busy the slots of profiles are, the expected wait, and how many slots are "
     "needed.",
     capacity_params, SHAPE_ARRAY_OF(shape_capacity), get_capacity, .is_reading = true},
    {"get_metrics_export", "Returns all metrics in the text format of Prometheus.", no_params,
     &shape_string, rpc_print_export, .is_reading = true},
    {0},
};
