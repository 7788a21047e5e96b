/* SPDX-License-Identifier: MIT */
/* Failing passes, and the size of a store. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "fixture.h"

static int claim_result(void)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};

    return store_claim(store, &(struct store_claim){.profile_id = alpha, .limit = 1}, &tasks);
}

START_TEST(pass_that_failed_can_only_be_rolled_back)
{
    CLEANUP(freep) char *before = NULL;
    struct task task = full_task(), second = full_task(), got = {0};
    struct store_profile profile = {.id = 77};
    CLEANUP(store_profiles_deinit) struct store_profiles profiles = {0};
    const struct metrics_bucket one = {.completed = 1};
    int r;

    MUST(add_task(&task));
    MUST(store_commit(store));
    before = dump();
    add(alpha, TASK_QUEUED, 1); /* earlier writes are dropped too */
    ck_assert(!store_has_failed(store));
    add_attempt(7, 2, alpha, NOW, ERROR_EXIT);
    r = db_add_attempt(store, &(struct store_attempt){.task_id = 7, .number = 2});
    ck_assert_int_lt(r, 0);
    ck_assert(store_has_failed(store));
    ck_assert(store_is_writing(store));
    ck_assert_str_ne(store_error(store), "");
    second.key = NULL;
    EXPECT(add_task(&second), r);
    EXPECT(save_task(&task, TASK_FAILED, 12), r);
    EXPECT(store_ensure_profile(store, "alpha", &profile), r);
    EXPECT(profile.id, 77);
    EXPECT(store_update_profile(store, alpha, 0, 1), r);
    EXPECT(claim_result(), r);
    EXPECT(db_add_attempt(store, &(struct store_attempt){.task_id = 1}), r);
    EXPECT(store_add_metrics(store, alpha, NOW, &one), r);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, NOW), r);
    EXPECT(store_commit(store), r);
    EXPECT(store_commit(store), r);
    EXPECT(store_get_task(store, task.id, &got), 1); /* reads still work */
    task_deinit(&got);
    MUST(store_list_profiles(store, &profiles));
    store_rollback(store);
    ck_assert(!store_has_failed(store));
    ck_assert(!store_is_writing(store));
    check_dump(before, "rolled back");
    ck_assert_str_ne(store_error(store), ""); /* kept until a commit succeeds */
    add(alpha, TASK_QUEUED, 1);
    MUST(store_commit(store));
    ck_assert_str_eq(store_error(store), "");
}
END_TEST

/* Another process holds the write lock longer than acpd waits. */
START_TEST(pass_that_finds_the_database_locked)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1), got = {0};
    sqlite3 *other = open_file();
    int64_t id = add(alpha, TASK_QUEUED, 1);

    MUST(store_commit(store));
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    EXPECT(add_task(&task), -EBUSY);
    ck_assert(store_has_failed(store));
    EXPECT(add_task(&task), -EBUSY);
    EXPECT(store_commit(store), -EBUSY);
    ck_assert_str_ne(store_error(store), "");
    EXPECT(store_get_task(store, id, &got), 1);
    task_deinit(&got);
    store_rollback(store);
    sqlite3_close(other);
    MUST(add_task(&task));
    MUST(store_commit(store));
    check_stored(&task);
}
END_TEST

START_TEST(size_is_that_of_the_files)
{
    static char body[100001];
    struct task task = new_task(alpha, TASK_QUEUED, 1);
    int64_t before = store_size(store);

    memset(body, 'x', sizeof(body) - 1);
    task.body = body;
    MUST(add_task(&task));
    MUST(store_commit(store));
    ck_assert_int_ge(store_size(store), before + 100000); /* still in the log */
    EXPECT(store_size(store), size_of("") + size_of("-wal"));
}
END_TEST

/* Space that nothing uses is given back in steps, and takes nothing that is used. */
START_TEST(space_is_given_back)
{
    static char text[1024 * 1024];
    const struct store_pruning all = {
        .before = INT64_MAX, .tasks = 99, .attempts = 99, .bytes = INT64_MAX};
    CLEANUP(task_list_deinit) struct task_list removed = {0};
    struct task task = new_task(alpha, TASK_COMPLETED, 1);
    int64_t full;
    int r;

    memset(text, 'x', sizeof(text) - 1);
    task.result = text;
    for (int i = 0; i < 8; i++) {
        task.body = (char *)(i < 7 ? "\"title\":\"t\"" : "\"title\":\"the newest\"");
        MUST(add_task(&task));
    }
    MUST(store_commit(store));
    reopen_store();
    full = store_size(store);
    ck_assert_int_gt(full, 8 * (int64_t)sizeof(text));
    EXPECT(store_prune(store, &all, &removed), STORE_STALE);
    EXPECT((int64_t)removed.count, 7);
    do {
        r = store_give_back(store);
        MUST(store_commit(store));
    } while (r == 1);
    MUST(r);
    reopen_store();
    ck_assert_int_lt(store_size(store), full - (int64_t)sizeof(text));
    check_stored(&task);
    ck_assert_str_eq(store_damage(store), "");
    ck_assert(!store_is_damage(store, -EIO));
}
END_TEST

void add_failure_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "pass", setup, teardown);

    tcase_add_test(tcase, pass_that_failed_can_only_be_rolled_back);
    tcase_add_test(tcase, pass_that_finds_the_database_locked);
    tcase_add_test(tcase, size_is_that_of_the_files);
    tcase_add_test(tcase, space_is_given_back);
}
