/* SPDX-License-Identifier: MIT */
/* Estimates and forecasts. */
#include <errno.h>
#include <math.h>

#include "common/alloc.h"
#include "core/estimate.h"
#include "core/forecast.h"
#include "core/metrics.h"
#include "core/profile.h"
#include "core/task.h"
#include "fixture.h"

static struct estimate estimate_from(const char *type, const int64_t *seconds, size_t count)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct estimate estimate;

    metrics_window_resize(&profile->window, 100);
    for (size_t i = 0; i < count; i++)
        metrics_window_add(&profile->window,
                           &(struct metrics_sample){.type = metrics_type(type),
                                                    .success = true,
                                                    .duration_ms = 1000 * seconds[i]});
    /* Failures and other types do not count. */
    metrics_window_add(&profile->window, &(struct metrics_sample){.type = metrics_type(type)});
    metrics_window_add(&profile->window, &(struct metrics_sample){.success = true});
    estimate_init(&estimate, &profile->window, metrics_type(type));
    return estimate;
}

START_TEST(estimate_of_one_profile)
{
    struct estimate known = estimate_from("x", (int64_t[]){8, 12}, 2), unknown = {0};
    struct estimate *both[] = {&known, &unknown};

    ck_assert_double_eq(known.count, 2);
    ck_assert_double_eq(known.mean, 10);
    ck_assert_double_eq_tol(known.scatter, 0.08, EXACT); /* 0.2^2 twice */
    estimate_compare(both, 2);
    ck_assert_double_eq_tol(known.seconds, 10, EXACT * 10);
    ck_assert_double_eq_tol(unknown.seconds, 10, EXACT * 10); /* optimistic */
    unknown = (struct estimate){0};
    estimate_compare(both + 1, 1);
    ck_assert_double_eq(unknown.seconds, 60);
    estimate_compare(both, 0);
}
END_TEST

START_TEST(estimates_differ_by_more_than_chance)
{
    struct estimate a = estimate_from("x", (int64_t[]){8, 12}, 2);
    struct estimate b = estimate_from("x", (int64_t[]){16, 24}, 2);
    struct estimate *both[] = {&a, &b};

    /* s^2 = 0.16 / 2; around 15 s: Q = 2 ln(10/15)^2 + 2 ln(20/15)^2 = 0.4943; t^2 = (Q - s^2) / 2
     * = 0.2072; the share t^2 / (t^2 + s^2 / 2) = 0.8382; so 10.68 s and 19.09 s. Then one attempt
     * of 10.68 s more for each. */
    estimate_compare(both, 2);
    ck_assert_double_eq_tol(a.seconds, 10.678198871723305, 1e-12);
    ck_assert_double_eq_tol(b.seconds, 16.286195551824587, 1e-12);
}
END_TEST

START_TEST(estimates_differ_by_chance)
{
    struct estimate a = estimate_from("x", (int64_t[]){5, 15}, 2);
    struct estimate b = estimate_from("x", (int64_t[]){6, 18}, 2);
    struct estimate *both[] = {&a, &b};

    estimate_compare(both, 2); /* 10 s and 12 s, but either may be three times the other */
    ck_assert_double_eq_tol(a.seconds, 11, 1e-12);
    ck_assert_double_eq_tol(b.seconds, 11, 1e-12);
}
END_TEST

/* Adds an attempt that began this many seconds before the forecast's time, 100 s. */
#define NOW 100000

static void begin_run(struct profile *profile, struct forecast_run *run, const char *type,
                      int64_t seconds_ago)
{
    forecast_begin_run(profile, run, metrics_type(type), NOW - 1000 * seconds_ago);
    profile->slots_used++;
}

static void add_seconds(struct profile *profile, const char *type, int64_t seconds)
{
    if (!profile->window.capacity)
        metrics_window_resize(&profile->window, 100);
    metrics_window_add(&profile->window, &(struct metrics_sample){.type = metrics_type(type),
                                                                  .success = true,
                                                                  .duration_ms = 1000 * seconds});
}

static void waits(struct profile *profile, int64_t position, double seconds)
{
    ck_assert_double_eq_tol(forecast_wait(profile, position, NOW), seconds, 1e-6);
}

START_TEST(forecast_free_slots)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");

    /* Two slots, a minute each, as nothing is known. Between 30 s and 90 s both are expected to
     * start their next one: 2 + 2 (t / 60 - 1/2) = 3 - 1/2. */
    waits(profile, 1, 0);
    waits(profile, 2, 0);
    waits(profile, 3, 45);
    waits(profile, 4, 75);
    waits(profile, 1003, 45 + 500 * 60);
}
END_TEST

START_TEST(forecast_of_equal_durations)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run runs[2];

    profile->config.max_concurrent_tasks = 1;
    add_seconds(profile, "x", 10);
    begin_run(profile, &runs[0], "x", 4);
    for (int position = 1; position <= 1000; position++)
        waits(profile, position, 6 + 10 * (position - 1));

    profile->config.max_concurrent_tasks = 2;
    begin_run(profile, &runs[1], "x", 9);
    waits(profile, 1, 1);
    waits(profile, 2, 6);
    /* And as time passes. */
    ck_assert_double_eq_tol(forecast_wait(profile, 2, NOW + 500), 5.5, 1e-6);
    waits(profile, 2, 6);
    forecast_end_run(profile, &runs[0]);
    profile->slots_used--;
    waits(profile, 1, 0);
    forecast_end_run(profile, &runs[1]);
}
END_TEST

START_TEST(forecast_of_what_is_left)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run run;

    profile->config.max_concurrent_tasks = 1;
    for (int64_t seconds = 10; seconds <= 40; seconds += 10)
        add_seconds(profile, "x", seconds);
    add_seconds(profile, "y", 480);
    add_seconds(profile, "y", 20);

    /* Those longer than 15 s leave 5, 15 or 25 s. */
    begin_run(profile, &run, "x", 15);
    waits(profile, 1, 15);
    forecast_end_run(profile, &run);
    begin_run(profile, &run, "x", 0);
    waits(profile, 1, 20);
    forecast_end_run(profile, &run);
    /* A run that outlasts all samples, or has none, is expected to last as long again, at least
     * the average of 100 s. The fourth of eight parts makes one half: the quantile 7/16. */
    begin_run(profile, &run, "x", 41);
    waits(profile, 1, -100 * log(9.0 / 16));
    ck_assert_double_gt(forecast_wait(profile, 1, NOW + 200000), 120);
    forecast_end_run(profile, &run);
    begin_run(profile, &run, "z", 30);
    waits(profile, 1, -100 * log(9.0 / 16));
    forecast_end_run(profile, &run);
}
END_TEST

START_TEST(forecast_of_many_slots)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run *runs = xcalloc(1000, sizeof(*runs));
    double before = 0;

    /* The first of ten ends before an average one. */
    for (int64_t seconds = 1; seconds <= 100; seconds++)
        add_seconds(profile, "x", seconds);
    profile->config.max_concurrent_tasks = 10;
    for (int i = 0; i < 10; i++)
        begin_run(profile, &runs[i], "x", 0);
    ck_assert_double_lt(forecast_wait(profile, 1, NOW), 15);
    ck_assert_double_gt(forecast_wait(profile, 10, NOW), 40);

    profile->config.max_concurrent_tasks = 1000000;
    waits(profile, 999990, 0);
    ck_assert_double_gt(forecast_wait(profile, 999991, NOW), 0);

    profile->config.max_concurrent_tasks = 1000;
    for (int i = 10; i < 1000; i++)
        begin_run(profile, &runs[i], "x", i % 50);
    for (int position = 1; position <= 3000; position++) {
        double wait = forecast_wait(profile, position, NOW);

        ck_assert_double_ge(wait, before);
        before = wait;
    }
    ck_assert(before > 50 && before < 200); /* three rounds of 50 s, the first one half over */
    for (int i = 0; i < 1000; i++)
        forecast_end_run(profile, &runs[i]);
    free(runs);
}
END_TEST

START_TEST(forecast_without_workers)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run run;

    profile->config.runner.type = RUNNER_WORKER;
    add_seconds(profile, "x", 10);
    waits(profile, 1, 0);
    profile->counts.by_status[TASK_QUEUED] = 1; /* and no worker claims it */
    waits(profile, 1, 10);
    waits(profile, 2, 20);
    begin_run(profile, &run, "x", 7); /* the only known worker */
    waits(profile, 1, 3);
    forecast_end_run(profile, &run);
}
END_TEST

START_TEST(forecast_of_a_lowered_limit)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run runs[3];

    add_seconds(profile, "x", 30);
    profile->config.max_concurrent_tasks = 1;
    for (int i = 0; i < 3; i++)
        begin_run(profile, &runs[i], "x", 10 * i);
    waits(profile, 1, 30); /* when the last of the three has ended */
    for (int i = 0; i < 3; i++)
        forecast_end_run(profile, &runs[i]);
}
END_TEST

START_TEST(forecast_of_a_cooldown)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run run;

    profile->cooldown = (struct cooldown){.length = 20000, .until = NOW + 10000};
    waits(profile, 1, 10); /* the probe */
    waits(profile, 2, 70); /* and the others behind it */

    /* An attempt from before the cooldown makes no room while it lasts. */
    profile->config.max_concurrent_tasks = 1;
    add_seconds(profile, "x", 30);
    begin_run(profile, &run, "x", 29);
    waits(profile, 1, 10);
    profile->cooldown.until = NOW;
    profile->forecast.is_current = false;
    waits(profile, 1, 1);

    /* While the probe runs, nothing else starts. */
    profile->config.max_concurrent_tasks = 2;
    profile->cooldown.is_probing = true;
    forecast_end_run(profile, &run);
    forecast_begin_run(profile, &run, metrics_type("x"), NOW);
    waits(profile, 1, 30);
    forecast_end_run(profile, &run);
}
END_TEST

void add_forecast_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "forecast");

    tcase_add_test(tcase, estimate_of_one_profile);
    tcase_add_test(tcase, estimates_differ_by_more_than_chance);
    tcase_add_test(tcase, estimates_differ_by_chance);
    tcase_add_test(tcase, forecast_free_slots);
    tcase_add_test(tcase, forecast_of_equal_durations);
    tcase_add_test(tcase, forecast_of_what_is_left);
    tcase_add_test(tcase, forecast_of_many_slots);
    tcase_add_test(tcase, forecast_without_workers);
    tcase_add_test(tcase, forecast_of_a_lowered_limit);
    tcase_add_test(tcase, forecast_of_a_cooldown);
}
