/* SPDX-License-Identifier: MIT */
/* Profiles, attempts, dependencies, removal, and the plans of all statements. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "fixture.h"

/* Profiles */

static void look_at_profile(struct store_profile *profile, void *data)
{
    EXPECT(profile->id > 0, true);
    ++*(int *)data;
}

START_TEST(profiles_are_added_once)
{
    CLEANUP(profile_rows_deinit) struct profile_rows rows = {0};
    static const char *const names[] = {"alpha", "alpha.2", "beta", "zeta"};
    int64_t zeta = ensure("zeta"), second = ensure("alpha.2");
    int looked = 0;

    EXPECT(ensure("alpha"), alpha);
    EXPECT(ensure("zeta"), zeta);
    MUST(store_commit(store));
    reopen_store();
    EXPECT(ensure("zeta"), zeta);
    EXPECT(ensure("beta"), beta);
    EXPECT(ensure("alpha.2"), second);
    MUST(store_list_profiles(store, keep_profile, &rows));
    ck_assert_uint_eq(rows.count, ARRAY_SIZE(names));
    for (size_t i = 0; i < rows.count; i++) {
        const struct store_profile *row = &rows.rows[i];

        ck_assert_str_eq(row->name, names[i]);
        ck_assert(row->is_active);
        ck_assert_int_eq(row->last_activity, 0);
        for (int status = 0; status < TASK_STATUS_COUNT; status++)
            EXPECT(row->counts.by_status[status], 0);
    }
    /* What is not kept is freed. */
    MUST(store_list_profiles(store, look_at_profile, &looked));
    ck_assert_int_eq(looked, (int)ARRAY_SIZE(names));
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
}

START_TEST(profiles_are_updated)
{
    struct task_counts change = {.by_status = {0, 10, 20, 30, 40, 50, 60, 70}};
    struct store_profile expected = {.id = alpha, .is_active = true, .last_activity = NOW};
    const struct store_profile untouched = {.id = beta, .is_active = true};

    MUST(store_update_profile(store, alpha, &change, -1, NOW));
    expected.counts = change;
    check_profile("alpha", &expected);
    change = (struct task_counts){.by_status = {0, -1, 2, -3, 4, 5, 6, 7}};
    for (int i = 1; i < TASK_STATUS_COUNT; i++)
        expected.counts.by_status[i] += change.by_status[i];
    expected.is_active = false;
    MUST(store_update_profile(store, alpha, &change, 0, 0));
    check_profile("alpha", &expected);
    MUST(store_commit(store));
    reopen_store();
    check_profile("alpha", &expected);

    expected.last_activity = NOW + 1;
    MUST(store_update_profile(store, alpha, &(struct task_counts){0}, -1, NOW + 1));
    check_profile("alpha", &expected); /* paused as before */
    expected.is_active = true;
    MUST(store_update_profile(store, alpha, &(struct task_counts){0}, 1, 0));
    check_profile("alpha", &expected);
    check_profile("beta", &untouched);
}
END_TEST

/* Attempts */

START_TEST(attempts_are_kept)
{
    CLEANUP(freep)
    char *expected =
        xasprintf("7|1|%lld|1795357929725|1795357930225|100|rate_limit|it failed|0\n"
                  "7|2|%lld|1795357929825|1795357930325|200|exit|it failed|1\n"
                  "7|3|%lld|1795357929925|1795357930425|300|NULL|NULL|1\n"
                  "8|1|%lld|1795357929725|1795357930225|100|cancelled|it failed|0\n",
                  (long long)beta, (long long)beta, (long long)alpha, (long long)alpha);

    add_attempt(7, 1, beta, NOW + 100, ERROR_RATE_LIMIT);
    add_attempt(7, 2, beta, NOW + 200, ERROR_EXIT);
    add_attempt(7, 3, alpha, NOW + 300, ERROR_NONE);
    add_attempt(8, 1, alpha, NOW + 100, ERROR_CANCELLED);
    MUST(store_commit(store));
    check_answer("SELECT task_id, number, profile_id, started_at, finished_at, duration, "
                 "error_class, error_message, counts FROM attempt ORDER BY 1, 2",
                 expected);
    /* A number is never used again. */
    ck_assert_int_lt(store_add_attempt(store, &(struct store_attempt){.task_id = 7, .number = 2}),
                     0);
}
END_TEST

static void check_window(int64_t profile_id, size_t capacity, const char *expected)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};

    metrics_window_resize(&window, capacity);
    MUST(store_fill_window(store, profile_id, &window));
    EXPECT((int64_t)window.count, (int64_t)strlen(expected));
    for (size_t i = 0; i < window.count; i++) {
        const struct metrics_sample *sample = &window.samples[i];

        /* Letters in the order of time; the duration says which it is. */
        if ((sample->success ? 'S' : 'F') != expected[i])
            ck_abort_msg("number %zu of %s", i, expected);
        if (i && sample->duration_ms <= sample[-1].duration_ms)
            ck_abort_msg("number %zu is older than the one before it", i);
    }
}

START_TEST(attempts_fill_the_window)
{
    static const enum error_class classes[] = {
        ERROR_NONE, ERROR_EXIT,        ERROR_RATE_LIMIT, ERROR_SIGNAL,
        ERROR_NONE, ERROR_AUTH,        ERROR_TIMEOUT,    ERROR_NONE,
        ERROR_NONE, ERROR_INTERRUPTED, ERROR_CANCELLED,  ERROR_LOST_LEASE};

    check_window(alpha, 5, "");
    /* In another order than that of time. */
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        size_t k = i * 5 % ARRAY_SIZE(classes);

        add_attempt(100 - (int64_t)k, 1, alpha, NOW + 1 + (int64_t)k, classes[k]);
        add_attempt(1000 + (int64_t)k, 1, beta, NOW + 1 + (int64_t)k, ERROR_NONE);
    }
    check_window(alpha, 100, "SFFSFSSF");
    check_window(alpha, 8, "SFFSFSSF");
    check_window(alpha, 3, "SSF");
    check_window(alpha, 1, "F");
    MUST(store_commit(store));
    reopen_store();
    check_window(alpha, 4, "FSSF");
    check_window(beta, 2, "SS");
}
END_TEST

/* Plans */

#define X(name, sql) [STMT_##name] = sql,
static const char *const statement_texts[] = {STATEMENTS(X)};
#undef X

static char *plan_of(enum statement statement)
{
    CLEANUP(freep) char *sql = xasprintf("EXPLAIN QUERY PLAN %s", statement_texts[statement]);

    return ask(sql);
}

START_TEST(plans_use_the_indexes)
{
    static const struct {
        enum statement statement;
        const char *part;
    } rows[] = {
        {STMT_NEXT_OF_STATUS, "SEARCH task USING INDEX task_live (status=? AND profile_id=?)"},
        {STMT_LIST_STATUS, "SEARCH task USING INDEX task_live (status=? AND profile_id=? AND "},
        {STMT_COUNT_BEFORE,
         "SEARCH task USING COVERING INDEX task_live (status=? AND profile_id=? AND "},
        {STMT_OLDEST_QUEUED, "SEARCH task USING INDEX task_live (status=? AND profile_id=?)"},
        {STMT_NEXT_RUNNING, "SEARCH task USING INDEX task_live (status=?)"},
        {STMT_GET_TASK, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
        {STMT_SAVE_TASK, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
        {STMT_GET_TASK_BY_KEY, "SEARCH task USING INDEX task_key (key=?)"},
        {STMT_LIST_TASKS, "SEARCH task USING INTEGER PRIMARY KEY (rowid<?)"},
        {STMT_LIST_FINISHED, "SEARCH task USING INDEX task_finished (status=? AND rowid<?)"},
        {STMT_RECENT_ATTEMPTS, "SEARCH attempt USING INDEX attempt_recent (profile_id=?)"},
        {STMT_GET_BUCKET, "SEARCH bucket USING PRIMARY KEY (profile_id=? AND span=? AND at=?)"},
        {STMT_LIST_BUCKETS,
         "SEARCH bucket USING PRIMARY KEY (profile_id=? AND span=? AND at>? AND at<?)"},
        {STMT_PRUNE_BUCKETS, "SEARCH bucket USING PRIMARY KEY (profile_id=? AND span=? AND at<?)"},
        {STMT_LIST_UPTIME, "SEARCH uptime USING INTEGER PRIMARY KEY (rowid<?)"},
        {STMT_PRUNE_UPTIME, "SEARCH uptime USING INTEGER PRIMARY KEY (rowid<?)"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(freep) char *plan = plan_of(rows[i].statement);

        if (!strstr(plan, rows[i].part))
            ck_abort_msg("%s:\n%s", statement_texts[rows[i].statement], plan);
    }
}
END_TEST

/* No statement sorts, or reads a table from end to end, but where it is short by itself. */
START_TEST(plans_sort_nothing)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        CLEANUP(freep) char *plan = NULL;

        if (i == STMT_BEGIN || i == STMT_COMMIT || i == STMT_ROLLBACK)
            continue;
        plan = plan_of((enum statement)i);
        if (strstr(plan, "TEMP B-TREE") && i != STMT_LIST_RUNNING) /* as many as there are slots */
            ck_abort_msg("%s:\n%s", statement_texts[i], plan);
        if ((strstr(plan, "SCAN task") && i != STMT_LAST_CLOCK && /* the newest hundred */
             i != STMT_OLDEST_FINISHED) || /* the first, or second, of an index */
            strstr(plan, "SCAN attempt") ||
            strstr(plan, "SCAN bucket") || strstr(plan, "SCAN uptime"))
            ck_abort_msg("%s:\n%s", statement_texts[i], plan);
    }
}
END_TEST

/* Dependencies */

static void expect_unmet(int64_t task_id, int64_t id, enum task_status status)
{
    enum task_status got = TASK_NEW;
    int64_t got_id = 0;

    EXPECT(store_unmet_dependency(store, task_id, &got_id, &got), id != 0);
    expect(got_id, id, "the dependency that decides");
    expect(got, status, "its status");
}

static void depend(int64_t task_id, int64_t on)
{
    MUST(store_add_dependency(store, task_id, on));
}

START_TEST(dependencies_decide)
{
    const int64_t completed = add(alpha, TASK_COMPLETED, 1), running = add(beta, TASK_RUNNING, 2);
    const int64_t queued = add(beta, TASK_QUEUED, 3), failed = add(alpha, TASK_FAILED, 4);
    const int64_t cancelled = add(alpha, TASK_CANCELLED, 5), task = add(alpha, TASK_BLOCKED, 0);

    expect_unmet(task, 0, TASK_NEW);
    depend(task, completed);
    expect_unmet(task, 0, TASK_NEW);
    depend(task, queued);
    expect_unmet(task, queued, TASK_QUEUED);
    depend(task, running);
    expect_unmet(task, running, TASK_RUNNING);
    depend(task, failed); /* that decides, whatever else there is */
    expect_unmet(task, failed, TASK_FAILED);
    depend(task, cancelled);
    expect_unmet(task, cancelled, TASK_CANCELLED);
    depend(task, cancelled);                                  /* once is enough */
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 0); /* not committed yet */
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 5);
    expect_unmet(completed, 0, TASK_NEW);
}
END_TEST

START_TEST(dependants_are_told_one_after_the_other)
{
    const int64_t first = add(alpha, TASK_COMPLETED, 1), lone = add(alpha, TASK_COMPLETED, 1);
    const int64_t a = add(alpha, TASK_BLOCKED, 0), b = add(beta, TASK_QUEUED, 0);
    const int64_t c = add(beta, TASK_BLOCKED, 0);
    struct task task = {0};
    int64_t id = 0, after = -1;

    EXPECT(store_next_release(store, &id, &after), 0);
    depend(a, first);
    depend(b, first);
    depend(c, first);
    EXPECT(store_add_release(store, lone), 0); /* nobody waits for it */
    EXPECT(store_next_release(store, &id, &after), 0);
    EXPECT(store_add_release(store, first), 1);
    EXPECT(store_next_release(store, &id, &after), 1);
    expect(id, first, "the release");
    expect(after, 0, "from the start");
    EXPECT(store_next_dependant(store, first, after, &task), 1);
    expect(task.id, a, "the first");
    task_deinit(&task);
    MUST(store_move_release(store, first, a));
    MUST(store_commit(store));
    reopen_store();
    EXPECT(store_next_release(store, &id, &after), 1);
    expect(after, a, "where it had come to");
    EXPECT(store_next_dependant(store, first, after, &task), 1);
    expect(task.id, c, "only those that are blocked");
    task_deinit(&task);
    EXPECT(store_next_dependant(store, first, c, &task), 0);
    MUST(store_drop_release(store, first));
    EXPECT(store_next_release(store, &id, &after), 0);
}
END_TEST

/* Removal */

START_TEST(oldest_finished_goes_first)
{
    static const int64_t finished_at[] = {NOW, NOW - 2, NOW - 1, 0, NOW - 9};
    int64_t ids[ARRAY_SIZE(finished_at)];
    struct task task = {0};

    EXPECT(store_oldest_finished(store, &task), 0);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct task one = new_task(alpha, finished_at[i] ? TASK_FAILED : TASK_QUEUED, 1);

        one.finished_at = finished_at[i];
        MUST(store_add_task(store, &one));
        ids[i] = one.id;
    }
    add_attempt(ids[1], 1, alpha, NOW, ERROR_EXIT);
    add_attempt(ids[2], 1, alpha, NOW, ERROR_EXIT);
    depend(ids[3], ids[1]);
    depend(ids[1], ids[0]);
    depend(ids[3], ids[2]);
    /* The newest, though it finished first, stays: its id must not be used again. */
    EXPECT(store_oldest_finished(store, &task), 1);
    expect(task.id, ids[1], "the oldest");
    task_deinit(&task);
    MUST(store_remove_task(store, ids[1]));
    MUST(store_commit(store));
    EXPECT(store_get_task(store, ids[1], &task), 0);
    EXPECT(ask_number("SELECT count(*) FROM attempt"), 1);
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 1);
    EXPECT(store_oldest_finished(store, &task), 1);
    expect(task.id, ids[2], "the next");
    task_deinit(&task);
    MUST(store_remove_task(store, ids[3])); /* not finished: it stays */
    MUST(store_remove_task(store, ids[2]));
    MUST(store_remove_task(store, ids[0]));
    EXPECT(store_oldest_finished(store, &task), 0);
    EXPECT(store_get_task(store, ids[3], &task), 1);
    task_deinit(&task);
    expect(add(alpha, TASK_QUEUED, 1), ids[4] + 1, "the next id");
}
END_TEST

START_TEST(last_queued_and_statuses)
{
    enum task_status status;
    struct task task = {0};
    int64_t last;

    EXPECT(store_last_queued(store, alpha, &task), 0);
    add(alpha, TASK_QUEUED, 5);
    add(alpha, TASK_QUEUED, 7);
    last = add(alpha, TASK_QUEUED, 7); /* of equals the newest */
    add(alpha, TASK_QUEUED, 6);
    add(alpha, TASK_SCHEDULED, 99);
    add(beta, TASK_QUEUED, 99);
    EXPECT(store_last_queued(store, alpha, &task), 1);
    expect(task.id, last, "the last");
    task_deinit(&task);
    EXPECT(store_get_status(store, last, &status), 1);
    expect(status, TASK_QUEUED, "its status");
    EXPECT(store_get_status(store, last + 100, &status), 0);
}
END_TEST

void add_profile_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "profile", setup, teardown);

    tcase_add_test(tcase, profiles_are_added_once);
    tcase_add_test(tcase, profiles_are_updated);
    tcase_add_test(tcase, attempts_are_kept);
    tcase_add_test(tcase, attempts_fill_the_window);
    tcase = add_case(suite, "dependencies", setup, teardown);
    tcase_add_test(tcase, dependencies_decide);
    tcase_add_test(tcase, dependants_are_told_one_after_the_other);
    tcase = add_case(suite, "removal", setup, teardown);
    tcase_add_test(tcase, oldest_finished_goes_first);
    tcase_add_test(tcase, last_queued_and_statuses);
    tcase = add_case(suite, "plans", setup, teardown);
    tcase_add_test(tcase, plans_use_the_indexes);
    tcase_add_test(tcase, plans_sort_nothing);
}
