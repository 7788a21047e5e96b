/* SPDX-License-Identifier: MIT */
/* Metrics over time, and capacity. */
#include "core/anomaly.h"
#include "rpc/shapes.h"

#define UNMEASURED "if there was no sample"

#define SUM                                                                                        \
    {"completed", &shape_integer, "tasks that completed"},                                         \
        {"failed", &shape_integer, "tasks that failed"},                                           \
        {"cancelled", &shape_integer, "tasks that were cancelled"},                                \
        {"retried", &shape_integer, "attempts that are retried"},                                  \
        {"arrived", &shape_integer,                                                                \
         "tasks that entered a queue: assigned, moved or retried by a user"},                      \
        {"successRate", &shape_number, "percentage of counted attempts that succeeded",            \
         .null = UNMEASURED},                                                                      \
        {"sampleSize", &shape_integer, "number of counted attempts"},                              \
        {"averageTaskDuration", &shape_number, "average duration, in seconds",                     \
         .null = UNMEASURED},                                                                      \
        {"p50TaskDuration", &shape_number, "median duration, in seconds", .null = UNMEASURED},     \
        {"p95TaskDuration", &shape_number, "95th percentile of the duration, in seconds",          \
         .null = UNMEASURED},                                                                      \
        {"queueWaitTime", &shape_number, "average time from queued to started, in seconds",        \
         .null = UNMEASURED},                                                                      \
        {"p50QueueWaitTime", &shape_number, "median of that time, in seconds",                     \
         .null = UNMEASURED},                                                                      \
        {"p95QueueWaitTime", &shape_number, "95th percentile of that time, in seconds",            \
         .null = UNMEASURED},                                                                      \
    {                                                                                              \
        "maxQueueSize", &shape_integer, "largest number of waiting tasks"                          \
    }

static const struct shape_member sum_members[] = {SUM, {0}};
static const struct shape sum = {SHAPE_OBJECT, "MetricsSum", "Metrics summed up over a period.",
                                 .members = sum_members};

static const struct shape_member bucket_members[] = {
    {"at", &shape_time, "start of the bucket"},
    SUM,
    {0},
};
static const struct shape bucket = {SHAPE_OBJECT, "MetricsBucket", "Metrics of one bucket.",
                                    .members = bucket_members};
static const struct shape buckets = {SHAPE_ARRAY, .of = &bucket, .has_nulls = true};

static const struct shape_member history_members[] = {
    {"range", &shape_range, "period covered"},
    {"bucketSeconds", &shape_integer, "length of a bucket"},
    {"buckets", &buckets, "oldest first; null where acpd was not running"},
    {"total", &sum, "totals of the period"},
    {"previous", &sum, "totals of the period before it"},
    {0},
};
const struct shape shape_metrics_history = {SHAPE_OBJECT, "MetricsHistory", "Metrics over time.",
                                            .members = history_members};

static const struct shape_member capacity_members[] = {
    {"name", &shape_string, "name of the profile"},
    {"slots", &shape_integer, "`maxConcurrentTasks` of the profile"},
    {"arrivalRate", &shape_number,
     "attempts needed per hour: arrived tasks plus retries, over the time acpd was running within "
     "`range` (at least a minute)"},
    {"averageTaskDuration", &shape_number, "average duration of an attempt, in seconds",
     .null = UNMEASURED},
    {"utilization", &shape_number,
     "offered load divided by slots; at 1 or more the queue grows without bound",
     .null = UNMEASURED},
    {"predictedWait", &shape_number, "expected mean wait if nothing changes, in seconds",
     .null = "if it is unbounded or there was no sample"},
    {"targetWait", &shape_number, "mean wait to plan for, in seconds"},
    {"recommendedConcurrentTasks", &shape_integer,
     "smallest number of slots that keeps the mean wait within `targetWait`",
     .null = "if 10^6 would not be enough or there was no sample"},
    {"sampleSize", &shape_integer, "number of counted attempts"},
    {"range", &shape_range, "period the figures cover"},
    {0},
};
const struct shape shape_capacity = {SHAPE_OBJECT, "Capacity",
                                     "Utilization of a profile's slots, and how many it needs.",
                                     .members = capacity_members};

static const char *const direction_names[] = {"high", "low", NULL};
static const struct shape direction = {SHAPE_ENUM, .values = direction_names};
static const struct shape metric = {SHAPE_ENUM, .values = anomaly_metric_names};

static const struct shape_member anomaly_members[] = {
    {"metric", &metric, "what is unusual"},
    {"direction", &direction, "whether it is higher or lower than usual"},
    {"value", &shape_number, "recent value"},
    {"usual", &shape_number, "usual value"},
    {"limit", &shape_number, "limit beyond which a value is unusual"},
    {"text", &shape_string, "description for people"},
    {0},
};
const struct shape shape_anomaly = {SHAPE_OBJECT, "Anomaly",
                                    "An unusual change in a profile's behavior.",
                                    .members = anomaly_members};
