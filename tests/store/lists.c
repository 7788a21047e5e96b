/* SPDX-License-Identifier: MIT */
/* Reading the queue and lists of tasks. */
#include <string.h>

#include "fixture.h"

/* Adds tasks of every status; returns their order in the queue. */
static void add_queue(int64_t *expected)
{
    /* In the order of adding, with the position of each of alpha's. */
    static const struct {
        enum task_status status;
        int64_t sort_key;
        size_t at;
    } rows[] = {
        {TASK_BLOCKED, 3, 10},       {TASK_SCHEDULED, NOW + 9, 7}, {TASK_QUEUED, NOW, 2},
        {TASK_QUEUED, NOW - 1, 1},   {TASK_QUEUED, NOW, 3},        {TASK_QUEUED, -NOW, 0},
        {TASK_SCHEDULED, NOW, 5},    {TASK_BLOCKED, 1, 8},         {TASK_SCHEDULED, NOW, 6},
        {TASK_QUEUED, NOW + 100, 4}, {TASK_BLOCKED, 2, 9},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        add(beta, rows[i].status, rows[i].sort_key);
        expected[rows[i].at] = add(alpha, rows[i].status, rows[i].sort_key);
        add(alpha, (enum task_status)(TASK_RUNNING + i % 4), NOW);
    }
}

#define QUEUE 11

START_TEST(queue_is_listed_in_order)
{
    int64_t expected[QUEUE];
    struct ids ids = {0};

    EXPECT(list_queue(alpha, NULL, &ids), STORE_STALE);
    check_ids(&ids, NULL, 0);
    add_queue(expected);
    MUST(store_commit(store));
    EXPECT(list_queue(alpha, NULL, &ids), STORE_STALE);
    check_ids(&ids, expected, QUEUE);
    ids.count = 0;
    EXPECT(list_queue(alpha + beta, NULL, &ids), STORE_STALE);
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
            int r;

            if (pages > QUEUE)
                ck_abort_msg("pages of %zu have no end", limit);
            r = list_queue(alpha, pages ? &after : NULL, &page);
            for (size_t i = 0; i < page.count; i++)
                all.ids[all.count++] = page.ids[i];
            EXPECT(r, all.count < QUEUE ? STORE_DONE : STORE_STALE);
            if (r == STORE_STALE)
                break;
            task_deinit(&after);
            EXPECT(store_get_task(store, page.ids[page.count - 1], &after), 1);
        }
        check_ids(&all, expected, QUEUE);
    }
    /* Starting behind each one. */
    for (size_t i = 0; i < QUEUE; i++) {
        CLEANUP(task_deinit) struct task after = {0};
        struct ids ids = {0};

        EXPECT(store_get_task(store, expected[i], &after), 1);
        EXPECT(list_queue(alpha, &after, &ids), STORE_STALE);
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
    EXPECT(list_queue(alpha, &after, &ids), STORE_STALE);
    check_ids(&ids, expected + 2, QUEUE - 2);
}
END_TEST

START_TEST(queue_positions)
{
    /* The number of tasks of the same status before and behind each in add_queue(). */
    static const int64_t before[QUEUE] = {0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2};
    static const int64_t behind[QUEUE] = {4, 3, 2, 1, 0, 2, 1, 0, 2, 1, 0};
    int64_t expected[QUEUE];

    add_queue(expected);
    for (size_t i = 0; i < QUEUE; i++) {
        CLEANUP(task_deinit) struct task task = {0};

        EXPECT(store_get_task(store, expected[i], &task), 1);
        for (int64_t limit = 0; limit < 7; limit++) {
            int64_t count = -1;

            MUST(store_count_before(store, &task, limit, &count));
            EXPECT(count, before[i] < limit ? before[i] : limit);
            MUST(store_count_behind(store, &task, limit, &count));
            EXPECT(count, behind[i] < limit ? behind[i] : limit);
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
    /* Reads only as many rows as the limit. */
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
    add(alpha, TASK_SCHEDULED, NOW + 1000000); /* not ready yet: its time is of the wall clock */
    MUST(store_last_clock(store, &at));
    EXPECT(at, 0);
    task.ready_at = NOW + 1;
    task.queued_at = NOW + 7;
    MUST(add_task(&task));
    add_ranked(beta, PRIORITY_LOW, NOW + 3);
    MUST(store_last_clock(store, &at));
    EXPECT(at, NOW + 7);
    task.ready_at = NOW + 9; /* whatever its status is now */
    task.queued_at = NOW + 8;
    task.status = TASK_COMPLETED;
    EXPECT(save_task(&task, TASK_QUEUED, 0), 1);
    MUST(store_last_clock(store, &at));
    EXPECT(at, NOW + 9);
}
END_TEST

START_TEST(last_queued_and_statuses)
{
    struct task task = {0};
    int64_t last;

    EXPECT(store_last_queued(store, alpha, &task), 0);
    add(alpha, TASK_QUEUED, 5);
    add(alpha, TASK_QUEUED, 7);
    last = add(alpha, TASK_QUEUED, 7); /* the newest of equals */
    add(alpha, TASK_QUEUED, 6);
    add(alpha, TASK_SCHEDULED, 99);
    add(beta, TASK_QUEUED, 99);
    EXPECT(store_last_queued(store, alpha, &task), 1);
    expect(task.id, last, "the last");
    task_deinit(&task);
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
                struct task_filter filter = {
                    .profile_id = profile == 0   ? 0
                                  : profile == 1 ? alpha
                                                 : beta,
                    .status = (enum task_status)status,
                    .before = before ? tasks[before].id : 0,
                };
                struct ids ids = {0}, expected = {0};

                for (size_t i = before ? before : ARRAY_SIZE(tasks); i-- > 0;)
                    if ((!status || tasks[i].status == (enum task_status)status) &&
                        (!profile || tasks[i].profile_id == filter.profile_id))
                        expected.ids[expected.count++] = tasks[i].id;
                EXPECT(list_tasks(&filter, &ids), STORE_STALE);
                check_ids(&ids, expected.ids, expected.count);
                /* A full page. */
                if (expected.count < 2)
                    continue;
                ids = (struct ids){.limit = 2};
                EXPECT(list_tasks(&filter, &ids), expected.count > 2 ? STORE_DONE : STORE_STALE);
                check_ids(&ids, expected.ids, 2);
            }
        }
    }
}
END_TEST

/* Few matches among many tasks are found without reading those between them. */
START_TEST(tasks_are_listed_with_bounded_work)
{
    const int64_t first = add(beta, TASK_QUEUED, 1);
    struct task_filter filter = {.profile_id = beta};
    struct ids ids = {0};
    int64_t second;

    for (int i = 0; i < 95; i++)
        add(alpha, TASK_QUEUED, 1);
    second = add(beta, TASK_RUNNING, 1);
    for (int i = 0; i < 10; i++)
        add(alpha, TASK_QUEUED, 1);
    EXPECT(list_tasks(&filter, &ids), STORE_STALE);
    check_ids(&ids, (int64_t[]){second, first}, 2);
    ids = (struct ids){.limit = 1};
    EXPECT(list_tasks(&filter, &ids), STORE_DONE);
    check_ids(&ids, (int64_t[]){second}, 1);
    filter.before = second;
    EXPECT(list_tasks(&filter, &ids), STORE_STALE);
    check_ids(&ids, (int64_t[]){second, first}, 2);
    filter = (struct task_filter){.status = TASK_RUNNING};
    ids.count = 0;
    EXPECT(list_tasks(&filter, &ids), STORE_STALE);
    check_ids(&ids, (int64_t[]){second}, 1);
}
END_TEST

/* A page ends with the task whose text fills it. */
START_TEST(pages_are_bounded_by_bytes)
{
    struct task_filter filters[] = {{0}, {.profile_id = alpha}};
    struct task task = new_task(alpha, TASK_QUEUED, 1);

    for (int i = 0; i < 4; i++)
        MUST(add_task(&task));
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
        for (size_t bytes = 0; bytes <= 4; bytes++) {
            const struct task_page page = {.tasks = 9, .bytes = bytes * strlen(task.body)};
            CLEANUP(task_list_deinit) struct task_list tasks = {0}, queue = {0};

            filters[i].page = page;
            EXPECT(store_list_tasks(store, &filters[i], &tasks),
                   bytes < 4 ? STORE_DONE : STORE_STALE);
            EXPECT((int64_t)tasks.count, (int64_t)bytes);
            EXPECT(store_list_queue(store, alpha, NULL, &page, &queue),
                   bytes < 4 ? STORE_DONE : STORE_STALE);
            EXPECT((int64_t)queue.count, (int64_t)bytes);
        }
    }
}
END_TEST

void add_list_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "queue", setup, teardown);

    tcase_add_test(tcase, queue_is_listed_in_order);
    tcase_add_test(tcase, queue_is_listed_in_pages);
    tcase_add_test(tcase, queue_is_listed_from_behind_one_that_left);
    tcase_add_test(tcase, queue_positions);
    tcase_add_test(tcase, queue_oldest);
    tcase_add_test(tcase, queue_clock);
    tcase_add_test(tcase, last_queued_and_statuses);
    tcase = add_case(suite, "list", setup, teardown);
    tcase_add_test(tcase, tasks_are_listed);
    tcase_add_test(tcase, tasks_are_listed_with_bounded_work);
    tcase_add_test(tcase, pages_are_bounded_by_bytes);
}
