/* SPDX-License-Identifier: MIT */
/*
 * Figures as Prometheus reads them: its text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Counters begin at acpd's start, as those of any process, and hold what has been committed.
 */
#include <stddef.h>
#include <stdio.h>

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

/* The counters of a profile: members of its total. */
#define OF(member) offsetof(struct metrics_bucket, member)

static const struct counter {
    const char *name, *help;
    struct {
        const char *labels;
        size_t member;
    } series[4];
} counters[] = {
    {"acpd_tasks_arrived_total",
     "Tasks that entered the queue: assigned, moved or retried by a user.",
     {{"", OF(arrived)}}},
    {"acpd_tasks_finished_total",
     "Tasks by their final outcome.",
     {{",outcome=\"completed\"", OF(completed)},
      {",outcome=\"failed\"", OF(failed)},
      {",outcome=\"cancelled\"", OF(cancelled)}}},
    {"acpd_attempts_total",
     "Attempts that count for the rates, by result.",
     {{",result=\"success\"", OF(successes)}, {",result=\"error\"", OF(errors)}}},
    {"acpd_attempts_retried_total", "Attempts that acpd retried.", {{"", OF(retried)}}},
};

static int64_t export_member_of(const struct profile *profile, size_t member)
{
    return *(const int64_t *)((const char *)&profile->total + member);
}

static void export_print_counters(struct buf *text, const struct engine *engine)
{
    for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
        const struct counter *c = &counters[i];

        export_print_head(text, c->name, "counter", c->help);
        for_each_profile (p, engine)
            for (size_t s = 0; c->series[s].labels; s++)
                export_print_sample(text, c->name, p, c->series[s].labels,
                                    (double)export_member_of(p, c->series[s].member));
    }
}

static void export_print_bins(struct buf *text, const char *name, const struct profile *profile,
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
}

static void export_print_histograms(struct buf *text, const struct engine *engine)
{
    static const char durations[] = "acpd_attempt_duration_seconds";
    static const char waits[] = "acpd_queue_wait_seconds";

    export_print_head(text, durations, "histogram",
                      "Duration of attempts that count for the rates.");
    for_each_profile (p, engine)
        export_print_bins(text, durations, p, p->total.durations,
                          (double)p->total.duration_sum_ms / 1000);
    export_print_head(text, waits, "histogram", "Time from queued to started.");
    for_each_profile (p, engine)
        export_print_bins(text, waits, p, p->total.waits, (double)p->total.wait_sum_ms / 1000);
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

static const struct gauge {
    const char *name, *help;
    double (*value)(const struct engine *engine, const struct profile *profile);
} gauges[] = {
    {"acpd_profile_running", "Running tasks.", export_running},
    {"acpd_profile_queue_size", "Waiting tasks: queued, scheduled and blocked.", export_queue_size},
    {"acpd_profile_queue_limit", "Maximum number of waiting tasks.", export_queue_limit},
    {"acpd_profile_slots", "Limit of concurrent attempts.", export_slots},
    {"acpd_profile_active", "1 unless the profile is paused.", export_is_active},
    {"acpd_profile_cooldown_seconds", "Rest of the cooldown; 0 without one.", export_cooldown},
};

static void export_print_gauges(struct buf *text, const struct engine *engine)
{
    for (size_t i = 0; i < ARRAY_SIZE(gauges); i++) {
        export_print_head(text, gauges[i].name, "gauge", gauges[i].help);
        for_each_profile (p, engine)
            export_print_sample(text, gauges[i].name, p, "", gauges[i].value(engine, p));
    }
}

/* Finished tasks have a counter, because they are removed at some point. */
static void export_print_tasks(struct buf *text, const struct engine *engine)
{
    static const enum task_status statuses[] = {TASK_QUEUED, TASK_SCHEDULED, TASK_BLOCKED,
                                                TASK_RUNNING};
    char labels[64];

    export_print_head(text, "acpd_tasks", "gauge", "Unfinished tasks by status.");
    for_each_profile (p, engine) {
        for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
            snprintf(labels, sizeof(labels), ",status=\"%s\"", task_status_name(statuses[i]));
            export_print_sample(text, "acpd_tasks", p, labels,
                                (double)profile_count(p, statuses[i]));
        }
    }
}

static void export_print_health(struct buf *text, const struct engine *engine)
{
    char labels[64];

    export_print_head(text, "acpd_profile_health", "gauge",
                      "1 for the current state, 0 for the others.");
    for_each_profile (p, engine) {
        for (int h = HEALTH_HEALTHY; h <= HEALTH_UNHEALTHY; h++) {
            snprintf(labels, sizeof(labels), ",state=\"%s\"",
                     profile_health_name((enum profile_health)h));
            export_print_sample(text, "acpd_profile_health", p, labels, (int)p->health == h);
        }
    }
}

static int export_print_ages(struct buf *text, struct engine *engine)
{
    static const char name[] = "acpd_profile_oldest_queued_age_seconds";

    export_print_head(text, name, "gauge",
                      "How long the oldest queued task has been ready; 0 if nothing is queued.");
    for_each_profile (p, engine) {
        double age;
        int r = engine_oldest_queued(engine, p, &age);

        if (r < 0)
            return r;
        export_print_sample(text, name, p, "", age < 0 ? 0 : age);
    }
    return 0;
}

static void export_print_one(struct buf *text, const char *name, const char *type, const char *help,
                             double value)
{
    export_print_head(text, name, type, help);
    buf_printf(text, "%s ", name);
    buf_add_number(text, value);
    buf_add_char(text, '\n');
}

int rpc_print_export(struct engine *engine, struct buf *text)
{
    struct engine_storage storage;

    engine_get_storage(engine, &storage);
    export_print_head(text, "acpd_build_info", "gauge", "The running version.");
    buf_add_text(text, "acpd_build_info{version=\"" ACPD_VERSION "\"} 1\n");
    export_print_counters(text, engine);
    export_print_histograms(text, engine);
    export_print_tasks(text, engine);
    export_print_gauges(text, engine);
    export_print_health(text, engine);
    export_print_one(text, "acpd_passes_total", "counter", "Passes of the event loop.",
                     (double)engine_pass(engine));
    export_print_one(text, "acpd_commits_total", "counter", "Commits.", (double)storage.commits);
    export_print_one(text, "acpd_storage_bytes", "gauge", "Bytes of the database.",
                     (double)storage.size);
    export_print_one(text, "acpd_storage_failing", "gauge", "1 while writes fail.",
                     storage.error[0] != '\0');
    return export_print_ages(text, engine);
}
