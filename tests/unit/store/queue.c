/* SPDX-License-Identifier: MIT */
/* The queue, and lists of tasks. */
#include <errno.h>
#include <string.h>

#include "fixture.h"

static int64_t add_ranked(int64_t profile_id, enum task_priority priority, int64_t ready_at)
{
    struct task task = new_task(profile_id, TASK_QUEUED, 0);

    task.priority = priority;
    task.ready_at = task.queued_at = ready_at;
    task.place = task_rank(&task, INTERVAL);
    MUST(add_task(&task));
    return task.id;
}

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
    EXPECT(claim(alpha + beta), 0); /* a profile that is not there */
}
END_TEST

/* What a pass that failed had claimed is claimed again, in the same order. */
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

START_TEST(scheduled_by_time)
{
    CLEANUP(store_tasks_deinit) struct store_tasks first_two = {0}, rest = {0}, none = {0};
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
    EXPECT(first_two.tasks[0].place, task_rank(&first_two.tasks[0], INTERVAL));
    check_stored(&first_two.tasks[0]);
    check_stored(&first_two.tasks[1]);
    EXPECT(wake(alpha, 9, NOW + 5000, &rest, &next), 1);
    EXPECT(rest.tasks[0].id, last);
    EXPECT(next, INT64_MAX);
    EXPECT(wake(beta, 9, NOW - 1, &none, &next), 0);
    EXPECT(next, NOW);
}
END_TEST

/* A queue with every status in it, and its order. */
static void add_queue(int64_t *expected)
{
    /* The order of adding, and where each one of alpha's stands. */
    static const struct {
        enum task_status status;
        int64_t place;
        size_t at;
    } rows[] = {
        {TASK_BLOCKED, 3, 10},       {TASK_SCHEDULED, NOW + 9, 7}, {TASK_QUEUED, NOW, 2},
        {TASK_QUEUED, NOW - 1, 1},   {TASK_QUEUED, NOW, 3},        {TASK_QUEUED, -NOW, 0},
        {TASK_SCHEDULED, NOW, 5},    {TASK_BLOCKED, 1, 8},         {TASK_SCHEDULED, NOW, 6},
        {TASK_QUEUED, NOW + 100, 4}, {TASK_BLOCKED, 2, 9},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        add(beta, rows[i].status, rows[i].place);
        expected[rows[i].at] = add(alpha, rows[i].status, rows[i].place);
        add(alpha, (enum task_status)(TASK_RUNNING + i % 4), NOW);
    }
}

#define QUEUE 11

START_TEST(queue_is_listed_in_order)
{
    int64_t expected[QUEUE];
    struct ids ids = {0};

    EXPECT(store_list_queue(store, alpha, NULL, collect, &ids), 0);
    check_ids(&ids, NULL, 0);
    add_queue(expected);
    MUST(store_commit(store));
    EXPECT(store_list_queue(store, alpha, NULL, collect, &ids), 0);
    check_ids(&ids, expected, QUEUE);
    ids.count = 0;
    EXPECT(store_list_queue(store, alpha + beta, NULL, collect, &ids), 0);
    check_ids(&ids, NULL, 0);
    for (size_t i = 0; i < 5; i++)
        EXPECT(claim(alpha), expected[i]);
}
END_TEST

START_TEST(queue_is_listed_in_pages)
{
    int64_t expected[QUEUE];

    add_queue(expected);
    for (size_t limit = 1; limit <= QUEUE + 1; limit++) {
        CLEANUP(task_deinit) struct task after = {0};
        struct ids all = {0};

        for (size_t pages = 0;; pages++) {
            struct ids page = {.limit = limit};

            if (pages > QUEUE)
                ck_abort_msg("pages of %zu have no end", limit);
            EXPECT(store_list_queue(store, alpha, pages ? &after : NULL, collect, &page), 0);
            for (size_t i = 0; i < page.count; i++)
                all.ids[all.count++] = page.ids[i];
            if (page.count < limit)
                break;
            task_deinit(&after);
            EXPECT(store_get_task(store, page.ids[page.count - 1], &after), 1);
        }
        check_ids(&all, expected, QUEUE);
    }
    /* From behind each one. */
    for (size_t i = 0; i < QUEUE; i++) {
        CLEANUP(task_deinit) struct task after = {0};
        struct ids ids = {0};

        EXPECT(store_get_task(store, expected[i], &after), 1);
        EXPECT(store_list_queue(store, alpha, &after, collect, &ids), 0);
        check_ids(&ids, expected + i + 1, QUEUE - i - 1);
    }
}
END_TEST

START_TEST(queue_is_listed_from_behind_one_that_left)
{
    CLEANUP(task_deinit) struct task after = {0};
    int64_t expected[QUEUE];
    struct ids ids = {0};

    add_queue(expected);
    EXPECT(store_get_task(store, expected[1], &after), 1);
    EXPECT(claim(alpha), expected[0]);
    EXPECT(claim(alpha), expected[1]);
    EXPECT(store_list_queue(store, alpha, &after, collect, &ids), 0);
    check_ids(&ids, expected + 2, QUEUE - 2);
}
END_TEST

START_TEST(queue_positions)
{
    /* How many of the same status come before each in add_queue(). */
    static const int64_t before[QUEUE] = {0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2};
    int64_t expected[QUEUE];

    add_queue(expected);
    for (size_t i = 0; i < QUEUE; i++) {
        CLEANUP(task_deinit) struct task task = {0};

        EXPECT(store_get_task(store, expected[i], &task), 1);
        for (int64_t limit = 0; limit < 7; limit++) {
            int64_t count = -1;

            MUST(store_count_before(store, &task, limit, &count));
            EXPECT(count, before[i] < limit ? before[i] : limit);
        }
    }
}
END_TEST

START_TEST(queue_oldest)
{
    int64_t at = -1;

    EXPECT(store_oldest_queued(store, alpha, 1000, &at), 0);
    ck_assert_int_eq(at, -1);
    add_ranked(alpha, PRIORITY_HIGH, NOW + 5);
    add_ranked(alpha, PRIORITY_MEDIUM, NOW + 3);
    add_ranked(alpha, PRIORITY_LOW, NOW);
    add_ranked(beta, PRIORITY_LOW, NOW - 9);
    add(alpha, TASK_SCHEDULED, 1);
    add(alpha, TASK_RUNNING, 1);
    EXPECT(store_oldest_queued(store, alpha, 1000, &at), 1);
    EXPECT(at, NOW);
    EXPECT(store_oldest_queued(store, alpha, 3, &at), 1);
    EXPECT(at, NOW);
    /* Only the first so many are looked at. */
    EXPECT(store_oldest_queued(store, alpha, 2, &at), 1);
    EXPECT(at, NOW + 3);
    EXPECT(store_oldest_queued(store, alpha, 1, &at), 1);
    EXPECT(at, NOW + 5);
}
END_TEST

START_TEST(queue_clock)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1);
    int64_t at = -1;

    MUST(store_last_clock(store, &at));
    EXPECT(at, 0);
    add(alpha, TASK_SCHEDULED, NOW + 1000000); /* not yet ready: of the wall's clock */
    MUST(store_last_clock(store, &at));
    EXPECT(at, 0);
    task.ready_at = NOW + 1;
    task.queued_at = NOW + 7;
    MUST(add_task(&task));
    add_ranked(beta, PRIORITY_LOW, NOW + 3);
    MUST(store_last_clock(store, &at));
    EXPECT(at, NOW + 7);
    task.ready_at = NOW + 9; /* whatever became of it since */
    task.queued_at = NOW + 8;
    task.status = TASK_COMPLETED;
    EXPECT(save_task(&task, TASK_QUEUED, 0), 1);
    MUST(store_last_clock(store, &at));
    EXPECT(at, NOW + 9);
}
END_TEST

/* Lists of tasks */

START_TEST(tasks_are_listed)
{
    struct {
        int64_t id, profile_id;
        enum task_status status;
    } tasks[60];

    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
        tasks[i].profile_id = i % 3 ? alpha : beta;
        tasks[i].status = (enum task_status)(TASK_QUEUED + i * 5 % 7);
        tasks[i].id = add(tasks[i].profile_id, tasks[i].status, (int64_t)(i * 17 % 60));
    }
    MUST(store_commit(store));
    for (int status = TASK_NEW; status < TASK_STATUS_COUNT; status++) {
        for (int profile = 0; profile < 3; profile++) {
            for (size_t before = 0; before < ARRAY_SIZE(tasks); before += 7) {
                struct store_filter filter = {
                    .profile_id = profile == 0   ? 0
                                  : profile == 1 ? alpha
                                                 : beta,
                    .status = (enum task_status)status,
                    .before = before ? tasks[before].id : 0,
                    .scan_limit = 1000,
                };
                struct ids ids = {0}, expected = {0};
                int64_t next = -1;

                for (size_t i = before ? before : ARRAY_SIZE(tasks); i-- > 0;)
                    if ((!status || tasks[i].status == (enum task_status)status) &&
                        (!profile || tasks[i].profile_id == filter.profile_id))
                        expected.ids[expected.count++] = tasks[i].id;
                EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 0);
                EXPECT(next, 0);
                check_ids(&ids, expected.ids, expected.count);
                /* A page that is full. */
                if (expected.count < 2)
                    continue;
                ids = (struct ids){.limit = 2};
                EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 1);
                check_ids(&ids, expected.ids, 2);
            }
        }
    }
}
END_TEST

/* Few matches among many: the list gives up after a while, and goes on from there. */
START_TEST(tasks_are_listed_with_bounded_work)
{
    struct store_filter filter = {.profile_id = beta, .scan_limit = 10};
    struct ids ids = {0};
    int64_t first, second, next = -1;
    int calls = 0;

    first = add(beta, TASK_QUEUED, 1);
    for (int i = 0; i < 95; i++)
        add(alpha, TASK_QUEUED, 1);
    second = add(beta, TASK_RUNNING, 1);
    for (int i = 0; i < 10; i++)
        add(alpha, TASK_QUEUED, 1);
    EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 0);
    check_ids(&ids, NULL, 0);
    EXPECT(next, second + 1);
    while (next) {
        filter.before = next;
        EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 0);
        if (++calls > 20)
            ck_abort_msg("no end");
    }
    check_ids(&ids, (int64_t[]){second, first}, 2);
    ck_assert_int_ge(calls, 10);
}
END_TEST

void add_queue_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "queue", setup, teardown);

    tcase_add_test(tcase, claim_order_ages);
    tcase_add_test(tcase, claim_is_per_profile);
    tcase_add_test(tcase, claim_is_undone);
    tcase_add_test(tcase, scheduled_by_time);
    tcase_add_test(tcase, queue_is_listed_in_order);
    tcase_add_test(tcase, queue_is_listed_in_pages);
    tcase_add_test(tcase, queue_is_listed_from_behind_one_that_left);
    tcase_add_test(tcase, queue_positions);
    tcase_add_test(tcase, queue_oldest);
    tcase_add_test(tcase, queue_clock);
    tcase_add_test(tcase, tasks_are_listed);
    tcase_add_test(tcase, tasks_are_listed_with_bounded_work);
}
