/* SPDX-License-Identifier: MIT */
/* Metrics and the window of attempts. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/buf.h"
#include "core/metrics.h"
#include "fixture.h"

START_TEST(metrics_hand_computed)
{
    struct metrics_bucket bucket = {
        .completed = 3,
        .failed = 1,
        .cancelled = 50,
        .retried = 60,
        .started = 5,
        .wait_sum_ms = 2500,
    };
    struct metrics m;

    metrics_bucket_add_attempt(&bucket, true, 1000);
    metrics_bucket_add_attempt(&bucket, true, 2000);
    metrics_bucket_add_attempt(&bucket, false, 10000);
    metrics_bucket_add_attempt(&bucket, true, 3000);
    ck_assert_int_eq(bucket.successes, 3);
    ck_assert_int_eq(bucket.errors, 1);
    ck_assert_int_eq(bucket.duration_sum_ms, 16000);
    metrics_from_bucket(&bucket, 7200000, &m);
    ck_assert_double_eq_tol(m.throughput, 2, EXACT);
    ck_assert_double_eq_tol(m.success_rate, 75, EXACT);
    ck_assert_double_eq_tol(m.error_rate, 25, EXACT);
    ck_assert_double_eq_tol(m.average_duration, 4, EXACT);
    ck_assert_double_eq_tol(m.average_wait, 0.5, EXACT);
    ck_assert_int_eq(m.sample_size, 4);
    ck_assert_double_eq_tol(m.p50_duration, 2, 0.2);
    ck_assert_double_eq_tol(m.p95_duration, 10, 1);
}
END_TEST

START_TEST(metrics_without_data)
{
    struct metrics_bucket bucket = {0};
    struct metrics m = {.throughput = 5};

    ck_assert(metrics_bucket_is_empty(&bucket));
    metrics_from_bucket(&bucket, 3600000, &m);
    ck_assert_double_eq(m.throughput, 0);
    ck_assert_double_eq(m.success_rate, 100);
    ck_assert_double_eq(m.error_rate, 0);
    ck_assert_double_eq(m.average_duration, 0);
    ck_assert_double_eq(m.p50_duration, 0);
    ck_assert_double_eq(m.p95_duration, 0);
    ck_assert_double_eq(m.average_wait, 0);
    ck_assert_int_eq(m.sample_size, 0);

    /* Cancelled and retried ones are not samples either. */
    bucket.cancelled = 4;
    bucket.retried = 4;
    metrics_from_bucket(&bucket, 3600000, &m);
    ck_assert_double_eq(m.success_rate, 100);
    ck_assert_double_eq(m.throughput, 0);
    ck_assert_int_eq(m.sample_size, 0);
}
END_TEST

START_TEST(metrics_add_up)
{
    struct metrics_bucket sum = {
        .completed = 1,
        .failed = 2,
        .cancelled = 3,
        .retried = 4,
        .successes = 5,
        .errors = 6,
        .duration_sum_ms = 7,
        .started = 8,
        .wait_sum_ms = 9,
        .arrived = 10,
        .queue_max = 11,
        .cost = {0.5, "USD"},
        .durations = {10},
        .waits = {20},
    };
    struct metrics_bucket other = {
        .completed = 100,
        .failed = 200,
        .cancelled = 300,
        .retried = 400,
        .successes = 500,
        .errors = 600,
        .duration_sum_ms = 700,
        .started = 800,
        .wait_sum_ms = 900,
        .arrived = 1000,
        .queue_max = 1100,
        .cost = {0.25, "USD"},
        .durations = {1000},
        .waits = {2000},
    };

    sum.durations[METRICS_BINS - 1] = 1;
    other.durations[METRICS_BINS - 1] = 2;
    other.durations[77] = 5;
    metrics_bucket_add(&sum, &other);
    ck_assert_int_eq(sum.completed, 101);
    ck_assert_int_eq(sum.failed, 202);
    ck_assert_int_eq(sum.cancelled, 303);
    ck_assert_int_eq(sum.retried, 404);
    ck_assert_int_eq(sum.successes, 505);
    ck_assert_int_eq(sum.errors, 606);
    ck_assert_int_eq(sum.duration_sum_ms, 707);
    ck_assert_int_eq(sum.started, 808);
    ck_assert_int_eq(sum.wait_sum_ms, 909);
    ck_assert_int_eq(sum.arrived, 1010);
    ck_assert_int_eq(sum.queue_max, 1100); /* the most at once, not a sum */
    ck_assert_uint_eq(sum.waits[0], 2020);
    ck_assert_double_eq(sum.cost.amount, 0.75);
    metrics_cost_add(&sum.cost, &(struct metrics_cost){9, "EUR"});
    ck_assert_double_eq(sum.cost.amount, 0.75);
    ck_assert_str_eq(sum.cost.currency, "USD");
    ck_assert_uint_eq(sum.durations[0], 1010);
    ck_assert_uint_eq(sum.durations[77], 5);
    ck_assert_uint_eq(sum.durations[METRICS_BINS - 1], 3);
    ck_assert_int_eq(other.completed, 100);
}
END_TEST

START_TEST(metrics_bucket_with_one_is_not_empty)
{
    static const size_t not_empty[] = {
        offsetof(struct metrics_bucket, completed), offsetof(struct metrics_bucket, failed),
        offsetof(struct metrics_bucket, cancelled), offsetof(struct metrics_bucket, retried),
        offsetof(struct metrics_bucket, successes), offsetof(struct metrics_bucket, errors),
        offsetof(struct metrics_bucket, started),   offsetof(struct metrics_bucket, arrived),
        offsetof(struct metrics_bucket, queue_max),
    };

    ck_assert(metrics_bucket_is_empty(&(struct metrics_bucket){0}));
    for (size_t i = 0; i < ARRAY_SIZE(not_empty); i++) {
        struct metrics_bucket one = {0};
        int64_t value = 1;

        memcpy((char *)&one + not_empty[i], &value, sizeof(value));
        ck_assert(!metrics_bucket_is_empty(&one));
    }
}
END_TEST

static int compare_durations(const void *left, const void *right)
{
    int64_t a, b;

    memcpy(&a, left, sizeof(a));
    memcpy(&b, right, sizeof(b));
    return (a > b) - (a < b);
}

/* One draw from the distribution of this number, in ms. */
static int64_t draw(int distribution)
{
    double u = random_fraction();

    switch (distribution) {
    case 0: /* all the same */
        return 4321;
    case 1: /* uniform to 10 s */
        return 1 + (int64_t)random_below(10000);
    case 2: /* exponential, 30 s */
        return 1 + (int64_t)(-30000 * log(u));
    case 3: /* two kinds of work */
        return u < 0.7 ? 200 + (int64_t)random_below(50) : 3600000 + (int64_t)random_below(600000);
    case 4: /* a long tail */
        return (int64_t)(100 / pow(u, 1.2));
    default: /* short ones */
        return 1 + (int64_t)random_below(20);
    }
}

START_TEST(metrics_percentiles)
{
    static const int sizes[] = {1, 2, 3, 20, 21, 100, 5000};
    static int64_t sample[5000];

    chance = (uint64_t)_i + 1;
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        struct metrics_bucket bucket = {0};
        int n = sizes[s];
        int64_t p50, p95;
        struct metrics m;

        for (int i = 0; i < n; i++) {
            sample[i] = draw(_i);
            metrics_bucket_add_attempt(&bucket, random_below(2), sample[i]);
        }
        qsort(sample, (size_t)n, sizeof(*sample), compare_durations);
        /* Nearest rank: the smallest value that is not less than that share of the sample. */
        p50 = sample[(n * 50 + 99) / 100 - 1];
        p95 = sample[(n * 95 + 99) / 100 - 1];
        metrics_from_bucket(&bucket, 60000, &m);
        ck_assert_int_eq(m.sample_size, n);
        ck_assert_double_eq_tol(m.p50_duration, (double)p50 / 1000, (double)p50 / 10000);
        ck_assert_double_eq_tol(m.p95_duration, (double)p95 / 1000, (double)p95 / 10000);
    }
}
END_TEST

/* Wherever they are in their bin. */
START_TEST(metrics_percentiles_of_equal_durations_are_not_below_their_average)
{
    for (int64_t ms = 1; ms < 5000; ms++) {
        struct metrics_bucket bucket = {0};
        struct metrics m;

        for (int i = 0; i < 100; i++) {
            metrics_bucket_add_attempt(&bucket, true, ms);
            metrics_bucket_add_start(&bucket, ms);
        }
        metrics_from_bucket(&bucket, 60000, &m);
        ck_assert_double_ge(m.p50_duration, m.average_duration);
        ck_assert_double_ge(m.p95_duration, m.average_duration);
        ck_assert_double_ge(m.p95_wait, m.average_wait);
        ck_assert_double_eq_tol(m.p95_duration, (double)ms / 1000, (double)ms / 10000);
    }
}
END_TEST

START_TEST(metrics_take_extreme_durations)
{
    struct metrics_bucket bucket = {0};
    int64_t seen = 0;

    metrics_bucket_add_attempt(&bucket, true, 0);
    metrics_bucket_add_attempt(&bucket, true, -5);
    metrics_bucket_add_attempt(&bucket, true, 1);
    ck_assert_uint_eq(bucket.durations[0], 3);
    metrics_bucket_add_attempt(&bucket, true, 2);
    ck_assert_uint_eq(bucket.durations[3], 1); /* each bin holds its upper edge */
    metrics_bucket_add_attempt(&bucket, true, 1024);
    ck_assert_uint_eq(bucket.durations[39], 1);
    metrics_bucket_add_attempt(&bucket, true, 1025);
    ck_assert_uint_eq(bucket.durations[40], 1);
    metrics_bucket_add_attempt(&bucket, false, INT64_C(1) << 34);
    metrics_bucket_add_attempt(&bucket, false, INT64_C(1) << 50);
    ck_assert_uint_eq(bucket.durations[METRICS_BINS - 1], 2);
    for (size_t i = 0; i < METRICS_BINS; i++)
        seen += bucket.durations[i];
    ck_assert_int_eq(seen, 8);
}
END_TEST

/* A duration equal to an edge is counted below it, a longer one is not. */
START_TEST(metrics_edges_are_exact)
{
    for (size_t edge = 7; edge < METRICS_BINS - 1; edge += 8) {
        struct metrics_bucket bucket = {0};
        int64_t ms = INT64_C(1) << ((edge + 1) / 4);

        ck_assert_double_eq(metrics_bin_edge(edge), (double)ms / 1000);
        metrics_bucket_add_attempt(&bucket, true, ms);
        metrics_bucket_add_start(&bucket, ms + 1);
        ck_assert_uint_eq(bucket.durations[edge], 1);
        for (size_t i = 0; i <= edge; i++)
            ck_assert_uint_eq(bucket.waits[i], 0);
    }
}
END_TEST

START_TEST(metrics_waits_hand_computed)
{
    struct metrics_bucket bucket = {0};
    struct metrics m;

    for (int64_t i = 1; i <= 20; i++)
        metrics_bucket_add_start(&bucket, 1000 * i);
    metrics_from_bucket(&bucket, METRICS_HOUR, &m);
    ck_assert_double_eq_tol(m.average_wait, 10.5, EXACT);
    ck_assert_double_eq_tol(m.p50_wait, 10, 10 * 0.09);
    ck_assert_double_eq_tol(m.p95_wait, 19, 19 * 0.09);
}
END_TEST

START_TEST(metrics_ranges_end_with_the_present)
{
    const int64_t now = INT64_C(1795357930125); /* 2026-11-22T14:32:10.125Z */
    static const struct {
        const char *name;
        int64_t span, start; /* minutes */
    } rows[] = {
        {"1h", 1, 14 * 60 + 33 - 60},
        {"24h", 15, 14 * 60 + 45 - 24 * 60},
        {"7d", 60, 15 * 60 - 7 * 24 * 60},
    };
    const int64_t midnight = now - now % (24 * METRICS_HOUR);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct metrics_range *range = metrics_range_find(rows[i].name);

        ck_assert_str_eq(range->name, rows[i].name);
        ck_assert_str_eq(range->name, metrics_range_names[i]);
        ck_assert_int_eq(range->span, rows[i].span * METRICS_MINUTE);
        ck_assert_int_eq(metrics_range_start(range, now),
                         midnight + rows[i].start * METRICS_MINUTE);
        /* A moment on an edge belongs to the bucket that it begins. */
        ck_assert_int_eq(metrics_range_start(range, midnight) + metrics_range_ms(range),
                         midnight + range->span);
    }
    ck_assert_str_eq(metrics_range_find(NULL)->name, "1h");
}
END_TEST

START_TEST(metrics_peak_of_a_minute)
{
    struct metrics_peak peak = {0};

    ck_assert(!metrics_peak_note(&peak, 7, 0, 0));
    ck_assert(metrics_peak_note(&peak, 7, 0, 3));
    ck_assert(!metrics_peak_note(&peak, 7, 3, 3));
    ck_assert(!metrics_peak_note(&peak, 7, 3, 1));
    ck_assert(metrics_peak_note(&peak, 7, 1, 5));
    ck_assert_int_eq(peak.size, 5);
    /* What stood when the minute began counts, even if it is gone at once. */
    ck_assert(metrics_peak_note(&peak, 8, 5, 0));
    ck_assert_int_eq(peak.size, 5);
    ck_assert(!metrics_peak_note(&peak, 8, 0, 4));
    ck_assert(!metrics_peak_note(&peak, 9, 0, 0));
}
END_TEST

static void parses_to(const char *text, size_t bin, uint32_t count, size_t other_bin,
                      uint32_t other_count)
{
    struct metrics_bucket bucket = {0};

    metrics_histogram_parse(bucket.durations, text);
    for (size_t i = 0; i < METRICS_BINS; i++)
        ck_assert_msg(bucket.durations[i] ==
                          (i == bin ? count : 0) + (i == other_bin ? other_count : 0),
                      "\"%s\": bin %zu has %u", text, i, bucket.durations[i]);
}

START_TEST(metrics_histogram_text)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    struct metrics_bucket bucket = {0}, back;

    metrics_histogram_print(bucket.durations, &text);
    ck_assert_str_eq(buf_text(&text), "");
    bucket.durations[0] = 1;
    bucket.durations[17] = 4000000000;
    bucket.durations[METRICS_BINS - 1] = 12;
    metrics_histogram_print(bucket.durations, &text);
    ck_assert_str_eq(buf_text(&text), "0:1 17:4000000000 135:12");

    chance = 5;
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < METRICS_BINS; i++)
            bucket.durations[i] = random_below(3) ? 0 : (uint32_t)random_below(UINT32_MAX);
        buf_clear(&text);
        metrics_histogram_print(bucket.durations, &text);
        memset(&back, 0, sizeof(back));
        metrics_histogram_parse(back.durations, buf_text(&text));
        ck_assert_mem_eq(back.durations, bucket.durations, sizeof(bucket.durations));
    }

    parses_to("", 0, 0, 0, 0);
    parses_to("3:1 4:2", 3, 1, 4, 2);
    parses_to("3:1   4:2  ", 3, 1, 4, 2);
    parses_to("3:1 3:2", 3, 3, 0, 0);
    parses_to("136:7 3:1", 3, 1, 0, 0); /* a bin of some other version */
    parses_to("99999999999999999999999:7 3:1", 3, 1, 0, 0);
    parses_to("3:1 x 4:2", 3, 1, 0, 0);
    parses_to("3:1 4", 3, 1, 0, 0);
    parses_to("3:1 4:", 3, 1, 0, 0);
    parses_to("3:1 :2", 3, 1, 0, 0);
    parses_to("3:1,4:2", 3, 1, 0, 0);
    parses_to("junk", 0, 0, 0, 0);
    parses_to(":", 0, 0, 0, 0);
    parses_to(" ", 0, 0, 0, 0);
}
END_TEST

START_TEST(window_wraps)
{
    struct metrics_window window = {0};

    add_sample(&window, true, 1000); /* into no room */
    ck_assert_uint_eq(window.count, 0);
    ck_assert_double_eq(metrics_window_average(&window), 0);
    metrics_window_resize(&window, 3);
    ck_assert_double_eq(metrics_window_average(&window), 0);
    add_sample(&window, true, 1000);
    add_sample(&window, false, 2000);
    ck_assert_uint_eq(window.count, 2);
    ck_assert_uint_eq(window.successes, 1);
    ck_assert_uint_eq(window.errors_in_a_row, 1);
    ck_assert_double_eq(metrics_window_average(&window), 1.5);
    add_sample(&window, false, 6000);
    ck_assert_uint_eq(window.errors_in_a_row, 2);
    ck_assert_double_eq(metrics_window_average(&window), 3);
    add_sample(&window, false, 7000); /* the first one goes */
    ck_assert_uint_eq(window.count, 3);
    ck_assert_uint_eq(window.successes, 0);
    ck_assert_uint_eq(window.errors_in_a_row, 3);
    ck_assert_double_eq(metrics_window_average(&window), 5);
    add_sample(&window, false, 8000);
    ck_assert_uint_eq(window.errors_in_a_row, 4); /* more than the window holds */
    add_sample(&window, true, 0);
    ck_assert_uint_eq(window.errors_in_a_row, 0);
    ck_assert_uint_eq(window.successes, 1);
    ck_assert_double_eq(metrics_window_average(&window), 5);
    metrics_window_deinit(&window);
    ck_assert_uint_eq(window.capacity, 0);
}
END_TEST

START_TEST(window_percentiles)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};

    metrics_window_resize(&window, 20);
    ck_assert_int_eq(metrics_window_percentile(&window, 0.95), 0);
    for (int i = 0; i < 30; i++) /* 10 to 29 stay, in another order */
        add_sample(&window, true, 10 + (i * 7 + 3) % 20);
    ck_assert_int_eq(metrics_window_at(&window, 0)->duration_ms, 10 + (29 * 7 + 3) % 20);
    ck_assert_int_eq(metrics_window_at(&window, 19)->duration_ms, 10 + (10 * 7 + 3) % 20);
    ck_assert_int_eq(metrics_window_percentile(&window, 0.95), 28); /* the 19th of twenty */
    ck_assert_int_eq(metrics_window_percentile(&window, 0.5), 19);
    ck_assert_int_eq(metrics_window_percentile(&window, 1), 29);
    ck_assert_int_eq(metrics_window_percentile(&window, 0), 10);
}
END_TEST

/* The samples from the oldest, as durations in ms; negative when they failed. */
static void window_expect(const struct metrics_window *window, const int *expected, size_t count)
{
    size_t start = window->count == window->capacity ? window->next : 0, successes = 0;
    int64_t sum = 0;

    ck_assert_uint_eq(window->count, count);
    for (size_t i = 0; i < count; i++) {
        const struct metrics_sample *sample = &window->samples[(start + i) % window->capacity];

        ck_assert_int_eq(sample->duration_ms, abs(expected[i]));
        ck_assert(sample->success == (expected[i] > 0));
        successes += sample->success;
        sum += sample->duration_ms;
    }
    ck_assert_uint_eq(window->successes, successes);
    ck_assert_int_eq(window->duration_sum_ms, sum);
}

#define EXPECT_WINDOW(window, ...)                                                                 \
    window_expect((window), (const int[]){__VA_ARGS__}, ARRAY_SIZE(((const int[]){__VA_ARGS__})))

START_TEST(window_resizes)
{
    struct metrics_window window = {0};

    metrics_window_resize(&window, 5);
    for (int i = 1; i <= 7; i++)
        add_sample(&window, i % 2, i);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7);
    metrics_window_resize(&window, 5);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7);
    metrics_window_resize(&window, 8);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7);
    add_sample(&window, false, 8);
    add_sample(&window, false, 10);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7, -8, -10);
    metrics_window_resize(&window, 3);
    EXPECT_WINDOW(&window, 7, -8, -10);
    ck_assert_uint_eq(window.errors_in_a_row, 2);
    add_sample(&window, true, 11);
    EXPECT_WINDOW(&window, -8, -10, 11);
    metrics_window_resize(&window, 2);
    metrics_window_resize(&window, 4);
    add_sample(&window, false, 12);
    EXPECT_WINDOW(&window, -10, 11, -12);
    ck_assert_uint_eq(window.errors_in_a_row, 1);
    metrics_window_resize(&window, 0);
    ck_assert_uint_eq(window.count, 0);
    ck_assert_double_eq(metrics_window_average(&window), 0);
    add_sample(&window, true, 1);
    ck_assert_uint_eq(window.count, 0);
    metrics_window_deinit(&window);
}
END_TEST

void add_metrics_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "metrics");

    tcase_add_test(tcase, metrics_hand_computed);
    tcase_add_test(tcase, metrics_without_data);
    tcase_add_test(tcase, metrics_add_up);
    tcase_add_test(tcase, metrics_bucket_with_one_is_not_empty);
    tcase_add_loop_test(tcase, metrics_percentiles, 0, 6);
    tcase_add_test(tcase, metrics_percentiles_of_equal_durations_are_not_below_their_average);
    tcase_add_test(tcase, metrics_take_extreme_durations);
    tcase_add_test(tcase, metrics_edges_are_exact);
    tcase_add_test(tcase, metrics_waits_hand_computed);
    tcase_add_test(tcase, metrics_ranges_end_with_the_present);
    tcase_add_test(tcase, metrics_peak_of_a_minute);
    tcase_add_test(tcase, metrics_histogram_text);
    tcase_add_test(tcase, window_wraps);
    tcase_add_test(tcase, window_percentiles);
    tcase_add_test(tcase, window_resizes);
}
