/* SPDX-License-Identifier: MIT */
/* The cost of a year of data. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "fixture.h"

/* A year */

static int64_t count_buckets(int64_t span, int64_t from)
{
    CLEANUP(listed_deinit) struct listed listed = list_buckets(alpha, span, from, NOW);

    return (int64_t)listed.count;
}

/* The number of SQLite VM instructions since the last call: about twenty per row read, the same on
 * all machines. */
static int64_t take_steps(void)
{
    int64_t steps = 0;

    for (int i = 0; i < STATEMENT_COUNT; i++)
        steps += sqlite3_stmt_status((sqlite3_stmt *)store->statements[i].prepared,
                                     SQLITE_STMTSTATUS_VM_STEP, true);
    return steps;
}

static void check_steps(const char *what, int64_t most)
{
    int64_t steps = take_steps();

    if (steps > most)
        ck_abort_msg("%s: %lld steps, more than %lld", what, (long long)steps, (long long)most);
}

#define YEAR_TASKS "200000"

/* 200,000 finished tasks with an attempt each, all hourly buckets, minutes and quarter-hours
 * within their retention, and one start per day. */
static void fill_year(void)
{
    CLEANUP(freep)
    char *sql = xasprintf(
        "BEGIN;"
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " YEAR_TASKS ")"
        "INSERT INTO task (id, profile_id, status, priority, place, created_at, started_at,"
        "  finished_at, run_at, ready_at, queued_at, timeout, max_attempts, attempt, spent,"
        "  retries, interruptions, body, bytes)"
        "SELECT i, 1 + i %% 2, 5 + i %% 2, 1, i, %2$lld + i * 157000, %2$lld + i * 157000,"
        "  %2$lld + i * 157000, 0, %2$lld + i * 157000, %2$lld + i * 157000, 0, 0, 1, 1, 0, 0,"
        "  '\"title\":\"t\"', 11 FROM n;"
        "INSERT INTO attempt (task_id, number, profile_id, started_at, finished_at, duration,"
        "  error_class, counts)"
        "SELECT id, 1, profile_id, started_at, finished_at, 1000,"
        "  CASE status WHEN 6 THEN 'exit' END, 1 FROM task;"
        "WITH spans (span, length) AS (VALUES (60000, 11520), (900000, 768), (3600000, 8760)),"
        "  n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 11519)"
        "INSERT INTO bucket SELECT p.id, span, (%1$lld / span - i) * span,"
        "  metrics_blob(1, 0, 0, 0, 1, 0, 1000, 1, 5, '39:1', 0, '', '9:1', 0, 0)"
        "  FROM profile p, spans, n WHERE i < length;"
        "WITH n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 364)"
        "INSERT INTO uptime (started_at, seen_at) SELECT %1$lld - i * 86400000 - 80000000, %1$lld "
        "- i * 86400000 FROM n;"
        "COMMIT",
        (long long)NOW, (long long)(NOW - 365 * 24 * HOUR));

    run_sql(sql);
}

/* Reads at startup and for pages cost the same after a year as after a week. */
START_TEST(a_year_costs_no_more_than_a_week)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};
    CLEANUP(store_profiles_deinit) struct store_profiles profiles = {0};
    CLEANUP(freep) struct store_span *spans = NULL;
    struct metrics_bucket sum;
    size_t span_count = 0;
    int64_t last;

    close_store();
    open_store();
    fill_year();
    EXPECT(ask_number("SELECT count(*) FROM task"), strtoll(YEAR_TASKS, NULL, 10));
    take_steps();

    metrics_window_resize(&window, 100);
    ensure("alpha");
    MUST(store_list_profiles(store, &profiles));
    MUST(store_fill_window(store, alpha, &window));
    EXPECT((int64_t)window.count, 100);
    MUST(store_last_clock(store, &last));
    EXPECT(count_abandoned(), 0);
    EXPECT(count_buckets(MINUTE, NOW - 4 * HOUR), 240);
    MUST(store_list_uptime(store, NOW - 7 * 24 * HOUR, NOW, &spans, &span_count));
    EXPECT((int64_t)span_count, 8);
    check_steps("a start", 20000);

    EXPECT(count_buckets(HOUR, NOW - 2 * 168 * HOUR), 2 * 168);
    EXPECT(count_buckets(METRICS_QUARTER, NOW - 192 * METRICS_QUARTER), 192);
    check_steps("a history", 20000);

    MUST(store_sum_metrics(store, alpha, NOW - 7 * 24 * HOUR - NOW % MINUTE, NOW - NOW % MINUTE,
                           &sum));
    check_steps("the figures of a week", 10000);

    EXPECT(store_prune_metrics(store, alpha, HOUR, NOW - 15 * 24 * HOUR), 1);
    EXPECT(store_prune_uptime(store, NOW - 15 * 24 * HOUR), 0);
    check_steps("a step of forgetting", 40000);
}
END_TEST

void add_year_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "year", setup, teardown);

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_year_costs_no_more_than_a_week);
}
