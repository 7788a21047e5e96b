/* SPDX-License-Identifier: MIT */
/* Metrics buckets, stored as blobs. */
#pragma once

#include "store/sqlite.h"

/** Reads a column; NULL or damaged: an empty bucket. */
void sqlite_read_bucket(struct store *store, sqlite3_stmt *stmt, int column, int64_t profile_id,
                        int64_t at, struct metrics_bucket *ret_bucket);
/** Binds a bucket; `bytes` must live until the statement has run. */
void sqlite_bind_bucket(sqlite3_stmt *stmt, int index, const struct metrics_bucket *bucket,
                        struct buf *bytes);
/** The SQL function metrics_blob(), used by a migration. */
void sqlite_metrics_blob(sqlite3_context *context, int count, sqlite3_value **values);
