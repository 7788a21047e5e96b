/* SPDX-License-Identifier: MIT */
/* Time. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "common/clock.h"
#include "fixture.h"

#define YEAR_0    INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define YEAR_9999 INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

START_TEST(clock_formats_known_times)
{
    static const struct {
        int64_t at;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-86400000, "1969-12-31T00:00:00.000Z"},
        {1795357930125, "2026-11-22T14:32:10.125Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},  /* a leap year, by 400 */
        {1709251199999, "2024-02-29T23:59:59.999Z"}, /* by 4 */
        {4107542399999, "2100-02-28T23:59:59.999Z"}, /* not a leap year, by 100 */
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {-2203891200001, "1900-02-28T23:59:59.999Z"},
        {-2203891200000, "1900-03-01T00:00:00.000Z"},
        {YEAR_0, "0000-01-01T00:00:00.000Z"},
        {YEAR_9999, "9999-12-31T23:59:59.999Z"},
        {YEAR_0 - 1, "0000-01-01T00:00:00.000Z"}, /* clamped */
        {YEAR_9999 + 1, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[CLOCK_ISO_SIZE];

        clock_format_iso(rows[i].at, text);
        ck_assert_str_eq(text, rows[i].text);
    }
}
END_TEST

/* Compares with libc. */
static void check_time(int64_t at)
{
    char text[CLOCK_ISO_SIZE], expected[64];
    int64_t ms = at % 1000, back = 0;
    time_t second;
    struct tm tm;

    ms += ms < 0 ? 1000 : 0;
    second = (at - ms) / 1000;
    ck_assert_ptr_nonnull(gmtime_r(&second, &tm));
    snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
    clock_format_iso(at, text);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(clock_parse_iso(text, &back), 0);
    ck_assert_int_eq(back, at);
}

START_TEST(clock_round_trips)
{
    /* The first and last moment of each day from 1896 to 2104, which include all kinds of leap
     * years. */
    for (int64_t day = -27028; day < 49309; day++) {
        check_time(day * 86400000);
        check_time(day * 86400000 + 86399999);
    }
    chance = 1;
    for (int i = 0; i < 100000; i++)
        check_time(YEAR_0 + (int64_t)random_below(YEAR_9999 - YEAR_0 + 1));
}
END_TEST

START_TEST(clock_parses_other_forms)
{
    static const struct {
        const char *text;
        int64_t at;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 00:00:00Z", 0},
        {"1970-01-01T00:00:00.5Z", 500},
        {"1970-01-01T00:00:00.25Z", 250},
        {"1970-01-01T00:00:00.007Z", 7},
        {"1970-01-01T00:00:00.1239999999999999999999Z", 123},
        {"1970-01-01T02:00:00+02:00", 0},
        {"1970-01-01T00:00:00+02:00", -7200000},
        {"1969-12-31T18:30:00-05:30", 0},
        {"1970-01-01T00:00:00-05:30", 19800000},
        {"1970-01-01T05:30:00+0530", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"1970-01-01T23:59:00+23:59", 0},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second is the next one */
        {"2024-02-29T12:00:00+01:00", 1709204400000},
        {"0000-02-29T00:00:00Z", YEAR_0 + 59 * INT64_C(86400000)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t at = 77;

        ck_assert_msg(clock_parse_iso(rows[i].text, &at) == 0, "%s", rows[i].text);
        ck_assert_msg(at == rows[i].at, "%s: %lld", rows[i].text, (long long)at);
    }
}
END_TEST

START_TEST(clock_refuses_what_is_no_time)
{
    static const char *const bad[] = {
        "",
        "now",
        "0",
        "1970",
        "1970-01-01",
        "1970-01-01T",
        "1970-01-01T00",
        "1970-01-01T00:00",    /* no zone */
        "1970-01-01T00:00:00", /* no zone */
        "1970-01-01T00:00:00.000",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.5.5Z",
        "1970-01-01T00:00.5Z",
        "1970-01-01T00:00:00+2:00",
        "1970-01-01T00:00:00+02:0",
        "1970-01-01T00:00:00+02:60",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+",
        "1970-01-01T00:00:00+02:000",
        "1970-01-01T00:00:00Zjunk",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00ZZ",
        "70-01-01T00:00:00Z",
        "01970-01-01T00:00:00Z",
        "-970-01-01T00:00:00Z",
        "1970-1-1T00:00:00Z",
        "1970-01-01T0:00:00Z",
        "1970-01-01T00:00:-1Z",
        "1970/01/01T00:00:00Z",
        "1970-01-01X00:00:00Z",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t at = 77;

        ck_assert_msg(clock_parse_iso(bad[i], &at) == -EINVAL, "\"%s\" was taken", bad[i]);
        ck_assert_int_eq(at, 77);
    }
}
END_TEST

START_TEST(clocks_agree_with_libc)
{
    struct timespec before, after;
    int64_t wall, mono, micro;

    clock_gettime(CLOCK_REALTIME, &before);
    wall = clock_wall_ms();
    clock_gettime(CLOCK_REALTIME, &after);
    ck_assert_int_ge(wall, (int64_t)before.tv_sec * 1000 + before.tv_nsec / 1000000);
    ck_assert_int_le(wall, (int64_t)after.tv_sec * 1000 + after.tv_nsec / 1000000);
    clock_gettime(CLOCK_MONOTONIC, &before);
    mono = clock_mono_ms();
    micro = clock_mono_us();
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge(mono, (int64_t)before.tv_sec * 1000 + before.tv_nsec / 1000000);
    ck_assert_int_ge(micro / 1000, mono);
    ck_assert_int_le(micro, (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
}
END_TEST

void add_clock_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "clock");

    tcase_add_test(tcase, clock_formats_known_times);
    tcase_add_test(tcase, clock_round_trips);
    tcase_add_test(tcase, clock_parses_other_forms);
    tcase_add_test(tcase, clock_refuses_what_is_no_time);
    tcase_add_test(tcase, clocks_agree_with_libc);
}
