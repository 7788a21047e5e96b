/* SPDX-License-Identifier: MIT */
/* Claiming tasks; waking scheduled ones. */
#include "fixture.h"

START_TEST(claim_order_ages)
{
    const int64_t high = add_ranked(alpha, PRIORITY_HIGH, NOW);
    const int64_t medium = add_ranked(alpha, PRIORITY_MEDIUM, NOW);
    const int64_t low = add_ranked(alpha, PRIORITY_LOW, NOW);
    const int64_t high_again = add_ranked(alpha, PRIORITY_HIGH, NOW);
    const int64_t old_medium = add_ranked(alpha, PRIORITY_MEDIUM, NOW - INTERVAL - 1);
    const int64_t tied_medium = add_ranked(alpha, PRIORITY_MEDIUM, NOW - INTERVAL);
    const int64_t old_low = add_ranked(alpha, PRIORITY_LOW, NOW - 2 * INTERVAL - 2);
    const int64_t later_high = add_ranked(alpha, PRIORITY_HIGH, NOW + 1);
    const int64_t expected[] = {old_low,     old_medium, high,   high_again,
                                tied_medium, later_high, medium, low};

    MUST(store_commit(store));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        EXPECT(claim(alpha), expected[i]);
    EXPECT(claim(alpha), 0);
    MUST(store_commit(store));
    EXPECT(claim(alpha), 0);
}
END_TEST

START_TEST(claim_is_per_profile)
{
    const int64_t b2 = add(beta, TASK_QUEUED, 1), a1 = add(alpha, TASK_QUEUED, 30);
    const int64_t b1 = add(beta, TASK_QUEUED, -5), a2 = add(alpha, TASK_QUEUED, 30);

    add(alpha, TASK_SCHEDULED, 0);
    add(alpha, TASK_BLOCKED, 0);
    add(alpha, TASK_RUNNING, 0);
    add(alpha, TASK_FAILED, 0);
    EXPECT(claim(alpha), a1);
    EXPECT(claim(beta), b1);
    EXPECT(claim(alpha), a2);
    EXPECT(claim(alpha), 0);
    MUST(store_commit(store));
    reopen_store();
    EXPECT(claim(alpha), 0);
    EXPECT(claim(beta), b2);
    EXPECT(claim(beta), 0);
    EXPECT(claim(alpha + beta), 0); /* no such profile */
}
END_TEST

/* Tasks claimed in a failed pass are claimed again, in the same order. */
START_TEST(claim_is_undone)
{
    const int64_t first = add(alpha, TASK_QUEUED, 1), second = add(alpha, TASK_QUEUED, 2);

    MUST(store_commit(store));
    EXPECT(claim(alpha), first);
    EXPECT(claim(alpha), second);
    store_rollback(store);
    EXPECT(claim(alpha), first);
    MUST(store_commit(store));
    EXPECT(claim(alpha), second);
}
END_TEST

/* A claim sees what its own pass has done to the queue after an earlier claim: a store may read
 * ahead, as many rows as the pass before has claimed. */
START_TEST(claim_sees_its_pass)
{
    CLEANUP(task_deinit) struct task moved = {0};
    int64_t ids[8];
    bool has_dependants;

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        ids[i] = add(alpha, TASK_QUEUED, (int64_t)i * 10);
    for (size_t i = 0; i < 4; i++)
        EXPECT(claim(alpha), ids[i]);
    MUST(store_commit(store));
    EXPECT(claim(alpha), ids[4]);

    EXPECT(claim(beta), 0);
    EXPECT(claim(alpha), add(alpha, TASK_QUEUED, 45)); /* before all that wait */

    EXPECT(store_get_task(store, ids[5], &moved), 1);
    struct task_fence fence = task_fence(&moved);
    moved.status = TASK_CANCELLED;
    EXPECT(store_cancel(store, &moved, &fence, &has_dependants), STORE_DONE);
    task_deinit(&moved);
    EXPECT(claim(alpha), ids[6]);

    EXPECT(store_get_task(store, ids[7], &moved), 1);
    fence = task_fence(&moved);
    moved.profile_id = beta;
    EXPECT(store_change(store, &moved, &fence), STORE_DONE);
    EXPECT(claim(alpha), 0);
    EXPECT(claim(beta), ids[7]);
    EXPECT(claim(alpha), add(alpha, TASK_QUEUED, 90)); /* behind all that waited */
    EXPECT(claim(alpha), 0);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

START_TEST(scheduled_by_time)
{
    CLEANUP(task_list_deinit) struct task_list first_two = {0}, rest = {0}, none = {0};
    int64_t last, first, tied, next = 77;

    EXPECT(wake(alpha, 9, NOW, &none, &next), 0);
    EXPECT(next, INT64_MAX);
    last = add(alpha, TASK_SCHEDULED, NOW + 3000);
    first = add(alpha, TASK_SCHEDULED, NOW + 1000);
    tied = add(alpha, TASK_SCHEDULED, NOW + 1000);
    add(beta, TASK_SCHEDULED, NOW);
    add(alpha, TASK_QUEUED, 0);
    add(alpha, TASK_BLOCKED, 0);
    EXPECT(wake(alpha, 9, NOW + 999, &none, &next), 0);
    EXPECT(next, NOW + 1000);
    EXPECT(wake(alpha, 2, NOW + 5000, &first_two, &next), 2);
    EXPECT(first_two.tasks[0].id, first);
    EXPECT(first_two.tasks[1].id, tied);
    EXPECT(next, NOW + 3000); /* due, but beyond the limit */
    EXPECT(first_two.tasks[0].status, TASK_QUEUED);
    EXPECT(first_two.tasks[0].ready_at, NOW + 5000);
    EXPECT(first_two.tasks[0].sort_key, task_rank(&first_two.tasks[0], INTERVAL));
    check_stored(&first_two.tasks[0]);
    check_stored(&first_two.tasks[1]);
    EXPECT(wake(alpha, 9, NOW + 5000, &rest, &next), 1);
    EXPECT(rest.tasks[0].id, last);
    EXPECT(next, INT64_MAX);
    EXPECT(wake(beta, 9, NOW - 1, &none, &next), 0);
    EXPECT(next, NOW);
}
END_TEST

/* The task that caused a cooldown is claimed if there is no other. */
START_TEST(claim_avoids_one)
{
    const int64_t avoided = add(alpha, TASK_QUEUED, 1), next = add(alpha, TASK_QUEUED, 2);
    const struct store_claim wanted = {
        .profile_id = alpha, .avoided = avoided, .limit = 1, .now = NOW};
    CLEANUP(task_deinit) struct task first = {0};

    for (int i = 0; i < 2; i++) {
        CLEANUP(task_list_deinit) struct task_list tasks = {0};

        EXPECT(store_first_queued(store, alpha, avoided, &first), 1);
        EXPECT(first.id, i ? avoided : next);
        task_deinit(&first);
        MUST(store_claim(store, &wanted, &tasks));
        EXPECT((int64_t)tasks.count, 1);
        EXPECT(tasks.tasks[0].id, i ? avoided : next);
        EXPECT(tasks.tasks[0].attempt, 1);
        EXPECT(tasks.tasks[0].started_at, NOW);
        check_stored(&tasks.tasks[0]);
    }
    EXPECT(claim(alpha), 0);
}
END_TEST

void add_claim_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "claim", setup, teardown);

    tcase_add_test(tcase, claim_order_ages);
    tcase_add_test(tcase, claim_is_per_profile);
    tcase_add_test(tcase, claim_is_undone);
    tcase_add_test(tcase, claim_sees_its_pass);
    tcase_add_test(tcase, scheduled_by_time);
    tcase_add_test(tcase, claim_avoids_one);
}
