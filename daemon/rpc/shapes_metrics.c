/* SPDX-License-Identifier: MIT */
/* The past in figures, and what follows from them. */
#include "core/anomaly.h"
#include "rpc/shapes.h"

#define UNMEASURED "when nothing was measured"

#define SUM                                                                                        \
    {"completed", &shape_integer, "tasks by their outcome"},                                       \
        {"failed", &shape_integer, "the same"}, {"cancelled", &shape_integer, "the same"},         \
        {"retried", &shape_integer, "attempts that acpd repeats"},                                 \
        {"arrived", &shape_integer,                                                                \
         "tasks that came into a queue: assigned, moved there, or retried by a user"},             \
        {"successRate", &shape_number, "percent of the attempts that count", .null = UNMEASURED},  \
        {"sampleSize", &shape_integer, "attempts that were measured"},                             \
        {"averageTaskDuration", &shape_number, "seconds", .null = UNMEASURED},                     \
        {"p50TaskDuration", &shape_number, "seconds, the median", .null = UNMEASURED},             \
        {"p95TaskDuration", &shape_number, "seconds, the 95th percentile", .null = UNMEASURED},    \
        {"queueWaitTime", &shape_number, "seconds from queued to started", .null = UNMEASURED},    \
        {"p50QueueWaitTime", &shape_number, "seconds, the median", .null = UNMEASURED},            \
        {"p95QueueWaitTime", &shape_number, "seconds, the 95th percentile", .null = UNMEASURED},   \
    {                                                                                              \
        "maxQueueSize", &shape_integer, "the most that waited at once"                             \
    }

static const struct shape_member sum_members[] = {SUM, {0}};
static const struct shape sum = {SHAPE_OBJECT, "MetricsSum", "What happened in a range of time.",
                                 .members = sum_members};

static const struct shape_member bucket_members[] = {
    {"at", &shape_time, "when it began"},
    SUM,
    {0},
};
static const struct shape bucket = {
    SHAPE_OBJECT, "MetricsBucket", "What happened in one span of time.", .members = bucket_members};
static const struct shape buckets = {SHAPE_ARRAY, .of = &bucket, .has_nulls = true};

static const struct shape_member history_members[] = {
    {"range", &shape_range, "how far back it goes"},
    {"bucketSeconds", &shape_integer, "how long one span is"},
    {"buckets", &buckets, "the oldest first; null where acpd did not run at all"},
    {"total", &sum, "of the whole range"},
    {"previous", &sum, "of the range before it"},
    {0},
};
const struct shape shape_metrics_history = {SHAPE_OBJECT, "MetricsHistory",
                                            "The past as a series of equal spans of time.",
                                            .members = history_members};

static const struct shape_member capacity_members[] = {
    {"name", &shape_string, "the profile"},
    {"slots", &shape_integer, "its `maxConcurrentTasks`"},
    {"arrivalRate", &shape_number,
     "attempts needed an hour: tasks that arrived and attempts that were repeated, over the time "
     "that acpd ran within `range` (at least a minute)"},
    {"averageTaskDuration", &shape_number, "of `sampleSize` attempts, in seconds",
     .null = UNMEASURED},
    {"utilization", &shape_number,
     "the offered load over the slots; from 1 on the queue grows without bound",
     .null = UNMEASURED},
    {"predictedWait", &shape_number, "the mean wait in seconds if this goes on",
     .null = "when it grows without bound, or nothing was measured"},
    {"targetWait", &shape_number, "the mean wait to plan for, in seconds"},
    {"recommendedConcurrentTasks", &shape_integer,
     "the least number of slots at which the wait is at most `targetWait`",
     .null = "when 10^6 are not enough, or nothing was measured"},
    {"sampleSize", &shape_integer, "attempts that were measured"},
    {"range", &shape_range, "how far back the figures go"},
    {0},
};
const struct shape shape_capacity = {SHAPE_OBJECT, "Capacity",
                                     "How busy a profile's slots are, and how many it needs.",
                                     .members = capacity_members};

static const char *const direction_names[] = {"high", "low", NULL};
static const struct shape direction = {SHAPE_ENUM, .values = direction_names};
static const struct shape metric = {SHAPE_ENUM, .values = anomaly_metric_names};

static const struct shape_member anomaly_members[] = {
    {"metric", &metric, "what is unusual"},
    {"direction", &direction, "which way"},
    {"value", &shape_number, "what it is lately"},
    {"usual", &shape_number, "what it was before"},
    {"limit", &shape_number, "what it would have to be to be unusual"},
    {"text", &shape_string, "the same in words"},
    {0},
};
const struct shape shape_anomaly = {
    SHAPE_OBJECT, "Anomaly", "What of a profile is unlike the usual.", .members = anomaly_members};
