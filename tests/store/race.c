/* SPDX-License-Identifier: MIT */
/* Two handles on one store take turns: one has read what the other changes. */
#include "common/alloc.h"
#include "fixture.h"

static struct task read_task(int64_t id)
{
    struct task task = {0};

    EXPECT(store_get_task(store, id, &task), 1);
    return task;
}

/* Commits the pass of one handle and switches to the other. */
static void pass_on(void)
{
    MUST(store_commit(store));
    turn();
}

static int cancel_task(struct task *task)
{
    const struct task_fence fence = task_fence(task);
    bool has_dependants;

    task->status = TASK_CANCELLED;
    task->finished_at = NOW;
    task->sort_key = task->id;
    return store_cancel(store, task, &fence, &has_dependants);
}

static int change_priority(struct task *task, enum task_priority priority)
{
    const struct task_fence fence = task_fence(task);

    task->priority = priority;
    return store_change(store, task, &fence);
}

static int queue_again(struct task *task)
{
    const struct task_fence fence = task_fence(task);

    task->status = TASK_QUEUED;
    task->finished_at = 0;
    return store_change(store, task, &fence);
}

/* A late pass changes nothing. */
static void check_nothing_came_of_it(const char *before)
{
    MUST(store_commit(store));
    check_dump(before, "a verb that came too late");
    check_counters(NULL);
}

START_TEST(what_is_not_committed_is_nobody_elses)
{
    CLEANUP(task_deinit) struct task task = {0};
    const int64_t first = add(alpha, TASK_QUEUED, 1);
    CLEANUP(freep) char *before = NULL;
    int64_t second;

    MUST(store_commit(store));
    before = describe(rival);
    second = add(alpha, TASK_QUEUED, 0);
    EXPECT(claim(alpha), second);
    EXPECT(claim(alpha), first);
    turn();
    EXPECT(store_get_task(store, second, &task), 0);
    EXPECT(store_first_queued(store, alpha, 0, &task), 1);
    EXPECT(task.id, first);
    check_dump(before, "not committed");
    turn();
    store_rollback(store);
    turn();
    EXPECT(claim(alpha), first);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

START_TEST(one_task_is_claimed_by_one)
{
    CLEANUP(task_deinit) struct task seen = {0};
    int64_t ids[4];

    for (int64_t i = 0; i < 4; i++)
        ids[i] = add(alpha, TASK_QUEUED, i);
    pass_on();
    EXPECT(store_first_queued(store, alpha, 0, &seen), 1);
    EXPECT(seen.id, ids[0]);
    turn();
    EXPECT(claim(alpha), ids[0]);
    pass_on();
    EXPECT(claim(alpha), ids[1]);
    pass_on();
    EXPECT(claim(alpha), ids[2]);
    EXPECT(claim(alpha), ids[3]);
    pass_on();
    EXPECT(claim(alpha), 0);
    check_counters(NULL);
}
END_TEST

/* Only the first of two ends of an attempt holds, whatever the second reports. */
START_TEST(one_end_holds)
{
    static const enum task_status ends[] = {TASK_COMPLETED, TASK_FAILED, TASK_CANCELLED,
                                            TASK_QUEUED, TASK_SCHEDULED};
    const enum task_status first = ends[_i], second = ends[(_i + 1) % 5];
    CLEANUP(task_deinit) struct task mine = {0}, theirs = {0};
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(freep) char *before = NULL;
    bool has_dependants;

    EXPECT(claim(alpha), id);
    pass_on();
    theirs = read_task(id);
    turn();
    mine = read_task(id);
    EXPECT(finish_task(&mine, first, ERROR_EXIT, NOW + 1, &has_dependants), STORE_DONE);
    MUST(store_commit(store));
    before = describe(store);
    turn();
    EXPECT(finish_task(&theirs, second, ERROR_NONE, NOW + 2, &has_dependants), STORE_STALE);
    check_nothing_came_of_it(before);
    mine.sum = 0;
    check_stored(&mine);
}
END_TEST

/* The task was interrupted and runs again: the end of the previous attempt does not end this one.
 */
START_TEST(an_end_is_for_its_attempt)
{
    CLEANUP(task_deinit) struct task mine = {0}, theirs = {0};
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(freep) char *before = NULL;
    bool has_dependants;

    EXPECT(claim(alpha), id);
    pass_on();
    theirs = read_task(id);
    turn();
    mine = read_task(id);
    EXPECT(finish_task(&mine, TASK_QUEUED, ERROR_INTERRUPTED, NOW + 1, &has_dependants),
           STORE_DONE);
    EXPECT(claim(alpha), id);
    MUST(store_commit(store));
    before = describe(store);
    turn();
    EXPECT(finish_task(&theirs, TASK_COMPLETED, ERROR_NONE, NOW + 2, &has_dependants), STORE_STALE);
    check_nothing_came_of_it(before);
    task_deinit(&mine);
    mine = read_task(id);
    EXPECT(mine.attempt, 2);
    EXPECT(finish_task(&mine, TASK_COMPLETED, ERROR_NONE, NOW + 3, &has_dependants), STORE_DONE);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

START_TEST(a_claim_comes_before_a_cancel)
{
    CLEANUP(task_deinit) struct task seen = {0};
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(freep) char *before = NULL;

    pass_on();
    seen = read_task(id);
    turn();
    EXPECT(claim(alpha), id);
    MUST(store_commit(store));
    before = describe(store);
    turn();
    EXPECT(cancel_task(&seen), STORE_STALE);
    check_nothing_came_of_it(before);
}
END_TEST

START_TEST(a_cancel_comes_before_a_claim)
{
    CLEANUP(task_deinit) struct task mine = {0}, seen = {0};
    const int64_t id = add(alpha, TASK_QUEUED, 1);

    pass_on();
    EXPECT(store_first_queued(store, alpha, 0, &seen), 1);
    turn();
    mine = read_task(id);
    EXPECT(cancel_task(&mine), STORE_DONE);
    pass_on();
    EXPECT(claim(alpha), 0);
    EXPECT(cancel_task(&seen), STORE_STALE);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

START_TEST(the_second_change_is_stale)
{
    CLEANUP(task_deinit) struct task mine = {0}, theirs = {0};
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(freep) char *before = NULL;

    pass_on();
    theirs = read_task(id);
    turn();
    mine = read_task(id);
    EXPECT(change_priority(&mine, PRIORITY_HIGH), STORE_DONE);
    EXPECT(change_priority(&mine, PRIORITY_LOW), STORE_DONE); /* it knows its own change */
    MUST(store_commit(store));
    before = describe(store);
    turn();
    EXPECT(change_priority(&theirs, PRIORITY_HIGH), STORE_STALE);
    check_nothing_came_of_it(before);
    task_deinit(&theirs);
    theirs = read_task(id);
    EXPECT(change_priority(&theirs, PRIORITY_HIGH), STORE_DONE);
    MUST(store_commit(store));
    check_stored(&theirs);
}
END_TEST

/* After a move to another profile, the task is counted exactly once. */
START_TEST(a_move_is_seen)
{
    CLEANUP(task_deinit) struct task mine = {0}, theirs = {0};
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    struct task_fence fence;

    pass_on();
    theirs = read_task(id);
    turn();
    mine = read_task(id);
    fence = task_fence(&mine);
    mine.profile_id = beta;
    EXPECT(store_change(store, &mine, &fence), STORE_DONE);
    pass_on();
    EXPECT(claim(alpha), 0);
    EXPECT(cancel_task(&theirs), STORE_STALE);
    EXPECT(claim(beta), id);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

/* The clock was set: the due time of a retry that was read is outdated. */
START_TEST(a_shift_is_seen)
{
    const int64_t retry = add(alpha, TASK_SCHEDULED, NOW + 500);
    CLEANUP(task_list_deinit) struct task_list none = {0}, woken = {0};
    CLEANUP(task_deinit) struct task theirs = {0};
    int64_t next;

    pass_on();
    theirs = read_task(retry);
    turn();
    MUST(store_shift_retries(store, 1000));
    pass_on();
    EXPECT(queue_again(&theirs), STORE_STALE);
    EXPECT(wake(alpha, 9, NOW + 1499, &none, &next), 0);
    EXPECT(next, NOW + 1500);
    EXPECT(wake(alpha, 9, NOW + 1500, &woken, &next), 1);
    pass_on();
    EXPECT(claim(alpha), retry);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

START_TEST(one_wakes_a_task)
{
    CLEANUP(task_list_deinit) struct task_list mine = {0}, theirs = {0};
    int64_t next = 0;

    add(alpha, TASK_SCHEDULED, NOW);
    add(alpha, TASK_SCHEDULED, NOW + 1);
    pass_on();
    EXPECT(wake(alpha, 1, NOW + 5, &mine, &next), 1);
    pass_on();
    EXPECT(wake(alpha, 9, NOW + 5, &theirs, &next), 1);
    EXPECT(next, INT64_MAX);
    ck_assert_int_ne(mine.tasks[0].id, theirs.tasks[0].id);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

START_TEST(a_key_is_one_task)
{
    struct task mine = new_task(alpha, TASK_QUEUED, 1), theirs = new_task(beta, TASK_QUEUED, 2);
    CLEANUP(task_deinit) struct task known = {0};

    mine.key = theirs.key = (char *)"key";
    turn();
    EXPECT(store_get_task_by_key(store, "key", &known), 0);
    turn();
    MUST(add_task(&mine));
    pass_on();
    EXPECT(store_add(store, &(struct store_addition){.task = &theirs, .limit = 9}, &known),
           STORE_KNOWN);
    check_task(&known, &mine);
    MUST(store_commit(store));
    EXPECT(count_tasks(0, TASK_NEW), 1);
    check_counters(NULL);
}
END_TEST

static int add_within(int64_t limit)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1), known = {0};

    return store_add(store, &(struct store_addition){.task = &task, .limit = limit}, &known);
}

START_TEST(a_limit_is_for_both)
{
    EXPECT(add_within(2), STORE_DONE);
    pass_on();
    EXPECT(add_within(2), STORE_DONE);
    EXPECT(add_within(2), STORE_FULL);
    pass_on();
    EXPECT(add_within(2), STORE_FULL);
    pass_on();
    EXPECT(claim(alpha) > 0, true);
    pass_on();
    EXPECT(add_within(2), STORE_DONE);
    EXPECT(add_within(2), STORE_FULL);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

static size_t prune_all(void)
{
    const struct store_pruning all = {
        .before = INT64_MAX, .tasks = 99, .attempts = 99, .bytes = INT64_MAX};
    struct task_list removed = {0};
    size_t count;

    EXPECT(store_prune(store, &all, &removed), STORE_STALE);
    count = removed.count;
    task_list_deinit(&removed);
    return count;
}

START_TEST(what_was_removed_is_not_retried)
{
    const int64_t id = add_attempt(alpha, NOW, ERROR_EXIT);
    struct task_counts removed[2] = {{.by_status = {[TASK_FAILED] = 1}}};
    CLEANUP(task_deinit) struct task seen = {0}, gone = {0};

    add(alpha, TASK_QUEUED, 1);
    pass_on();
    seen = read_task(id);
    turn();
    ck_assert_uint_eq(prune_all(), 1);
    pass_on();
    EXPECT(queue_again(&seen), STORE_STALE);
    MUST(store_commit(store));
    EXPECT(store_get_task(store, id, &gone), 0);
    check_counters(removed);
}
END_TEST

START_TEST(what_was_retried_is_not_removed)
{
    const int64_t id = add_attempt(alpha, NOW, ERROR_EXIT);
    CLEANUP(task_deinit) struct task mine = {0};

    add(alpha, TASK_QUEUED, 1);
    pass_on();
    mine = read_task(id);
    EXPECT(queue_again(&mine), STORE_DONE);
    pass_on();
    ck_assert_uint_eq(prune_all(), 0);
    MUST(store_commit(store));
    check_stored(&mine);
    check_counters(NULL);
}
END_TEST

/* Ids ascend across handles; one assigned by a failed pass is free. */
START_TEST(ids_are_given_once)
{
    int64_t last = add(alpha, TASK_QUEUED, 1);

    pass_on();
    for (int i = 0; i < 10; i++) {
        expect(add(beta, TASK_QUEUED, i), last + 1, "the next id");
        if (i % 3 == 2) {
            store_rollback(store);
            turn();
        } else {
            pass_on();
            last++;
        }
    }
    check_counters(NULL);
}
END_TEST

START_TEST(one_tells_a_dependant)
{
    const int64_t on = add(alpha, TASK_QUEUED, 1);
    const int64_t id = add_depending(beta, TASK_BLOCKED, &on, 1);
    struct store_dependant *mine = NULL, *theirs = NULL;
    CLEANUP(task_deinit) struct task task = {0};
    size_t count = 9, none = 9;
    bool has_dependants = false;

    EXPECT(claim(alpha), on);
    task = read_task(on);
    EXPECT(finish_task(&task, TASK_COMPLETED, ERROR_NONE, NOW, &has_dependants), STORE_DONE);
    ck_assert(has_dependants);
    pass_on();
    /* Taken in a failed pass: taken again. */
    EXPECT(store_take_dependants(store, 9, &mine, &count), STORE_STALE);
    EXPECT((int64_t)count, 1);
    store_dependants_free(mine, count);
    store_rollback(store);
    turn();
    EXPECT(store_take_dependants(store, 9, &mine, &count), STORE_STALE);
    EXPECT((int64_t)count, 1);
    EXPECT(mine[0].task.id, id);
    EXPECT(queue_again(&mine[0].task), STORE_DONE);
    store_dependants_free(mine, count);
    pass_on();
    EXPECT(store_take_dependants(store, 9, &theirs, &none), STORE_STALE);
    EXPECT((int64_t)none, 0);
    store_dependants_free(theirs, none);
    EXPECT(claim(beta), id);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

/* A failed task whose dependants are not released yet must stay, or they would wait forever. */
START_TEST(what_others_have_yet_to_hear_of_stays)
{
    const int64_t on = add(alpha, TASK_QUEUED, 1);
    const int64_t id = add_depending(beta, TASK_BLOCKED, &on, 1);
    struct store_dependant *dependants = NULL;
    CLEANUP(task_deinit) struct task task = {0};
    bool has_dependants = false;
    size_t count = 0;

    add_attempt(alpha, NOW + 9, ERROR_EXIT); /* newer: the task that stays does not block others */
    add(alpha, TASK_QUEUED, 1);
    EXPECT(claim(alpha), on);
    task = read_task(on);
    EXPECT(finish_task(&task, TASK_FAILED, ERROR_EXIT, NOW, &has_dependants), STORE_DONE);
    ck_assert(has_dependants);
    pass_on();
    ck_assert_uint_eq(prune_all(), 1);
    pass_on();
    EXPECT(store_take_dependants(store, 9, &dependants, &count), STORE_STALE);
    EXPECT((int64_t)count, 1);
    EXPECT(dependants[0].task.id, id);
    EXPECT(dependants[0].depends_on, on);
    EXPECT(dependants[0].status, TASK_FAILED);
    EXPECT(cancel_task(&dependants[0].task), STORE_DONE);
    store_dependants_free(dependants, count);
    pass_on();
    ck_assert_uint_eq(prune_all(), 2); /* now it is removed, and so is its dependant */
    MUST(store_commit(store));
}
END_TEST

static void claim_for_worker(int64_t profile_id, const char *token, int64_t length_ms)
{
    const struct store_lease lease = {
        .token = (char *)token, .length_ms = length_ms, .worker = (char *)"worker"};
    const struct store_claim wanted = {
        .profile_id = profile_id, .limit = 1, .now = NOW, .lease = &lease};
    CLEANUP(task_list_deinit) struct task_list tasks = {0};

    MUST(store_claim(store, &wanted, &tasks));
    EXPECT((int64_t)tasks.count, 1);
}

/* Checks the only leased task; 0: none. */
static void check_lease(int64_t id, const char *token, int64_t length_ms)
{
    struct store_leased *leased = NULL;
    struct store_cursor cursor = {0};
    size_t count = 9;

    EXPECT(store_list_leased(store, &cursor, 9, &leased, &count), STORE_STALE);
    EXPECT((int64_t)count, id != 0);
    if (count) {
        EXPECT(leased[0].task.id, id);
        EXPECT(leased[0].task.status, TASK_RUNNING);
        EXPECT(leased[0].lease.length_ms, length_ms);
        ck_assert_str_eq(leased[0].lease.token, token);
        ck_assert_str_eq(leased[0].lease.worker, "worker");
    }
    store_leased_free(leased, count);
}

START_TEST(a_lease_is_seen)
{
    const int64_t id = add(alpha, TASK_QUEUED, 1);
    CLEANUP(task_deinit) struct task task = {0};
    bool has_dependants;

    claim_for_worker(alpha, "token", 1000);
    pass_on();
    EXPECT(count_abandoned(), 0);
    check_lease(id, "token", 1000);
    task = read_task(id);
    EXPECT(finish_task(&task, TASK_QUEUED, ERROR_LOST_LEASE, NOW, &has_dependants), STORE_DONE);
    check_lease(0, NULL, 0);
    EXPECT(claim(alpha), id);
    pass_on();
    EXPECT(count_abandoned(), 1); /* the lease was of the previous attempt */
    check_lease(0, NULL, 0);
    MUST(store_commit(store));
    check_counters(NULL);
}
END_TEST

/* The first one decides whether the profile exists. */
START_TEST(profile_is_removed_or_gets_a_task)
{
    struct store_profile profile;
    struct task task, known = {0};
    struct store_addition addition = {.task = &task, .limit = 1};
    CLEANUP(freep) char *before = NULL;

    MUST(store_ensure_profile(store, "late", &profile));
    task = new_task(profile.id, TASK_QUEUED, 1);
    pass_on();
    EXPECT(store_remove_profile(store, profile.id), STORE_DONE);
    pass_on();
    before = dump();
    EXPECT(store_add(store, &addition, &known), STORE_STALE);
    check_nothing_came_of_it(before);

    store_profile_deinit(&profile);
    MUST(store_ensure_profile(store, "late", &profile));
    task = new_task(profile.id, TASK_QUEUED, 1);
    pass_on();
    EXPECT(store_add(store, &addition, &known), STORE_DONE);
    pass_on();
    EXPECT(store_remove_profile(store, profile.id), STORE_STALE);
    MUST(store_commit(store));
    check_stored(&task);
    store_profile_deinit(&profile);
}
END_TEST

void add_race_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "race", setup_two, teardown);

    tcase_add_test(tcase, what_is_not_committed_is_nobody_elses);
    tcase_add_test(tcase, one_task_is_claimed_by_one);
    tcase_add_loop_test(tcase, one_end_holds, 0, 5);
    tcase_add_test(tcase, an_end_is_for_its_attempt);
    tcase_add_test(tcase, a_claim_comes_before_a_cancel);
    tcase_add_test(tcase, a_cancel_comes_before_a_claim);
    tcase_add_test(tcase, the_second_change_is_stale);
    tcase_add_test(tcase, a_move_is_seen);
    tcase_add_test(tcase, a_shift_is_seen);
    tcase_add_test(tcase, one_wakes_a_task);
    tcase_add_test(tcase, a_key_is_one_task);
    tcase_add_test(tcase, a_limit_is_for_both);
    tcase_add_test(tcase, what_was_removed_is_not_retried);
    tcase_add_test(tcase, what_was_retried_is_not_removed);
    tcase_add_test(tcase, ids_are_given_once);
    tcase_add_test(tcase, one_tells_a_dependant);
    tcase_add_test(tcase, what_others_have_yet_to_hear_of_stays);
    tcase_add_test(tcase, a_lease_is_seen);
    tcase_add_test(tcase, profile_is_removed_or_gets_a_task);
}
