/* SPDX-License-Identifier: MIT */
/* Metrics buckets and uptime in SQLite. */
#include <stdio.h>

#include "common/alloc.h"
#include "core/metrics_blob.h"
#include "store/sqlite_metrics.h"

#define PRUNE_STEP 500 /* rows; bounds the time that a pass spends on it */

void sqlite_read_bucket(struct store *store, sqlite3_stmt *stmt, int column, int64_t profile_id,
                        int64_t at, struct metrics_bucket *ret_bucket)
{
    const void *bytes = sqlite3_column_blob(stmt, column);
    size_t len = (size_t)sqlite3_column_bytes(stmt, column);

    *ret_bucket = (struct metrics_bucket){0};
    if (sqlite3_column_type(stmt, column) != SQLITE_NULL &&
        metrics_blob_read(bytes, len, ret_bucket) < 0)
        snprintf(store->damage, sizeof(store->damage),
                 "metrics of profile %lld at %lld are damaged and left out", (long long)profile_id,
                 (long long)at);
}

void sqlite_bind_bucket(sqlite3_stmt *stmt, int index, const struct metrics_bucket *bucket,
                        struct buf *bytes)
{
    metrics_blob_write(bucket, bytes);
    sqlite3_bind_blob(stmt, index, bytes->data, (int)bytes->len, SQLITE_STATIC);
}

/* metrics_blob(completed, …, queue_max): the blob of a bucket that was stored as columns. */
void sqlite_metrics_blob(sqlite3_context *context, int count UNUSED, sqlite3_value **values)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    struct metrics_bucket bucket = {
        .completed = sqlite3_value_int64(values[0]),
        .failed = sqlite3_value_int64(values[1]),
        .cancelled = sqlite3_value_int64(values[2]),
        .retried = sqlite3_value_int64(values[3]),
        .successes = sqlite3_value_int64(values[4]),
        .errors = sqlite3_value_int64(values[5]),
        .duration_sum_ms = sqlite3_value_int64(values[6]),
        .started = sqlite3_value_int64(values[7]),
        .wait_sum_ms = sqlite3_value_int64(values[8]),
        .cost.amount = sqlite3_value_double(values[10]),
        .arrived = sqlite3_value_int64(values[13]),
        .queue_max = sqlite3_value_int64(values[14]),
    };
    const char *durations = (const char *)sqlite3_value_text(values[9]);
    const char *currency = (const char *)sqlite3_value_text(values[11]);
    const char *waits = (const char *)sqlite3_value_text(values[12]);

    snprintf(bucket.cost.currency, sizeof(bucket.cost.currency), "%s", currency ? currency : "");
    metrics_histogram_parse(bucket.durations, durations ? durations : "");
    metrics_histogram_parse(bucket.waits, waits ? waits : "");
    metrics_blob_write(&bucket, &bytes);
    sqlite3_result_blob(context, bytes.data, (int)bytes.len, SQLITE_TRANSIENT);
}

static void sqlite_metrics_bind_bucket(sqlite3_stmt *stmt, int64_t profile_id, int64_t span,
                                       int64_t at)
{
    sqlite3_bind_int64(stmt, 1, profile_id);
    sqlite3_bind_int64(stmt, 2, span);
    sqlite3_bind_int64(stmt, 3, at - at % span);
}

static int sqlite_metrics_add_to_bucket(struct store *store, int64_t profile_id, int64_t span,
                                        int64_t at, const struct metrics_bucket *bucket)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    struct metrics_bucket sum = {0};
    sqlite3_stmt *stmt = sqlite_use(store, STMT_GET_BUCKET);
    int r;

    sqlite_metrics_bind_bucket(stmt, profile_id, span, at);
    r = sqlite_step(store, stmt);
    if (r < 0)
        return r;
    if (r > 0) {
        sqlite_read_bucket(store, stmt, 0, profile_id, at, &sum);
        sqlite3_reset(stmt);
    }
    metrics_bucket_add(&sum, bucket);
    r = sqlite_use_writing(store, STMT_PUT_BUCKET, &stmt);
    if (r < 0)
        return r;
    sqlite_metrics_bind_bucket(stmt, profile_id, span, at);
    sqlite_bind_bucket(stmt, 4, &sum, &bytes);
    return sqlite_run(store, stmt);
}

int store_add_metrics(struct store *store, int64_t profile_id, int64_t at,
                      const struct metrics_bucket *bucket)
{
    static const int64_t spans[] = {METRICS_MINUTE, METRICS_QUARTER, METRICS_HOUR};
    /* Begin before reading: nobody may change the rows until they are written. */
    int r = sqlite_begin(store);

    for (size_t i = 0; i < ARRAY_SIZE(spans) && r == 0; i++)
        r = sqlite_metrics_add_to_bucket(store, profile_id, spans[i], at, bucket);
    return r;
}

static sqlite3_stmt *sqlite_metrics_use_buckets(struct store *store, int64_t profile_id,
                                                int64_t span, int64_t from, int64_t to)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_LIST_BUCKETS);

    sqlite3_bind_int64(stmt, 1, profile_id);
    sqlite3_bind_int64(stmt, 2, span);
    sqlite3_bind_int64(stmt, 3, from);
    sqlite3_bind_int64(stmt, 4, to);
    return stmt;
}

int store_list_metrics(struct store *store, int64_t profile_id, int64_t span, int64_t from,
                       int64_t to, struct store_bucket **ret_buckets, size_t *ret_count)
{
    sqlite3_stmt *stmt = sqlite_metrics_use_buckets(store, profile_id, span, from, to);
    CLEANUP(freep) struct store_bucket *buckets = NULL;
    size_t count = 0, capacity = 0;
    int r;

    while ((r = sqlite_step(store, stmt)) > 0) {
        struct store_bucket *bucket;

        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            buckets = xrealloc(buckets, capacity * sizeof(*buckets));
        }
        bucket = &buckets[count++];
        bucket->at = sqlite3_column_int64(stmt, 1);
        sqlite_read_bucket(store, stmt, 0, profile_id, bucket->at, &bucket->sum);
    }
    if (r < 0)
        return r;
    *ret_buckets = STEAL(buckets);
    *ret_count = count;
    return 0;
}

static int sqlite_metrics_add_up(struct store *store, int64_t profile_id, int64_t span,
                                 int64_t from, int64_t to, struct metrics_bucket *sum)
{
    sqlite3_stmt *stmt = sqlite_metrics_use_buckets(store, profile_id, span, from, to);
    int r;

    while ((r = sqlite_step(store, stmt)) > 0) {
        struct metrics_bucket bucket;

        sqlite_read_bucket(store, stmt, 0, profile_id, sqlite3_column_int64(stmt, 1), &bucket);
        metrics_bucket_add(sum, &bucket);
    }
    return r;
}

int store_sum_metrics(struct store *store, int64_t profile_id, int64_t from, int64_t to,
                      struct metrics_bucket *ret_sum)
{
    /* Whole hours within the range, minutes at both ends: about 200 rows for a week. */
    int64_t first_hour = (from + METRICS_HOUR - 1) / METRICS_HOUR * METRICS_HOUR;
    int64_t last_hour = to / METRICS_HOUR * METRICS_HOUR;
    struct metrics_bucket sum = {0};
    int r;

    if (first_hour >= last_hour)
        first_hour = last_hour = to;
    r = sqlite_metrics_add_up(store, profile_id, METRICS_MINUTE, from, first_hour, &sum);
    if (r == 0)
        r = sqlite_metrics_add_up(store, profile_id, METRICS_HOUR, first_hour, last_hour, &sum);
    if (r == 0)
        r = sqlite_metrics_add_up(store, profile_id, METRICS_MINUTE, last_hour, to, &sum);
    if (r < 0)
        return r;
    *ret_sum = sum;
    return 0;
}

/* Runs a statement that removes at most PRUNE_STEP rows. 1: it removed that many. */
static int sqlite_metrics_prune(struct store *store, sqlite3_stmt *stmt)
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
    return sqlite_metrics_prune(store, stmt);
}

int store_put_uptime(struct store *store, int64_t started_at, int64_t seen_at, int64_t last_event)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_PUT_UPTIME, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, started_at);
    sqlite3_bind_int64(stmt, 2, seen_at);
    sqlite3_bind_int64(stmt, 3, last_event);
    return sqlite_run(store, stmt);
}

int store_last_event(struct store *store, int64_t *ret_number)
{
    int64_t number = 0;
    int r = sqlite_take_number(store, sqlite_use(store, STMT_LAST_EVENT), &number);

    if (r < 0)
        return r;
    *ret_number = number;
    return 0;
}

int store_list_uptime(struct store *store, int64_t from, int64_t to, struct store_span **ret_spans,
                      size_t *ret_count)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_LIST_UPTIME);
    CLEANUP(freep) struct store_span *spans = NULL;
    size_t count = 0;
    int r;

    sqlite3_bind_int64(stmt, 1, from);
    sqlite3_bind_int64(stmt, 2, to);
    while ((r = sqlite_step(store, stmt)) > 0) {
        spans = xrealloc(spans, (count + 1) * sizeof(*spans));
        spans[count++] =
            (struct store_span){sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};
    }
    if (r < 0)
        return r;
    *ret_spans = STEAL(spans);
    *ret_count = count;
    return 0;
}

int store_prune_uptime(struct store *store, int64_t before)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_PRUNE_UPTIME, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 2, before);
    return sqlite_metrics_prune(store, stmt);
}
