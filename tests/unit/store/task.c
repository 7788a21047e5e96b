/* SPDX-License-Identifier: MIT */
/* Tasks and their keys. */
#include <errno.h>

#include "common/alloc.h"
#include "fixture.h"

/* Tasks */

START_TEST(task_is_stored_as_it_is)
{
    struct task task = full_task();

    MUST(add_task(&task));
    ck_assert_int_gt(task.id, 0);
    check_stored(&task); /* before the commit too */
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
    task.place = INT64_MIN;
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

START_TEST(task_is_saved)
{
    struct task other = new_task(alpha, TASK_RUNNING, 5), task = new_task(alpha, TASK_RUNNING, 6);
    struct task saved = full_task();

    other.attempt = task.attempt = 3;
    task.key = (char *)"first";
    task.routing = (char *)"{}";
    task.timeout_ms = 21;
    task.max_attempts = 22;
    task.run_at = 23;
    MUST(add_task(&other));
    MUST(add_task(&task));
    MUST(store_commit(store));

    saved.id = task.id;
    saved.profile_id = beta;
    /* What a task is given at its start is as it was read. */
    saved.created_at = task.created_at;
    saved.timeout_ms = task.timeout_ms;
    saved.max_attempts = task.max_attempts;
    saved.key = task.key;
    saved.routing = task.routing;
    saved.body = task.body;
    saved.type = task.type;
    saved.submitted_by = task.submitted_by;
    saved.depth = task.depth;
    EXPECT(save_task(&saved, TASK_RUNNING, 3), 1);
    check_stored(&saved);
    check_stored(&other);
    MUST(store_commit(store));
    reopen_store();
    check_stored(&saved);
    check_stored(&other);

    /* Texts can be taken away again. */
    task = saved;
    task.error_class = ERROR_NONE;
    task.error_message = task.error_tail = task.result = NULL;
    EXPECT(save_task(&task, TASK_FAILED, 12), 1);
    check_stored(&task);
}
END_TEST

/* Each verb that changes a task comes down to this: it holds only for what was looked at. */
START_TEST(task_that_moved_on_is_not_saved)
{
    struct task tasks[TASK_STATUS_COUNT];

    for (int now = TASK_QUEUED; now < TASK_STATUS_COUNT; now++) {
        tasks[now] = full_task();
        tasks[now].key = NULL;
        tasks[now].status = (enum task_status)now;
        MUST(add_task(&tasks[now]));
    }
    MUST(store_commit(store));
    for (int now = TASK_QUEUED; now < TASK_STATUS_COUNT; now++) {
        for (int was = TASK_QUEUED; was < TASK_STATUS_COUNT; was++) {
            for (int64_t attempt = 11; attempt <= 13; attempt++) {
                struct task change = new_task(beta, TASK_SCHEDULED, 99);
                bool holds = now == was && attempt == tasks[now].attempt;

                change.id = tasks[now].id;
                change.attempt = 20;
                EXPECT(save_task(&change, (enum task_status)was, attempt), holds);
                if (!holds)
                    check_stored(&tasks[now]);
                store_rollback(store);
                check_stored(&tasks[now]);
            }
        }
    }
}
END_TEST

/* The transitions of a task's life, each told twice: the second one comes too late. */
START_TEST(transitions_happen_once)
{
    static const struct {
        enum task_status from, to;
        int attempts; /* that it adds */
    } steps[] = {
        {TASK_BLOCKED, TASK_SCHEDULED, 0}, {TASK_SCHEDULED, TASK_QUEUED, 0},
        {TASK_QUEUED, TASK_RUNNING, 1},    {TASK_RUNNING, TASK_SCHEDULED, 0}, /* a retry */
        {TASK_SCHEDULED, TASK_QUEUED, 0},  {TASK_QUEUED, TASK_RUNNING, 1},
        {TASK_RUNNING, TASK_QUEUED, 0}, /* interrupted */
        {TASK_QUEUED, TASK_RUNNING, 1},    {TASK_RUNNING, TASK_FAILED, 0},
        {TASK_FAILED, TASK_QUEUED, 0},     {TASK_QUEUED, TASK_CANCELLED, 0},
        {TASK_CANCELLED, TASK_QUEUED, 0},  {TASK_QUEUED, TASK_RUNNING, 1},
        {TASK_RUNNING, TASK_COMPLETED, 0},
    };
    struct task task = new_task(alpha, TASK_BLOCKED, 1);
    struct task_counts counts = {0};

    MUST(add_task(&task));
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int64_t was = task.attempt;
        struct task late;

        MUST(task_transition(&task, steps[i].to, &counts));
        task.attempt += steps[i].attempts;
        task.place = (int64_t)i;
        EXPECT(save_task(&task, steps[i].from, was), 1);
        check_stored(&task);
        late = task;
        late.place = 1000;
        EXPECT(save_task(&late, steps[i].from, was), 0);
        check_stored(&task);
        if (i % 2)
            MUST(store_commit(store));
    }
    ck_assert_int_eq(task.attempt, 4);
}
END_TEST

/* An end of an older attempt must not end a younger one. */
START_TEST(attempt_is_the_fence)
{
    struct task task = new_task(alpha, TASK_RUNNING, 1), end;

    task.attempt = 1;
    MUST(add_task(&task));
    end = task;
    task.attempt = 2; /* interrupted and claimed again meanwhile */
    EXPECT(save_task(&task, TASK_RUNNING, 1), 1);
    end.status = TASK_COMPLETED;
    EXPECT(save_task(&end, TASK_RUNNING, 1), 0);
    check_stored(&task);
}
END_TEST

/* Keys */

START_TEST(key_finds_the_first)
{
    struct task task = full_task(), other = new_task(beta, TASK_QUEUED, 1);

    MUST(add_task(&task));
    other.key = (char *)"KEY-é"; /* not the same */
    MUST(add_task(&other));
    MUST(store_commit(store));
    for (int status = TASK_QUEUED; status < TASK_STATUS_COUNT; status++) {
        CLEANUP(task_deinit) struct task found = {0}, other_found = {0};
        enum task_status was = task.status;

        /* As long as the task lives, however it ended, and in the pass that added it. */
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

    /* Any number without one. */
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

/* A key that was given in a pass which failed is free. */
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

void add_task_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "task", setup, teardown);

    tcase_add_test(tcase, task_is_stored_as_it_is);
    tcase_add_test(tcase, task_with_the_least);
    tcase_add_test(tcase, task_with_the_most);
    tcase_add_test(tcase, task_of_every_kind);
    tcase_add_test(tcase, task_that_is_not_there);
    tcase_add_test(tcase, task_is_saved);
    tcase_add_test(tcase, task_that_moved_on_is_not_saved);
    tcase_add_test(tcase, transitions_happen_once);
    tcase_add_test(tcase, attempt_is_the_fence);
    tcase = add_case(suite, "key", setup, teardown);
    tcase_add_test(tcase, key_finds_the_first);
    tcase_add_test(tcase, key_is_unique);
    tcase_add_test(tcase, key_is_free_after_rollback);
}
