/* SPDX-License-Identifier: MIT */
/* What tasks wait for, and removing those that have finished. */
#include "fixture.h"

/* Dependencies */

static void expect_unmet(int64_t task_id, int64_t id, enum task_status status)
{
    enum task_status got = TASK_NEW;
    int64_t got_id = 0;

    EXPECT(store_unmet_dependency(store, task_id, &got_id, &got), id != 0);
    expect(got_id, id, "the dependency that decides");
    expect(got, status, "its status");
}

/* A blocked task, or one of another status, that depends on others. */
static int64_t add_depending(int64_t profile_id, enum task_status status, const int64_t *on,
                             size_t count)
{
    struct task task = new_task(profile_id, status, 0), known = {0};
    const struct store_addition addition = {
        .task = &task, .limit = 100, .depends_on = on, .depends_on_count = count};

    EXPECT(store_add(store, &addition, &known), STORE_DONE);
    return task.id;
}

START_TEST(dependencies_decide)
{
    const int64_t completed = add(alpha, TASK_COMPLETED, 1), running = add(beta, TASK_RUNNING, 2);
    const int64_t queued = add(beta, TASK_QUEUED, 3), failed = add(alpha, TASK_FAILED, 4);
    const int64_t cancelled = add(alpha, TASK_CANCELLED, 5);
    const int64_t on[] = {completed, queued, running, failed, cancelled, cancelled};
    const struct {
        int64_t id;
        enum task_status status;
    } expected[] = {
        {0, TASK_NEW},
        {0, TASK_NEW},
        {queued, TASK_QUEUED},
        {running, TASK_RUNNING},
        {failed, TASK_FAILED},
        {cancelled, TASK_CANCELLED},
        {cancelled, TASK_CANCELLED},
    };

    /* What failed decides, whatever else there is; once is enough. */
    for (size_t count = 0; count <= ARRAY_SIZE(on); count++)
        expect_unmet(add_depending(alpha, TASK_BLOCKED, on, count), expected[count].id,
                     expected[count].status);
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 0); /* not committed yet */
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 1 + 2 + 3 + 4 + 5 + 5);
    expect_unmet(completed, 0, TASK_NEW);
}
END_TEST

START_TEST(statuses_of_dependencies)
{
    const int64_t queued = add(alpha, TASK_QUEUED, 1), failed = add(alpha, TASK_FAILED, 1);
    const int64_t ids[] = {failed, failed + 100, queued};
    enum task_status statuses[3];

    MUST(store_depend(store, ids, 3, statuses));
    EXPECT(statuses[0], TASK_FAILED);
    EXPECT(statuses[1], TASK_NEW);
    EXPECT(statuses[2], TASK_QUEUED);
}
END_TEST

/* Finishes a running task. */
static void finish(int64_t id, enum task_status status, bool has_dependants)
{
    CLEANUP(task_deinit) struct task task = {0};
    struct store_attempt attempt = {.task_id = id, .finished_at = NOW};
    struct task_fence fence;
    bool got = !has_dependants;

    EXPECT(store_get_task(store, id, &task), 1);
    fence = task_fence(&task);
    task.status = status;
    task.finished_at = NOW;
    attempt.number = task.attempt;
    attempt.profile_id = task.profile_id;
    EXPECT(store_finish(store, &task, &fence, &attempt, &got), STORE_DONE);
    ck_assert_int_eq(got, has_dependants);
}

/* Takes dependants and releases those that came; expects these. */
static void take(int limit, int outcome, const int64_t *expected, size_t count)
{
    struct store_dependant *dependants = NULL;
    size_t got = 99;

    EXPECT(store_take_dependants(store, limit, &dependants, &got), outcome);
    EXPECT((int64_t)got, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        struct task_fence fence = task_fence(&dependants[i].task);

        EXPECT(dependants[i].task.id, expected[i]);
        EXPECT(dependants[i].status, TASK_COMPLETED);
        dependants[i].task.status = TASK_QUEUED;
        EXPECT(store_change(store, &dependants[i].task, &fence), STORE_DONE);
    }
    store_dependants_free(dependants, got);
}

START_TEST(dependants_are_told_one_after_the_other)
{
    const int64_t first = add(alpha, TASK_RUNNING, 1), lone = add(alpha, TASK_RUNNING, 1);
    const int64_t other = add(alpha, TASK_RUNNING, 1);
    int64_t a, c, d;

    take(9, STORE_STALE, NULL, 0);
    a = add_depending(alpha, TASK_BLOCKED, &first, 1);
    add_depending(beta, TASK_QUEUED, &first, 1); /* not blocked: it is not told */
    c = add_depending(beta, TASK_BLOCKED, &first, 1);
    d = add_depending(beta, TASK_BLOCKED, (int64_t[]){first, other}, 2);
    finish(lone, TASK_COMPLETED, false);
    take(9, STORE_STALE, NULL, 0);
    finish(first, TASK_COMPLETED, true);
    take(1, STORE_DONE, &a, 1);
    MUST(store_commit(store));
    reopen_store();
    take(1, STORE_DONE, &c, 1);    /* it goes on where it had come to */
    take(9, STORE_STALE, NULL, 0); /* d waits for another */
    finish(other, TASK_COMPLETED, true);
    take(9, STORE_STALE, &d, 1);
    take(9, STORE_STALE, NULL, 0);
}
END_TEST

START_TEST(dependants_of_what_failed_are_told_why)
{
    const int64_t good = add(alpha, TASK_RUNNING, 1), bad = add(alpha, TASK_RUNNING, 1);
    const int64_t both = add_depending(beta, TASK_BLOCKED, (int64_t[]){good, bad}, 2);
    struct store_dependant *dependants = NULL;
    size_t count;

    finish(bad, TASK_FAILED, true);
    finish(good, TASK_COMPLETED, true);
    EXPECT(store_take_dependants(store, 100, &dependants, &count), STORE_STALE);
    EXPECT((int64_t)count, 1); /* once, though it was told twice */
    EXPECT(dependants[0].task.id, both);
    EXPECT(dependants[0].depends_on, bad);
    EXPECT(dependants[0].status, TASK_FAILED);
    store_dependants_free(dependants, count);
}
END_TEST

/* Removal */

static void prune(const struct store_pruning *pruning, int outcome, const int64_t *expected,
                  size_t count)
{
    CLEANUP(store_tasks_deinit) struct store_tasks removed = {0};

    EXPECT(store_prune(store, pruning, &removed), outcome);
    EXPECT((int64_t)removed.count, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        EXPECT(removed.tasks[i].id, expected[i]);
}

START_TEST(oldest_finished_goes_first)
{
    static const int64_t finished_at[] = {NOW, NOW - 2, NOW - 1, 0, NOW - 9};
    struct store_pruning pruning = {.before = NOW + 1, .tasks = 1, .attempts = 99, .bytes = 99};
    int64_t ids[ARRAY_SIZE(finished_at)];
    struct task task = {0};

    prune(&pruning, STORE_STALE, NULL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct task one = new_task(alpha, finished_at[i] ? TASK_FAILED : TASK_QUEUED, 1);
        struct task known = {0};
        const struct store_addition addition = {
            .task = &one, .limit = 9, .depends_on = ids, .depends_on_count = i == 3 ? 3 : 0};

        one.finished_at = finished_at[i];
        EXPECT(store_add(store, &addition, &known), STORE_DONE);
        ids[i] = one.id;
    }
    add_attempt(ids[1], 1, alpha, NOW, ERROR_EXIT);
    add_attempt(ids[2], 1, alpha, NOW, ERROR_EXIT);
    /* The newest, though it finished first, stays: its id must not be used again. */
    prune(&pruning, STORE_DONE, &ids[1], 1);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, ids[1], &task), 0);
    EXPECT(ask_number("SELECT count(*) FROM attempt"), 1);
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 2);
    prune(&pruning, STORE_DONE, &ids[2], 1);
    pruning.tasks = 9;
    prune(&pruning, STORE_STALE, &ids[0], 1);
    prune(&pruning, STORE_STALE, NULL, 0);
    EXPECT(store_get_task(store, ids[3], &task), 1); /* not finished: it stays */
    task_deinit(&task);
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
    EXPECT(row.counts.by_status[TASK_COMPLETED], 6); /* it has completed so many */
    store_profile_deinit(&row);
}
END_TEST

START_TEST(last_queued_and_statuses)
{
    struct task task = {0};
    int64_t last;

    EXPECT(store_last_queued(store, alpha, &task), 0);
    add(alpha, TASK_QUEUED, 5);
    add(alpha, TASK_QUEUED, 7);
    last = add(alpha, TASK_QUEUED, 7); /* of equals the newest */
    add(alpha, TASK_QUEUED, 6);
    add(alpha, TASK_SCHEDULED, 99);
    add(beta, TASK_QUEUED, 99);
    EXPECT(store_last_queued(store, alpha, &task), 1);
    expect(task.id, last, "the last");
    task_deinit(&task);
}
END_TEST

void add_dependency_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "dependencies", setup, teardown);

    tcase_add_test(tcase, dependencies_decide);
    tcase_add_test(tcase, statuses_of_dependencies);
    tcase_add_test(tcase, dependants_are_told_one_after_the_other);
    tcase_add_test(tcase, dependants_of_what_failed_are_told_why);
    tcase = add_case(suite, "removal", setup, teardown);
    tcase_add_test(tcase, oldest_finished_goes_first);
    tcase_add_test(tcase, pruning_keeps_its_bounds);
    tcase_add_test(tcase, last_queued_and_statuses);
}
