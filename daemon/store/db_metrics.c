/* SPDX-License-Identifier: MIT */
/* Metrics buckets and uptime. */
#include <stdio.h>

#include "common/alloc.h"
#include "core/metrics_blob.h"
#include "store/db_metrics.h"

#define PRUNE_STEP 500 /* rows; bounds the time that a pass spends on it */

void db_read_bucket(struct store *store, struct statement *stmt, int column, int64_t profile_id,
                    int64_t at, struct metrics_bucket *ret_bucket)
{
    size_t len = 0;
    const void *bytes = stmt->engine->blob(stmt->prepared, column, &len);

    *ret_bucket = (struct metrics_bucket){0};
    if (bytes && metrics_blob_read(bytes, len, ret_bucket) < 0)
        snprintf(store->damage, sizeof(store->damage),
                 "metrics of profile %lld at %lld are damaged and left out", (long long)profile_id,
                 (long long)at);
}

void db_bind_bucket(struct statement *stmt, int index, const struct metrics_bucket *bucket,
                    struct buf *bytes)
{
    metrics_blob_write(bucket, bytes);
    stmt->engine->bind_blob(stmt->prepared, index, bytes->data, bytes->len);
}

static void db_metrics_bind_bucket(struct statement *stmt, int64_t profile_id, int64_t span,
                                   int64_t at)
{
    db_bind_number(stmt, 1, profile_id);
    db_bind_number(stmt, 2, span);
    db_bind_number(stmt, 3, at - at % span);
}

static int db_metrics_add_to_bucket(struct store *store, int64_t profile_id, int64_t span,
                                    int64_t at, const struct metrics_bucket *bucket)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    struct metrics_bucket sum = {0};
    struct statement *stmt = db_use(store, STMT_GET_BUCKET);
    int r;

    db_metrics_bind_bucket(stmt, profile_id, span, at);
    r = db_step(store, stmt);
    if (r < 0)
        return r;
    if (r > 0) {
        db_read_bucket(store, stmt, 0, profile_id, at, &sum);
        db_reset(stmt);
    }
    metrics_bucket_add(&sum, bucket);
    r = db_use_writing(store, STMT_PUT_BUCKET, &stmt);
    if (r < 0)
        return r;
    db_metrics_bind_bucket(stmt, profile_id, span, at);
    db_bind_bucket(stmt, 4, &sum, &bytes);
    return db_run_later(store, stmt);
}

int store_add_metrics(struct store *store, int64_t profile_id, int64_t at,
                      const struct metrics_bucket *bucket)
{
    static const int64_t spans[] = {METRICS_MINUTE, METRICS_QUARTER, METRICS_HOUR};
    /* Begin before reading: nobody may change the rows until they are written. */
    int r = db_begin(store);

    for (size_t i = 0; i < ARRAY_SIZE(spans) && r == 0; i++)
        r = db_metrics_add_to_bucket(store, profile_id, spans[i], at, bucket);
    return r;
}

static struct statement *db_metrics_use_buckets(struct store *store, int64_t profile_id,
                                                int64_t span, int64_t from, int64_t to)
{
    struct statement *stmt = db_use(store, STMT_LIST_BUCKETS);

    db_bind_number(stmt, 1, profile_id);
    db_bind_number(stmt, 2, span);
    db_bind_number(stmt, 3, from);
    db_bind_number(stmt, 4, to);
    return stmt;
}

/* Buckets and their times, as the statement returns them. */
static int db_metrics_take_buckets(struct store *store, struct statement *stmt, int64_t profile_id,
                                   struct store_bucket **ret_buckets, size_t *ret_count)
{
    CLEANUP(freep) struct store_bucket *buckets = NULL;
    size_t count = 0, capacity = 0;
    int r;

    while ((r = db_step(store, stmt)) > 0) {
        struct store_bucket *bucket;

        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            buckets = xrealloc(buckets, capacity * sizeof(*buckets));
        }
        bucket = &buckets[count++];
        bucket->at = db_number(stmt, 1);
        db_read_bucket(store, stmt, 0, profile_id, bucket->at, &bucket->sum);
    }
    if (r < 0)
        return r;
    *ret_buckets = STEAL(buckets);
    *ret_count = count;
    return 0;
}

int store_list_metrics(struct store *store, int64_t profile_id, int64_t span, int64_t from,
                       int64_t to, struct store_bucket **ret_buckets, size_t *ret_count)
{
    struct statement *stmt = db_metrics_use_buckets(store, profile_id, span, from, to);

    return db_metrics_take_buckets(store, stmt, profile_id, ret_buckets, ret_count);
}

int store_list_minutes(struct store *store, int64_t profile_id, struct store_bucket **ret_minutes,
                       size_t *ret_count)
{
    struct statement *stmt;

    *ret_minutes = NULL;
    *ret_count = 0;
    if (!store->node)
        return 0;
    stmt = db_use(store, STMT_LIST_MINUTES);
    db_bind_number(stmt, 1, profile_id);
    db_bind_number(stmt, 2, store->node);
    return db_metrics_take_buckets(store, stmt, profile_id, ret_minutes, ret_count);
}

static int db_metrics_add_up(struct store *store, int64_t profile_id, int64_t span, int64_t from,
                             int64_t to, struct metrics_bucket *sum)
{
    struct statement *stmt = db_metrics_use_buckets(store, profile_id, span, from, to);
    int r;

    while ((r = db_step(store, stmt)) > 0) {
        struct metrics_bucket bucket;

        db_read_bucket(store, stmt, 0, profile_id, db_number(stmt, 1), &bucket);
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
    r = db_metrics_add_up(store, profile_id, METRICS_MINUTE, from, first_hour, &sum);
    if (r == 0)
        r = db_metrics_add_up(store, profile_id, METRICS_HOUR, first_hour, last_hour, &sum);
    if (r == 0)
        r = db_metrics_add_up(store, profile_id, METRICS_MINUTE, last_hour, to, &sum);
    if (r < 0)
        return r;
    *ret_sum = sum;
    return 0;
}

/* Runs a statement that removes at most PRUNE_STEP rows. 1: it removed that many. */
static int db_metrics_prune(struct store *store, struct statement *stmt)
{
    int r;

    db_bind_number(stmt, 1, PRUNE_STEP);
    r = db_run(store, stmt);
    return r < 0 ? r : db_changes(store) >= PRUNE_STEP;
}

int store_prune_metrics(struct store *store, int64_t profile_id, int64_t span, int64_t before)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_PRUNE_BUCKETS, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 2, profile_id);
    db_bind_number(stmt, 3, span);
    db_bind_number(stmt, 4, before);
    return db_metrics_prune(store, stmt);
}

int store_put_uptime(struct store *store, int64_t started_at, int64_t seen_at, int64_t last_event)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_PUT_UPTIME, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, started_at);
    db_bind_number(stmt, 2, seen_at);
    db_bind_number(stmt, 3, last_event);
    return db_run(store, stmt);
}

int store_last_event(struct store *store, int64_t *ret_number)
{
    int64_t number = 0;
    int r = db_take_number(store, db_use(store, STMT_LAST_EVENT), &number);

    if (r < 0)
        return r;
    *ret_number = number;
    return 0;
}

int store_list_uptime(struct store *store, int64_t from, int64_t to, struct store_span **ret_spans,
                      size_t *ret_count)
{
    struct statement *stmt = db_use(store, STMT_LIST_UPTIME);
    CLEANUP(freep) struct store_span *spans = NULL;
    size_t count = 0;
    int r;

    db_bind_number(stmt, 1, from);
    db_bind_number(stmt, 2, to);
    while ((r = db_step(store, stmt)) > 0) {
        spans = xrealloc(spans, (count + 1) * sizeof(*spans));
        spans[count++] = (struct store_span){db_number(stmt, 0), db_number(stmt, 1)};
    }
    if (r < 0)
        return r;
    *ret_spans = STEAL(spans);
    *ret_count = count;
    return 0;
}

int store_prune_uptime(struct store *store, int64_t before)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_PRUNE_UPTIME, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 2, before);
    return db_metrics_prune(store, stmt);
}
