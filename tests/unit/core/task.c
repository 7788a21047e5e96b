/* SPDX-License-Identifier: MIT */
/* Tasks, their errors and retries. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/strv.h"
#include "core/error_class.h"
#include "core/profile.h"
#include "core/retry.h"
#include "core/task.h"
#include "core/word.h"
#include "fixture.h"

/* Tasks */

/* Rows: from; columns: to, in the order of enum task_status: new, queued, scheduled, blocked,
 * running, completed, failed, cancelled. */
static const char *const may_become[TASK_STATUS_COUNT] = {
    /*             NQSBRCFX */
    /* new       */ ".QSB....",
    /* queued    */ ".QS.R..X",
    /* scheduled */ ".QS....X",
    /* blocked   */ ".QSB...X",
    /* running   */ ".QS..CFX",
    /* completed */ "........",
    /* failed    */ ".Q.B....",
    /* cancelled */ ".Q.B....",
};

START_TEST(task_transitions)
{
    for (int from = TASK_NEW; from < TASK_STATUS_COUNT; from++) {
        for (int to = TASK_NEW; to < TASK_STATUS_COUNT; to++) {
            struct task task = {.id = 7, .status = (enum task_status)from};
            struct task_counts counts = {0}, expected;
            bool may = may_become[from][to] != '.';
            int r;

            for (int i = 0; i < TASK_STATUS_COUNT; i++)
                counts.by_status[i] = 10 + i;
            expected = counts;
            if (may) {
                expected.by_status[from] -= from != TASK_NEW;
                expected.by_status[to]++;
            }
            ck_assert_msg(task_may_become(&task, (enum task_status)to) == may, "%d to %d", from,
                          to);
            r = task_transition(&task, (enum task_status)to, &counts);
            ck_assert_msg(r == (may ? 0 : -EINVAL), "%d to %d: %d", from, to, r);
            ck_assert_int_eq(task.status, may ? to : from);
            for (int i = 0; i < TASK_STATUS_COUNT; i++)
                ck_assert_msg(counts.by_status[i] == expected.by_status[i],
                              "%d to %d: counter %d is %lld", from, to, i,
                              (long long)counts.by_status[i]);
            ck_assert_int_eq(task.id, 7);
        }
    }
}
END_TEST

START_TEST(task_moves)
{
    struct task_counts from = {.by_status = {[TASK_QUEUED] = 3, [TASK_SCHEDULED] = 2}};
    struct task_counts to = {.by_status = {[TASK_QUEUED] = 1}};
    struct task task = {.profile_id = 4, .status = TASK_QUEUED};

    task_move(&task, 9, &from, &to);
    ck_assert_int_eq(task.profile_id, 9);
    ck_assert_int_eq(task.status, TASK_QUEUED);
    ck_assert_int_eq(from.by_status[TASK_QUEUED], 2);
    ck_assert_int_eq(to.by_status[TASK_QUEUED], 2);
    ck_assert_int_eq(task_counts_waiting(&from), 4);
    ck_assert_int_eq(task_counts_waiting(&to), 2);
    task.status = TASK_SCHEDULED;
    task_move(&task, 4, &to, &from);
    ck_assert_int_eq(from.by_status[TASK_SCHEDULED], 3);
    ck_assert_int_eq(to.by_status[TASK_SCHEDULED], -1); /* a staged difference */
}
END_TEST

START_TEST(task_counts_what_waits)
{
    struct task_counts counts = {.by_status = {1, 2, 4, 8, 16, 32, 64, 128}};

    ck_assert_int_eq(task_counts_waiting(&counts), 2 + 4 + 8);
    for (int i = 0; i < TASK_STATUS_COUNT; i++) {
        ck_assert(task_status_is_waiting((enum task_status)i) == (i >= 1 && i <= 3));
        ck_assert(task_status_is_finished((enum task_status)i) == (i >= 5));
    }
}
END_TEST

START_TEST(task_rank_ages)
{
    const int64_t interval = 3600000, now = INT64_C(1795357930125);
    struct task low = {.priority = PRIORITY_LOW, .ready_at = now - 2 * interval - 1};
    struct task medium = {.priority = PRIORITY_MEDIUM, .ready_at = now};
    struct task high = {.priority = PRIORITY_HIGH, .ready_at = now};

    ck_assert_int_eq(task_rank(&low, interval), now - 7200001);
    ck_assert_int_eq(task_rank(&medium, interval), now - 3600000);
    ck_assert_int_eq(task_rank(&high, interval), now - 7200000);
    ck_assert_int_lt(task_rank(&low, interval), task_rank(&high, interval));
    low.ready_at++;
    ck_assert_int_eq(task_rank(&low, interval), task_rank(&high, interval));
    low.ready_at++;
    ck_assert_int_gt(task_rank(&low, interval), task_rank(&high, interval));
    medium.ready_at = now - interval - 1;
    ck_assert_int_lt(task_rank(&medium, interval), task_rank(&high, interval));
    /* Without aging the order is that of readiness. */
    ck_assert_int_eq(task_rank(&high, 0), now);
}
END_TEST

START_TEST(task_names)
{
    static const char *const statuses[] = {NULL,      "queued",    "scheduled", "blocked",
                                           "running", "completed", "failed",    "cancelled"};
    static const char *const priorities[] = {"low", "medium", "high"};
    static const char *const bad[] = {"", "new", "Queued", "queued ", "urgent", "1"};
    enum task_priority priority;
    enum task_status status;

    for (int i = 1; i < TASK_STATUS_COUNT; i++) {
        ck_assert_str_eq(task_status_name((enum task_status)i), statuses[i]);
        ck_assert_int_eq(task_status_parse(statuses[i], &status), 0);
        ck_assert_int_eq(status, i);
    }
    for (int i = 0; i < PRIORITY_COUNT; i++) {
        ck_assert_str_eq(task_priority_name((enum task_priority)i), priorities[i]);
        ck_assert_int_eq(task_priority_parse(priorities[i], &priority), 0);
        ck_assert_int_eq(priority, i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        status = TASK_FAILED;
        priority = PRIORITY_HIGH;
        ck_assert_int_eq(task_status_parse(bad[i], &status), -EINVAL);
        ck_assert_int_eq(task_priority_parse(bad[i], &priority), -EINVAL);
        ck_assert_int_eq(status, TASK_FAILED);
        ck_assert_int_eq(priority, PRIORITY_HIGH);
    }
}
END_TEST

START_TEST(task_frees)
{
    struct task task = {0};

    task_deinit(&task); /* of zeros */
    task.id = 5;
    task.error_message = xstrdup("a");
    task.key = xstrdup("b");
    task.result = xstrdup("c");
    task.routing = xstrdup("d");
    task.body = xstrdup("e");
    task_deinit(&task);
    ck_assert_int_eq(task.id, 0);
    ck_assert_ptr_null(task.body);
}
END_TEST

START_TEST(word_validity)
{
    static const char *const good[] = {"a", "0", "a-b", "task.v2", "x_y", "9lives", "a..", "a-"};
    static const char *const bad[] = {"",    "-a",  ".a",     "_a",   "A",        "aB",
                                      "a b", "a/b", "a\n",    "a:",   "\xc3\xa9", "a\xc3\xa9",
                                      " a",  "a ",  "ab\x01", "a\\b", "a*",       "\""};
    char longest[WORD_MAX + 2];

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        ck_assert_msg(word_is_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ck_assert_msg(!word_is_valid(bad[i]), "\"%s\"", bad[i]);
    memset(longest, 'w', sizeof(longest));
    longest[65] = '\0';
    ck_assert(!word_is_valid(longest));
    longest[64] = '\0';
    ck_assert(word_is_valid(longest));
}
END_TEST

/* Errors and retries */

static const struct class_row {
    enum error_class class;
    const char *name;
    enum error_retry retry;
    bool spends, cools, counts, halves;
} class_rows[] = {
    {ERROR_EXIT, "exit", RETRY_BACKOFF, true, false, true, false},
    {ERROR_SIGNAL, "signal", RETRY_BACKOFF, true, false, true, false},
    {ERROR_TIMEOUT, "timeout", RETRY_BACKOFF, true, false, true, false},
    {ERROR_STALL, "stall", RETRY_BACKOFF, true, false, true, false},
    {ERROR_LOST_LEASE, "lost_lease", RETRY_BACKOFF, true, false, true, false},
    {ERROR_REFUSAL, "refusal", RETRY_IF_CONFIGURED, true, false, true, false},
    {ERROR_LIMIT, "limit", RETRY_IF_CONFIGURED, true, false, true, false},
    {ERROR_INVALID, "invalid", RETRY_NEVER, true, false, false, false},
    {ERROR_RATE_LIMIT, "rate_limit", RETRY_AFTER_COOLDOWN, false, true, false, true},
    {ERROR_AUTH, "auth", RETRY_AFTER_COOLDOWN, false, true, false, false},
    {ERROR_UNAVAILABLE, "unavailable", RETRY_AFTER_COOLDOWN, false, true, false, true},
    {ERROR_INTERRUPTED, "interrupted", RETRY_AT_ONCE, false, false, false, false},
    {ERROR_CANCELLED, "cancelled", RETRY_NEVER, false, false, false, false},
};

START_TEST(error_classes)
{
    ck_assert_uint_eq(ARRAY_SIZE(class_rows), ERROR_CLASS_COUNT - 1);
    for (size_t i = 0; i < ARRAY_SIZE(class_rows); i++) {
        const struct class_row *row = &class_rows[i];
        const struct error_class_info *info = error_class_info(row->class);

        ck_assert_str_eq(info->name, row->name);
        ck_assert_msg(info->retry == row->retry, "%s", row->name);
        ck_assert_msg(info->spends_attempt == row->spends, "%s", row->name);
        ck_assert_msg(info->cools_down == row->cools, "%s", row->name);
        ck_assert_msg(info->counts == row->counts, "%s", row->name);
        ck_assert_msg(info->halves_slots == row->halves, "%s", row->name);
    }
    for (int i = 0; i < ERROR_CLASS_COUNT; i++) {
        const struct error_class_info *info = error_class_info((enum error_class)i);
        bool is_configurable = i && strv_contains((char **)error_class_configurable, info->name);

        ck_assert(is_configurable == (info->retry == RETRY_IF_CONFIGURED));
        if (i)
            ck_assert_str_eq(error_class_names[i - 1], info->name);
    }
    ck_assert_ptr_null(error_class_names[ERROR_CLASS_COUNT - 1]);
    for (size_t i = 0; error_class_of_workers[i]; i++)
        ck_assert(strv_contains((char **)error_class_names, error_class_of_workers[i]));
    ck_assert_str_eq(error_class_info(ERROR_UNKNOWN)->name, "unknown");
    ck_assert(!strv_contains((char **)error_class_names, "unknown"));
    ck_assert_str_eq(task_error_name(&(struct task){.error_class = ERROR_EXIT}), "exit");
    ck_assert_str_eq(task_error_name(&(struct task){.error_class = ERROR_UNKNOWN,
                                                    .unknown_class = (char *)"of_tomorrow"}),
                     "of_tomorrow");
    ck_assert_ptr_null(task_error_name(&(struct task){0}));
    /* An attempt that completed its task counts too. */
    ck_assert_ptr_null(error_class_info(ERROR_NONE)->name);
    ck_assert(error_class_info(ERROR_NONE)->counts);
}
END_TEST

static const struct profile_config patient = {
    .max_attempts = 3,
    .backoff_ms = 1000,
    .max_backoff_ms = 300000,
};

START_TEST(retry_by_class)
{
    for (size_t i = 0; i < ARRAY_SIZE(class_rows); i++) {
        const struct class_row *row = &class_rows[i];
        struct task task = {.status = TASK_RUNNING, .spent = 1, .retries = 1, .interruptions = 4};
        int64_t delay = -1;
        enum task_status to = retry_decide(&task, row->class, &patient, 0, 0.5, &delay);
        enum task_status expected = row->retry == RETRY_BACKOFF          ? TASK_SCHEDULED
                                    : row->retry == RETRY_AT_ONCE        ? TASK_QUEUED
                                    : row->retry == RETRY_AFTER_COOLDOWN ? TASK_QUEUED
                                                                         : TASK_FAILED;

        ck_assert_msg(to == expected, "%s: %s", row->name, task_status_name(to));
        ck_assert_msg(task.spent == 1 + row->spends, "%s: %lld spent", row->name,
                      (long long)task.spent);
        ck_assert_msg(task.retries == 1 + (to == TASK_SCHEDULED), "%s: %lld retries", row->name,
                      (long long)task.retries);
        ck_assert_msg(task.interruptions == (row->class == ERROR_INTERRUPTED ? 5 : 0), "%s",
                      row->name);
        /* The second retry chooses from 0 to 2 s; otherwise the output is untouched. */
        ck_assert_msg(delay == (to == TASK_SCHEDULED ? 1000 : -1), "%s: %lld ms", row->name,
                      (long long)delay);
        ck_assert_int_eq(task.status, TASK_RUNNING); /* only task_transition() changes it */
    }
}
END_TEST

START_TEST(retry_bounds_attempts)
{
    struct task task = {0};
    int64_t delay;

    ck_assert_int_eq(retry_decide(&task, ERROR_EXIT, &patient, 0, 0, &delay), TASK_SCHEDULED);
    ck_assert_int_eq(retry_decide(&task, ERROR_TIMEOUT, &patient, 0, 0, &delay), TASK_SCHEDULED);
    /* Errors that spend no attempt may occur any number of times. */
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(retry_decide(&task, ERROR_RATE_LIMIT, &patient, 0, 0, &delay),
                         TASK_QUEUED);
    ck_assert_int_eq(task.spent, 2);
    ck_assert_int_eq(retry_decide(&task, ERROR_SIGNAL, &patient, 0, 0, &delay), TASK_FAILED);
    ck_assert_int_eq(task.spent, 3);
    ck_assert_int_eq(task.retries, 2);

    task = (struct task){.max_attempts = 1}; /* fewer than the profile's */
    ck_assert_int_eq(retry_decide(&task, ERROR_EXIT, &patient, 0, 0, &delay), TASK_FAILED);
    ck_assert_int_eq(task.spent, 1);
    ck_assert_int_eq(task.retries, 0);

    task = (struct task){.max_attempts = 5}; /* more */
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(retry_decide(&task, ERROR_EXIT, &patient, 0, 0, &delay), TASK_SCHEDULED);
    ck_assert_int_eq(retry_decide(&task, ERROR_EXIT, &patient, 0, 0, &delay), TASK_FAILED);
    ck_assert_int_eq(task.spent, 5);
}
END_TEST

START_TEST(retry_spends_what_only_this_task_meets)
{
    static const struct profile_config config = {.max_attempts = 2};
    struct task task = {0};
    int64_t delay;

    /* Any number of times, while no other task succeeds. */
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(retry_decide(&task, ERROR_UNAVAILABLE, &config, 7, 0, &delay),
                         TASK_QUEUED);
    ck_assert_int_eq(task.spent, 0);
    /* Once another task has succeeded: like any other error. */
    ck_assert_int_eq(retry_decide(&task, ERROR_RATE_LIMIT, &config, 8, 0, &delay), TASK_QUEUED);
    ck_assert_int_eq(task.spent, 1);
    ck_assert_int_eq(retry_decide(&task, ERROR_AUTH, &config, 8, 0, &delay), TASK_FAILED);
    ck_assert_int_eq(task.spent, 2);

    /* Successes before the third error do not count. */
    task = (struct task){0};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(retry_decide(&task, ERROR_UNAVAILABLE, &config, i, 0, &delay),
                         TASK_QUEUED);
    ck_assert_int_eq(retry_decide(&task, ERROR_UNAVAILABLE, &config, 2, 0, &delay), TASK_QUEUED);
    ck_assert_int_eq(task.spent, 0);
    ck_assert_int_eq(retry_decide(&task, ERROR_UNAVAILABLE, &config, 3, 0, &delay), TASK_QUEUED);
    ck_assert_int_eq(task.spent, 1);
}
END_TEST

static int64_t delay_of(int64_t retries, const struct profile_config *config, double choice)
{
    struct task task = {.retries = retries, .max_attempts = 1000000};
    int64_t delay = -1;

    ck_assert_int_eq(retry_decide(&task, ERROR_EXIT, config, 0, choice, &delay), TASK_SCHEDULED);
    ck_assert_int_eq(task.retries, retries + 1);
    return delay;
}

START_TEST(retry_delays)
{
    static const int64_t ceilings[] = {1000,  2000,   4000,   8000,   16000, 32000,
                                       64000, 128000, 256000, 300000, 300000};
    static const int64_t many[] = {
        30, 59, 60, 61, 62, 63, 64, 1000, INT64_C(1) << 31, INT64_C(1) << 40};
    static const struct profile_config long_one = {
        .max_attempts = 3,
        .backoff_ms = 86400000,
        .max_backoff_ms = INT64_C(31536000000),
    };
    static const struct profile_config flat = {
        .max_attempts = 3,
        .backoff_ms = 10,
        .max_backoff_ms = 10,
    };

    for (size_t i = 0; i < ARRAY_SIZE(ceilings); i++) {
        ck_assert_int_eq(delay_of((int64_t)i, &patient, 0), 0);
        ck_assert_int_eq(delay_of((int64_t)i, &patient, 0.5), ceilings[i] / 2);
        ck_assert_int_eq(delay_of((int64_t)i, &patient, 0.25), ceilings[i] / 4);
        ck_assert_int_eq(delay_of((int64_t)i, &patient, NEARLY_ONE), ceilings[i] - 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
        ck_assert_int_eq(delay_of(many[i], &patient, 0.5), 150000);
        ck_assert_int_eq(delay_of(many[i], &long_one, 0.5), INT64_C(15768000000));
        ck_assert_int_eq(delay_of(many[i], &long_one, NEARLY_ONE), INT64_C(31535999999));
    }
    ck_assert_int_eq(delay_of(0, &flat, NEARLY_ONE), 9);
    ck_assert_int_eq(delay_of(1, &flat, NEARLY_ONE), 9);
}
END_TEST

START_TEST(retry_bounds_interruptions)
{
    struct task task = {.spent = 2};
    int64_t delay = -1;

    for (int i = 1; i < 10; i++) {
        ck_assert_int_eq(retry_decide(&task, ERROR_INTERRUPTED, &patient, 0, 0.5, &delay),
                         TASK_QUEUED);
        ck_assert_int_eq(task.interruptions, i);
    }
    ck_assert_int_eq(retry_decide(&task, ERROR_INTERRUPTED, &patient, 0, 0.5, &delay), TASK_FAILED);
    ck_assert_int_eq(task.spent, 2);
    ck_assert_int_eq(task.retries, 0);
    ck_assert_int_eq(delay, -1);

    /* Another end in between restarts the count. */
    task = (struct task){.interruptions = 9};
    ck_assert_int_eq(retry_decide(&task, ERROR_AUTH, &patient, 0, 0.5, &delay), TASK_QUEUED);
    ck_assert_int_eq(task.interruptions, 0);
    for (int i = 1; i < 10; i++)
        ck_assert_int_eq(retry_decide(&task, ERROR_INTERRUPTED, &patient, 0, 0.5, &delay),
                         TASK_QUEUED);
    ck_assert_int_eq(retry_decide(&task, ERROR_INTERRUPTED, &patient, 0, 0.5, &delay), TASK_FAILED);
}
END_TEST

void add_task_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "task");

    tcase_add_test(tcase, task_transitions);
    tcase_add_test(tcase, task_moves);
    tcase_add_test(tcase, task_counts_what_waits);
    tcase_add_test(tcase, task_rank_ages);
    tcase_add_test(tcase, task_names);
    tcase_add_test(tcase, task_frees);
    tcase_add_test(tcase, word_validity);
    tcase = add_case(suite, "retry");
    tcase_add_test(tcase, error_classes);
    tcase_add_test(tcase, retry_by_class);
    tcase_add_test(tcase, retry_bounds_attempts);
    tcase_add_test(tcase, retry_spends_what_only_this_task_meets);
    tcase_add_test(tcase, retry_delays);
    tcase_add_test(tcase, retry_bounds_interruptions);
}
