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

static int finish_surely(struct task *task, bool *ret_has_dependants)
{
    struct task_fence fence = task_fence(task);
    const struct store_attempt attempt = {
        .task_id = task->id,
        .number = task->attempt,
        .profile_id = task->profile_id,
        .finished_at = NOW,
    };

    fence.sum = 0;
    fence.is_sure = true;
    task->status = TASK_COMPLETED;
    task->finished_at = NOW;
    task->sort_key = task->id;
    return store_finish(store, task, &fence, &attempt, ret_has_dependants);
}

/* It is stale, or the pass fails. */
START_TEST(a_sure_end_that_comes_late_writes_nothing)
{
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(task_deinit) struct task first = {0}, second = {0};
    CLEANUP(freep) char *before = NULL;
    bool has_dependants;
    int r;

    EXPECT(claim(alpha), id);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, id, &first), 1);
    EXPECT(store_get_task(store, id, &second), 1);
    EXPECT(finish_task(&first, TASK_COMPLETED, ERROR_NONE, NOW, &has_dependants), STORE_DONE);
    MUST(store_commit(store));
    turn();
    before = dump();
    r = finish_surely(&second, &has_dependants);
    if (r == STORE_DONE)
        r = store_commit(store);
    if (r >= 0)
        EXPECT(r, STORE_STALE);
    store_rollback(store);
    check_dump(before, "an end that came too late");
    check_counters(NULL);
}
END_TEST

void add_finish_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "finish", setup, teardown);

    tcase_add_test(tcase, late_report_changes_no_task);
    tcase_add_test(tcase, attempts_fill_the_window);
    tcase = add_case(suite, "two finish", setup_two, teardown);
    tcase_add_test(tcase, a_sure_end_that_comes_late_writes_nothing);
}
