/* SPDX-License-Identifier: MIT */
/* Profiles, their states and their metrics as users see them. */
#include "rpc/method.h"

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

static void print_strings(char *const *strings, struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; strings && strings[i]; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_json_text(out, strings[i]);
    }
    buf_add_char(out, ']');
}

static void print_text(struct buf *out, const char *member, const char *text)
{
    buf_add_text(out, member);
    buf_add_json_text(out, text);
}

static void print_number(struct buf *out, const char *member, double number)
{
    buf_add_text(out, member);
    buf_add_json_number(out, number);
}

static void print_int(struct buf *out, const char *member, int64_t number)
{
    buf_add_text(out, member);
    buf_add_int(out, number);
}

static void print_bool(struct buf *out, const char *member, bool value)
{
    buf_add_text(out, member);
    buf_add_text(out, value ? "true" : "false");
}

void rpc_print_profile(const struct profile *profile, struct buf *out)
{
    const struct profile_config *c = &profile->config;

    print_text(out, "{\"name\":", c->name);
    print_text(out, ",\"role\":", c->role);
    buf_add_text(out, ",\"capabilities\":");
    print_strings(c->capabilities, out);
    print_int(out, ",\"maxConcurrentTasks\":", c->max_concurrent_tasks);
    print_int(out, ",\"minConcurrentTasks\":", c->min_concurrent_tasks);
    print_int(out, ",\"slots\":", profile_slots(profile));
    print_int(out, ",\"priority\":", c->priority);
    print_text(out, ",\"color\":", c->color);
    print_text(out, ",\"icon\":", c->icon);
    print_int(out, ",\"queueLimit\":", c->queue_limit);
    print_text(out, ",\"overflow\":", overflow_policy_names[c->overflow]);
    print_number(out, ",\"timeout\":", (double)c->timeout_ms / 1000);
    print_int(out, ",\"retry\":{\"maxAttempts\":", c->max_attempts);
    print_number(out, ",\"backoff\":", (double)c->backoff_ms / 1000);
    print_number(out, ",\"maxBackoff\":", (double)c->max_backoff_ms / 1000);
    print_number(out, "},\"cooldown\":{\"min\":", (double)c->cooldown_min_ms / 1000);
    print_number(out, ",\"max\":", (double)c->cooldown_max_ms / 1000);
    print_text(out, "},\"runner\":{\"type\":", runner_type_names[c->runner.type]);
    if (c->runner.type == RUNNER_WORKER)
        print_number(out, ",\"lease\":", (double)c->runner.lease_ms / 1000);
    print_bool(out, "},\"isRemoved\":", profile->is_removed);
    buf_add_char(out, '}');
}

int rpc_print_state(struct rpc_call *call, const struct profile *profile)
{
    struct buf *out = call->out;
    double oldest;
    int64_t running = profile_count(profile, TASK_RUNNING);
    int r = engine_oldest_queued(call->engine, profile, &oldest);

    if (r < 0)
        return r;
    print_text(out, "{\"name\":", profile->config.name);
    print_bool(out, ",\"isActive\":", profile_is_active(profile) && !profile->is_removed);
    print_int(out, ",\"currentTasks\":", running);
    print_int(out, ",\"completedTasks\":", profile_count(profile, TASK_COMPLETED));
    print_int(out, ",\"failedTasks\":", profile_count(profile, TASK_FAILED));
    print_number(out, ",\"averageProcessingTime\":", metrics_window_average(&profile->window));
    buf_add_text(out, ",\"lastActivity\":");
    buf_add_json_time(out, profile->staged.last_activity ? profile->staged.last_activity
                                                         : profile->last_activity);
    print_int(out, ",\"queueSize\":", profile_waiting(profile));
    print_bool(out, ",\"isProcessing\":", running > 0);
    print_text(out, ",\"health\":", profile_health_name(profile->health));
    print_text(out,
               ",\"healthReason\":", profile->health_reason[0] ? profile->health_reason : NULL);
    buf_add_text(out, ",\"oldestQueuedAge\":");
    if (oldest < 0)
        buf_add_text(out, "null");
    else
        buf_add_json_number(out, oldest);
    buf_add_char(out, '}');
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
    print_number(out, "{\"throughput\":", m.throughput);
    print_number(out, ",\"successRate\":", m.success_rate);
    print_number(out, ",\"averageTaskDuration\":", m.average_duration);
    print_number(out, ",\"queueWaitTime\":", m.average_wait);
    print_number(out, ",\"errorRate\":", m.error_rate);
    print_text(out, ",\"range\":", range->name);
    print_int(out, ",\"sampleSize\":", m.sample_size);
    print_number(out, ",\"p50TaskDuration\":", m.p50_duration);
    print_number(out, ",\"p95TaskDuration\":", m.p95_duration);
    if (m.cost.currency[0]) {
        print_number(out, ",\"cost\":{\"amount\":", m.cost.amount);
        print_text(out, ",\"currency\":", m.cost.currency);
        buf_add_text(out, ",\"source\":\"reported by the agent\"}}");
    } else {
        buf_add_text(out, ",\"cost\":null}");
    }
    return 0;
}
