/* SPDX-License-Identifier: MIT */
/* Profiles, their states and their metrics. */
#include "core/metrics.h"
#include "core/profile.h"
#include "rpc/shapes.h"

const struct shape shape_range = {SHAPE_ENUM, "Range", "Period that figures cover.",
                                  .values = metrics_range_names};
const struct shape shape_health_state = {
    SHAPE_ENUM, "HealthState", "Health of a profile or of acpd.", .values = profile_health_names};
static const struct shape overflow = {SHAPE_ENUM, .values = overflow_policy_names};
static const struct shape runner_type = {SHAPE_ENUM, .values = runner_type_names};

static const struct shape_member retry_members[] = {
    {"maxAttempts", &shape_integer, "attempts before a task fails for good"},
    {"backoff", &shape_number, "longest wait before the first retry, in seconds"},
    {"maxBackoff", &shape_number, "longest wait before any retry, in seconds"},
    {0},
};
static const struct shape retry = {SHAPE_OBJECT, "RetryPolicy",
                                   "How a profile retries failed tasks.", .members = retry_members};

static const struct shape_member cooldown_members[] = {
    {"min", &shape_number, "length of the first cooldown, in seconds"},
    {"max", &shape_number, "longest cooldown, in seconds"},
    {0},
};
static const struct shape cooldown = {SHAPE_OBJECT, "CooldownPolicy",
                                      "How long a profile pauses after a rate limit or an outage.",
                                      .members = cooldown_members};

static const struct shape_member runner_members[] = {
    {"type", &runner_type, "how tasks are run"},
    {"lease", &shape_number, "length of a worker's lease, in seconds",
     .absent = "unless `type` is `worker`"},
    {0},
};
static const struct shape runner = {SHAPE_OBJECT, "Runner", "How a profile runs its tasks.",
                                    .members = runner_members};

static const struct shape_member profile_members[] = {
    {"name", &shape_string, "unique name"},
    {"role", &shape_string, "name shown on the page"},
    {"capabilities", &shape_strings, "what it can do; its name counts as one"},
    {"maxConcurrentTasks", &shape_integer, "limit of concurrent attempts, as configured"},
    {"maxConcurrentTasksPerNode", &shape_integer,
     "maximum number of concurrent attempts on each node; 0 if there is no such limit"},
    {"minConcurrentTasks", &shape_integer, "lower bound when autoscaling; 0 if it does not scale"},
    {"nodes", &shape_strings, "name patterns of the nodes that run it; empty: all do"},
    {"slots", &shape_integer, "limit of concurrent attempts right now, on this node"},
    {"priority", &shape_integer, "weight in routing, 0 to 10"},
    {"color", &shape_string, "`#rgb` or `#rrggbb`"},
    {"icon", &shape_string, "an emoji or a short text"},
    {"queueLimit", &shape_integer, "limit of waiting tasks"},
    {"overflow", &overflow, "what happens to a task beyond `queueLimit`"},
    {"timeout", &shape_number, "time limit of an attempt, in seconds"},
    {"retry", &retry, "how failed tasks are retried"},
    {"cooldown", &cooldown, "how long it pauses after a rate limit or an outage"},
    {"runner", &runner, "how its tasks are run"},
    {"isRemoved", &shape_boolean,
     "true once it has been removed from the configuration and only finishes its tasks"},
    {0},
};
const struct shape shape_profile = {SHAPE_OBJECT, "Profile", "A profile as configured.",
                                    .members = profile_members};

static const struct shape_member state_members[] = {
    {"name", &shape_string, "name of the profile"},
    {"isActive", &shape_boolean, "false while it is paused"},
    {"currentTasks", &shape_integer, "running tasks"},
    {"completedTasks", &shape_integer, "tasks completed since the profile was created"},
    {"failedTasks", &shape_integer, "tasks that ended as failed since the profile was created"},
    {"averageProcessingTime", &shape_number,
     "average duration of the last `metricsRetention` attempts, in seconds"},
    {"lastActivity", &shape_time, "last time a task was assigned, started or finished",
     .null = "before the first one"},
    {"queueSize", &shape_integer, "waiting tasks: queued, scheduled and blocked"},
    {"isProcessing", &shape_boolean, "true while a task is running"},
    {"health", &shape_health_state, "current health"},
    {"healthReason", &shape_string, "why it is not healthy", .null = "while it is healthy"},
    {"oldestQueuedAge", &shape_number,
     "how long the oldest queued task has been ready, in seconds; exact for up to 1,000 queued "
     "tasks",
     .null = "when nothing is queued"},
    {0},
};
const struct shape shape_profile_state = {SHAPE_OBJECT, "ProfileState",
                                          "Current state of a profile.", .members = state_members};

static const struct shape_member cost_members[] = {
    {"amount", &shape_number, "total amount"},
    {"currency", &shape_string, "currency code"},
    {"source", &shape_string, "where the figure comes from"},
    {0},
};
static const struct shape cost = {SHAPE_OBJECT, "Cost", "Cost of the work, as reported by agents.",
                                  .members = cost_members};

static const struct shape_member metrics_members[] = {
    {"throughput", &shape_number, "finished tasks per hour"},
    {"successRate", &shape_number,
     "percentage of counted attempts that succeeded; 100 if there were none"},
    {"averageTaskDuration", &shape_number,
     "average duration of an attempt, in seconds; 0 if there were none"},
    {"queueWaitTime", &shape_number, "average time from queued to started, in seconds"},
    {"errorRate", &shape_number,
     "percentage of counted attempts that failed; 0 if there were none"},
    {"range", &shape_range, "period the figures cover"},
    {"sampleSize", &shape_integer, "number of counted attempts"},
    {"p50TaskDuration", &shape_number, "median duration of an attempt, in seconds"},
    {"p95TaskDuration", &shape_number, "95th percentile of the duration, in seconds"},
    {"cost", &cost, "cost reported by agents", .null = "if none was reported"},
    {0},
};
const struct shape shape_profile_metrics = {SHAPE_OBJECT, "ProfileMetrics",
                                            "Metrics of a profile over a period.",
                                            .members = metrics_members};

static const struct shape_member view_members[] = {
    {"profile", &shape_profile, "its configuration"},
    {"state", &shape_profile_state, "its current state"},
    {"metrics", &shape_profile_metrics, "its metrics"},
    {0},
};
const struct shape shape_profile_view = {SHAPE_OBJECT, "ProfileWithState",
                                         "A profile with its state and metrics.",
                                         .members = view_members};

static const struct shape_member change_members[] = {
    {"success", &shape_true, "always true"},
    {"state", &shape_profile_state, "the state after the change"},
    {0},
};
const struct shape shape_status_change = {SHAPE_OBJECT, "StatusChange",
                                          "Result of pausing or resuming a profile.",
                                          .members = change_members};
