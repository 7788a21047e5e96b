/* SPDX-License-Identifier: MIT */
#include "core/metrics_blob.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/alloc.h"
#include "common/crc32c.h"

#define VERSION 1

/* The numbers of a bucket, in the order of the blob. */
static const size_t numbers[] = {
    offsetof(struct metrics_bucket, completed),       offsetof(struct metrics_bucket, failed),
    offsetof(struct metrics_bucket, cancelled),       offsetof(struct metrics_bucket, retried),
    offsetof(struct metrics_bucket, successes),       offsetof(struct metrics_bucket, errors),
    offsetof(struct metrics_bucket, duration_sum_ms), offsetof(struct metrics_bucket, arrived),
    offsetof(struct metrics_bucket, started),         offsetof(struct metrics_bucket, wait_sum_ms),
    offsetof(struct metrics_bucket, queue_max),
};

static void metrics_blob_write_number(struct buf *out, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        buf_add_char(out, (char)(number | 0x80));
    buf_add_char(out, (char)number);
}

static void metrics_blob_write_signed(struct buf *out, int64_t number)
{
    metrics_blob_write_number(out, (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0));
}

static void metrics_blob_write_cost(struct buf *out, const struct metrics_cost *cost)
{
    size_t len = strnlen(cost->currency, sizeof(cost->currency) - 1);
    uint64_t amount;

    metrics_blob_write_number(out, len);
    if (!len)
        return;
    memcpy(&amount, &cost->amount, sizeof(amount));
    amount = htole64(amount);
    buf_add(out, cost->currency, len);
    buf_add(out, (const char *)&amount, sizeof(amount));
}

static void metrics_blob_write_histogram(struct buf *out, const uint32_t bins[METRICS_BINS])
{
    size_t count = 0, next = 0;

    for (size_t i = 0; i < METRICS_BINS; i++)
        count += bins[i] > 0;
    metrics_blob_write_number(out, count);
    for (size_t i = 0; i < METRICS_BINS; i++) {
        if (!bins[i])
            continue;
        metrics_blob_write_number(out, i - next);
        metrics_blob_write_number(out, bins[i]);
        next = i + 1;
    }
}

void metrics_blob_write(const struct metrics_bucket *bucket, struct buf *out)
{
    size_t start = out->len;
    uint32_t crc;

    buf_add_char(out, VERSION);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        int64_t number;

        memcpy(&number, (const char *)bucket + numbers[i], sizeof(number));
        metrics_blob_write_signed(out, number);
    }
    metrics_blob_write_cost(out, &bucket->cost);
    metrics_blob_write_histogram(out, bucket->durations);
    metrics_blob_write_histogram(out, bucket->waits);
    crc = htole32(crc32c(0, out->data + start, out->len - start));
    buf_add(out, (const char *)&crc, sizeof(crc));
}

struct reader {
    const unsigned char *at, *end;
    bool has_failed;
};

static uint64_t metrics_blob_read_number(struct reader *reader, uint64_t max)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        unsigned char byte = *reader->at++;

        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80) && number <= max)
            return number;
        if (!(byte & 0x80))
            break;
    }
    reader->has_failed = true;
    return 0;
}

static int64_t metrics_blob_read_signed(struct reader *reader)
{
    uint64_t number = metrics_blob_read_number(reader, UINT64_MAX);

    return (int64_t)(number >> 1 ^ (number & 1 ? UINT64_MAX : 0));
}

static void metrics_blob_read_bytes(struct reader *reader, void *bytes, size_t len)
{
    if ((size_t)(reader->end - reader->at) < len) {
        reader->has_failed = true;
        return;
    }
    memcpy(bytes, reader->at, len);
    reader->at += len;
}

static void metrics_blob_read_cost(struct reader *reader, struct metrics_cost *cost)
{
    size_t len = metrics_blob_read_number(reader, sizeof(cost->currency) - 1);
    uint64_t amount = 0;

    if (!len)
        return;
    metrics_blob_read_bytes(reader, cost->currency, len);
    metrics_blob_read_bytes(reader, &amount, sizeof(amount));
    amount = le64toh(amount);
    memcpy(&cost->amount, &amount, sizeof(amount));
}

static void metrics_blob_read_histogram(struct reader *reader, uint32_t bins[METRICS_BINS])
{
    size_t next = 0;

    for (uint64_t left = metrics_blob_read_number(reader, METRICS_BINS);
         left && !reader->has_failed; left--) {
        next += metrics_blob_read_number(reader, METRICS_BINS);
        if (next >= METRICS_BINS) {
            reader->has_failed = true;
            return;
        }
        bins[next++] = (uint32_t)metrics_blob_read_number(reader, UINT32_MAX);
    }
}

int metrics_blob_read(const void *bytes, size_t len, struct metrics_bucket *ret_bucket)
{
    struct metrics_bucket bucket = {0};
    struct reader reader = {.at = bytes};
    uint32_t crc;

    if (!bytes || len < 1 + sizeof(crc))
        return -EBADMSG;
    reader.end = reader.at + len - sizeof(crc);
    memcpy(&crc, reader.end, sizeof(crc));
    if (*reader.at++ != VERSION || crc32c(0, bytes, len - sizeof(crc)) != le32toh(crc))
        return -EBADMSG;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        int64_t number = metrics_blob_read_signed(&reader);

        memcpy((char *)&bucket + numbers[i], &number, sizeof(number));
    }
    metrics_blob_read_cost(&reader, &bucket.cost);
    metrics_blob_read_histogram(&reader, bucket.durations);
    metrics_blob_read_histogram(&reader, bucket.waits);
    if (reader.has_failed || reader.at != reader.end)
        return -EBADMSG;
    *ret_bucket = bucket;
    return 0;
}
