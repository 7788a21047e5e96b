/* SPDX-License-Identifier: MIT */
/*
 * Figures as Prometheus reads them: its text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Counters begin at acpd's start, as those of any process, and hold what has been committed.
 */
#include <stddef.h>
#include <stdio.h>

#include "common/json_out.h"
#include "rpc/method.h"

/* Edges exported of a histogram: every eighth, a factor of four apart, from 4 ms to 50 days. The
 * last bin holds all longer durations and has no edge. */
#define EDGE_STEP 8

/* Profile names are words: nothing in them needs to be escaped. */
static void export_print_head(struct buf *text, const char *name, const char *type,
                              const char *help)
{
    buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void export_print_sample(struct buf *text, const char *name, const struct profile *profile,
                                const char *labels, double value)
{
    buf_printf(text, "%s{profile=\"%s\"%s} ", name, profile->config.name, labels);
    buf_add_number(text, value);
    buf_add_char(text, '\n');
}

/* Figures of one name, of every profile. */
struct family {
    const char *name, *type, *help;
    int (*print)(const struct family *family, struct engine *engine, struct profile *profile,
                 struct buf *text);
    double (*value)(const struct engine *engine, const struct profile *profile); /* of a gauge */
    struct {
        const char *labels;
        size_t member; /* of struct metrics_bucket */
    } series[4];       /* of a counter */
};

/* The counters of a profile are members of its total. */
static int export_print_counter(const struct family *family, struct engine *engine UNUSED,
                                struct profile *profile, struct buf *text)
{
    for (size_t i = 0; family->series[i].labels; i++) {
        const char *at = (const char *)&profile->total + family->series[i].member;

        export_print_sample(text, family->name, profile, family->series[i].labels,
                            (double)*(const int64_t *)at);
    }
    return 0;
}

static int export_print_bins(struct buf *text, const char *name, const struct profile *profile,
                             const uint32_t bins[METRICS_BINS], double sum)
{
    int64_t count = 0;

    for (size_t i = 0; i < METRICS_BINS; i++) {
        count += bins[i];
        if ((i + 1) % EDGE_STEP || i + 1 == METRICS_BINS)
            continue;
        buf_printf(text, "%s_bucket{profile=\"%s\",le=\"", name, profile->config.name);
        buf_add_number(text, metrics_bin_edge(i));
        buf_printf(text, "\"} %lld\n", (long long)count);
    }
    buf_printf(text, "%s_bucket{profile=\"%s\",le=\"+Inf\"} %lld\n", name, profile->config.name,
               (long long)count);
    buf_printf(text, "%s_sum{profile=\"%s\"} ", name, profile->config.name);
    buf_add_number(text, sum);
    buf_printf(text, "\n%s_count{profile=\"%s\"} %lld\n", name, profile->config.name,
               (long long)count);
    return 0;
}

static int export_print_durations(const struct family *family, struct engine *engine UNUSED,
                                  struct profile *profile, struct buf *text)
{
    return export_print_bins(text, family->name, profile, profile->total.durations,
                             (double)profile->total.duration_sum_ms / 1000);
}

static int export_print_waits(const struct family *family, struct engine *engine UNUSED,
                              struct profile *profile, struct buf *text)
{
    return export_print_bins(text, family->name, profile, profile->total.waits,
                             (double)profile->total.wait_sum_ms / 1000);
}

/* Finished tasks have a counter, because they are removed at some point. */
static int export_print_tasks(const struct family *family, struct engine *engine UNUSED,
                              struct profile *profile, struct buf *text)
{
    static const enum task_status statuses[] = {TASK_QUEUED, TASK_SCHEDULED, TASK_BLOCKED,
                                                TASK_RUNNING};
    char labels[64];

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
        snprintf(labels, sizeof(labels), ",status=\"%s\"", task_status_name(statuses[i]));
        export_print_sample(text, family->name, profile, labels,
                            (double)profile_count(profile, statuses[i]));
    }
    return 0;
}

static double export_running(const struct engine *engine UNUSED, const struct profile *profile)
{
    return (double)profile_count(profile, TASK_RUNNING);
}

static double export_queue_size(const struct engine *engine UNUSED, const struct profile *profile)
{
    return (double)profile_waiting(profile);
}

static double export_queue_limit(const struct engine *engine UNUSED, const struct profile *profile)
{
    return (double)profile->config.queue_limit;
}

static double export_slots(const struct engine *engine UNUSED, const struct profile *profile)
{
    return (double)profile_slots(profile);
}

static double export_is_active(const struct engine *engine UNUSED, const struct profile *profile)
{
    return profile_is_active(profile) && !profile->is_removed;
}

static double export_cooldown(const struct engine *engine, const struct profile *profile)
{
    int64_t left = profile_cooldown(profile)->until - engine_now(engine)->mono;

    return left > 0 ? (double)left / 1000 : 0;
}

static int export_print_gauge(const struct family *family, struct engine *engine,
                              struct profile *profile, struct buf *text)
{
    export_print_sample(text, family->name, profile, "", family->value(engine, profile));
    return 0;
}

static int export_print_health(const struct family *family, struct engine *engine UNUSED,
                               struct profile *profile, struct buf *text)
{
    char labels[64];

    for (int h = HEALTH_HEALTHY; h <= HEALTH_UNHEALTHY; h++) {
        snprintf(labels, sizeof(labels), ",state=\"%s\"",
                 profile_health_name((enum profile_health)h));
        export_print_sample(text, family->name, profile, labels, (int)profile->health == h);
    }
    return 0;
}

static int export_print_age(const struct family *family, struct engine *engine,
                            struct profile *profile, struct buf *text)
{
    double age = 0;
    int r = engine_oldest_queued(engine, profile, &age);

    if (r == 0)
        export_print_sample(text, family->name, profile, "", age < 0 ? 0 : age);
    return r;
}

#define OF(member) offsetof(struct metrics_bucket, member)

static const struct family families[] = {
    {"acpd_tasks_arrived_total", "counter",
     "Tasks that entered the queue: assigned, moved or retried by a user.", export_print_counter,
     .series = {{"", OF(arrived)}}},
    {"acpd_tasks_finished_total", "counter", "Tasks by their final outcome.", export_print_counter,
     .series = {{",outcome=\"completed\"", OF(completed)},
                {",outcome=\"failed\"", OF(failed)},
                {",outcome=\"cancelled\"", OF(cancelled)}}},
    {"acpd_attempts_total", "counter", "Attempts that count for the rates, by result.",
     export_print_counter,
     .series = {{",result=\"success\"", OF(successes)}, {",result=\"error\"", OF(errors)}}},
    {"acpd_attempts_retried_total", "counter", "Attempts that acpd retried.", export_print_counter,
     .series = {{"", OF(retried)}}},
    {"acpd_attempt_duration_seconds", "histogram", "Duration of attempts that count for the rates.",
     export_print_durations},
    {"acpd_queue_wait_seconds", "histogram", "Time from queued to started.", export_print_waits},
    {"acpd_tasks", "gauge", "Unfinished tasks by status.", export_print_tasks},
    {"acpd_profile_running", "gauge", "Running tasks.", export_print_gauge, export_running},
    {"acpd_profile_queue_size", "gauge", "Waiting tasks: queued, scheduled and blocked.",
     export_print_gauge, export_queue_size},
    {"acpd_profile_queue_limit", "gauge", "Maximum number of waiting tasks.", export_print_gauge,
     export_queue_limit},
    {"acpd_profile_slots", "gauge", "Limit of concurrent attempts.", export_print_gauge,
     export_slots},
    {"acpd_profile_active", "gauge", "1 unless the profile is paused.", export_print_gauge,
     export_is_active},
    {"acpd_profile_cooldown_seconds", "gauge", "Rest of the cooldown; 0 without one.",
     export_print_gauge, export_cooldown},
    {"acpd_profile_health", "gauge", "1 for the current state, 0 for the others.",
     export_print_health},
    {"acpd_profile_oldest_queued_age_seconds", "gauge",
     "How long the oldest queued task has been ready; 0 if nothing is queued.", export_print_age},
};

static void export_print_one(struct buf *text, const char *name, const char *type, const char *help,
                             double value)
{
    export_print_head(text, name, type, help);
    buf_printf(text, "%s ", name);
    buf_add_number(text, value);
    buf_add_char(text, '\n');
}

/* What is not of a profile. */
static void export_print_daemon(struct buf *text, const struct engine *engine)
{
    struct engine_storage storage;

    engine_get_storage(engine, &storage);
    export_print_head(text, "acpd_build_info", "gauge", "The running version.");
    buf_add_text(text, "acpd_build_info{version=\"" ACPD_VERSION "\"} 1\n");
    export_print_one(text, "acpd_passes_total", "counter", "Passes of the event loop.",
                     (double)engine_pass(engine));
    export_print_one(text, "acpd_commits_total", "counter", "Commits.", (double)storage.commits);
    export_print_one(text, "acpd_storage_bytes", "gauge", "Bytes of the database.",
                     (double)storage.size);
    export_print_one(text, "acpd_storage_failing", "gauge", "1 while writes fail.",
                     storage.error[0] != '\0');
}

/* 1: there is more. */
static int export_print_part(struct rpc_call *call, struct buf *text)
{
    for (; call->progress.section < ARRAY_SIZE(families); call->progress.section++) {
        const struct family *family = &families[call->progress.section];
        struct profile *profile;

        if (!call->progress.at)
            export_print_head(text, family->name, family->type, family->help);
        while ((profile = engine_next_profile(call->engine, &call->progress.at))) {
            int r = family->print(family, call->engine, profile, text);

            if (r < 0)
                return r;
            if (rpc_turn_is_over(call))
                return 1;
        }
        call->progress.at = 0;
    }
    return 0;
}

enum rpc_outcome rpc_print_export(struct rpc_call *call)
{
    CLEANUP(buf_deinit) struct buf text = {0}, string = {0};
    int r;

    if (!call->is_partial) {
        buf_add_char(call->out, '"');
        export_print_daemon(&text, call->engine);
    }
    r = export_print_part(call, &text);
    if (r < 0)
        return rpc_error_storage(call, r);
    if (text.len) { /* nothing is left after a turn that ended with the last sample */
        json_out_put_string(&string, text.data, text.len);
        buf_add(call->out, string.data + 1, string.len - 2); /* without its quotes */
    }
    if (r > 0)
        return RPC_MORE;
    buf_add_char(call->out, '"');
    return RPC_REPLY;
}
