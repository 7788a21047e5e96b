/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/guesses.h"
#include "gateway/route.h"

#define MINUTE 60000

static struct guesses *guesses;
static bool is_news;

static void setup(void)
{
    guesses = guesses_new();
}

static void teardown(void)
{
    guesses_free(guesses);
}

static int guess(const char *address, int64_t now)
{
    return guesses_note(guesses, address, true, now, &is_news);
}

START_TEST(guesses_are_forgotten_after_a_minute)
{
    const int64_t began = 5000;

    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(guess("a", began + i), 0);
        ck_assert_int_eq(is_news, i == 0);
    }
    ck_assert_int_eq(guess("a", began + 10), 60);
    ck_assert_int_eq(guesses_note(guesses, "a", false, began + 10, &is_news), 60);
    ck_assert_int_eq(guesses_note(guesses, "b", false, began + 10, &is_news), 0);
    ck_assert_int_eq(guess("a", began + MINUTE - 1), 1);
    ck_assert(!is_news);
    ck_assert_int_eq(guess("a", began + MINUTE), 0);
    ck_assert(is_news);
}
END_TEST

START_TEST(guesses_of_all_have_a_bound)
{
    char address[16];

    for (int i = 0; i < 100; i++) {
        snprintf(address, sizeof(address), "10.0.0.%d", i);
        ck_assert_int_eq(guess(address, i), 0);
    }
    ck_assert_int_eq(guess("x", 100), 60);
    ck_assert(!is_news);
    ck_assert_int_eq(guesses_note(guesses, "x", false, 100, &is_news), 0);
    ck_assert_int_eq(guess("x", MINUTE), 0);
}
END_TEST

/* The oldest address is forgotten first. */
START_TEST(guesses_keep_the_newest_addresses)
{
    char address[16];
    int64_t now = 0;

    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(guess("first", now), 0);
    for (int i = 0; i < 255; i++, now += MINUTE / 80) { /* below the overall limit */
        snprintf(address, sizeof(address), "10.0.0.%d", i);
        ck_assert_int_eq(guess(address, now), 0);
    }
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(guess("10.0.0.254", now), 0);
    ck_assert_int_gt(guess("10.0.0.254", now), 0);
    ck_assert_int_eq(guess("newcomer", now), 0); /* takes the place of "first" */
    ck_assert_int_gt(guess("10.0.0.254", now), 0);
}
END_TEST

/* A path that matches the row's pattern, with values of variables that equal no literal. */
static void print_path(const char *pattern, char path[128])
{
    size_t len = 0;

    for (const char *c = pattern; *c; c++) {
        if (*c != ':') {
            path[len++] = *c;
            continue;
        }
        path[len++] = '~';
        c += strcspn(c, "/") - 1;
    }
    path[len] = '\0';
}

START_TEST(route_of_each_row_is_found)
{
    for (const struct route *row = routes; row->verb; row++) {
        struct json_object *params = json_object_new_object();
        const struct route *found = NULL;
        char path[128], allow[64];

        print_path(row->pattern, path);
        ck_assert_int_eq(route_find(row->verb, path, params, &found, allow), ROUTE_FOUND);
        ck_assert_msg(found == row, "%s %s is hidden by %s", row->verb, row->pattern,
                      found->pattern);
        json_object_put(params);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway");
    SRunner *runner = srunner_create(suite);
    TCase *tcase = tcase_create("guesses");
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, guesses_are_forgotten_after_a_minute);
    tcase_add_test(tcase, guesses_of_all_have_a_bound);
    tcase_add_test(tcase, guesses_keep_the_newest_addresses);
    tcase = tcase_create("routes");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, route_of_each_row_is_found);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
