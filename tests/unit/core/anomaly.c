/* SPDX-License-Identifier: MIT */
/* Capacity and anomalies. */
#include <math.h>

#include "core/anomaly.h"
#include "core/capacity.h"
#include "fixture.h"

/* Capacity */

/* B(k) and C(k) as fractions, worked out by hand from the sums of a^i / i!. */
START_TEST(capacity_of_the_tables)
{
    static const struct {
        double offered;
        int64_t slots;
        double b, c;
    } rows[] = {
        {1, 1, 1.0 / 2, 1},
        {1, 2, 1.0 / 5, 1.0 / 3},
        {2, 3, 4.0 / 19, 4.0 / 9},
        {4, 5, 0.199066874027994, 128.0 / 231},
        {8, 10, 0.121661064252952, 0.409180150796443},
        {90, 100, 0.0269573804, 0.2169404809},
        {0, 3, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_double_eq_tol(capacity_erlang_b(rows[i].offered, rows[i].slots), rows[i].b,
                                1e-10);
        ck_assert_double_eq_tol(capacity_erlang_c(rows[i].offered, rows[i].slots), rows[i].c,
                                1e-10);
    }
    /* Two slots, 1 Erlang, 30 s a task: W = 1/3 * 30 / (2 - 1). */
    ck_assert_double_eq_tol(capacity_wait(1, 30, 2), 10, 1e-12);
    /* Three slots, 2 Erlangs, 9 s a task: W = 4/9 * 9 / 1. */
    ck_assert_double_eq_tol(capacity_wait(2, 9, 3), 4, 1e-12);
}
END_TEST

/* With one slot it is M/M/1: C = rho, W = rho / (1 - rho) * duration. */
START_TEST(capacity_of_one_slot)
{
    for (int i = 0; i < 100; i++) {
        double rho = i / 100.0;

        ck_assert_double_eq_tol(capacity_erlang_c(rho, 1), rho, 1e-12);
        ck_assert_double_eq_tol(capacity_wait(rho, 7, 1), rho / (1 - rho) * 7, 1e-9);
    }
}
END_TEST

START_TEST(capacity_at_its_limits)
{
    double wait;

    ck_assert_double_eq(capacity_wait(0, 5, 1), 0);
    ck_assert_double_eq(capacity_erlang_c(3, 3), 1);
    ck_assert_double_eq(capacity_erlang_c(30, 3), 1);
    ck_assert(isinf(capacity_wait(3, 5, 3)));
    ck_assert(isinf(capacity_wait(3.5, 5, 3)));
    ck_assert_double_gt(capacity_wait(2.999999, 5, 3), 1e6);
    /* A million slots: nothing overflows, and heavy traffic matches the normal approximation. */
    wait = capacity_wait(999000, 60, CAPACITY_SLOTS_MAX);
    ck_assert_double_eq_tol(wait, 0.22330339 * 60 / 1000, 1e-7);
    ck_assert_double_eq(capacity_wait(1, 60, CAPACITY_SLOTS_MAX), 0);
    ck_assert(isinf(capacity_wait(1e300, 60, CAPACITY_SLOTS_MAX)));
}
END_TEST

START_TEST(capacity_recommends_the_least_that_suffices)
{
    static const double loads[] = {0.01, 0.5, 1, 2, 7.3, 90, 1000.5};
    static const double targets[] = {0.001, 1, 60, 3600};

    ck_assert_int_eq(capacity_slots(0, 10, 60), 1);
    ck_assert_int_eq(capacity_slots(0, 0, 60), 1);
    /* 1 Erlang of 30 s: one slot never suffices, two wait for 10 s, three for 30/22. */
    ck_assert_int_eq(capacity_slots(1, 30, 60), 2);
    ck_assert_int_eq(capacity_slots(1, 30, 10.0001), 2);
    ck_assert_int_eq(capacity_slots(1, 30, 9.9999), 3);
    ck_assert_int_eq(capacity_slots(1, 30, 30.0 / 22 + 1e-9), 3);
    ck_assert_int_eq(capacity_slots(1, 30, 30.0 / 22 - 1e-9), 4);
    for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(targets); j++) {
            int64_t slots = capacity_slots(loads[i], 45, targets[j]);

            ck_assert_double_le(capacity_wait(loads[i], 45, slots), targets[j]);
            if (slots > 1)
                ck_assert_double_gt(capacity_wait(loads[i], 45, slots - 1), targets[j]);
        }
    }
    ck_assert_int_eq(capacity_slots(CAPACITY_SLOTS_MAX, 45, 60), 0);
    ck_assert_int_eq(capacity_slots(1e300, 45, 60), 0);
    ck_assert_int_eq(capacity_slots(999999.9, 1e6, 0.001), 0);
    ck_assert_int_le(capacity_slots(999000, 60, 60), CAPACITY_SLOTS_MAX);
}
END_TEST

/* Anomalies */

static bool is_unusual(const struct anomaly_charts *charts, enum anomaly_metric metric)
{
    struct anomaly anomaly;

    return anomaly_find(charts, metric, &anomaly);
}

/* Thirty attempts of 1 s, then k of 2 s. In units of ln 2 above ln 1000: z = 1 - 0.8^k, the mean is
 * p = k / (30 + k), the limit lies 4/3 sqrt(p (1 - p)) above it, but at least ln 1.5 / ln 2 =
 * 0.585. The first k at which z is beyond is 7: 0.7903 > 0.1892 + 0.585; the last is 15: 0.9648 >
 * 0.3333 + 0.6285, and 0.9719 < 0.3478 + 0.6350. By then, it is the new normal. */
START_TEST(anomaly_hand_computed)
{
    struct anomaly_charts charts = {0};
    struct anomaly anomaly;

    for (int i = 0; i < 30; i++)
        anomaly_add_attempt(&charts, true, 1000);
    for (int k = 1; k <= 40; k++) {
        anomaly_add_attempt(&charts, true, 2000);
        ck_assert_int_eq(is_unusual(&charts, ANOMALY_DURATION), k >= 7 && k <= 15);
        if (k != 7)
            continue;
        ck_assert(anomaly_find(&charts, ANOMALY_DURATION, &anomaly));
        ck_assert_str_eq(anomaly.metric, "duration");
        ck_assert(anomaly.is_high);
        ck_assert_double_eq_tol(anomaly.value, exp2(1 - pow(0.8, 7)), 1e-12);
        ck_assert_double_eq_tol(anomaly.usual, exp2(7.0 / 37), 1e-12);
        ck_assert_double_eq_tol(anomaly.limit, 1.5 * exp2(7.0 / 37), 1e-12);
        ck_assert_str_eq(anomaly.text, "attempts take 1.73 s lately, usually 1.14 s: above the "
                                       "limit of 1.71 s");
    }
    ck_assert(!is_unusual(&charts, ANOMALY_FAILURES));
}
END_TEST

/* A hundred that succeed, then failures: the third makes z = 0.271, the mean 1 - 0.99^3 = 0.0297
 * and its distance the least, 0.2. */
START_TEST(anomaly_of_failures_hand_computed)
{
    struct anomaly_charts charts = {0};
    struct anomaly anomaly;

    for (int i = 0; i < 100; i++)
        anomaly_add_attempt(&charts, true, 1000);
    for (int k = 1; k <= 3; k++) {
        ck_assert(!is_unusual(&charts, ANOMALY_FAILURES));
        anomaly_add_attempt(&charts, false, 1000);
    }
    ck_assert(anomaly_find(&charts, ANOMALY_FAILURES, &anomaly));
    ck_assert(anomaly.is_high);
    ck_assert_double_eq_tol(anomaly.value, 27.1, 1e-12);
    ck_assert_double_eq_tol(anomaly.usual, 2.9701, 1e-12);
    ck_assert_double_eq_tol(anomaly.limit, 22.9701, 1e-12);
    ck_assert_str_eq(anomaly.text, "the failure rate is 27.1 % lately, usually 2.97 %: above the "
                                   "limit of 23.0 %");
    /* And back: successes after mostly failures are unusual, too. */
    for (int i = 0; i < 400; i++)
        anomaly_add_attempt(&charts, false, 1000);
    ck_assert(!is_unusual(&charts, ANOMALY_FAILURES));
    for (int i = 0; i < 3; i++)
        anomaly_add_attempt(&charts, true, 1000);
    ck_assert(anomaly_find(&charts, ANOMALY_FAILURES, &anomaly));
    ck_assert(!anomaly.is_high);
    ck_assert_double_lt(anomaly.value, anomaly.limit);
    ck_assert_double_lt(anomaly.limit, anomaly.usual);
}
END_TEST

START_TEST(anomaly_needs_a_baseline)
{
    struct anomaly_charts charts = {0};

    for (int i = 0; i < 30; i++) {
        for (int metric = 0; metric < ANOMALY_METRIC_COUNT; metric++) {
            ck_assert(!is_unusual(&charts, (enum anomaly_metric)metric));
            anomaly_add(&charts, (enum anomaly_metric)metric, i < 25 ? 0 : 1e9);
        }
    }
    for (int metric = 0; metric < ANOMALY_METRIC_COUNT; metric++)
        ck_assert(!is_unusual(&charts, (enum anomaly_metric)metric));
}
END_TEST

START_TEST(anomaly_ignores_a_few_arrivals)
{
    for (int arrived = 1; arrived <= 9; arrived++) {
        struct anomaly_charts charts = {0};

        for (int i = 0; i < 60; i++)
            anomaly_add(&charts, ANOMALY_ARRIVALS, 0);
        anomaly_add(&charts, ANOMALY_ARRIVALS, arrived);
        ck_assert(!is_unusual(&charts, ANOMALY_ARRIVALS));
    }
}
END_TEST

static double random_normal(void)
{
    return sqrt(-2 * log(random_fraction())) * cos(2 * M_PI * random_fraction());
}

static double random_poisson(double mean)
{
    double product = random_fraction();
    int count = 0;

    for (; product > exp(-mean); count++)
        product *= random_fraction();
    return count;
}

/* One figure that follows its usual law, `scale` times as much when it is shifted. */
static double random_figure(enum anomaly_metric metric, double law, double scale)
{
    switch (metric) {
    case ANOMALY_DURATION:
        return 8 + log(scale) + law * random_normal();
    case ANOMALY_FAILURES:
        return random_fraction() < law * scale;
    case ANOMALY_ARRIVALS:
        return random_poisson(law * scale);
    case ANOMALY_METRIC_COUNT:
        break;
    }
    return 0;
}

static const struct {
    enum anomaly_metric metric;
    double law, shift; /* sigma of the logarithm, probability, mean a minute */
} anomaly_laws[] = {
    {ANOMALY_DURATION, 0.1, 3},   {ANOMALY_DURATION, 0.5, 4},  {ANOMALY_DURATION, 0.1, 0.3},
    {ANOMALY_FAILURES, 0.01, 60}, {ANOMALY_FAILURES, 0.1, 8},  {ANOMALY_ARRIVALS, 0.05, 100},
    {ANOMALY_ARRIVALS, 1, 6},     {ANOMALY_ARRIVALS, 10, 2.5}, {ANOMALY_ARRIVALS, 10, 0.1},
};

/* Less than one in a thousand normal moments raises a false alarm. */
START_TEST(anomaly_seldom_cries_wolf)
{
    const int runs = 20, length = 1000;

    for (size_t i = 0; i < ARRAY_SIZE(anomaly_laws); i++) {
        enum anomaly_metric metric = anomaly_laws[i].metric;
        int alarms = 0;

        chance = 7 + i;
        for (int run = 0; run < runs; run++) {
            struct anomaly_charts charts = {0};

            for (int n = 0; n < length; n++) {
                anomaly_add(&charts, metric, random_figure(metric, anomaly_laws[i].law, 1));
                alarms += is_unusual(&charts, metric);
            }
        }
        ck_assert_int_lt(alarms, runs * length / 1000);
    }
}
END_TEST

START_TEST(anomaly_finds_a_shift_and_gets_used_to_it)
{
    for (size_t i = 0; i < ARRAY_SIZE(anomaly_laws); i++) {
        enum anomaly_metric metric = anomaly_laws[i].metric;
        double law = anomaly_laws[i].law, shift = anomaly_laws[i].shift;

        chance = 7 + i;
        for (int run = 0; run < 20; run++) {
            struct anomaly_charts charts = {0};
            struct anomaly anomaly;
            int after = 0;

            for (int n = 0; n < 300; n++)
                anomaly_add(&charts, metric, random_figure(metric, law, 1));
            while (!anomaly_find(&charts, metric, &anomaly) && after++ < 25)
                anomaly_add(&charts, metric, random_figure(metric, law, shift));
            ck_assert_int_le(after, 25);
            ck_assert_int_eq(anomaly.is_high, shift > 1);
            for (int n = 0; n < 1000; n++)
                anomaly_add(&charts, metric, random_figure(metric, law, shift));
            ck_assert(!is_unusual(&charts, metric));
        }
    }
}
END_TEST

void add_anomaly_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "capacity");

    tcase_add_test(tcase, capacity_of_the_tables);
    tcase_add_test(tcase, capacity_of_one_slot);
    tcase_add_test(tcase, capacity_at_its_limits);
    tcase_add_test(tcase, capacity_recommends_the_least_that_suffices);
    tcase = add_case(suite, "anomaly");
    tcase_add_test(tcase, anomaly_hand_computed);
    tcase_add_test(tcase, anomaly_of_failures_hand_computed);
    tcase_add_test(tcase, anomaly_needs_a_baseline);
    tcase_add_test(tcase, anomaly_ignores_a_few_arrivals);
    tcase_add_test(tcase, anomaly_seldom_cries_wolf);
    tcase_add_test(tcase, anomaly_finds_a_shift_and_gets_used_to_it);
}
