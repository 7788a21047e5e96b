/* SPDX-License-Identifier: MIT */
/* Buckets of metrics, and the spans of time in which acpd ran, in SQLite. */
#include <stdio.h>

#include "store/sqlite.h"

#define PRUNE_STEP 500 /* rows: no pass is long because there is much to forget */

/* A row of BUCKET_COLUMNS. */
static void read_bucket(sqlite3_stmt *stmt, struct metrics_bucket *ret_bucket)
{
    struct metrics_bucket bucket = {
        .completed = sqlite3_column_int64(stmt, 0),
        .failed = sqlite3_column_int64(stmt, 1),
        .cancelled = sqlite3_column_int64(stmt, 2),
        .retried = sqlite3_column_int64(stmt, 3),
        .successes = sqlite3_column_int64(stmt, 4),
        .errors = sqlite3_column_int64(stmt, 5),
        .duration_sum_ms = sqlite3_column_int64(stmt, 6),
        .started = sqlite3_column_int64(stmt, 7),
        .wait_sum_ms = sqlite3_column_int64(stmt, 8),
    };

    metrics_histogram_parse(bucket.durations, (const char *)sqlite3_column_text(stmt, 9));
    bucket.cost.amount = sqlite3_column_double(stmt, 10);
    snprintf(bucket.cost.currency, sizeof(bucket.cost.currency), "%s",
             (const char *)sqlite3_column_text(stmt, 11));
    metrics_histogram_parse(bucket.waits, (const char *)sqlite3_column_text(stmt, 12));
    bucket.arrived = sqlite3_column_int64(stmt, 13);
    bucket.queue_max = sqlite3_column_int64(stmt, 14);
    *ret_bucket = bucket;
}

static void bind_bucket(sqlite3_stmt *stmt, int64_t profile_id, int64_t span, int64_t at)
{
    sqlite3_bind_int64(stmt, 1, profile_id);
    sqlite3_bind_int64(stmt, 2, span);
    sqlite3_bind_int64(stmt, 3, at - at % span);
}

/* Whether it holds no more than arrivals and the length of the queue, as most do while tasks are
 * handed in: these are added without reading the row. */
static bool is_of_queue(const struct metrics_bucket *bucket)
{
    struct metrics_bucket other = *bucket;

    other.arrived = other.queue_max = 0;
    return metrics_bucket_is_empty(&other);
}

static int add_of_queue(struct store *store, int64_t profile_id, int64_t span, int64_t at,
                        const struct metrics_bucket *bucket)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_ADD_ARRIVALS, &stmt);

    if (r < 0)
        return r;
    bind_bucket(stmt, profile_id, span, at);
    sqlite3_bind_int64(stmt, 4, bucket->arrived);
    sqlite3_bind_int64(stmt, 5, bucket->queue_max);
    return sqlite_run(store, stmt);
}

static int add_to_bucket(struct store *store, int64_t profile_id, int64_t span, int64_t at,
                         const struct metrics_bucket *bucket)
{
    CLEANUP(buf_deinit) struct buf durations = {0}, waits = {0};
    struct metrics_bucket sum = *bucket, old;
    sqlite3_stmt *stmt;
    int r;

    if (is_of_queue(bucket))
        return add_of_queue(store, profile_id, span, at, bucket);
    stmt = sqlite_use(store, STMT_GET_BUCKET);
    bind_bucket(stmt, profile_id, span, at);
    r = sqlite_step(store, stmt);
    if (r < 0)
        return r;
    if (r > 0) {
        read_bucket(stmt, &old);
        metrics_bucket_add(&sum, &old);
        sqlite3_reset(stmt);
    }
    r = sqlite_use_writing(store, STMT_PUT_BUCKET, &stmt);
    if (r < 0)
        return r;
    metrics_histogram_print(sum.durations, &durations);
    metrics_histogram_print(sum.waits, &waits);
    bind_bucket(stmt, profile_id, span, at);
    sqlite3_bind_int64(stmt, 4, sum.completed);
    sqlite3_bind_int64(stmt, 5, sum.failed);
    sqlite3_bind_int64(stmt, 6, sum.cancelled);
    sqlite3_bind_int64(stmt, 7, sum.retried);
    sqlite3_bind_int64(stmt, 8, sum.successes);
    sqlite3_bind_int64(stmt, 9, sum.errors);
    sqlite3_bind_int64(stmt, 10, sum.duration_sum_ms);
    sqlite3_bind_int64(stmt, 11, sum.started);
    sqlite3_bind_int64(stmt, 12, sum.wait_sum_ms);
    sqlite3_bind_text(stmt, 13, buf_text(&durations), -1, SQLITE_STATIC);
    sqlite3_bind_double(stmt, 14, sum.cost.amount);
    sqlite3_bind_text(stmt, 15, sum.cost.currency, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 16, buf_text(&waits), -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 17, sum.arrived);
    sqlite3_bind_int64(stmt, 18, sum.queue_max);
    return sqlite_run(store, stmt);
}

int store_add_metrics(struct store *store, int64_t profile_id, int64_t at,
                      const struct metrics_bucket *bucket)
{
    static const int64_t spans[] = {METRICS_MINUTE, METRICS_QUARTER, METRICS_HOUR};
    /* Before the rows are read: what they are written with is what they then hold. */
    int r = sqlite_begin(store);

    for (size_t i = 0; i < ARRAY_SIZE(spans) && r == 0; i++)
        r = add_to_bucket(store, profile_id, spans[i], at, bucket);
    return r;
}

int store_list_metrics(struct store *store, int64_t profile_id, int64_t span, int64_t from,
                       int64_t to, store_bucket_row row, void *data)
{
    sqlite3_stmt *stmt;
    int r;

    if (from >= to)
        return 0;
    stmt = sqlite_use(store, STMT_LIST_BUCKETS);
    sqlite3_bind_int64(stmt, 1, profile_id);
    sqlite3_bind_int64(stmt, 2, span);
    sqlite3_bind_int64(stmt, 3, from);
    sqlite3_bind_int64(stmt, 4, to);
    while ((r = sqlite_step(store, stmt)) > 0) {
        struct metrics_bucket bucket;

        read_bucket(stmt, &bucket);
        row(sqlite3_column_int64(stmt, 15), &bucket, data);
    }
    return r;
}

static void add_row(int64_t at UNUSED, const struct metrics_bucket *bucket, void *data)
{
    metrics_bucket_add(data, bucket);
}

int store_sum_metrics(struct store *store, int64_t profile_id, int64_t from, int64_t to,
                      struct metrics_bucket *ret_sum)
{
    /* Whole hours where the range has them, minutes at both ends: a week is some 200 rows. */
    int64_t first_hour = (from + METRICS_HOUR - 1) / METRICS_HOUR * METRICS_HOUR;
    int64_t last_hour = to / METRICS_HOUR * METRICS_HOUR;
    struct metrics_bucket sum = {0};
    int r;

    if (first_hour >= last_hour)
        first_hour = last_hour = to;
    r = store_list_metrics(store, profile_id, METRICS_MINUTE, from, first_hour, add_row, &sum);
    if (r == 0)
        r = store_list_metrics(store, profile_id, METRICS_HOUR, first_hour, last_hour, add_row,
                               &sum);
    if (r == 0)
        r = store_list_metrics(store, profile_id, METRICS_MINUTE, last_hour, to, add_row, &sum);
    if (r < 0)
        return r;
    *ret_sum = sum;
    return 0;
}

/* Steps a statement that removes no more than PRUNE_STEP rows. 1: it removed as many. */
static int prune(struct store *store, sqlite3_stmt *stmt)
{
    int r;

    sqlite3_bind_int64(stmt, 1, PRUNE_STEP);
    r = sqlite_run(store, stmt);
    return r < 0 ? r : sqlite3_changes(store->db) >= PRUNE_STEP;
}

int store_prune_metrics(struct store *store, int64_t profile_id, int64_t span, int64_t before)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_PRUNE_BUCKETS, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 2, profile_id);
    sqlite3_bind_int64(stmt, 3, span);
    sqlite3_bind_int64(stmt, 4, before);
    return prune(store, stmt);
}

int store_put_uptime(struct store *store, int64_t started_at, int64_t seen_at)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_PUT_UPTIME, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, started_at);
    sqlite3_bind_int64(stmt, 2, seen_at);
    return sqlite_run(store, stmt);
}

int store_list_uptime(struct store *store, int64_t from, int64_t to, store_span_row row, void *data)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_LIST_UPTIME);
    int r;

    sqlite3_bind_int64(stmt, 1, from);
    sqlite3_bind_int64(stmt, 2, to);
    while ((r = sqlite_step(store, stmt)) > 0)
        row(sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1), data);
    return r;
}

int store_prune_uptime(struct store *store, int64_t before)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_PRUNE_UPTIME, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 2, before);
    return prune(store, stmt);
}
