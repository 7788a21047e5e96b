/* SPDX-License-Identifier: MIT */
/* Profiles and their counters. */
#include "common/alloc.h"
#include "fixture.h"

START_TEST(profiles_are_added_once)
{
    CLEANUP(store_profiles_deinit) struct store_profiles rows = {0};
    static const char *const names[] = {"alpha", "alpha.2", "beta", "zeta"};
    int64_t zeta = ensure("zeta"), second = ensure("alpha.2");

    EXPECT(ensure("alpha"), alpha);
    EXPECT(ensure("zeta"), zeta);
    MUST(store_commit(store));
    reopen_store();
    EXPECT(ensure("zeta"), zeta);
    EXPECT(ensure("beta"), beta);
    EXPECT(ensure("alpha.2"), second);
    MUST(store_list_profiles(store, &rows));
    ck_assert_uint_eq(rows.count, ARRAY_SIZE(names));
    for (size_t i = 0; i < rows.count; i++) {
        const struct store_profile *row = &rows.profiles[i];

        ck_assert_str_eq(row->name, names[i]);
        ck_assert(row->is_active);
        ck_assert_int_eq(row->last_activity, 0);
        for (int status = 0; status < TASK_STATUS_COUNT; status++)
            EXPECT(row->counts.by_status[status], 0);
    }
}
END_TEST

static void check_profile(const char *name, const struct store_profile *expected)
{
    CLEANUP(store_profile_deinit) struct store_profile got = {0};

    MUST(store_ensure_profile(store, name, &got));
    EXPECT(got.id, expected->id);
    ck_assert_str_eq(got.name, name);
    EXPECT(got.is_active, expected->is_active);
    EXPECT(got.last_activity, expected->last_activity);
    for (int i = 0; i < TASK_STATUS_COUNT; i++)
        EXPECT(got.counts.by_status[i], expected->counts.by_status[i]);
    EXPECT(got.counts.finished_bytes, expected->counts.finished_bytes);
}

START_TEST(profiles_are_updated)
{
    struct store_profile expected = {.id = alpha, .is_active = true, .last_activity = NOW};
    struct store_profile other = {.id = beta, .is_active = true};

    for (int status = TASK_QUEUED; status < TASK_STATUS_COUNT; status++)
        for (int i = 0; i < status; i++)
            add(alpha, (enum task_status)status, i);
    expected.counts = (struct task_counts){.by_status = {0, 1, 2, 3, 4, 5, 6, 7}};
    MUST(store_update_profile(store, alpha, -1, NOW));
    check_profile("alpha", &expected);
    expected.is_active = false;
    MUST(store_update_profile(store, alpha, 0, 0));
    check_profile("alpha", &expected);
    MUST(store_commit(store));
    reopen_store();
    check_profile("alpha", &expected);

    expected.last_activity = NOW + 1;
    MUST(store_update_profile(store, alpha, -1, NOW + 1));
    check_profile("alpha", &expected); /* still paused */
    expected.is_active = true;
    MUST(store_update_profile(store, alpha, 1, 0));
    EXPECT(claim(alpha) > 0, true);
    expected.counts.by_status[TASK_QUEUED]--;
    expected.counts.by_status[TASK_RUNNING]++;
    check_profile("alpha", &expected);
    check_profile("beta", &other);
    store_rollback(store);
    expected = (struct store_profile){.id = alpha, .last_activity = NOW};
    expected.counts = (struct task_counts){.by_status = {0, 1, 2, 3, 4, 5, 6, 7}};
    check_profile("alpha", &expected);
}
END_TEST

/* A moved task is counted by its new profile, as is the weight of a finished one. */
START_TEST(counters_follow_a_task)
{
    struct store_profile from = {.id = alpha, .is_active = true},
                         to = {.id = beta, .is_active = true};
    struct task task = new_task(alpha, TASK_QUEUED, 1);
    struct task_fence fence;
    bool has_dependants = true;

    MUST(add_task(&task));
    fence = task_fence(&task);
    task.profile_id = beta;
    EXPECT(store_change(store, &task, &fence), STORE_DONE);
    to.counts.by_status[TASK_QUEUED] = 1;
    check_profile("alpha", &from);
    check_profile("beta", &to);
    fence = task_fence(&task);
    task.status = TASK_CANCELLED;
    task.bytes = 700;
    EXPECT(store_cancel(store, &task, &fence, &has_dependants), STORE_DONE);
    ck_assert(!has_dependants);
    to.counts = (struct task_counts){.by_status = {[TASK_CANCELLED] = 1}, .finished_bytes = 700};
    check_profile("beta", &to);
    fence = task_fence(&task);
    task.bytes = 1000;
    EXPECT(store_change(store, &task, &fence), STORE_DONE);
    to.counts.finished_bytes = 1000;
    check_profile("beta", &to);
    check_profile("alpha", &from);
    MUST(store_commit(store));
    reopen_store();
    check_profile("beta", &to);
}
END_TEST

/* The id of a profile without any data. */
static int64_t add_empty_profile(const char *name)
{
    struct store_profile profile;
    int64_t id;

    MUST(store_ensure_profile(store, name, &profile));
    id = profile.id;
    store_profile_deinit(&profile);
    return id;
}

START_TEST(profile_goes_when_nothing_is_left)
{
    const int64_t id = add_empty_profile("empty"), used = add_empty_profile("used"),
                  metered = add_empty_profile("metered");
    CLEANUP(freep) char *before = NULL;

    add(used, TASK_QUEUED, 1);
    MUST(store_add_metrics(store, metered, NOW, &(struct metrics_bucket){.completed = 1}));
    MUST(store_commit(store));
    before = dump();
    EXPECT(store_remove_profile(store, used), STORE_STALE);
    EXPECT(store_remove_profile(store, metered), STORE_STALE);
    EXPECT(store_remove_profile(store, 4711), STORE_STALE);
    MUST(store_commit(store));
    check_dump(before, "not removed");
    EXPECT(store_remove_profile(store, id), STORE_DONE);
    EXPECT(store_remove_profile(store, id), STORE_STALE);
    MUST(store_commit(store));
    free(before);
    before = dump();
    ck_assert_ptr_null(strstr(before, "empty"));
    ck_assert_int_ne(add_empty_profile("empty"), 0);
}
END_TEST

START_TEST(history_is_attempts_and_metrics)
{
    const int64_t id = add_empty_profile("empty"), metered = add_empty_profile("metered");

    MUST(store_has_history(store, id));
    add(id, TASK_QUEUED, 1);
    MUST(store_has_history(store, id));
    MUST(store_add_metrics(store, metered, NOW, &(struct metrics_bucket){.completed = 1}));
    EXPECT(store_has_history(store, metered), 1);
    add_attempt(id, NOW, ERROR_NONE);
    EXPECT(store_has_history(store, id), 1);
    MUST(store_commit(store));
    reopen_store();
    EXPECT(store_has_history(store, id), 1);
    EXPECT(store_has_history(store, metered), 1);
    MUST(store_has_history(store, 4711));
}
END_TEST

void add_profile_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "profile", setup, teardown);

    tcase_add_test(tcase, profiles_are_added_once);
    tcase_add_test(tcase, profiles_are_updated);
    tcase_add_test(tcase, counters_follow_a_task);
    tcase_add_test(tcase, profile_goes_when_nothing_is_left);
    tcase_add_test(tcase, history_is_attempts_and_metrics);
}
