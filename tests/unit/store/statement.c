/* SPDX-License-Identifier: MIT */
/* The rows of attempts, and the plans of all statements. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "fixture.h"

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
    /* Attempt numbers are never reused. */
    ck_assert_int_lt(db_add_attempt(store, &(struct store_attempt){.task_id = 7, .number = 2}), 0);
}
END_TEST

/* Plans */

#define X(name, sql) [STMT_##name] = sql,
static const char *const statement_texts[] = {STATEMENTS(X)};
#undef X

static char *plan_of(enum statement_name statement)
{
    CLEANUP(freep) char *sql = xasprintf("EXPLAIN QUERY PLAN %s", statement_texts[statement]);

    return ask(sql);
}

START_TEST(plans_use_the_indexes)
{
    static const struct {
        enum statement_name statement;
        const char *part;
    } rows[] = {
        {STMT_NEXT_OF_STATUS, "SEARCH task USING INDEX task_live (status=? AND profile_id=?)"},
        {STMT_LIST_STATUS, "SEARCH task USING INDEX task_live (status=? AND profile_id=? AND "},
        {STMT_COUNT_BEFORE,
         "SEARCH task USING COVERING INDEX task_live (status=? AND profile_id=? AND "},
        {STMT_OLDEST_QUEUED, "SEARCH task USING INDEX task_live (status=? AND profile_id=?)"},
        {STMT_LIST_RUNNING_BY,
         "SEARCH task USING INDEX task_live (status=? AND (profile_id,place)>(?,?))"},
        {STMT_GET_TASK, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
        {STMT_SAVE_TASK, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
        {STMT_GET_TASK_BY_KEY, "SEARCH task USING INDEX task_key (key=?)"},
        {STMT_LIST_TASKS, "SEARCH task USING INTEGER PRIMARY KEY (rowid<?)"},
        {STMT_LAST_OF_STATUS, "SEARCH task USING COVERING INDEX task_profile (profile_id=? AND "
                              "status=? AND rowid<?)"},
        {STMT_LAST_RUNNING,
         "SEARCH task USING COVERING INDEX task_live (status=? AND profile_id=?)"},
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

/* No statement sorts or scans a table, unless the table is short. */
START_TEST(plans_sort_nothing)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        CLEANUP(freep) char *plan = plan_of((enum statement_name)i);

        if (strstr(plan, "TEMP B-TREE"))
            ck_abort_msg("%s:\n%s", statement_texts[i], plan);
        if ((strstr(plan, "SCAN task") && i != STMT_LAST_CLOCK && /* the newest hundred */
             i != STMT_OLDEST_FINISHED) || /* the first, or second, of an index */
            strstr(plan, "SCAN attempt") ||
            strstr(plan, "SCAN bucket") || strstr(plan, "SCAN uptime"))
            ck_abort_msg("%s:\n%s", statement_texts[i], plan);
    }
}
END_TEST

void add_statement_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "attempts", setup, teardown);

    tcase_add_test(tcase, attempts_are_kept);
    tcase = add_case(suite, "plans", setup, teardown);
    tcase_add_test(tcase, plans_use_the_indexes);
    tcase_add_test(tcase, plans_sort_nothing);
}
