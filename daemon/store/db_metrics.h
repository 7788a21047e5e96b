/* SPDX-License-Identifier: MIT */
/* Metrics buckets, stored as blobs. */
#pragma once

#include "store/db.h"

/** Reads a column; NULL or damaged: an empty bucket. */
void db_read_bucket(struct store *store, struct statement *stmt, int column, int64_t profile_id,
                    int64_t at, struct metrics_bucket *ret_bucket);
/** Binds a bucket; `bytes` must live until the statement has run. */
void db_bind_bucket(struct statement *stmt, int index, const struct metrics_bucket *bucket,
                    struct buf *bytes);
