/* SPDX-License-Identifier: MIT */
/*
 * A bucket of metrics in bytes, as the store keeps it.
 *
 * A byte for the version, 1; the numbers of the bucket; its currency's length and letters, then the
 * amount as a double of eight bytes, little-endian, when there is a currency; for each histogram
 * the number of bins in use and, for each of them, how many bins lie between it and the one before,
 * and its count; and a CRC-32C of all that, four bytes, little-endian. A number is LEB128, least
 * significant bits first; one that may be negative is zigzag-coded before.
 */
#pragma once

#include "core/metrics.h"

void metrics_blob_write(const struct metrics_bucket *bucket, struct buf *out);
/** -EBADMSG if metrics_blob_write() did not write it; *ret_bucket is then unchanged. */
MUST_CHECK int metrics_blob_read(const void *bytes, size_t len, struct metrics_bucket *ret_bucket);
