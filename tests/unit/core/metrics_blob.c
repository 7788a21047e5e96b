/* SPDX-License-Identifier: MIT */
/* Buckets as bytes. */
#include <errno.h>
#include <string.h>

#include "common/crc32c.h"
#include "core/metrics_blob.h"
#include "fixture.h"

static struct metrics_bucket full_bucket(void)
{
    struct metrics_bucket bucket = {
        .completed = 1,
        .failed = INT64_MAX,
        .cancelled = 3,
        .retried = 128,
        .successes = 16384,
        .errors = 6,
        .duration_sum_ms = INT64_MIN, /* a clock was set back */
        .arrived = 8,
        .started = 9,
        .wait_sum_ms = -10,
        .queue_max = 11,
        .cost = {0.1, "CURRENC"},
    };

    for (size_t i = 0; i < METRICS_BINS; i++)
        bucket.durations[i] = UINT32_MAX - (uint32_t)i;
    bucket.waits[0] = 1;
    bucket.waits[METRICS_BINS - 1] = 300;
    return bucket;
}

static void check_same(const struct metrics_bucket *bucket)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    struct metrics_bucket got;

    metrics_blob_write(bucket, &bytes);
    memset(&got, 0xa5, sizeof(got));
    ck_assert_int_eq(metrics_blob_read(bytes.data, bytes.len, &got), 0);
    ck_assert_mem_eq(&got, bucket, sizeof(got));
}

START_TEST(a_bucket_comes_back_from_its_bytes)
{
    struct metrics_bucket bucket = {0};

    check_same(&bucket);
    metrics_bucket_add_attempt(&bucket, true, 1000);
    check_same(&bucket);
    bucket = full_bucket();
    check_same(&bucket);
}
END_TEST

/* Each bit of it counts, and so does its end. */
START_TEST(damaged_bytes_are_no_bucket)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    const struct metrics_bucket bucket = full_bucket();
    struct metrics_bucket got = {.completed = 77};

    metrics_blob_write(&bucket, &bytes);
    for (size_t i = 0; i < bytes.len * 8; i++) {
        bytes.data[i / 8] = (char)(bytes.data[i / 8] ^ 1 << i % 8);
        ck_assert_int_eq(metrics_blob_read(bytes.data, bytes.len, &got), -EBADMSG);
        bytes.data[i / 8] = (char)(bytes.data[i / 8] ^ 1 << i % 8);
    }
    for (size_t len = 0; len < bytes.len; len++)
        ck_assert_int_eq(metrics_blob_read(bytes.data, len, &got), -EBADMSG);
    ck_assert_int_eq(metrics_blob_read(NULL, 0, &got), -EBADMSG);
    ck_assert_int_eq(got.completed, 77);
}
END_TEST

/* With a sum that is right: what stands before it is still bounded. */
START_TEST(senseless_bytes_are_no_bucket)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\2", 1},                                                   /* another version */
        {"\1", 1},                                                   /* nothing */
        {"\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},                    /* more */
        {"\1\0\0\0\0\0\0\0\0\0\0\0\10", 13},                         /* a long currency */
        {"\1\0\0\0\0\0\0\0\0\0\0\0\3EUR", 16},                       /* without its amount */
        {"\1\0\0\0\0\0\0\0\0\0\0\0\0\1\210\1\1\0", 18},              /* a bin too many */
        {"\1\0\0\0\0\0\0\0\0\0\0\0\0\1\0\200\200\200\200\20\0", 21}, /* a count too great */
        {"\1\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377", 17},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        unsigned char bytes[64];
        struct metrics_bucket got = {.completed = 77};
        uint32_t crc = crc32c(0, rows[i].bytes, rows[i].len);

        memcpy(bytes, rows[i].bytes, rows[i].len);
        for (size_t k = 0; k < 4; k++)
            bytes[rows[i].len + k] = (unsigned char)(crc >> (8 * k));
        if (metrics_blob_read(bytes, rows[i].len + 4, &got) != -EBADMSG || got.completed != 77)
            ck_abort_msg("row %zu", i);
    }
}
END_TEST

void add_metrics_blob_cases(Suite *suite)
{
    TCase *tcase = tcase_create("metrics_blob");

    tcase_add_test(tcase, a_bucket_comes_back_from_its_bytes);
    tcase_add_test(tcase, damaged_bytes_are_no_bucket);
    tcase_add_test(tcase, senseless_bytes_are_no_bucket);
    suite_add_tcase(suite, tcase);
}
