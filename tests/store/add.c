/* SPDX-License-Identifier: MIT */
/* Adding tasks; keys; queue limits. */
#include <errno.h>

#include "common/alloc.h"
#include "fixture.h"

START_TEST(task_is_stored_as_it_is)
{
    struct task task = full_task();

    MUST(add_task(&task));
    ck_assert_int_gt(task.id, 0);
    check_stored(&task); /* also before the commit */
    MUST(store_commit(store));
    check_stored(&task);
    reopen_store();
    check_stored(&task);
}
END_TEST

START_TEST(task_with_the_least)
{
    struct task task = {.profile_id = beta, .status = TASK_QUEUED, .body = (char *)""};

    MUST(add_task(&task));
    MUST(store_commit(store));
    check_stored(&task);
}
END_TEST

START_TEST(task_with_the_most)
{
    static char texts[4][1024 * 1024 + 1];
    struct task task = full_task();

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        for (size_t k = 0; k < sizeof(texts[i]) - 1; k++)
            texts[i][k] = (char)(' ' + (i + k * 7) % 95);
    task.error_message = texts[0];
    task.result = texts[1];
    task.routing = texts[2];
    task.body = texts[3];
#define X(field)                                                                                   \
    if (sizeof(task.field) == sizeof(int64_t))                                                     \
        task.field = (__typeof__(task.field))INT64_MAX;
    NUMBERS(X)
#undef X
    task.id = 0;
    task.profile_id = alpha;
    task.sort_key = INT64_MIN;
    MUST(add_task(&task));
    MUST(store_commit(store));
    reopen_store();
    check_stored(&task);
}
END_TEST

START_TEST(task_of_every_kind)
{
    struct task tasks[3 * ERROR_CLASS_COUNT];
    size_t count = 0;

    for (int error = 0; error < ERROR_CLASS_COUNT; error++) {
        for (int priority = 0; priority < PRIORITY_COUNT; priority++) {
            struct task *task = &tasks[count];

            *task = new_task(count % 2 ? alpha : beta, (enum task_status)(TASK_QUEUED + count % 7),
                             (int64_t)count);
            task->priority = (enum task_priority)priority;
            task->error_class = (enum error_class)error;
            MUST(add_task(task));
            if (count)
                ck_assert_int_gt(task->id, tasks[count - 1].id);
            count++;
        }
    }
    MUST(store_commit(store));
    reopen_store();
    for (size_t i = 0; i < count; i++)
        check_stored(&tasks[i]);
}
END_TEST

START_TEST(task_that_is_not_there)
{
    struct task task = {.id = 77};
    int64_t last = add(alpha, TASK_QUEUED, 1);

    EXPECT(store_get_task(store, last + 1, &task), 0);
    EXPECT(store_get_task(store, 0, &task), 0);
    EXPECT(store_get_task(store, -1, &task), 0);
    EXPECT(store_get_task(store, INT64_MAX, &task), 0);
    EXPECT(store_get_task_by_key(store, "none", &task), 0);
    ck_assert_int_eq(task.id, 77);
    ck_assert_ptr_null(task.body);
    task = new_task(alpha, TASK_RUNNING, 1);
    task.id = last + 1;
    EXPECT(save_task(&task, TASK_QUEUED, 0), 0);
    EXPECT(store_get_task(store, last + 1, &task), 0);
}
END_TEST

/* Keys */

START_TEST(key_finds_the_first)
{
    struct task task = full_task(), other = new_task(beta, TASK_QUEUED, 1);

    MUST(add_task(&task));
    other.key = (char *)"KEY-é"; /* a different key */
    MUST(add_task(&other));
    MUST(store_commit(store));
    for (int status = TASK_QUEUED; status < TASK_STATUS_COUNT; status++) {
        CLEANUP(task_deinit) struct task found = {0}, other_found = {0};
        enum task_status was = task.status;

        /* As long as the task exists, whatever its status, and in the pass that added it. */
        task.status = (enum task_status)status;
        EXPECT(save_task(&task, was, task.attempt), 1);
        EXPECT(store_get_task_by_key(store, "key-é", &found), 1);
        check_task(&found, &task);
        EXPECT(store_get_task_by_key(store, "KEY-é", &other_found), 1);
        check_task(&other_found, &other);
    }
    MUST(store_commit(store));
    reopen_store();
    EXPECT(store_get_task_by_key(store, "key-é", &other), 1);
    check_task(&other, &task);
    task_deinit(&other);
}
END_TEST

START_TEST(key_is_unique)
{
    struct task task = full_task(), second = new_task(beta, TASK_QUEUED, 1), known = {0};
    CLEANUP(freep) char *before = NULL;

    /* Any number of tasks without a key. */
    for (int i = 0; i < 3; i++)
        add(alpha, TASK_QUEUED, i);
    MUST(add_task(&task));
    MUST(store_commit(store));
    before = dump();
    second.key = task.key;
    EXPECT(store_add(store, &(struct store_addition){.task = &second, .limit = 100}, &known),
           STORE_KNOWN);
    check_task(&known, &task);
    task_deinit(&known);
    ck_assert_int_eq(second.id, 0);
    MUST(store_commit(store));
    check_dump(before, "a second task of the key");
    check_stored(&task);
}
END_TEST

/* A key used in a failed pass is free. */
START_TEST(key_is_free_after_rollback)
{
    struct task task = full_task(), found = {0};

    MUST(add_task(&task));
    EXPECT(store_get_task_by_key(store, task.key, &found), 1);
    task_deinit(&found);
    store_rollback(store);
    EXPECT(store_get_task_by_key(store, task.key, &found), 0);
    MUST(add_task(&task));
    MUST(store_commit(store));
    check_stored(&task);
}
END_TEST

START_TEST(waiting_tasks_are_counted_with_those_of_the_pass)
{
    int64_t waiting = 9;

    add(alpha, TASK_QUEUED, 1);
    add(beta, TASK_QUEUED, 1);
    MUST(store_commit(store));
    add(alpha, TASK_SCHEDULED, 2);
    add(alpha, TASK_BLOCKED, 0);
    ck_assert_int_ge(store_count_waiting(store, alpha, &waiting), 0);
    EXPECT(waiting, 3);
    ck_assert_int_ne(claim(alpha), 0);
    ck_assert_int_ge(store_count_waiting(store, alpha, &waiting), 0);
    EXPECT(waiting, 2);
    EXPECT(store_count_waiting(store, 999, &waiting), STORE_STALE);
    store_rollback(store);
}
END_TEST

void add_add_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "add", setup, teardown);

    tcase_add_test(tcase, waiting_tasks_are_counted_with_those_of_the_pass);
    tcase_add_test(tcase, task_is_stored_as_it_is);
    tcase_add_test(tcase, task_with_the_least);
    tcase_add_test(tcase, task_with_the_most);
    tcase_add_test(tcase, task_of_every_kind);
    tcase_add_test(tcase, task_that_is_not_there);
    tcase = add_case(suite, "key", setup, teardown);
    tcase_add_test(tcase, key_finds_the_first);
    tcase_add_test(tcase, key_is_unique);
    tcase_add_test(tcase, key_is_free_after_rollback);
}
