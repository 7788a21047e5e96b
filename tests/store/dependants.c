/* SPDX-License-Identifier: MIT */
/* Dependencies. */
#include "fixture.h"

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

    int64_t ids[ARRAY_SIZE(expected)];

    /* One failed dependency decides, whatever the others are. */
    for (size_t count = 0; count <= ARRAY_SIZE(on); count++) {
        ids[count] = add_depending(alpha, TASK_BLOCKED, on, count);
        check_unmet(ids[count], expected[count].id, expected[count].status);
    }
    turn();
    for (size_t count = 0; count <= ARRAY_SIZE(on); count++)
        check_unmet(ids[count], 0, TASK_NEW); /* not committed yet */
    turn();
    MUST(store_commit(store));
    turn();
    for (size_t count = 0; count <= ARRAY_SIZE(on); count++)
        check_unmet(ids[count], expected[count].id, expected[count].status);
    check_unmet(completed, 0, TASK_NEW);
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

/* Takes dependants, checks them and releases them. */
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
    add_depending(beta, TASK_QUEUED, &first, 1); /* not blocked: not taken */
    c = add_depending(beta, TASK_BLOCKED, &first, 1);
    d = add_depending(beta, TASK_BLOCKED, (int64_t[]){first, other}, 2);
    finish(lone, TASK_COMPLETED, false);
    take(9, STORE_STALE, NULL, 0);
    finish(first, TASK_COMPLETED, true);
    take(1, STORE_DONE, &a, 1);
    MUST(store_commit(store));
    reopen_store();
    take(1, STORE_DONE, &c, 1);    /* continues where it stopped */
    take(9, STORE_STALE, NULL, 0); /* d waits for another task */
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
    EXPECT((int64_t)count, 1); /* once, though both of its dependencies finished */
    EXPECT(dependants[0].task.id, both);
    EXPECT(dependants[0].depends_on, bad);
    EXPECT(dependants[0].status, TASK_FAILED);
    store_dependants_free(dependants, count);
}
END_TEST

void add_dependant_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "dependencies", setup, teardown);

    tcase_add_test(tcase, statuses_of_dependencies);
    tcase_add_test(tcase, dependants_are_told_one_after_the_other);
    tcase_add_test(tcase, dependants_of_what_failed_are_told_why);
    tcase = add_case(suite, "dependencies seen by two", setup_two, teardown);
    tcase_add_test(tcase, dependencies_decide);
}
