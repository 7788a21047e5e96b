/* SPDX-License-Identifier: MIT */
/* A description of a store: all that its interface can read. */
#include <string.h>

#include "common/alloc.h"
#include "fixture.h"

struct description {
    struct store *store;
    struct buf text;
    int64_t profiles[8];
    size_t count;
};

static void add_bucket(struct description *d, int64_t at, const struct metrics_bucket *bucket)
{
    buf_printf(&d->text, "%lld: %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %f %s ",
               (long long)at, (long long)bucket->completed, (long long)bucket->failed,
               (long long)bucket->cancelled, (long long)bucket->retried,
               (long long)bucket->successes, (long long)bucket->errors,
               (long long)bucket->duration_sum_ms, (long long)bucket->arrived,
               (long long)bucket->started, (long long)bucket->wait_sum_ms,
               (long long)bucket->queue_max, bucket->cost.amount, bucket->cost.currency);
    metrics_histogram_print(bucket->durations, &d->text);
    buf_add_text(&d->text, "; ");
    metrics_histogram_print(bucket->waits, &d->text);
    buf_add_char(&d->text, '\n');
}

static void add_profile(struct description *d, const struct store_profile *profile)
{
    ck_assert_uint_lt(d->count, ARRAY_SIZE(d->profiles));
    d->profiles[d->count++] = profile->id;
    buf_printf(&d->text, "profile %lld %s, active %d, last %lld:", (long long)profile->id,
               profile->name, profile->is_active, (long long)profile->last_activity);
    for (int i = TASK_QUEUED; i < TASK_STATUS_COUNT; i++)
        buf_printf(&d->text, " %lld", (long long)profile->counts.by_status[i]);
    buf_printf(&d->text, ", %lld bytes; %lld ", (long long)profile->counts.finished_bytes,
               (long long)profile->minute.queue_max);
    add_bucket(d, profile->minute.at, &profile->minute.sum);
}

static void add_task_row(struct description *d, const struct task *task)
{
    buf_add_text(&d->text, "task");
#define X(field) buf_printf(&d->text, " %lld", (long long)task->field);
    NUMBERS(X)
#undef X
#define X(field) buf_printf(&d->text, " %s", task->field ? task->field : "-");
    TEXTS(X)
#undef X
    buf_add_char(&d->text, '\n');
}

static void add_place(struct description *d, const struct task *task)
{
    enum task_status status = TASK_NEW;
    int64_t id = 0;
    int r = store_unmet_dependency(d->store, task->id, &id, &status);

    ck_assert_int_ge(r, 0);
    buf_printf(&d->text, " %lld", (long long)task->id);
    if (r)
        buf_printf(&d->text, "(%lld %s)", (long long)id, task_status_name(status));
}

static void add_spans(struct description *d)
{
    CLEANUP(freep) struct store_span *spans = NULL;
    size_t count = 0;

    EXPECT(store_list_uptime(d->store, 0, INT64_MAX, &spans, &count), 0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&d->text, "ran %lld to %lld\n", (long long)spans[i].started_at,
                   (long long)spans[i].seen_at);
}

static void add_leases(struct description *d)
{
    struct store_leased *leased = NULL;
    struct store_cursor cursor = {0};
    size_t count = 0;

    EXPECT(store_list_leased(d->store, &cursor, 1000, &leased, &count), STORE_STALE);
    for (size_t i = 0; i < count; i++)
        buf_printf(&d->text, "lease of %lld, attempt %lld: %s, %lld ms, %s\n",
                   (long long)leased[i].task.id, (long long)leased[i].task.attempt,
                   leased[i].lease.token, (long long)leased[i].lease.length_ms,
                   leased[i].lease.worker);
    store_leased_free(leased, count);
}

static void add_what_a_profile_has(struct description *d, int64_t id)
{
    static const int64_t spans[] = {METRICS_MINUTE, METRICS_QUARTER, METRICS_HOUR};
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};
    CLEANUP(task_list_deinit) struct task_list queue = {0};

    buf_printf(&d->text, "profile %lld\nqueue", (long long)id);
    EXPECT(store_list_queue(d->store, id, NULL, &everything, &queue), STORE_STALE);
    for (size_t i = 0; i < queue.count; i++)
        add_place(d, &queue.tasks[i]);
    metrics_window_resize(&window, 1000);
    EXPECT(store_fill_window(d->store, id, &window), 0);
    buf_add_text(&d->text, "\nattempts");
    for (size_t i = 0; i < window.count; i++)
        buf_printf(&d->text, " %c%lld", window.samples[i].success ? 'S' : 'F',
                   (long long)window.samples[i].duration_ms);
    buf_add_text(&d->text, "\nmetrics\n");
    for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
        CLEANUP(freep) struct store_bucket *buckets = NULL;
        size_t count = 0;

        EXPECT(store_list_metrics(d->store, id, spans[i], 0, INT64_MAX, &buckets, &count), 0);
        for (size_t k = 0; k < count; k++)
            add_bucket(d, buckets[k].at, &buckets[k].sum);
    }
}

char *describe(struct store *handle)
{
    const struct task_filter all = {.page = everything};
    CLEANUP(store_profiles_deinit) struct store_profiles profiles = {0};
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    struct description d = {.store = handle};

    EXPECT(store_list_profiles(handle, &profiles), 0);
    for (size_t i = 0; i < profiles.count; i++)
        add_profile(&d, &profiles.profiles[i]);
    EXPECT(store_list_tasks(handle, &all, &tasks), STORE_STALE);
    for (size_t i = 0; i < tasks.count; i++)
        add_task_row(&d, &tasks.tasks[i]);
    for (size_t i = 0; i < d.count; i++)
        add_what_a_profile_has(&d, d.profiles[i]);
    add_spans(&d);
    add_leases(&d);
    return buf_take(&d.text);
}

char *dump(void)
{
    struct store *handle = open_handle();
    char *text = describe(handle);

    close_handle(&handle);
    return text;
}

void check_dump(const char *expected, const char *when)
{
    CLEANUP(freep) char *now = dump();

    if (strcmp(now, expected) != 0)
        ck_abort_msg("%s: the store changed from\n%.2000s\nto\n%.2000s", when, expected, now);
}
