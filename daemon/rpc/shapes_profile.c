/* SPDX-License-Identifier: MIT */
/* Profiles, their states and their metrics. */
#include "core/metrics.h"
#include "core/profile.h"
#include "rpc/shapes.h"

const struct shape shape_range = {SHAPE_ENUM, "Range", "How far back figures go.",
                                  .values = metrics_range_names};
const struct shape shape_health_state = {SHAPE_ENUM, "HealthState", "How a profile, or acpd, is.",
                                         .values = profile_health_names};
static const struct shape overflow = {SHAPE_ENUM, .values = overflow_policy_names};
static const struct shape runner_type = {SHAPE_ENUM, .values = runner_type_names};

static const struct shape_member retry_members[] = {
    {"maxAttempts", &shape_integer, "attempts before a task fails"},
    {"backoff", &shape_number, "seconds that the first retry waits at most"},
    {"maxBackoff", &shape_number, "seconds that any retry waits at most"},
    {0},
};
static const struct shape retry = {SHAPE_OBJECT, "RetryPolicy", "How a profile retries tasks.",
                                   .members = retry_members};

static const struct shape_member cooldown_members[] = {
    {"min", &shape_number, "seconds that a first cooldown takes"},
    {"max", &shape_number, "seconds that a cooldown takes at most"},
    {0},
};
static const struct shape cooldown = {
    SHAPE_OBJECT, "CooldownPolicy", "How long a profile cools down.", .members = cooldown_members};

static const struct shape_member runner_members[] = {
    {"type", &runner_type, "what runs the tasks"},
    {"lease", &shape_number, "seconds until a worker's lease expires",
     .absent = "unless `type` is `worker`"},
    {0},
};
static const struct shape runner = {SHAPE_OBJECT, "Runner", "What runs a profile's tasks.",
                                    .members = runner_members};

static const struct shape_member profile_members[] = {
    {"name", &shape_string, "unique, a word"},
    {"role", &shape_string, "what it is called on the page"},
    {"capabilities", &shape_strings, "what it is capable of, words; its name counts as one"},
    {"maxConcurrentTasks", &shape_integer, "attempts at once, as configured"},
    {"minConcurrentTasks", &shape_integer, "what it scales down to; 0 without autoscaling"},
    {"slots", &shape_integer, "attempts that may run at once now"},
    {"priority", &shape_integer, "how much the router prefers it, 1 to 10"},
    {"color", &shape_string, "`#rgb` or `#rrggbb`"},
    {"icon", &shape_string, "an emoji or a letter"},
    {"queueLimit", &shape_integer, "waiting tasks at most"},
    {"overflow", &overflow, "what happens to a task beyond that"},
    {"timeout", &shape_number, "seconds that an attempt may take"},
    {"retry", &retry, "how its tasks are retried"},
    {"cooldown", &cooldown, "how long it cools down"},
    {"runner", &runner, "what runs its tasks"},
    {"isRemoved", &shape_boolean, "whether it is no longer configured and only finishes its tasks"},
    {0},
};
const struct shape shape_profile = {SHAPE_OBJECT, "Profile", "A profile as it is configured.",
                                    .members = profile_members};

static const struct shape_member state_members[] = {
    {"name", &shape_string, "the profile"},
    {"isActive", &shape_boolean, "false while it is paused"},
    {"currentTasks", &shape_integer, "tasks that run"},
    {"completedTasks", &shape_integer, "tasks completed over its whole life"},
    {"failedTasks", &shape_integer, "tasks that failed for good, over its whole life"},
    {"averageProcessingTime", &shape_number,
     "seconds that the last `metricsRetention` attempts took on average"},
    {"lastActivity", &shape_time, "when a task was last assigned, started or finished",
     .null = "before the first"},
    {"queueSize", &shape_integer, "tasks that wait: queued, scheduled and blocked"},
    {"isProcessing", &shape_boolean, "whether a task runs"},
    {"health", &shape_health_state, "see below"},
    {"healthReason", &shape_string, "why, in plain words", .null = "while it is healthy"},
    {"oldestQueuedAge", &shape_number,
     "seconds that the oldest queued task has been ready; exact for queues up to 1,000",
     .null = "when nothing is queued"},
    {0},
};
const struct shape shape_profile_state = {SHAPE_OBJECT, "ProfileState", "How a profile is now.",
                                          .members = state_members};

static const struct shape_member cost_members[] = {
    {"amount", &shape_number, "the sum"},
    {"currency", &shape_string, "the currency's code"},
    {"source", &shape_string, "who says so"},
    {0},
};
static const struct shape cost = {
    SHAPE_OBJECT, "Cost", "What agents reported that their work cost.", .members = cost_members};

static const struct shape_member metrics_members[] = {
    {"throughput", &shape_number, "finished tasks an hour"},
    {"successRate", &shape_number, "percent of the attempts that count; 100 without any"},
    {"averageTaskDuration", &shape_number, "seconds that an attempt took; 0 without any"},
    {"queueWaitTime", &shape_number, "seconds that tasks had been queued when they were started"},
    {"errorRate", &shape_number, "percent of the attempts that count; 0 without any"},
    {"range", &shape_range, "how far back these figures go"},
    {"sampleSize", &shape_integer, "attempts that count"},
    {"p50TaskDuration", &shape_number, "the median of their durations, in seconds"},
    {"p95TaskDuration", &shape_number, "the 95th percentile"},
    {"cost", &cost, "what agents reported", .null = "when none did"},
    {0},
};
const struct shape shape_profile_metrics = {SHAPE_OBJECT, "ProfileMetrics",
                                            "A profile's figures over a range of time.",
                                            .members = metrics_members};

static const struct shape_member view_members[] = {
    {"profile", &shape_profile, "how it is configured"},
    {"state", &shape_profile_state, "how it is now"},
    {"metrics", &shape_profile_metrics, "its figures"},
    {0},
};
const struct shape shape_profile_view = {SHAPE_OBJECT, "ProfileWithState",
                                         "A profile with its state and figures.",
                                         .members = view_members};

static const struct shape_member change_members[] = {
    {"success", &shape_true, "it was done"},
    {"state", &shape_profile_state, "how the profile is now"},
    {0},
};
const struct shape shape_status_change = {SHAPE_OBJECT, "StatusChange",
                                          "A profile that was paused or let go on.",
                                          .members = change_members};
