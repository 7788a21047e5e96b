/* SPDX-License-Identifier: MIT */
/* Buckets of metrics as bytes in a column. */
#pragma once

#include "store/sqlite.h"

/** Reads a column; the bucket is empty when that is NULL or damaged. */
void sqlite_read_bucket(struct store *store, sqlite3_stmt *stmt, int column, int64_t profile_id,
                        int64_t at, struct metrics_bucket *ret_bucket);
/** Binds a bucket; its bytes have to stay until the statement was run. */
void sqlite_bind_bucket(sqlite3_stmt *stmt, int index, const struct metrics_bucket *bucket,
                        struct buf *bytes);
/** The SQL function metrics_blob(), for a migration. */
void sqlite_metrics_blob(sqlite3_context *context, int count, sqlite3_value **values);
