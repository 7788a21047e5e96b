/* SPDX-License-Identifier: MIT */
/* Removing finished tasks. */
#include "fixture.h"

static void prune(const struct store_pruning *pruning, int outcome, const int64_t *expected,
                  size_t count)
{
    CLEANUP(task_list_deinit) struct task_list removed = {0};

    EXPECT(store_prune(store, pruning, &removed), outcome);
    EXPECT((int64_t)removed.count, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        EXPECT(removed.tasks[i].id, expected[i]);
}

/* The number of stored attempts of the profile. */
static int64_t count_attempts(int64_t profile_id)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};

    metrics_window_resize(&window, 100);
    MUST(store_fill_window(store, profile_id, &window));
    return (int64_t)window.count;
}

START_TEST(oldest_finished_goes_first)
{
    struct store_pruning pruning = {.before = NOW + 1, .tasks = 1, .attempts = 99, .bytes = 99};
    struct task task = {0};
    int64_t ids[5];

    prune(&pruning, STORE_STALE, NULL, 0);
    ids[0] = add_attempt(alpha, NOW, ERROR_EXIT);
    ids[1] = add_attempt(alpha, NOW - 2, ERROR_EXIT);
    ids[2] = add_attempt(alpha, NOW - 1, ERROR_EXIT);
    ids[3] = add_depending(alpha, TASK_QUEUED, ids, 3);
    ids[4] = add_attempt(alpha, NOW - 9, ERROR_EXIT);
    EXPECT(count_attempts(alpha), 4);
    /* The newest stays, although it finished first: its id must not be reused. */
    prune(&pruning, STORE_DONE, &ids[1], 1);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, ids[1], &task), 0);
    EXPECT(count_attempts(alpha), 3);
    prune(&pruning, STORE_DONE, &ids[2], 1);
    /* The dependencies of others on them are gone. */
    check_unmet(ids[3], ids[0], TASK_FAILED);
    pruning.tasks = 9;
    prune(&pruning, STORE_STALE, &ids[0], 1);
    check_unmet(ids[3], 0, TASK_NEW);
    prune(&pruning, STORE_STALE, NULL, 0);
    EXPECT(store_get_task(store, ids[3], &task), 1); /* not finished: it stays */
    task_deinit(&task);
    EXPECT(count_attempts(alpha), 1);
    expect(add(alpha, TASK_QUEUED, 1), ids[4] + 1, "the next id");
}
END_TEST

START_TEST(pruning_keeps_its_bounds)
{
    struct store_pruning pruning = {.before = INT64_MIN, .tasks = 99, .attempts = 99, .bytes = 999};
    struct store_profile row = {0};
    int64_t ids[6];

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct task task = new_task(alpha, TASK_COMPLETED, 1);

        task.finished_at = NOW + (int64_t)i;
        task.bytes = 100;
        task.attempt = 2;
        MUST(add_task(&task));
        ids[i] = task.id;
    }
    prune(&pruning, STORE_STALE, NULL, 0);
    pruning.excess = 101; /* bytes: two of them */
    prune(&pruning, STORE_STALE, ids, 2);
    store_rollback(store);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct task task = new_task(alpha, TASK_COMPLETED, 1);

        task.finished_at = NOW + (int64_t)i;
        task.bytes = 100;
        task.attempt = 2;
        MUST(add_task(&task));
        ids[i] = task.id;
    }
    pruning.excess = 0;
    pruning.before = NOW + 2; /* age: two of them */
    pruning.spared = &ids[1];
    pruning.spared_count = 1;
    prune(&pruning, STORE_STALE, ids, 1);
    pruning.spared_count = 0;
    pruning.before = INT64_MAX;
    pruning.attempts = 3; /* two of them have four */
    prune(&pruning, STORE_DONE, ids + 1, 2);
    pruning.bytes = 100;
    prune(&pruning, STORE_DONE, ids + 3, 1);
    MUST(store_ensure_profile(store, "alpha", &row));
    EXPECT(row.counts.finished_bytes, 200);
    EXPECT(row.counts.by_status[TASK_COMPLETED], 6); /* completed so far, removed ones included */
    store_profile_deinit(&row);
}
END_TEST

void add_prune_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "prune", setup, teardown);

    tcase_add_test(tcase, oldest_finished_goes_first);
    tcase_add_test(tcase, pruning_keeps_its_bounds);
}
