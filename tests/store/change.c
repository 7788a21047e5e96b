/* SPDX-License-Identifier: MIT */
/* Changing tasks, under a fence. */
#include "fixture.h"

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
    /* What a task gets when it starts is unchanged. */
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

    /* Texts can be removed again. */
    task = saved;
    task.error_class = ERROR_NONE;
    task.error_message = task.error_tail = task.result = NULL;
    EXPECT(save_task(&task, TASK_FAILED, 12), 1);
    check_stored(&task);
}
END_TEST

/* All verbs that change a task rest on this: they apply only to the row that was read. */
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

/* All transitions of a task, each tried twice: the second one is too late. */
START_TEST(transitions_happen_once)
{
    static const struct {
        enum task_status from, to;
        int attempts; /* number of attempts that it adds */
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
        task.sort_key = (int64_t)i;
        EXPECT(save_task(&task, steps[i].from, was), 1);
        check_stored(&task);
        late = task;
        late.sort_key = 1000;
        EXPECT(save_task(&late, steps[i].from, was), 0);
        check_stored(&task);
        if (i % 2)
            MUST(store_commit(store));
    }
    ck_assert_int_eq(task.attempt, 4);
}
END_TEST

/* The end of an older attempt must not end a newer one. */
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

/* The count of writes tells a call whether it wrote. */
START_TEST(verb_that_came_too_late_counts_as_no_write)
{
    struct task task = new_task(alpha, TASK_RUNNING, 1), known = {0};
    struct task_fence fence;
    bool has_dependants;
    uint64_t writes;

    task.attempt = 2;
    task.key = (char *)"key";
    MUST(add_task(&task));
    fence = task_fence(&task);
    writes = store_writes(store);
    task.attempt = 1;
    EXPECT(finish_task(&task, TASK_FAILED, ERROR_EXIT, NOW, &has_dependants), STORE_STALE);
    fence.attempt = 1;
    EXPECT(store_change(store, &task, &fence), STORE_STALE);
    EXPECT(store_cancel(store, &task, &fence, &has_dependants), STORE_STALE);
    EXPECT(store_add(store, &(struct store_addition){.task = &task, .limit = 9}, &known),
           STORE_KNOWN);
    task_deinit(&known);
    EXPECT(claim(alpha), 0);
    EXPECT((int64_t)store_writes(store), (int64_t)writes);
    fence.attempt = task.attempt = 2;
    EXPECT(store_change(store, &task, &fence), STORE_DONE);
    ck_assert_uint_gt(store_writes(store), writes);
}
END_TEST

/* Moves a task within the limit of the other profile. */
static int move_within(int64_t id, int64_t limit)
{
    CLEANUP(task_deinit) struct task task = {0};
    struct task_fence fence;

    EXPECT(store_get_task(store, id, &task), 1);
    fence = task_fence(&task);
    fence.limit = limit;
    task.profile_id = beta;
    return store_change(store, &task, &fence);
}

START_TEST(move_needs_room)
{
    const int64_t first = add(alpha, TASK_QUEUED, 1), second = add(alpha, TASK_SCHEDULED, 2);

    EXPECT(move_within(first, 1), STORE_DONE);
    EXPECT(move_within(second, 1), STORE_FULL);
    MUST(store_commit(store));
    EXPECT(count_tasks(alpha, TASK_SCHEDULED), 1);
    EXPECT(move_within(second, 2), STORE_DONE);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

void add_change_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "change", setup, teardown);

    tcase_add_test(tcase, move_needs_room);
    tcase_add_test(tcase, task_is_saved);
    tcase_add_test(tcase, task_that_moved_on_is_not_saved);
    tcase_add_test(tcase, transitions_happen_once);
    tcase_add_test(tcase, attempt_is_the_fence);
    tcase_add_test(tcase, verb_that_came_too_late_counts_as_no_write);
}
