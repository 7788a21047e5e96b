/* SPDX-License-Identifier: MIT */
/* Ordered faults: failing commits and stale verbs. */
#include <errno.h>

#include "common/alloc.h"
#include "faulty.h"
#include "fixture.h"

static void setup_faulty(void)
{
    faulty_reset();
    setup_two();
}

/* Every ordered fault has occurred. */
static void teardown_faulty(void)
{
    ck_assert(!faulty_is_waiting());
    teardown();
}

static int claim_result(void)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};

    return store_claim(store, &(struct store_claim){.profile_id = alpha, .limit = 1}, &tasks);
}

START_TEST(commit_that_failed_holds_nothing)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1), again = new_task(alpha, TASK_QUEUED, 1);
    CLEANUP(task_deinit) struct task got = {0};
    CLEANUP(freep) char *before = NULL;
    const struct metrics_bucket one = {.completed = 1};
    const int64_t kept = add(alpha, TASK_QUEUED, 0);
    struct store_profile profile = {.id = 77};

    MUST(store_commit(store));
    before = dump();
    faulty_order_commit(FAULTY_REFUSED, 1);
    task.key = again.key = (char *)"key";
    MUST(add_task(&task));
    EXPECT(claim(alpha), kept);
    MUST(store_add_metrics(store, alpha, NOW, &one));
    EXPECT(store_commit(store), -EIO);

    /* The pass can only be rolled back; reads still work. */
    ck_assert(store_has_failed(store));
    ck_assert(store_is_writing(store));
    ck_assert_str_ne(store_error(store), "");
    EXPECT(add_task(&again), -EIO);
    EXPECT(claim_result(), -EIO);
    EXPECT(store_ensure_profile(store, "alpha", &profile), -EIO);
    EXPECT(profile.id, 77);
    EXPECT(store_add_metrics(store, alpha, NOW, &one), -EIO);
    EXPECT(store_commit(store), -EIO);
    EXPECT(store_get_task(store, kept, &got), 1);
    check_dump(before, "refused");
    store_rollback(store);
    ck_assert(!store_has_failed(store));
    ck_assert(!store_is_writing(store));
    check_dump(before, "rolled back");
    check_counters(NULL);

    /* Try again: the key and the id are free. */
    ck_assert_str_ne(store_error(store), "");
    MUST(add_task(&again));
    EXPECT(again.id, task.id);
    MUST(store_commit(store));
    ck_assert_str_eq(store_error(store), "");
    check_stored(&again);
    check_counters(NULL);
}
END_TEST

START_TEST(claim_of_a_failed_pass_is_anybodys)
{
    const int64_t first = add(alpha, TASK_QUEUED, 1), second = add(alpha, TASK_QUEUED, 2);
    CLEANUP(task_deinit) struct task task = {0};

    MUST(store_commit(store));
    faulty_order_commit(FAULTY_REFUSED, 1);
    EXPECT(claim(alpha), first);
    EXPECT(store_commit(store), -EIO);
    store_rollback(store);
    turn();
    EXPECT(claim(alpha), first);
    MUST(store_commit(store));
    turn();
    EXPECT(claim(alpha), second);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, first, &task), 1);
    EXPECT(task.attempt, 1); /* the undone attempt has used no number */
    check_counters(NULL);
}
END_TEST

/* An undone end can be reported again, by the other handle too. */
START_TEST(end_of_a_failed_pass_can_be_told_again)
{
    const int64_t on = add(alpha, TASK_QUEUED, 1);
    const int64_t id = add_depending(beta, TASK_BLOCKED, &on, 1);
    CLEANUP(task_deinit) struct task task = {0}, again = {0};
    struct store_dependant *dependants = NULL;
    bool has_dependants = false;
    size_t count = 9;

    EXPECT(claim(alpha), on);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, on, &task), 1);
    EXPECT(store_get_task(store, on, &again), 1);
    faulty_order_commit(FAULTY_REFUSED, 1);
    EXPECT(finish_task(&task, TASK_FAILED, ERROR_EXIT, NOW, &has_dependants), STORE_DONE);
    EXPECT(store_commit(store), -EIO);
    store_rollback(store);
    EXPECT(store_take_dependants(store, 9, &dependants, &count), STORE_STALE);
    EXPECT((int64_t)count, 0);
    has_dependants = false;
    EXPECT(finish_task(&again, TASK_COMPLETED, ERROR_NONE, NOW, &has_dependants), STORE_DONE);
    ck_assert(has_dependants);
    MUST(store_commit(store));
    EXPECT(store_take_dependants(store, 9, &dependants, &count), STORE_STALE);
    EXPECT((int64_t)count, 1);
    EXPECT(dependants[0].task.id, id);
    EXPECT(dependants[0].status, TASK_COMPLETED);
    store_dependants_free(dependants, count);
    store_rollback(store);
    check_counters(NULL);
}
END_TEST

/* The outcome of a commit stays unknown while the store is silent. */
static void commit_unseen(enum faulty_commit how)
{
    const struct metrics_bucket one = {.completed = 1};
    struct task task = new_task(alpha, TASK_QUEUED, 1);

    faulty_order_commit(how, 1);
    faulty_stay_silent(true);
    EXPECT(store_commit(store), STORE_UNKNOWN);
    for (int i = 0; i < 3; i++) {
        EXPECT(store_resolve(store), STORE_UNKNOWN);
        ck_assert_str_ne(store_error(store), "");
        EXPECT(add_task(&task), -EIO);
        EXPECT(claim_result(), -EIO);
        EXPECT(store_add_metrics(store, alpha, NOW, &one), -EIO);
        EXPECT(store_commit(store), -EIO);
    }
    faulty_stay_silent(false);
    EXPECT(store_resolve(store), how == FAULTY_UNSEEN ? 0 : -EIO);
    if (how == FAULTY_UNSEEN) {
        ck_assert(!store_is_writing(store));
        ck_assert_str_eq(store_error(store), "");
    } else {
        ck_assert(store_has_failed(store));
        EXPECT(add_task(&task), -EIO);
        store_rollback(store);
    }
    ck_assert(!store_has_failed(store));
}

/* The whole pass is committed, or nothing. */
START_TEST(outcome_of_an_unseen_commit_is_told_later)
{
    const enum faulty_commit how = (enum faulty_commit)_i;
    CLEANUP(freep) char *before = NULL, *after = NULL;
    const struct metrics_bucket one = {.completed = 1};
    int64_t id;

    MUST(store_commit(store));
    EXPECT(store_resolve(store), 0); /* after a successful commit */
    before = dump();
    id = add(alpha, TASK_QUEUED, 0);
    MUST(store_add_metrics(store, alpha, NOW, &one));
    after = describe(store);
    commit_unseen(how);
    check_dump(how == FAULTY_UNSEEN ? after : before, "resolved");
    check_counters(NULL);
    EXPECT(add(alpha, TASK_QUEUED, 0), how == FAULTY_UNSEEN ? id + 1 : id);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

/* A second claim succeeds only if the first was not committed. */
START_TEST(claim_of_an_unseen_commit_holds_or_is_anybodys)
{
    const enum faulty_commit how = (enum faulty_commit)_i;
    const int64_t first = add(alpha, TASK_QUEUED, 1), second = add(alpha, TASK_QUEUED, 2);
    CLEANUP(task_deinit) struct task task = {0};

    MUST(store_commit(store));
    EXPECT(claim(alpha), first);
    commit_unseen(how);
    turn();
    EXPECT(claim(alpha), how == FAULTY_UNSEEN ? second : first);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, first, &task), 1);
    EXPECT(task.status, TASK_RUNNING);
    EXPECT(task.attempt, 1);
    check_counters(NULL);
}
END_TEST

/* The fence prevents reporting a committed end again. */
START_TEST(end_of_an_unseen_commit_is_told_once)
{
    const enum faulty_commit how = (enum faulty_commit)_i;
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(task_deinit) struct task task = {0}, again = {0};
    bool has_dependants;

    EXPECT(claim(alpha), id);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, id, &task), 1);
    EXPECT(store_get_task(store, id, &again), 1);
    EXPECT(finish_task(&task, TASK_COMPLETED, ERROR_NONE, NOW, &has_dependants), STORE_DONE);
    commit_unseen(how);
    EXPECT(finish_task(&again, TASK_COMPLETED, ERROR_NONE, NOW, &has_dependants),
           how == FAULTY_UNSEEN ? STORE_STALE : STORE_DONE);
    MUST(store_commit(store));
    EXPECT(count_tasks(alpha, TASK_COMPLETED), 1);
    check_counters(NULL);
}
END_TEST

/* Only the ordered commit fails; an empty one does not count. */
START_TEST(orders_are_counted)
{
    faulty_order_commit(FAULTY_REFUSED, 3);
    for (int i = 1; i <= 4; i++) {
        MUST(store_commit(store)); /* empty */
        add(alpha, TASK_QUEUED, i);
        EXPECT(store_commit(store), i == 3 ? -EIO : 0);
        store_rollback(store);
    }
    EXPECT(count_tasks(alpha, TASK_QUEUED), 3);
    check_counters(NULL);
}
END_TEST

/* A failure affects one handle only. */
START_TEST(failure_is_the_handles_own)
{
    add(alpha, TASK_QUEUED, 1);
    faulty_order_commit(FAULTY_REFUSED, 1);
    EXPECT(store_commit(store), -EIO);
    ck_assert(!store_has_failed(rival));
    ck_assert_str_eq(store_error(rival), "");
    store_rollback(store);
    turn();
    add(alpha, TASK_QUEUED, 1);
    MUST(store_commit(store));
    ck_assert_str_eq(store_error(store), "");
    EXPECT(count_tasks(alpha, TASK_QUEUED), 1);
}
END_TEST

/* A stale verb writes nothing; the rest of the pass is committed. */
START_TEST(ordered_staleness_writes_nothing)
{
    static const enum task_status from[] = {
        [FAULTY_CHANGE] = TASK_QUEUED,
        [FAULTY_CANCEL] = TASK_QUEUED,
        [FAULTY_FINISH] = TASK_RUNNING,
    };
    const enum faulty_verb verb = (enum faulty_verb)_i;
    CLEANUP(task_deinit) struct task task = {0};
    const int64_t id = add(alpha, from[_i], 1);
    struct task_fence fence;
    bool has_dependants;

    for (int i = 1; i <= 3; i++) {
        struct task before = {0};
        int r;

        task_deinit(&task);
        EXPECT(store_get_task(store, id, &task), 1);
        EXPECT(store_get_task(store, id, &before), 1);
        fence = task_fence(&task);
        if (i == 1)
            faulty_order_stale(verb, 2);
        if (verb == FAULTY_CHANGE) {
            task.run_at = i;
            r = store_change(store, &task, &fence);
        } else if (verb == FAULTY_CANCEL) {
            task.status = TASK_CANCELLED;
            r = store_cancel(store, &task, &fence, &has_dependants);
        } else {
            r = finish_task(&task, TASK_FAILED, ERROR_EXIT, NOW + i, &has_dependants);
        }
        EXPECT(r, i == 2 ? STORE_STALE : STORE_DONE);
        check_stored(i == 2 ? &before : &task);
        ck_assert(!store_has_failed(store));
        task_deinit(&before);
        if (verb == FAULTY_CHANGE)
            continue;
        /* Restores the state for the next verb, with a new attempt. */
        task_deinit(&task);
        EXPECT(store_get_task(store, id, &task), 1);
        fence = task_fence(&task);
        task.status = from[_i];
        task.attempt++;
        if (fence.status != task.status)
            EXPECT(store_change(store, &task, &fence), STORE_DONE);
    }
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

void add_fault_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "faults", setup_faulty, teardown_faulty);

    tcase_add_test(tcase, commit_that_failed_holds_nothing);
    tcase_add_test(tcase, claim_of_a_failed_pass_is_anybodys);
    tcase_add_test(tcase, end_of_a_failed_pass_can_be_told_again);
    tcase_add_loop_test(tcase, outcome_of_an_unseen_commit_is_told_later, FAULTY_UNSEEN,
                        FAULTY_LOST + 1);
    tcase_add_loop_test(tcase, claim_of_an_unseen_commit_holds_or_is_anybodys, FAULTY_UNSEEN,
                        FAULTY_LOST + 1);
    tcase_add_loop_test(tcase, end_of_an_unseen_commit_is_told_once, FAULTY_UNSEEN,
                        FAULTY_LOST + 1);
    tcase_add_test(tcase, orders_are_counted);
    tcase_add_test(tcase, failure_is_the_handles_own);
    tcase_add_loop_test(tcase, ordered_staleness_writes_nothing, FAULTY_CHANGE, FAULTY_FINISH + 1);
}
