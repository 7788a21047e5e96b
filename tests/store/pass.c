/* SPDX-License-Identifier: MIT */
/* Passes. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "fixture.h"

/* Writes some of everything. */
static void write_everything(void)
{
    const struct metrics_bucket one = {.completed = 1};
    struct task task = new_task(alpha, TASK_QUEUED, 3);

    ensure("new");
    MUST(add_task(&task));
    EXPECT(claim(alpha) > 0, true);
    add_attempt(beta, NOW, ERROR_EXIT);
    MUST(store_add_metrics(store, alpha, NOW, &one));
    MUST(store_prune_metrics(store, beta, MINUTE, NOW));
    MUST(store_update_profile(store, alpha, 0, NOW));
}

START_TEST(pass_commits_as_one)
{
    CLEANUP(freep) char *before = dump();

    ck_assert(!store_is_writing(store));
    MUST(store_commit(store)); /* harmless */
    write_everything();
    ck_assert(store_is_writing(store));
    check_dump(before, "not committed");
    MUST(store_commit(store));
    ck_assert(!store_is_writing(store));
    ck_assert_str_eq(store_error(store), "");
    free(before);
    before = dump();
    ck_assert_ptr_nonnull(strstr(before, " new, active"));
    reopen_store();
    check_dump(before, "reopened");
}
END_TEST

START_TEST(pass_rolls_back)
{
    CLEANUP(freep) char *before = NULL;
    struct task task = {0};

    store_rollback(store); /* harmless */
    add(beta, TASK_QUEUED, 1);
    MUST(store_add_metrics(store, beta, NOW - HOUR, &(struct metrics_bucket){.completed = 1}));
    MUST(store_commit(store));
    before = dump();
    for (int i = 0; i < 3; i++) {
        write_everything();
        store_rollback(store);
        ck_assert(!store_is_writing(store));
        ck_assert(!store_has_failed(store));
        check_dump(before, "rolled back");
        EXPECT(store_first_queued(store, alpha, 0, &task), 0);
        EXPECT(count_abandoned(), 0);
        MUST(store_commit(store)); /* empty */
        check_dump(before, "committed afterwards");
    }
    write_everything();
    reopen_store(); /* closed without a commit */
    check_dump(before, "reopened");
}
END_TEST

START_TEST(pass_reads_what_it_wrote)
{
    struct task task = {0};
    struct ids ids = {0};
    int64_t id;

    ck_assert(!store_is_writing(store));
    EXPECT(store_first_queued(store, alpha, 0, &task), 0);
    ck_assert(!store_is_writing(store)); /* reading opens no transaction */
    id = add(alpha, TASK_QUEUED, 1);
    EXPECT(list_queue(alpha, NULL, &ids), STORE_STALE);
    EXPECT(list_tasks(&(struct task_filter){0}, &ids), STORE_STALE);
    check_ids(&ids, (int64_t[]){id, id}, 2);
}
END_TEST

/* What is not used any more is given back in steps, and nothing that is used. */
START_TEST(pass_gives_back_space)
{
    const struct store_pruning all = {
        .before = INT64_MAX, .tasks = 99, .attempts = 99, .bytes = INT64_MAX};
    CLEANUP(task_list_deinit) struct task_list removed = {0};
    struct task task = new_task(alpha, TASK_COMPLETED, 1);
    int r;

    MUST(add_task(&task));
    MUST(add_task(&task));
    MUST(store_commit(store));
    ck_assert_int_gt(store_size(store), 0);
    EXPECT(store_prune(store, &all, &removed), STORE_STALE);
    do {
        r = store_give_back(store);
        MUST(store_commit(store));
    } while (r == 1);
    MUST(r);
    reopen_store();
    check_stored(&task);
    ck_assert_str_eq(store_damage(store), "");
    ck_assert(!store_is_damage(store, -EIO));
}
END_TEST

START_TEST(pass_knows_its_database)
{
    ck_assert(!store_is_lost(store));
    ck_assert(strcmp(store_type(store), "sqlite") == 0 ||
              strcmp(store_type(store), "postgres") == 0);
}
END_TEST

/* A pass that outgrows the cache has written to the disk when it is rolled back. Nothing more of it
 * follows once the other one writes. */
START_TEST(what_was_rolled_back_does_not_follow)
{
    static char body[300001];
    CLEANUP(task_deinit) struct task seen = {0};
    struct task task = new_task(alpha, TASK_QUEUED, 1);

    memset(body, 'x', sizeof(body) - 1);
    task.body = body;
    MUST(store_commit(store));
    reopen_store();
    body[100000] = '\0';
    for (int i = 0; i < 84 + _i; i++)
        MUST(add_task(&task));
    store_rollback(store);

    turn();
    body[100000] = 'x';
    for (int i = 0; i < 3; i++)
        MUST(add_task(&task));
    MUST(store_commit(store));
    turn();
    EXPECT(store_get_task(store, task.id, &seen), 1);
    EXPECT((int64_t)strlen(seen.body), 300000);
    EXPECT(count_tasks(alpha, TASK_QUEUED), 3);
}
END_TEST

void add_pass_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "pass", setup, teardown);

    tcase_add_test(tcase, pass_knows_its_database);
    tcase_add_test(tcase, pass_gives_back_space);
    tcase_add_test(tcase, pass_commits_as_one);
    tcase_add_test(tcase, pass_rolls_back);
    tcase_add_test(tcase, pass_reads_what_it_wrote);
    tcase = add_case(suite, "passes of two", setup_two, teardown);
    tcase_add_loop_test(tcase, what_was_rolled_back_does_not_follow, 0, 16);
}
