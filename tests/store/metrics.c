/* SPDX-License-Identifier: MIT */
/* Metrics and uptime. */
#include <string.h>

#include "common/alloc.h"
#include "fixture.h"

#define MINUTES 400 /* of the test */

static const int64_t origin = NOW - NOW % HOUR - HOUR;

static struct metrics_bucket random_bucket(void)
{
    struct metrics_bucket bucket = {
        .completed = (int64_t)random_below(5),
        .failed = (int64_t)random_below(5),
        .cancelled = (int64_t)random_below(5),
        .retried = (int64_t)random_below(5),
        .started = (int64_t)random_below(5),
        .wait_sum_ms = (int64_t)random_below(INT64_C(1) << 40),
    };

    for (uint64_t n = random_below(6); n > 0; n--)
        metrics_bucket_add_attempt(&bucket, random_below(2),
                                   (int64_t)random_below(UINT64_C(1) << random_below(35)));
    return bucket;
}

static void check_sum(int64_t profile_id, const struct metrics_bucket *minutes, int64_t from,
                      int64_t to)
{
    struct metrics_bucket sum, expected = {0};

    memset(&sum, 0xa5, sizeof(sum));
    for (int64_t i = from; i < to; i++)
        metrics_bucket_add(&expected, &minutes[i]);
    MUST(store_sum_metrics(store, profile_id, origin + from * MINUTE, origin + to * MINUTE, &sum));
    if (memcmp(&sum, &expected, sizeof(sum)) != 0)
        ck_abort_msg("minutes %lld to %lld: %lld completed and %lld ms, not %lld and %lld",
                     (long long)from, (long long)to, (long long)sum.completed,
                     (long long)sum.duration_sum_ms, (long long)expected.completed,
                     (long long)expected.duration_sum_ms);
}

START_TEST(metrics_add_up)
{
    static struct metrics_bucket minutes[2][MINUTES];
    const int64_t profiles[] = {alpha, beta};

    chance = 1;
    for (int i = 0; i < 600; i++) {
        struct metrics_bucket bucket = random_bucket();
        size_t profile = random_below(2);
        int64_t ms = (int64_t)random_below(MINUTES * (uint64_t)MINUTE);

        metrics_bucket_add(&minutes[profile][ms / MINUTE], &bucket);
        MUST(store_add_metrics(store, profiles[profile], origin + ms, &bucket));
        if (i % 50 == 0)
            MUST(store_commit(store));
    }
    MUST(store_commit(store));
    reopen_store();
    for (size_t profile = 0; profile < 2; profile++) {
        static const int64_t ranges[][2] = {
            {0, MINUTES}, {0, 60}, {60, 120}, {59, 61}, {60, 60}, {61, 62}, {0, 1},
            {1, 360},     {0, 59}, {1, 120},  {1, 119}, {30, 90}, {90, 30},
        };

        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
            check_sum(profiles[profile], minutes[profile], ranges[i][0], ranges[i][1]);
        for (int i = 0; i < 200; i++) {
            int64_t from = (int64_t)random_below(MINUTES);

            check_sum(profiles[profile], minutes[profile], from,
                      from + (int64_t)random_below((uint64_t)(MINUTES - from) + 1));
        }
    }
}
END_TEST

START_TEST(metrics_know_the_minute)
{
    static struct metrics_bucket minutes[MINUTES];
    const struct metrics_bucket one = {.completed = 1};

    /* The first and last moment of minute 61, and the adjacent minutes. */
    MUST(store_add_metrics(store, alpha, origin + 61 * MINUTE - 1, &one));
    MUST(store_add_metrics(store, alpha, origin + 61 * MINUTE, &one));
    MUST(store_add_metrics(store, alpha, origin + 62 * MINUTE - 1, &one));
    MUST(store_add_metrics(store, alpha, origin + 62 * MINUTE, &one));
    minutes[60].completed = minutes[62].completed = 1;
    minutes[61].completed = 2;
    for (int64_t from = 58; from < 64; from++)
        for (int64_t to = from; to < 64; to++)
            check_sum(alpha, minutes, from, to);
    check_sum(alpha, minutes, 0, 240);
}
END_TEST

static void check_minute(const char *name, const struct metrics_minute *expected)
{
    CLEANUP(store_profile_deinit) struct store_profile profile = {0};

    MUST(store_ensure_profile(store, name, &profile));
    EXPECT(memcmp(&profile.minute, expected, sizeof(*expected)), 0);
}

struct completions {
    int64_t all, first;
};

/* Checks the number of buckets of this span and the completed tasks in each. */
static struct completions check_buckets(int64_t profile_id, int64_t span, int64_t rows,
                                        int64_t each)
{
    CLEANUP(listed_deinit) struct listed listed = list_buckets(profile_id, span, 0, INT64_MAX);
    struct completions got = {.first = listed.count ? listed.buckets[0].at : 0};

    EXPECT((int64_t)listed.count, rows);
    for (size_t i = 0; i < listed.count; i++) {
        EXPECT(listed.buckets[i].sum.completed, each);
        got.all += listed.buckets[i].sum.arrived;
    }
    return got;
}

/* A day is read in quarter-hours, a week in hours. */
START_TEST(metrics_have_quarters_and_hours)
{
    const struct metrics_bucket one = {.completed = 1};

    for (int64_t minute = 0; minute < 180; minute++)
        MUST(store_add_metrics(store, alpha, origin + minute * MINUTE, &one));
    MUST(store_commit(store));
    reopen_store();
    check_buckets(alpha, METRICS_HOUR, 3, 60);
    check_buckets(alpha, METRICS_QUARTER, 12, 15);
    check_buckets(alpha, METRICS_MINUTE, 180, 1);
}
END_TEST

START_TEST(metrics_are_pruned)
{
    static struct metrics_bucket minutes[MINUTES], all[MINUTES];
    const struct metrics_bucket one = {.completed = 1, .started = 2};

    for (int64_t i = 0; i < 300; i++) {
        MUST(store_add_metrics(store, alpha, origin + i * MINUTE, &one));
        MUST(store_add_metrics(store, beta, origin + i * MINUTE, &one));
        all[i] = one;
        if (i >= 150)
            minutes[i] = one;
    }
    /* In the middle of an hour: newer buckets stay complete. */
    MUST(store_prune_metrics(store, alpha, MINUTE, origin + 150 * MINUTE));
    MUST(store_prune_metrics(store, alpha, HOUR, origin + 150 * MINUTE));
    MUST(store_commit(store));
    check_sum(alpha, minutes, 0, 120);
    check_sum(alpha, minutes, 150, 300);
    check_sum(alpha, minutes, 150, 180);
    check_sum(alpha, minutes, 160, 250);
    check_sum(beta, all, 0, 300);
    check_buckets(alpha, METRICS_MINUTE, 150, 1);
    check_buckets(beta, METRICS_MINUTE, 300, 1);
}
END_TEST

/* Figures of the queue and of attempts share a row. */
START_TEST(metrics_of_the_queue_leave_the_rest_alone)
{
    struct metrics_bucket attempts = {.completed = 1, .queue_max = 4, .cost = {0.5, "USD"}};
    const struct metrics_bucket queue = {.arrived = 2, .queue_max = 3};
    const struct metrics_bucket longer = {.arrived = 1, .queue_max = 9};
    struct metrics_bucket expected;

    metrics_bucket_add_attempt(&attempts, true, 1000);
    metrics_bucket_add_start(&attempts, 20);
    MUST(store_add_metrics(store, alpha, NOW, &queue));
    MUST(store_add_metrics(store, alpha, NOW, &attempts));
    MUST(store_add_metrics(store, alpha, NOW, &queue));
    MUST(store_add_metrics(store, alpha, NOW, &longer));
    expected = attempts;
    expected.arrived = 5;
    expected.queue_max = 9;
    for (size_t i = 0; i < 3; i++) {
        static const int64_t spans[] = {METRICS_MINUTE, METRICS_QUARTER, METRICS_HOUR};
        int64_t at = NOW - NOW % spans[i];
        CLEANUP(listed_deinit) struct listed listed = list_buckets(alpha, spans[i], at, at + 1);
        CLEANUP(listed_deinit)
        struct listed before = list_buckets(alpha, spans[i], at - spans[i], at);
        CLEANUP(listed_deinit)
        struct listed after = list_buckets(alpha, spans[i], at + 1, at + 9 * spans[i]);
        CLEANUP(listed_deinit) struct listed others = list_buckets(beta, spans[i], 0, INT64_MAX);

        EXPECT((int64_t)listed.count, 1);
        EXPECT(listed.buckets[0].at, at);
        EXPECT(memcmp(&listed.buckets[0].sum, &expected, sizeof(expected)), 0);
        EXPECT((int64_t)(before.count + after.count + others.count), 0);
    }
}
END_TEST

/* In a shared store it is that of the handle, and left to others. */
static void take_minute(const struct metrics_minute *expected)
{
    struct metrics_minute minute;
    int64_t id = 0;

    EXPECT(store_take_minute(store, &id, &minute), STORE_DONE);
    EXPECT(id, alpha);
    EXPECT(memcmp(&minute, expected, sizeof(minute)), 0);
    EXPECT(store_take_minute(store, &id, &minute), STORE_STALE);
    MUST(store_put_minute(store, alpha, expected));
    MUST(store_commit(store));
}

/* The current minute is stored within the pass. */
START_TEST(a_minute_is_kept)
{
    struct metrics_minute minute = {.at = NOW - NOW % MINUTE, .queue_max = 7};
    const struct metrics_minute none = {0};

    chance = 3;
    check_minute("alpha", &none);
    minute.sum = random_bucket();
    minute.sum.cost = (struct metrics_cost){0.25, "EUR"};
    MUST(store_put_minute(store, alpha, &minute));
    check_minute("alpha", &minute);
    store_rollback(store);
    check_minute("alpha", &none);
    MUST(store_put_minute(store, alpha, &minute));
    MUST(store_commit(store));
    reopen_store();
    if (store_node(store))
        take_minute(&minute);
    check_minute("alpha", &minute);
    check_minute("beta", &none);
    check_buckets(alpha, METRICS_MINUTE, 0, 0);
    MUST(store_put_minute(store, alpha, &none));
    MUST(store_commit(store));
    check_minute("alpha", &none);
}
END_TEST

START_TEST(metrics_are_pruned_in_small_steps)
{
    const struct metrics_bucket one = {.arrived = 1};

    for (int64_t i = 0; i < 1100; i++)
        MUST(store_add_metrics(store, alpha, origin + i * MINUTE, &one));
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 1);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 1);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 0);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 0);
    MUST(store_commit(store));
    reopen_store();
    EXPECT(check_buckets(alpha, METRICS_MINUTE, 50, 0).first, origin + 1050 * MINUTE);
    EXPECT(check_buckets(alpha, METRICS_HOUR, 19, 0).all, 1100);
}
END_TEST

static void check_spans(int64_t from, int64_t to, const char *expected)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    CLEANUP(freep) struct store_span *spans = NULL;
    size_t count = 0;

    MUST(store_list_uptime(store, from, to, &spans, &count));
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%lld-%lld ", (long long)spans[i].started_at,
                   (long long)spans[i].seen_at);
    ck_assert_str_eq(buf_text(&text), expected);
}

START_TEST(uptime_is_a_row_a_span)
{
    CLEANUP(freep) struct store_span *spans = NULL;
    size_t count = 0;

    MUST(store_put_uptime(store, 500, 500, 0));
    MUST(store_put_uptime(store, 100, 150, 0));
    MUST(store_put_uptime(store, 200, 200, 0));
    MUST(store_put_uptime(store, 200, 260, 0));
    MUST(store_put_uptime(store, 200, 240, 0)); /* an earlier call saw more */
    check_spans(0, 1000, "100-150 200-260 500-500 ");
    check_spans(150, 200, "100-150 ");
    check_spans(151, 201, "200-260 ");
    check_spans(261, 500, "");
    check_spans(500, 501, "500-500 ");
    /* Spans that lasted until then stay, whenever they began. */
    MUST(store_put_uptime(store, 50, 900, 0));
    EXPECT(store_prune_uptime(store, 260), 0);
    check_spans(0, 1000, "50-900 200-260 500-500 ");
    for (int64_t i = 1000; i < 2200; i++)
        MUST(store_put_uptime(store, i, i, 0));
    EXPECT(store_prune_uptime(store, 2100), 1);
    EXPECT(store_prune_uptime(store, 2100), 1);
    EXPECT(store_prune_uptime(store, 2100), 0);
    MUST(store_commit(store));
    reopen_store();
    MUST(store_list_uptime(store, 0, INT64_MAX, &spans, &count));
    EXPECT((int64_t)count, 100);
}
END_TEST

START_TEST(the_greatest_event_counts_whatever_the_clock_said)
{
    int64_t number = -1;

    MUST(store_last_event(store, &number));
    EXPECT(number, 0);
    MUST(store_put_uptime(store, 500, 500, 7000));
    MUST(store_put_uptime(store, 100, 100, 9000)); /* the clock was set back */
    MUST(store_put_uptime(store, 100, 150, 8000));
    MUST(store_commit(store));
    reopen_store();
    MUST(store_last_event(store, &number));
    EXPECT(number, 9000);
}
END_TEST

void add_metrics_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "metrics", setup, teardown);

    tcase_add_test(tcase, metrics_add_up);
    tcase_add_test(tcase, metrics_know_the_minute);
    tcase_add_test(tcase, metrics_have_quarters_and_hours);
    tcase_add_test(tcase, metrics_are_pruned);
    tcase_add_test(tcase, metrics_of_the_queue_leave_the_rest_alone);
    tcase_add_test(tcase, a_minute_is_kept);
    tcase_add_test(tcase, metrics_are_pruned_in_small_steps);
    tcase_add_test(tcase, uptime_is_a_row_a_span);
    tcase_add_test(tcase, the_greatest_event_counts_whatever_the_clock_said);
}
