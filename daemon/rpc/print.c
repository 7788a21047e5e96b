/* SPDX-License-Identifier: MIT */
/* Tasks, profiles, their states and their metrics as users see them. */
#include "common/json_out.h"
#include "rpc/method.h"

enum rpc_outcome rpc_print_profiles(struct rpc_call *call,
                                    int (*print)(struct rpc_call *call, struct profile *profile))
{
    struct profile *profile;

    while ((profile = engine_next_profile(call->engine, &call->progress.at))) {
        int r = print(call, profile);

        if (r < 0)
            return rpc_error_storage(call, r);
        if (rpc_turn_is_over(call))
            return RPC_MORE;
    }
    return RPC_REPLY;
}

enum rpc_outcome rpc_print_array(struct rpc_call *call,
                                 int (*print)(struct rpc_call *call, struct profile *profile))
{
    enum rpc_outcome outcome;

    if (!call->is_partial)
        json_out_array(call->out, NULL);
    outcome = rpc_print_profiles(call, print);
    if (outcome == RPC_REPLY)
        json_out_end_array(call->out);
    return outcome;
}

int rpc_print_task(struct rpc_call *call, const struct task *task, int64_t position)
{
    struct engine_pending pending;
    bool waits = task_status_is_waiting(task->status);

    if (waits) {
        int r = engine_pending(call->engine, task, position, &pending);

        if (r < 0)
            return r;
    }
    call->task_id = task->id;
    engine_print_task(call->engine, task, waits ? &pending : NULL, call->out);
    return 0;
}

void rpc_print_profile(const struct profile *profile, struct buf *out)
{
    const struct profile_config *c = &profile->config;

    json_out_object(out, NULL);
    json_out_text(out, "name", c->name);
    json_out_text(out, "role", c->role);
    json_out_array(out, "capabilities");
    for (size_t i = 0; c->capabilities && c->capabilities[i]; i++)
        json_out_text(out, NULL, c->capabilities[i]);
    json_out_end_array(out);
    json_out_int(out, "maxConcurrentTasks", c->max_concurrent_tasks);
    json_out_int(out, "maxConcurrentTasksPerNode", c->max_tasks_per_node);
    json_out_int(out, "minConcurrentTasks", c->min_concurrent_tasks);
    json_out_array(out, "nodes");
    for (size_t i = 0; c->nodes && c->nodes[i]; i++)
        json_out_text(out, NULL, c->nodes[i]);
    json_out_end_array(out);
    json_out_int(out, "slots", profile_slots(profile));
    json_out_int(out, "priority", c->priority);
    json_out_text(out, "color", c->color);
    json_out_text(out, "icon", c->icon);
    json_out_int(out, "queueLimit", c->queue_limit);
    json_out_text(out, "overflow", overflow_policy_names[c->overflow]);
    json_out_number(out, "timeout", (double)c->timeout_ms / 1000);
    json_out_object(out, "retry");
    json_out_int(out, "maxAttempts", c->max_attempts);
    json_out_number(out, "backoff", (double)c->backoff_ms / 1000);
    json_out_number(out, "maxBackoff", (double)c->max_backoff_ms / 1000);
    json_out_end_object(out);
    json_out_object(out, "cooldown");
    json_out_number(out, "min", (double)c->cooldown_min_ms / 1000);
    json_out_number(out, "max", (double)c->cooldown_max_ms / 1000);
    json_out_end_object(out);
    json_out_object(out, "runner");
    json_out_text(out, "type", runner_type_names[c->runner.type]);
    if (c->runner.type == RUNNER_WORKER)
        json_out_number(out, "lease", (double)c->runner.lease_ms / 1000);
    json_out_end_object(out);
    json_out_bool(out, "isRemoved", profile->is_removed);
    json_out_end_object(out);
}

int rpc_print_state(struct rpc_call *call, struct profile *profile)
{
    struct buf *out = call->out;
    double oldest;
    int64_t running = profile_count(profile, TASK_RUNNING);
    int r = engine_oldest_queued(call->engine, profile, &oldest);

    if (r < 0)
        return r;
    json_out_object(out, NULL);
    json_out_text(out, "name", profile->config.name);
    json_out_bool(out, "isActive", profile_is_active(profile) && !profile->is_removed);
    json_out_int(out, "currentTasks", running);
    json_out_int(out, "completedTasks", profile_count(profile, TASK_COMPLETED));
    json_out_int(out, "failedTasks", profile_count(profile, TASK_FAILED));
    json_out_number(out, "averageProcessingTime", metrics_window_average(&profile->window));
    json_out_time(out, "lastActivity",
                  profile->staged.last_activity ? profile->staged.last_activity
                                                : profile->last_activity);
    json_out_int(out, "queueSize", profile_waiting(profile));
    json_out_bool(out, "isProcessing", running > 0);
    json_out_text(out, "health", profile_health_name(profile->health));
    json_out_text(out, "healthReason", profile->health_reason[0] ? profile->health_reason : NULL);
    if (oldest < 0)
        json_out_null(out, "oldestQueuedAge");
    else
        json_out_number(out, "oldestQueuedAge", oldest);
    json_out_end_object(out);
    return 0;
}

int rpc_print_metrics(struct rpc_call *call, const struct profile *profile,
                      const struct metrics_range *range)
{
    struct buf *out = call->out;
    struct metrics m;
    int r = engine_metrics(call->engine, profile, range, &m);

    if (r < 0)
        return r;
    json_out_object(out, NULL);
    json_out_number(out, "throughput", m.throughput);
    json_out_number(out, "successRate", m.success_rate);
    json_out_number(out, "averageTaskDuration", m.average_duration);
    json_out_number(out, "queueWaitTime", m.average_wait);
    json_out_number(out, "errorRate", m.error_rate);
    json_out_text(out, "range", range->name);
    json_out_int(out, "sampleSize", m.sample_size);
    json_out_number(out, "p50TaskDuration", m.p50_duration);
    json_out_number(out, "p95TaskDuration", m.p95_duration);
    if (m.cost.currency[0]) {
        json_out_object(out, "cost");
        json_out_number(out, "amount", m.cost.amount);
        json_out_text(out, "currency", m.cost.currency);
        json_out_text(out, "source", "reported by the agent");
        json_out_end_object(out);
    } else {
        json_out_null(out, "cost");
    }
    json_out_end_object(out);
    return 0;
}
