/* SPDX-License-Identifier: MIT */
/* Ends of attempts. */
#include <string.h>

#include "fixture.h"

static void check_window(int64_t profile_id, size_t capacity, const char *expected)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};

    metrics_window_resize(&window, capacity);
    MUST(store_fill_window(store, profile_id, &window));
    EXPECT((int64_t)window.count, (int64_t)strlen(expected));
    for (size_t i = 0; i < window.count; i++) {
        const struct metrics_sample *sample = &window.samples[i];

        /* Letters in order of time; the duration identifies the attempt. */
        if ((sample->success ? 'S' : 'F') != expected[i])
            ck_abort_msg("number %zu of %s", i, expected);
        if (i && sample->duration_ms <= sample[-1].duration_ms)
            ck_abort_msg("number %zu is older than the one before it", i);
    }
}

START_TEST(attempts_fill_the_window)
{
    static const enum error_class classes[] = {
        ERROR_NONE, ERROR_EXIT,        ERROR_RATE_LIMIT, ERROR_SIGNAL,
        ERROR_NONE, ERROR_AUTH,        ERROR_TIMEOUT,    ERROR_NONE,
        ERROR_NONE, ERROR_INTERRUPTED, ERROR_CANCELLED,  ERROR_LOST_LEASE};

    check_window(alpha, 5, "");
    /* Not in order of time. */
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        size_t k = i * 5 % ARRAY_SIZE(classes);

        add_attempt(alpha, NOW + 1 + (int64_t)k, classes[k]);
        add_attempt(beta, NOW + 1 + (int64_t)k, ERROR_NONE);
    }
    check_window(alpha, 100, "SFFSFSSF");
    check_window(alpha, 8, "SFFSFSSF");
    check_window(alpha, 3, "SSF");
    check_window(alpha, 1, "F");
    MUST(store_commit(store));
    reopen_store();
    check_window(alpha, 4, "FSSF");
    check_window(beta, 2, "SS");
}
END_TEST

/* What an agent reported after its end is added to the attempt, and to nothing else. */
START_TEST(late_report_changes_no_task)
{
    const int64_t id = add_attempt(alpha, NOW, ERROR_NONE);
    const struct store_attempt late = {
        .task_id = id,
        .number = 1,
        .usage = "{\"tokens\":7}",
        .cost = {0.5, "USD"},
    };
    struct store_attempt unknown = late;
    CLEANUP(freep) char *before = NULL;

    MUST(store_commit(store));
    before = dump();
    unknown.number = 9;
    MUST(store_report_attempt(store, &late));
    MUST(store_report_attempt(store, &unknown));
    MUST(store_commit(store));
    check_dump(before, "reported");
}
END_TEST

void add_finish_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "finish", setup, teardown);

    tcase_add_test(tcase, late_report_changes_no_task);
    tcase_add_test(tcase, attempts_fill_the_window);
}
