/* SPDX-License-Identifier: MIT */
/* Figures as Prometheus reads them: its text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). */
#include "rpc/method.h"

/* Profile names are words: nothing in them needs to be escaped. */
static void print_head(struct buf *text, const char *name, const char *type, const char *help)
{
    buf_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_profiles(struct buf *text, const struct engine *engine, const char *name,
                           const char *help, int64_t (*value)(const struct profile *profile))
{
    print_head(text, name, "gauge", help);
    for (size_t i = 0; i < engine->profile_count; i++) {
        const struct profile *p = engine->profiles[i];

        if (engine_is_visible(p))
            buf_printf(text, "%s{profile=\"%s\"} %lld\n", name, p->config.name,
                       (long long)value(p));
    }
}

static int64_t slots(const struct profile *profile)
{
    return profile_slots(profile);
}

static int64_t is_active(const struct profile *profile)
{
    return profile_is_active(profile) && !profile->is_removed;
}

static int64_t queue_limit(const struct profile *profile)
{
    return profile->config.queue_limit;
}

static void print_tasks(struct buf *text, const struct engine *engine)
{
    print_head(text, "acpd_tasks", "gauge", "Tasks by their present status.");
    for (size_t i = 0; i < engine->profile_count; i++) {
        const struct profile *p = engine->profiles[i];

        for (int s = TASK_QUEUED; engine_is_visible(p) && s < TASK_STATUS_COUNT; s++)
            buf_printf(text, "acpd_tasks{profile=\"%s\",status=\"%s\"} %lld\n", p->config.name,
                       task_status_name((enum task_status)s),
                       (long long)profile_count(p, (enum task_status)s));
    }
}

static void print_counter(struct buf *text, const char *name, const char *help, uint64_t value)
{
    print_head(text, name, "counter", help);
    buf_printf(text, "%s %llu\n", name, (unsigned long long)value);
}

void rpc_print_export(const struct engine *engine, struct buf *text)
{
    print_head(text, "acpd_build_info", "gauge", "The version that runs.");
    buf_add_text(text, "acpd_build_info{version=\"" ACPD_VERSION "\"} 1\n");
    print_tasks(text, engine);
    print_profiles(text, engine, "acpd_profile_active", "1 unless the profile is paused.",
                   is_active);
    print_profiles(text, engine, "acpd_profile_slots", "Attempts that may run at once.", slots);
    print_profiles(text, engine, "acpd_profile_queue_limit", "Waiting tasks at most.", queue_limit);
    print_counter(text, "acpd_passes_total", "Passes of the loop since the start.", engine->passes);
    print_counter(text, "acpd_commits_total", "Commits since the start.", engine->commits);
    print_head(text, "acpd_storage_bytes", "gauge", "Bytes of the database.");
    buf_printf(text, "acpd_storage_bytes %lld\n", (long long)store_size(engine->store));
    print_head(text, "acpd_storage_failing", "gauge", "1 while writes fail.");
    buf_printf(text, "acpd_storage_failing %d\n", store_error(engine->store)[0] != '\0');
}
