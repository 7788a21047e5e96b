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
    check_profile("alpha", &expected); /* paused as before */
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

/* A task that goes to another profile is counted there, and so is what a finished one weighs. */
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
    ck_assert_int_lt(sqlite_add_attempt(store, &(struct store_attempt){.task_id = 7, .number = 2}),
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
        {STMT_LIST_ABANDONED,
         "SEARCH task USING INDEX task_live (status=? AND (profile_id,place)>(?,?))"},
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

void add_profile_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "profile", setup, teardown);

    tcase_add_test(tcase, profiles_are_added_once);
    tcase_add_test(tcase, profiles_are_updated);
    tcase_add_test(tcase, counters_follow_a_task);
    tcase_add_test(tcase, attempts_are_kept);
    tcase_add_test(tcase, attempts_fill_the_window);
    tcase = add_case(suite, "plans", setup, teardown);
    tcase_add_test(tcase, plans_use_the_indexes);
    tcase_add_test(tcase, plans_sort_nothing);
}
