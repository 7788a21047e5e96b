/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/strv.h"
#include "core/anomaly.h"
#include "core/capacity.h"
#include "core/error_class.h"
#include "core/estimate.h"
#include "core/forecast.h"
#include "core/metrics.h"
#include "core/profile.h"
#include "core/retry.h"
#include "core/router.h"
#include "core/task.h"
#include "core/word.h"

#define NEARLY_ONE (1 - 0x1p-53)
#define EXACT      1e-15

/* xorshift64*; a seed makes a run of its own, the same each time. */
static uint64_t chance;

static uint64_t random_below(uint64_t limit)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (chance * UINT64_C(2685821657736338717) >> 16) % limit;
}

/* In (0, 1). */
static double random_fraction(void)
{
    return ((double)random_below(1u << 30) + 0.5) / (1u << 30);
}

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
    ck_assert_int_eq(to.by_status[TASK_SCHEDULED], -1); /* a difference that is staged */
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

/* The table of section 8 of the design. */
static const struct class_row {
    enum error_class class;
    const char *name;
    enum error_retry retry;
    bool spends, cools, counts;
} class_rows[] = {
    {ERROR_EXIT, "exit", RETRY_BACKOFF, true, false, true},
    {ERROR_SIGNAL, "signal", RETRY_BACKOFF, true, false, true},
    {ERROR_TIMEOUT, "timeout", RETRY_BACKOFF, true, false, true},
    {ERROR_STALL, "stall", RETRY_BACKOFF, true, false, true},
    {ERROR_LOST_LEASE, "lost_lease", RETRY_BACKOFF, true, false, true},
    {ERROR_REFUSAL, "refusal", RETRY_IF_CONFIGURED, true, false, true},
    {ERROR_LIMIT, "limit", RETRY_IF_CONFIGURED, true, false, true},
    {ERROR_INVALID, "invalid", RETRY_NEVER, true, false, false},
    {ERROR_RATE_LIMIT, "rate_limit", RETRY_AFTER_COOLDOWN, false, true, false},
    {ERROR_AUTH, "auth", RETRY_AFTER_COOLDOWN, false, true, false},
    {ERROR_UNAVAILABLE, "unavailable", RETRY_AFTER_COOLDOWN, false, true, false},
    {ERROR_INTERRUPTED, "interrupted", RETRY_AT_ONCE, false, false, false},
    {ERROR_CANCELLED, "cancelled", RETRY_NEVER, false, false, false},
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
    }
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
    /* Those that spend none may come as often as they like. */
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

    /* However often, while nobody succeeds. */
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(retry_decide(&task, ERROR_UNAVAILABLE, &config, 7, 0, &delay),
                         TASK_QUEUED);
    ck_assert_int_eq(task.spent, 0);
    /* Once another has: like any other end. */
    ck_assert_int_eq(retry_decide(&task, ERROR_RATE_LIMIT, &config, 8, 0, &delay), TASK_QUEUED);
    ck_assert_int_eq(task.spent, 1);
    ck_assert_int_eq(retry_decide(&task, ERROR_AUTH, &config, 8, 0, &delay), TASK_FAILED);
    ck_assert_int_eq(task.spent, 2);

    /* What succeeded before the third says nothing. */
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

    /* Another end in between starts the row anew. */
    task = (struct task){.interruptions = 9};
    ck_assert_int_eq(retry_decide(&task, ERROR_AUTH, &patient, 0, 0.5, &delay), TASK_QUEUED);
    ck_assert_int_eq(task.interruptions, 0);
    for (int i = 1; i < 10; i++)
        ck_assert_int_eq(retry_decide(&task, ERROR_INTERRUPTED, &patient, 0, 0.5, &delay),
                         TASK_QUEUED);
    ck_assert_int_eq(retry_decide(&task, ERROR_INTERRUPTED, &patient, 0, 0.5, &delay), TASK_FAILED);
}
END_TEST

/* Profiles */

/* Capabilities are separated by spaces. */
static const struct health_limits limits = {.wait_ms = 3600000, .lapse_ms = 300000};

static struct profile *make_profile(const char *name, const char *capabilities)
{
    CLEANUP(freep) char *words = xstrdup(capabilities);
    struct profile_config config = {
        .name = xstrdup(name),
        .role = xstrdup("Tester"),
        .max_concurrent_tasks = 2,
        .priority = 3,
        .queue_limit = 10,
    };

    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        strv_push(&config.capabilities, xstrdup(word));
    return profile_new(&config);
}

START_TEST(profile_starts)
{
    struct profile_config config = {.name = xstrdup("p"), .max_concurrent_tasks = 4};
    CLEANUP(profile_freep) struct profile *profile = profile_new(&config);

    ck_assert_ptr_null(config.name);
    ck_assert_str_eq(profile->config.name, "p");
    ck_assert(profile_is_active(profile));
    ck_assert_int_eq(profile->id, 0);
    ck_assert_int_eq(profile_waiting(profile), 0);
    ck_assert_int_eq(profile_free_slots(profile), 4);
    ck_assert_int_eq(profile->health, HEALTH_HEALTHY);
    profile_free(NULL);
}
END_TEST

static struct profile *staged_profile(void)
{
    struct profile *profile = make_profile("p", "a");
    struct task task = {.status = TASK_NEW};

    profile->id = 4;
    profile->counts.by_status[TASK_QUEUED] = 5;
    profile->counts.by_status[TASK_RUNNING] = 1;
    profile->counts.by_status[TASK_COMPLETED] = 7;
    profile->slots_used = 1;
    profile->last_activity = 1000;
    profile_rollback(profile);
    ck_assert(!profile->staged.is_dirty);

    task_transition(&task, TASK_QUEUED, profile_stage_counts(profile));
    task_transition(&task, TASK_RUNNING, profile_stage_counts(profile));
    task.status = TASK_QUEUED;
    task_transition(&task, TASK_CANCELLED, profile_stage_counts(profile));
    profile->staged.slots_used = 1;
    profile->staged.is_active = 0;
    profile->staged.last_activity = 2000;
    profile->staged.bucket.arrived = 3;
    profile->staged.peak = (struct metrics_peak){.minute = 7, .size = 6};
    metrics_bucket_add_attempt(&profile->staged.bucket, true, 100);
    return profile;
}

START_TEST(profile_shows_what_is_staged)
{
    CLEANUP(profile_freep) struct profile *profile = staged_profile();

    ck_assert(profile->staged.is_dirty);
    ck_assert_int_eq(profile_count(profile, TASK_QUEUED), 4);
    ck_assert_int_eq(profile_count(profile, TASK_RUNNING), 2);
    ck_assert_int_eq(profile_count(profile, TASK_COMPLETED), 7);
    ck_assert_int_eq(profile_count(profile, TASK_CANCELLED), 1);
    ck_assert_int_eq(profile_waiting(profile), 4);
    ck_assert_int_eq(profile_free_slots(profile), 0);
    ck_assert(!profile_is_active(profile));
    /* And what is committed is as it was. */
    ck_assert_int_eq(profile->id, 4);
    ck_assert(profile->is_active);
    ck_assert_int_eq(profile->counts.by_status[TASK_QUEUED], 5);
    ck_assert_int_eq(profile->slots_used, 1);
    ck_assert_int_eq(profile->last_activity, 1000);
}
END_TEST

static void nothing_staged(const struct profile *profile)
{
    ck_assert(!profile->staged.is_dirty);
    ck_assert_int_eq(profile->staged.is_active, -1);
    ck_assert_int_eq(profile->staged.slots_used, 0);
    ck_assert_int_eq(profile->staged.last_activity, 0);
    ck_assert(metrics_bucket_is_empty(&profile->staged.bucket));
    ck_assert_int_eq(profile->staged.bucket.duration_sum_ms, 0);
    for (int i = 0; i < TASK_STATUS_COUNT; i++)
        ck_assert_int_eq(profile->staged.counts.by_status[i], 0);
}

START_TEST(profile_rolls_back)
{
    CLEANUP(profile_freep) struct profile *profile = staged_profile();

    profile_rollback(profile);
    nothing_staged(profile);
    ck_assert_int_eq(profile->id, 4);
    ck_assert(profile_is_active(profile));
    ck_assert_int_eq(profile_count(profile, TASK_QUEUED), 5);
    ck_assert_int_eq(profile_count(profile, TASK_RUNNING), 1);
    ck_assert_int_eq(profile_count(profile, TASK_COMPLETED), 7);
    ck_assert_int_eq(profile_count(profile, TASK_CANCELLED), 0);
    ck_assert_int_eq(profile_free_slots(profile), 1);
    ck_assert_int_eq(profile->last_activity, 1000);
}
END_TEST

START_TEST(profile_commits)
{
    CLEANUP(profile_freep) struct profile *profile = staged_profile();

    profile_commit(profile);
    nothing_staged(profile);
    for (int again = 0; again < 2; again++) {
        ck_assert(!profile->is_active);
        ck_assert_int_eq(profile->counts.by_status[TASK_QUEUED], 4);
        ck_assert_int_eq(profile->counts.by_status[TASK_RUNNING], 2);
        ck_assert_int_eq(profile->counts.by_status[TASK_COMPLETED], 7);
        ck_assert_int_eq(profile->counts.by_status[TASK_CANCELLED], 1);
        ck_assert_int_eq(profile->slots_used, 2);
        ck_assert_int_eq(profile->last_activity, 2000);
        ck_assert_int_eq(profile->total.successes, 1);
        ck_assert_int_eq(profile->total.duration_sum_ms, 100);
        ck_assert_int_eq(profile->arrivals, 3);
        ck_assert_int_eq(profile->peak.size, 6);
        profile_commit(profile); /* of nothing changes nothing */
    }
    profile->staged.bucket.arrived = 2;
    profile->staged.peak.minute = 8;
    profile_rollback(profile);
    profile_commit(profile);
    ck_assert_int_eq(profile->arrivals, 3);
    ck_assert_int_eq(profile->total.arrived, 3);
    ck_assert_int_eq(profile->peak.minute, 7);
    profile->staged.is_active = 1;
    ck_assert(profile_is_active(profile));
    profile_commit(profile);
    ck_assert(profile->is_active);
}
END_TEST

START_TEST(profile_counts_slots)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");

    profile->slots_used = 1;
    profile->staged.slots_used = -1;
    ck_assert_int_eq(profile_free_slots(profile), 2);
    profile->staged.slots_used = 0;
    ck_assert_int_eq(profile_free_slots(profile), 1);
    profile->slots_used = 5; /* the limit was lowered */
    ck_assert_int_eq(profile_free_slots(profile), 0);
}
END_TEST

START_TEST(profile_probes_while_unhealthy)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run before, probe;

    profile->config.max_concurrent_tasks = 3;
    forecast_begin_run(profile, &before, 0, 10);
    profile->staged.slots_used = 1;
    profile->probes_since = 20;
    ck_assert_int_eq(profile_slots(profile), 1);
    ck_assert_int_eq(profile_free_slots(profile), 1); /* what ran before is not in its way */
    ck_assert(!profile_is_probing(profile));
    forecast_begin_run(profile, &probe, 0, 20);
    profile->staged.slots_used = 2;
    ck_assert_int_eq(profile_free_slots(profile), 0);
    ck_assert(profile_is_probing(profile));
    profile->staged.slots_used = 3; /* it is full in any case */
    ck_assert(!profile_is_probing(profile));
    profile->staged.slots_used = 2;
    profile->probes_since = -1;
    ck_assert_int_eq(profile_slots(profile), 3);
    ck_assert_int_eq(profile_free_slots(profile), 1);
    forecast_end_run(profile, &before);
    forecast_end_run(profile, &probe);
}
END_TEST

START_TEST(autoscale_hand_computed)
{
    struct autoscale scale = {0};

    ck_assert_int_eq(autoscale_slots(&scale, 2, 8), 8);
    autoscale_note(&scale, ERROR_RATE_LIMIT, 10, 2, 8, 20);
    ck_assert_int_eq(autoscale_slots(&scale, 2, 8), 4);
    /* A round of four adds about one: 4.25, 4.485, 4.708, 4.921, then 5.124. */
    for (int i = 0; i < 4; i++)
        autoscale_note(&scale, ERROR_NONE, 30, 2, 8, 40);
    ck_assert_double_eq_tol(scale.limit, 4.9206, 0.0001);
    ck_assert_int_eq(autoscale_slots(&scale, 2, 8), 4);
    autoscale_note(&scale, ERROR_NONE, 30, 2, 8, 40);
    ck_assert_int_eq(autoscale_slots(&scale, 2, 8), 5);
    autoscale_note(&scale, ERROR_EXIT, 50, 2, 8, 60); /* no sign of congestion */
    ck_assert_int_eq(autoscale_slots(&scale, 2, 8), 5);
    autoscale_note(&scale, ERROR_UNAVAILABLE, 50, 2, 8, 60);
    ck_assert_double_eq_tol(scale.limit, 2.562, 0.001);
    autoscale_note(&scale, ERROR_UNAVAILABLE, 70, 2, 8, 80);
    ck_assert_double_eq(scale.limit, 2); /* never below the minimum */
    for (int i = 0; i < 100; i++)
        autoscale_note(&scale, ERROR_NONE, 90, 2, 8, 100);
    ck_assert_int_eq(autoscale_slots(&scale, 2, 8), 8); /* nor above the maximum */
    ck_assert_int_eq(autoscale_slots(&scale, 2, 3), 3); /* which may have been lowered */
}
END_TEST

START_TEST(autoscale_halves_once)
{
    struct autoscale scale = {0};

    /* Eight that ran together are told together. */
    for (int i = 0; i < 8; i++)
        autoscale_note(&scale, ERROR_RATE_LIMIT, 10 + i, 1, 8, 20 + i);
    ck_assert_int_eq(autoscale_slots(&scale, 1, 8), 4);
    autoscale_note(&scale, ERROR_RATE_LIMIT, 20, 1, 8, 40); /* begun after the cut */
    ck_assert_int_eq(autoscale_slots(&scale, 1, 8), 2);
}
END_TEST

START_TEST(autoscale_is_off)
{
    struct autoscale scale = {0};

    autoscale_note(&scale, ERROR_RATE_LIMIT, 10, 0, 8, 20);
    ck_assert_int_eq(autoscale_slots(&scale, 0, 8), 8);
    autoscale_note(&scale, ERROR_RATE_LIMIT, 10, 1, 8, 20);
    ck_assert_int_eq(autoscale_slots(&scale, 1, 8), 4);
    ck_assert_int_eq(autoscale_slots(&scale, 0, 8), 8); /* turned off again */
}
END_TEST

START_TEST(profile_capabilities)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("dev", "coding testing");
    CLEANUP(profile_freep) struct profile *bare = make_profile("bare", "");

    ck_assert(profile_has_capability(profile, "coding"));
    ck_assert(profile_has_capability(profile, "testing"));
    ck_assert(profile_has_capability(profile, "dev"));
    ck_assert(!profile_has_capability(profile, "cod"));
    ck_assert(!profile_has_capability(profile, "codings"));
    ck_assert(!profile_has_capability(profile, "Coding"));
    ck_assert(!profile_has_capability(profile, ""));
    ck_assert(profile_has_capability(bare, "bare"));
    ck_assert(!profile_has_capability(bare, "dev"));
}
END_TEST

/* Metrics */

START_TEST(metrics_hand_computed)
{
    struct metrics_bucket bucket = {
        .completed = 3,
        .failed = 1,
        .cancelled = 50,
        .retried = 60,
        .started = 5,
        .wait_sum_ms = 2500,
    };
    struct metrics m;

    metrics_bucket_add_attempt(&bucket, true, 1000);
    metrics_bucket_add_attempt(&bucket, true, 2000);
    metrics_bucket_add_attempt(&bucket, false, 10000);
    metrics_bucket_add_attempt(&bucket, true, 3000);
    ck_assert_int_eq(bucket.successes, 3);
    ck_assert_int_eq(bucket.errors, 1);
    ck_assert_int_eq(bucket.duration_sum_ms, 16000);
    metrics_from_bucket(&bucket, 7200000, &m);
    ck_assert_double_eq_tol(m.throughput, 2, EXACT);
    ck_assert_double_eq_tol(m.success_rate, 75, EXACT);
    ck_assert_double_eq_tol(m.error_rate, 25, EXACT);
    ck_assert_double_eq_tol(m.average_duration, 4, EXACT);
    ck_assert_double_eq_tol(m.average_wait, 0.5, EXACT);
    ck_assert_int_eq(m.sample_size, 4);
    ck_assert_double_eq_tol(m.p50_duration, 2, 0.2);
    ck_assert_double_eq_tol(m.p95_duration, 10, 1);
}
END_TEST

START_TEST(metrics_without_data)
{
    struct metrics_bucket bucket = {0};
    struct metrics m = {.throughput = 5};

    ck_assert(metrics_bucket_is_empty(&bucket));
    metrics_from_bucket(&bucket, 3600000, &m);
    ck_assert_double_eq(m.throughput, 0);
    ck_assert_double_eq(m.success_rate, 100);
    ck_assert_double_eq(m.error_rate, 0);
    ck_assert_double_eq(m.average_duration, 0);
    ck_assert_double_eq(m.p50_duration, 0);
    ck_assert_double_eq(m.p95_duration, 0);
    ck_assert_double_eq(m.average_wait, 0);
    ck_assert_int_eq(m.sample_size, 0);

    /* Cancelled and repeated ones are no sample either. */
    bucket.cancelled = 4;
    bucket.retried = 4;
    metrics_from_bucket(&bucket, 3600000, &m);
    ck_assert_double_eq(m.success_rate, 100);
    ck_assert_double_eq(m.throughput, 0);
    ck_assert_int_eq(m.sample_size, 0);
}
END_TEST

START_TEST(metrics_add_up)
{
    struct metrics_bucket sum = {
        .completed = 1,
        .failed = 2,
        .cancelled = 3,
        .retried = 4,
        .successes = 5,
        .errors = 6,
        .duration_sum_ms = 7,
        .started = 8,
        .wait_sum_ms = 9,
        .arrived = 10,
        .queue_max = 11,
        .cost = {0.5, "USD"},
        .durations = {10},
        .waits = {20},
    };
    struct metrics_bucket other = {
        .completed = 100,
        .failed = 200,
        .cancelled = 300,
        .retried = 400,
        .successes = 500,
        .errors = 600,
        .duration_sum_ms = 700,
        .started = 800,
        .wait_sum_ms = 900,
        .arrived = 1000,
        .queue_max = 1100,
        .cost = {0.25, "USD"},
        .durations = {1000},
        .waits = {2000},
    };
    static const size_t not_empty[] = {
        offsetof(struct metrics_bucket, completed), offsetof(struct metrics_bucket, failed),
        offsetof(struct metrics_bucket, cancelled), offsetof(struct metrics_bucket, retried),
        offsetof(struct metrics_bucket, successes), offsetof(struct metrics_bucket, errors),
        offsetof(struct metrics_bucket, started),   offsetof(struct metrics_bucket, arrived),
        offsetof(struct metrics_bucket, queue_max),
    };

    sum.durations[METRICS_BINS - 1] = 1;
    other.durations[METRICS_BINS - 1] = 2;
    other.durations[77] = 5;
    metrics_bucket_add(&sum, &other);
    ck_assert_int_eq(sum.completed, 101);
    ck_assert_int_eq(sum.failed, 202);
    ck_assert_int_eq(sum.cancelled, 303);
    ck_assert_int_eq(sum.retried, 404);
    ck_assert_int_eq(sum.successes, 505);
    ck_assert_int_eq(sum.errors, 606);
    ck_assert_int_eq(sum.duration_sum_ms, 707);
    ck_assert_int_eq(sum.started, 808);
    ck_assert_int_eq(sum.wait_sum_ms, 909);
    ck_assert_int_eq(sum.arrived, 1010);
    ck_assert_int_eq(sum.queue_max, 1100); /* the most at once, not a sum */
    ck_assert_uint_eq(sum.waits[0], 2020);
    ck_assert_double_eq(sum.cost.amount, 0.75);
    metrics_cost_add(&sum.cost, &(struct metrics_cost){9, "EUR"});
    ck_assert_double_eq(sum.cost.amount, 0.75);
    ck_assert_str_eq(sum.cost.currency, "USD");
    ck_assert_uint_eq(sum.durations[0], 1010);
    ck_assert_uint_eq(sum.durations[77], 5);
    ck_assert_uint_eq(sum.durations[METRICS_BINS - 1], 3);
    ck_assert_int_eq(other.completed, 100);
    for (size_t i = 0; i < ARRAY_SIZE(not_empty); i++) {
        struct metrics_bucket one = {0};
        int64_t value = 1;

        memcpy((char *)&one + not_empty[i], &value, sizeof(value));
        ck_assert(!metrics_bucket_is_empty(&one));
    }
}
END_TEST

static int compare_durations(const void *left, const void *right)
{
    int64_t a, b;

    memcpy(&a, left, sizeof(a));
    memcpy(&b, right, sizeof(b));
    return (a > b) - (a < b);
}

/* One draw from the distribution of this number, in ms. */
static int64_t draw(int distribution)
{
    double u = random_fraction();

    switch (distribution) {
    case 0: /* all the same */
        return 4321;
    case 1: /* uniform to 10 s */
        return 1 + (int64_t)random_below(10000);
    case 2: /* exponential, 30 s */
        return 1 + (int64_t)(-30000 * log(u));
    case 3: /* two kinds of work */
        return u < 0.7 ? 200 + (int64_t)random_below(50) : 3600000 + (int64_t)random_below(600000);
    case 4: /* a long tail */
        return (int64_t)(100 / pow(u, 1.2));
    default: /* short ones */
        return 1 + (int64_t)random_below(20);
    }
}

START_TEST(metrics_percentiles)
{
    static const int sizes[] = {1, 2, 3, 20, 21, 100, 5000};
    static int64_t sample[5000];

    chance = (uint64_t)_i + 1;
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        struct metrics_bucket bucket = {0};
        int n = sizes[s];
        int64_t p50, p95;
        struct metrics m;

        for (int i = 0; i < n; i++) {
            sample[i] = draw(_i);
            metrics_bucket_add_attempt(&bucket, random_below(2), sample[i]);
        }
        qsort(sample, (size_t)n, sizeof(*sample), compare_durations);
        /* The nearest rank: the smallest that is not less than that share of the sample. */
        p50 = sample[(n * 50 + 99) / 100 - 1];
        p95 = sample[(n * 95 + 99) / 100 - 1];
        metrics_from_bucket(&bucket, 60000, &m);
        ck_assert_int_eq(m.sample_size, n);
        ck_assert_double_eq_tol(m.p50_duration, (double)p50 / 1000, (double)p50 / 10000);
        ck_assert_double_eq_tol(m.p95_duration, (double)p95 / 1000, (double)p95 / 10000);
    }
}
END_TEST

START_TEST(metrics_take_extreme_durations)
{
    struct metrics_bucket bucket = {0};
    int64_t seen = 0;

    metrics_bucket_add_attempt(&bucket, true, 0);
    metrics_bucket_add_attempt(&bucket, true, -5);
    metrics_bucket_add_attempt(&bucket, true, 1);
    ck_assert_uint_eq(bucket.durations[0], 3);
    metrics_bucket_add_attempt(&bucket, true, 2);
    ck_assert_uint_eq(bucket.durations[3], 1); /* each bin holds its upper edge */
    metrics_bucket_add_attempt(&bucket, true, 1024);
    ck_assert_uint_eq(bucket.durations[39], 1);
    metrics_bucket_add_attempt(&bucket, true, 1025);
    ck_assert_uint_eq(bucket.durations[40], 1);
    metrics_bucket_add_attempt(&bucket, false, INT64_C(1) << 34);
    metrics_bucket_add_attempt(&bucket, false, INT64_C(1) << 50);
    ck_assert_uint_eq(bucket.durations[METRICS_BINS - 1], 2);
    for (size_t i = 0; i < METRICS_BINS; i++)
        seen += bucket.durations[i];
    ck_assert_int_eq(seen, 8);
}
END_TEST

/* What takes as long as an edge says is counted below it, what takes longer is not. */
START_TEST(metrics_edges_are_exact)
{
    for (size_t edge = 7; edge < METRICS_BINS - 1; edge += 8) {
        struct metrics_bucket bucket = {0};
        int64_t ms = INT64_C(1) << ((edge + 1) / 4);

        ck_assert_double_eq(metrics_bin_edge(edge), (double)ms / 1000);
        metrics_bucket_add_attempt(&bucket, true, ms);
        metrics_bucket_add_start(&bucket, ms + 1);
        ck_assert_uint_eq(bucket.durations[edge], 1);
        for (size_t i = 0; i <= edge; i++)
            ck_assert_uint_eq(bucket.waits[i], 0);
    }
}
END_TEST

START_TEST(metrics_waits_hand_computed)
{
    struct metrics_bucket bucket = {0};
    struct metrics m;

    for (int64_t i = 1; i <= 20; i++)
        metrics_bucket_add_start(&bucket, 1000 * i);
    metrics_from_bucket(&bucket, METRICS_HOUR, &m);
    ck_assert_double_eq_tol(m.average_wait, 10.5, EXACT);
    ck_assert_double_eq_tol(m.p50_wait, 10, 10 * 0.09);
    ck_assert_double_eq_tol(m.p95_wait, 19, 19 * 0.09);
}
END_TEST

START_TEST(metrics_ranges_end_with_the_present)
{
    const int64_t now = INT64_C(1795357930125); /* 2026-11-22T14:32:10.125Z */
    static const struct {
        const char *name;
        int64_t span, start; /* minutes */
    } rows[] = {
        {"1h", 1, 14 * 60 + 33 - 60},
        {"24h", 15, 14 * 60 + 45 - 24 * 60},
        {"7d", 60, 15 * 60 - 7 * 24 * 60},
    };
    const int64_t midnight = now - now % (24 * METRICS_HOUR);

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct metrics_range *range = metrics_range_find(rows[i].name);

        ck_assert_str_eq(range->name, rows[i].name);
        ck_assert_str_eq(range->name, metrics_range_names[i]);
        ck_assert_int_eq(range->span, rows[i].span * METRICS_MINUTE);
        ck_assert_int_eq(metrics_range_start(range, now),
                         midnight + rows[i].start * METRICS_MINUTE);
        /* A moment on an edge belongs to the bucket that it begins. */
        ck_assert_int_eq(metrics_range_start(range, midnight) + metrics_range_ms(range),
                         midnight + range->span);
    }
    ck_assert_str_eq(metrics_range_find(NULL)->name, "1h");
}
END_TEST

START_TEST(metrics_peak_of_a_minute)
{
    struct metrics_peak peak = {0};

    ck_assert(!metrics_peak_note(&peak, 7, 0, 0));
    ck_assert(metrics_peak_note(&peak, 7, 0, 3));
    ck_assert(!metrics_peak_note(&peak, 7, 3, 3));
    ck_assert(!metrics_peak_note(&peak, 7, 3, 1));
    ck_assert(metrics_peak_note(&peak, 7, 1, 5));
    ck_assert_int_eq(peak.size, 5);
    /* What stood when the minute began counts, even if it is gone at once. */
    ck_assert(metrics_peak_note(&peak, 8, 5, 0));
    ck_assert_int_eq(peak.size, 5);
    ck_assert(!metrics_peak_note(&peak, 8, 0, 4));
    ck_assert(!metrics_peak_note(&peak, 9, 0, 0));
}
END_TEST

/* Capacity */

/* B(k) and C(k) as fractions, worked out by hand from the sums of a^i / i!. */
START_TEST(capacity_of_the_tables)
{
    static const struct {
        double offered;
        int64_t slots;
        double b, c;
    } rows[] = {
        {1, 1, 1.0 / 2, 1},
        {1, 2, 1.0 / 5, 1.0 / 3},
        {2, 3, 4.0 / 19, 4.0 / 9},
        {4, 5, 0.199066874027994, 128.0 / 231},
        {8, 10, 0.121661064252952, 0.409180150796443},
        {90, 100, 0.0269573804, 0.2169404809},
        {0, 3, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        ck_assert_double_eq_tol(capacity_erlang_b(rows[i].offered, rows[i].slots), rows[i].b,
                                1e-10);
        ck_assert_double_eq_tol(capacity_erlang_c(rows[i].offered, rows[i].slots), rows[i].c,
                                1e-10);
    }
    /* Two slots, 1 Erlang, 30 s a task: W = 1/3 * 30 / (2 - 1). */
    ck_assert_double_eq_tol(capacity_wait(1, 30, 2), 10, 1e-12);
    /* Three slots, 2 Erlangs, 9 s a task: W = 4/9 * 9 / 1. */
    ck_assert_double_eq_tol(capacity_wait(2, 9, 3), 4, 1e-12);
}
END_TEST

/* With one slot it is M/M/1: C = rho, W = rho / (1 - rho) * duration. */
START_TEST(capacity_of_one_slot)
{
    for (int i = 0; i < 100; i++) {
        double rho = i / 100.0;

        ck_assert_double_eq_tol(capacity_erlang_c(rho, 1), rho, 1e-12);
        ck_assert_double_eq_tol(capacity_wait(rho, 7, 1), rho / (1 - rho) * 7, 1e-9);
    }
}
END_TEST

START_TEST(capacity_at_its_limits)
{
    double wait;

    ck_assert_double_eq(capacity_wait(0, 5, 1), 0);
    ck_assert_double_eq(capacity_erlang_c(3, 3), 1);
    ck_assert_double_eq(capacity_erlang_c(30, 3), 1);
    ck_assert(isinf(capacity_wait(3, 5, 3)));
    ck_assert(isinf(capacity_wait(3.5, 5, 3)));
    ck_assert_double_gt(capacity_wait(2.999999, 5, 3), 1e6);
    /* A million slots: nothing overflows, and heavy traffic is as the normal approximation says. */
    wait = capacity_wait(999000, 60, CAPACITY_SLOTS_MAX);
    ck_assert_double_eq_tol(wait, 0.22330339 * 60 / 1000, 1e-7);
    ck_assert_double_eq(capacity_wait(1, 60, CAPACITY_SLOTS_MAX), 0);
    ck_assert(isinf(capacity_wait(1e300, 60, CAPACITY_SLOTS_MAX)));
}
END_TEST

START_TEST(capacity_recommends_the_least_that_suffices)
{
    static const double loads[] = {0.01, 0.5, 1, 2, 7.3, 90, 1000.5};
    static const double targets[] = {0.001, 1, 60, 3600};

    ck_assert_int_eq(capacity_slots(0, 10, 60), 1);
    ck_assert_int_eq(capacity_slots(0, 0, 60), 1);
    /* 1 Erlang of 30 s: one slot never suffices, two wait for 10 s, three for 30/22. */
    ck_assert_int_eq(capacity_slots(1, 30, 60), 2);
    ck_assert_int_eq(capacity_slots(1, 30, 10.0001), 2);
    ck_assert_int_eq(capacity_slots(1, 30, 9.9999), 3);
    ck_assert_int_eq(capacity_slots(1, 30, 30.0 / 22 + 1e-9), 3);
    ck_assert_int_eq(capacity_slots(1, 30, 30.0 / 22 - 1e-9), 4);
    for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(targets); j++) {
            int64_t slots = capacity_slots(loads[i], 45, targets[j]);

            ck_assert_double_le(capacity_wait(loads[i], 45, slots), targets[j]);
            if (slots > 1)
                ck_assert_double_gt(capacity_wait(loads[i], 45, slots - 1), targets[j]);
        }
    }
    ck_assert_int_eq(capacity_slots(CAPACITY_SLOTS_MAX, 45, 60), 0);
    ck_assert_int_eq(capacity_slots(1e300, 45, 60), 0);
    ck_assert_int_eq(capacity_slots(999999.9, 1e6, 0.001), 0);
    ck_assert_int_le(capacity_slots(999000, 60, 60), CAPACITY_SLOTS_MAX);
}
END_TEST

/* Anomalies */

static bool is_unusual(const struct anomaly_charts *charts, enum anomaly_metric metric)
{
    struct anomaly anomaly;

    return anomaly_find(charts, metric, &anomaly);
}

/* Thirty attempts of 1 s, then k of 2 s. In units of ln 2 above ln 1000: z = 1 - 0.8^k, the mean is
 * p = k / (30 + k), the limit lies 4/3 sqrt(p (1 - p)) above it, but at least ln 1.5 / ln 2 =
 * 0.585. The first k at which z is beyond is 7: 0.7903 > 0.1892 + 0.585; the last is 15: 0.9648 >
 * 0.3333 + 0.6285, and 0.9719 < 0.3478 + 0.6350. By then it is the usual. */
START_TEST(anomaly_hand_computed)
{
    struct anomaly_charts charts = {0};
    struct anomaly anomaly;

    for (int i = 0; i < 30; i++)
        anomaly_add_attempt(&charts, true, 1000);
    for (int k = 1; k <= 40; k++) {
        anomaly_add_attempt(&charts, true, 2000);
        ck_assert_int_eq(is_unusual(&charts, ANOMALY_DURATION), k >= 7 && k <= 15);
        if (k != 7)
            continue;
        ck_assert(anomaly_find(&charts, ANOMALY_DURATION, &anomaly));
        ck_assert_str_eq(anomaly.metric, "duration");
        ck_assert(anomaly.is_high);
        ck_assert_double_eq_tol(anomaly.value, exp2(1 - pow(0.8, 7)), 1e-12);
        ck_assert_double_eq_tol(anomaly.usual, exp2(7.0 / 37), 1e-12);
        ck_assert_double_eq_tol(anomaly.limit, 1.5 * exp2(7.0 / 37), 1e-12);
        ck_assert_str_eq(anomaly.text, "attempts take 1.73 s lately, usually 1.14 s: above the "
                                       "limit of 1.71 s");
    }
    ck_assert(!is_unusual(&charts, ANOMALY_FAILURES));
}
END_TEST

/* A hundred that succeed, then failures: the third makes z = 0.271, the mean 1 - 0.99^3 = 0.0297
 * and its distance the least, 0.2. */
START_TEST(anomaly_of_failures_hand_computed)
{
    struct anomaly_charts charts = {0};
    struct anomaly anomaly;

    for (int i = 0; i < 100; i++)
        anomaly_add_attempt(&charts, true, 1000);
    for (int k = 1; k <= 3; k++) {
        ck_assert(!is_unusual(&charts, ANOMALY_FAILURES));
        anomaly_add_attempt(&charts, false, 1000);
    }
    ck_assert(anomaly_find(&charts, ANOMALY_FAILURES, &anomaly));
    ck_assert(anomaly.is_high);
    ck_assert_double_eq_tol(anomaly.value, 27.1, 1e-12);
    ck_assert_double_eq_tol(anomaly.usual, 2.9701, 1e-12);
    ck_assert_double_eq_tol(anomaly.limit, 22.9701, 1e-12);
    ck_assert_str_eq(anomaly.text,
                     "attempts that fail are 27.1 % lately, usually 2.97 %: above the "
                     "limit of 23.0 %");
    /* And back: what mostly failed and now succeeds is unusual too. */
    for (int i = 0; i < 400; i++)
        anomaly_add_attempt(&charts, false, 1000);
    ck_assert(!is_unusual(&charts, ANOMALY_FAILURES));
    for (int i = 0; i < 3; i++)
        anomaly_add_attempt(&charts, true, 1000);
    ck_assert(anomaly_find(&charts, ANOMALY_FAILURES, &anomaly));
    ck_assert(!anomaly.is_high);
    ck_assert_double_lt(anomaly.value, anomaly.limit);
    ck_assert_double_lt(anomaly.limit, anomaly.usual);
}
END_TEST

START_TEST(anomaly_needs_a_baseline)
{
    struct anomaly_charts charts = {0};

    for (int i = 0; i < 30; i++) {
        for (int metric = 0; metric < ANOMALY_METRIC_COUNT; metric++) {
            ck_assert(!is_unusual(&charts, (enum anomaly_metric)metric));
            anomaly_add(&charts, (enum anomaly_metric)metric, i < 25 ? 0 : 1e9);
        }
    }
    for (int metric = 0; metric < ANOMALY_METRIC_COUNT; metric++)
        ck_assert(!is_unusual(&charts, (enum anomaly_metric)metric));
}
END_TEST

START_TEST(anomaly_ignores_a_few_arrivals)
{
    for (int arrived = 1; arrived <= 9; arrived++) {
        struct anomaly_charts charts = {0};

        for (int i = 0; i < 60; i++)
            anomaly_add(&charts, ANOMALY_ARRIVALS, 0);
        anomaly_add(&charts, ANOMALY_ARRIVALS, arrived);
        ck_assert(!is_unusual(&charts, ANOMALY_ARRIVALS));
    }
}
END_TEST

static double random_normal(void)
{
    return sqrt(-2 * log(random_fraction())) * cos(2 * M_PI * random_fraction());
}

static double random_poisson(double mean)
{
    double product = random_fraction();
    int count = 0;

    for (; product > exp(-mean); count++)
        product *= random_fraction();
    return count;
}

/* One figure that follows its usual law, `scale` times as much when it is shifted. */
static double random_figure(enum anomaly_metric metric, double law, double scale)
{
    switch (metric) {
    case ANOMALY_DURATION:
        return 8 + log(scale) + law * random_normal();
    case ANOMALY_FAILURES:
        return random_fraction() < law * scale;
    case ANOMALY_ARRIVALS:
        return random_poisson(law * scale);
    case ANOMALY_METRIC_COUNT:
        break;
    }
    return 0;
}

static const struct {
    enum anomaly_metric metric;
    double law, shift; /* sigma of the logarithm, probability, mean a minute */
} anomaly_laws[] = {
    {ANOMALY_DURATION, 0.1, 3},   {ANOMALY_DURATION, 0.5, 4},  {ANOMALY_DURATION, 0.1, 0.3},
    {ANOMALY_FAILURES, 0.01, 60}, {ANOMALY_FAILURES, 0.1, 8},  {ANOMALY_ARRIVALS, 0.05, 100},
    {ANOMALY_ARRIVALS, 1, 6},     {ANOMALY_ARRIVALS, 10, 2.5}, {ANOMALY_ARRIVALS, 10, 0.1},
};

/* Of all moments at which nothing is unusual, less than one in a thousand says otherwise. */
START_TEST(anomaly_seldom_cries_wolf)
{
    const int runs = 20, length = 1000;

    for (size_t i = 0; i < ARRAY_SIZE(anomaly_laws); i++) {
        enum anomaly_metric metric = anomaly_laws[i].metric;
        int alarms = 0;

        chance = 7 + i;
        for (int run = 0; run < runs; run++) {
            struct anomaly_charts charts = {0};

            for (int n = 0; n < length; n++) {
                anomaly_add(&charts, metric, random_figure(metric, anomaly_laws[i].law, 1));
                alarms += is_unusual(&charts, metric);
            }
        }
        ck_assert_int_lt(alarms, runs * length / 1000);
    }
}
END_TEST

START_TEST(anomaly_finds_a_shift_and_gets_used_to_it)
{
    for (size_t i = 0; i < ARRAY_SIZE(anomaly_laws); i++) {
        enum anomaly_metric metric = anomaly_laws[i].metric;
        double law = anomaly_laws[i].law, shift = anomaly_laws[i].shift;

        chance = 7 + i;
        for (int run = 0; run < 20; run++) {
            struct anomaly_charts charts = {0};
            struct anomaly anomaly;
            int after = 0;

            for (int n = 0; n < 300; n++)
                anomaly_add(&charts, metric, random_figure(metric, law, 1));
            while (!anomaly_find(&charts, metric, &anomaly) && after++ < 25)
                anomaly_add(&charts, metric, random_figure(metric, law, shift));
            ck_assert_int_le(after, 25);
            ck_assert_int_eq(anomaly.is_high, shift > 1);
            for (int n = 0; n < 1000; n++)
                anomaly_add(&charts, metric, random_figure(metric, law, shift));
            ck_assert(!is_unusual(&charts, metric));
        }
    }
}
END_TEST

static void parses_to(const char *text, size_t bin, uint32_t count, size_t other_bin,
                      uint32_t other_count)
{
    struct metrics_bucket bucket = {0};

    metrics_histogram_parse(bucket.durations, text);
    for (size_t i = 0; i < METRICS_BINS; i++)
        ck_assert_msg(bucket.durations[i] ==
                          (i == bin ? count : 0) + (i == other_bin ? other_count : 0),
                      "\"%s\": bin %zu has %u", text, i, bucket.durations[i]);
}

START_TEST(metrics_histogram_text)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    struct metrics_bucket bucket = {0}, back;

    metrics_histogram_print(bucket.durations, &text);
    ck_assert_str_eq(buf_text(&text), "");
    bucket.durations[0] = 1;
    bucket.durations[17] = 4000000000;
    bucket.durations[METRICS_BINS - 1] = 12;
    metrics_histogram_print(bucket.durations, &text);
    ck_assert_str_eq(buf_text(&text), "0:1 17:4000000000 135:12");

    chance = 5;
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < METRICS_BINS; i++)
            bucket.durations[i] = random_below(3) ? 0 : (uint32_t)random_below(UINT32_MAX);
        buf_clear(&text);
        metrics_histogram_print(bucket.durations, &text);
        memset(&back, 0, sizeof(back));
        metrics_histogram_parse(back.durations, buf_text(&text));
        ck_assert_mem_eq(back.durations, bucket.durations, sizeof(bucket.durations));
    }

    parses_to("", 0, 0, 0, 0);
    parses_to("3:1 4:2", 3, 1, 4, 2);
    parses_to("3:1   4:2  ", 3, 1, 4, 2);
    parses_to("3:1 3:2", 3, 3, 0, 0);
    parses_to("136:7 3:1", 3, 1, 0, 0); /* a bin of some other version */
    parses_to("99999999999999999999999:7 3:1", 3, 1, 0, 0);
    parses_to("3:1 x 4:2", 3, 1, 0, 0);
    parses_to("3:1 4", 3, 1, 0, 0);
    parses_to("3:1 4:", 3, 1, 0, 0);
    parses_to("3:1 :2", 3, 1, 0, 0);
    parses_to("3:1,4:2", 3, 1, 0, 0);
    parses_to("junk", 0, 0, 0, 0);
    parses_to(":", 0, 0, 0, 0);
    parses_to(" ", 0, 0, 0, 0);
}
END_TEST

static void add_sample(struct metrics_window *window, bool success, int64_t duration_ms)
{
    metrics_window_add(window,
                       &(struct metrics_sample){.duration_ms = duration_ms, .success = success});
}

START_TEST(window_wraps)
{
    struct metrics_window window = {0};

    add_sample(&window, true, 1000); /* into no room */
    ck_assert_uint_eq(window.count, 0);
    ck_assert_double_eq(metrics_window_average(&window), 0);
    metrics_window_resize(&window, 3);
    ck_assert_double_eq(metrics_window_average(&window), 0);
    add_sample(&window, true, 1000);
    add_sample(&window, false, 2000);
    ck_assert_uint_eq(window.count, 2);
    ck_assert_uint_eq(window.successes, 1);
    ck_assert_uint_eq(window.errors_in_a_row, 1);
    ck_assert_double_eq(metrics_window_average(&window), 1.5);
    add_sample(&window, false, 6000);
    ck_assert_uint_eq(window.errors_in_a_row, 2);
    ck_assert_double_eq(metrics_window_average(&window), 3);
    add_sample(&window, false, 7000); /* the first one goes */
    ck_assert_uint_eq(window.count, 3);
    ck_assert_uint_eq(window.successes, 0);
    ck_assert_uint_eq(window.errors_in_a_row, 3);
    ck_assert_double_eq(metrics_window_average(&window), 5);
    add_sample(&window, false, 8000);
    ck_assert_uint_eq(window.errors_in_a_row, 4); /* more than the window holds */
    add_sample(&window, true, 0);
    ck_assert_uint_eq(window.errors_in_a_row, 0);
    ck_assert_uint_eq(window.successes, 1);
    ck_assert_double_eq(metrics_window_average(&window), 5);
    metrics_window_deinit(&window);
    ck_assert_uint_eq(window.capacity, 0);
}
END_TEST

START_TEST(window_percentiles)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};

    metrics_window_resize(&window, 20);
    ck_assert_int_eq(metrics_window_percentile(&window, 0.95), 0);
    for (int i = 0; i < 30; i++) /* 10 to 29 stay, in another order */
        add_sample(&window, true, 10 + (i * 7 + 3) % 20);
    ck_assert_int_eq(metrics_window_at(&window, 0)->duration_ms, 10 + (29 * 7 + 3) % 20);
    ck_assert_int_eq(metrics_window_at(&window, 19)->duration_ms, 10 + (10 * 7 + 3) % 20);
    ck_assert_int_eq(metrics_window_percentile(&window, 0.95), 28); /* the 19th of twenty */
    ck_assert_int_eq(metrics_window_percentile(&window, 0.5), 19);
    ck_assert_int_eq(metrics_window_percentile(&window, 1), 29);
    ck_assert_int_eq(metrics_window_percentile(&window, 0), 10);
}
END_TEST

/* The samples from the oldest, as durations in ms; negative when they failed. */
static void window_expect(const struct metrics_window *window, const int *expected, size_t count)
{
    size_t start = window->count == window->capacity ? window->next : 0, successes = 0;
    int64_t sum = 0;

    ck_assert_uint_eq(window->count, count);
    for (size_t i = 0; i < count; i++) {
        const struct metrics_sample *sample = &window->samples[(start + i) % window->capacity];

        ck_assert_int_eq(sample->duration_ms, abs(expected[i]));
        ck_assert(sample->success == (expected[i] > 0));
        successes += sample->success;
        sum += sample->duration_ms;
    }
    ck_assert_uint_eq(window->successes, successes);
    ck_assert_int_eq(window->duration_sum_ms, sum);
}

#define EXPECT_WINDOW(window, ...)                                                                 \
    window_expect((window), (const int[]){__VA_ARGS__}, ARRAY_SIZE(((const int[]){__VA_ARGS__})))

START_TEST(window_resizes)
{
    struct metrics_window window = {0};

    metrics_window_resize(&window, 5);
    for (int i = 1; i <= 7; i++)
        add_sample(&window, i % 2, i);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7);
    metrics_window_resize(&window, 5);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7);
    metrics_window_resize(&window, 8);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7);
    add_sample(&window, false, 8);
    add_sample(&window, false, 10);
    EXPECT_WINDOW(&window, 3, -4, 5, -6, 7, -8, -10);
    metrics_window_resize(&window, 3);
    EXPECT_WINDOW(&window, 7, -8, -10);
    ck_assert_uint_eq(window.errors_in_a_row, 2);
    add_sample(&window, true, 11);
    EXPECT_WINDOW(&window, -8, -10, 11);
    metrics_window_resize(&window, 2);
    metrics_window_resize(&window, 4);
    add_sample(&window, false, 12);
    EXPECT_WINDOW(&window, -10, 11, -12);
    ck_assert_uint_eq(window.errors_in_a_row, 1);
    metrics_window_resize(&window, 0);
    ck_assert_uint_eq(window.count, 0);
    ck_assert_double_eq(metrics_window_average(&window), 0);
    add_sample(&window, true, 1);
    ck_assert_uint_eq(window.count, 0);
    metrics_window_deinit(&window);
}
END_TEST

/* Cooldown */

static void end_of(struct cooldown *cooldown, enum error_class class, const char *message,
                   int64_t started, bool is_probe, int64_t now)
{
    const struct cooldown_end end = {
        .class = class,
        .message = message,
        .task_id = started,
        .started = started,
        .ended = now,
        .is_probe = is_probe,
    };

    cooldown_note(cooldown, &end, 100, 350);
}

static void cool(struct cooldown *cooldown, int64_t started, bool is_probe, int64_t now)
{
    end_of(cooldown, ERROR_RATE_LIMIT, "slow down", started, is_probe, now);
}

START_TEST(cooldown_doubles_with_each_probe_that_fails)
{
    struct cooldown cooldown = {0};

    ck_assert(!cooldown_blocks(&cooldown, 0));
    cool(&cooldown, 10, false, 20);
    ck_assert(cooldown_blocks(&cooldown, 119));
    ck_assert(!cooldown_blocks(&cooldown, 120));
    ck_assert_str_eq(cooldown.reason, "rate_limit: slow down");
    cooldown.is_probing = true;
    ck_assert_msg(cooldown_blocks(&cooldown, 130), "one probe at a time");
    cool(&cooldown, 130, true, 140);
    ck_assert(cooldown_blocks(&cooldown, 339));
    ck_assert(!cooldown_blocks(&cooldown, 340));
    cool(&cooldown, 340, true, 350);
    ck_assert_int_eq(cooldown.length, 350);
    end_of(&cooldown, ERROR_NONE, NULL, 700, true, 710);
    ck_assert(!cooldown_blocks(&cooldown, 711));
    cool(&cooldown, 720, false, 730);
    ck_assert_int_eq(cooldown.length, 100);
}
END_TEST

START_TEST(cooldown_counts_attempts_that_ran_together_once)
{
    struct cooldown cooldown = {0};

    cool(&cooldown, 10, false, 20);
    cool(&cooldown, 11, false, 21);
    cool(&cooldown, 12, false, 90);
    ck_assert_int_eq(cooldown.length, 100);
    ck_assert_int_eq(cooldown.until, 120);
}
END_TEST

START_TEST(cooldown_of_attempts_that_ran_together_takes_the_longest_wait)
{
    struct cooldown cooldown = {0};
    struct cooldown_end end = {
        .class = ERROR_RATE_LIMIT, .started = 10, .ended = 20, .retry_after_ms = 30};

    cooldown_note(&cooldown, &end, 100, 350);
    end.ended = 25;
    end.retry_after_ms = 200;
    cooldown_note(&cooldown, &end, 100, 350);
    ck_assert_int_eq(cooldown.until, 225);
    ck_assert_int_eq(cooldown.length, 200);
    end.retry_after_ms = 40;
    cooldown_note(&cooldown, &end, 100, 350);
    ck_assert_int_eq(cooldown.until, 225);
    end.retry_after_ms = 1000000;
    cooldown_note(&cooldown, &end, 100, 350);
    ck_assert_int_eq(cooldown.until, 25 + 350);
}
END_TEST

START_TEST(cooldown_learns_nothing_from_a_cancelled_probe)
{
    struct cooldown cooldown = {0};

    cool(&cooldown, 10, false, 20);
    cooldown.is_probing = true;
    end_of(&cooldown, ERROR_CANCELLED, NULL, 120, true, 130);
    ck_assert(!cooldown.is_probing);
    ck_assert_int_eq(cooldown.length, 100);
    end_of(&cooldown, ERROR_EXIT, "exited with status 1", 140, true, 150);
    ck_assert_int_eq(cooldown.length, 0);
}
END_TEST

START_TEST(cooldown_lasts_as_long_as_the_provider_says)
{
    struct cooldown cooldown = {0};
    struct cooldown_end end = {
        .class = ERROR_RATE_LIMIT, .task_id = 7, .started = 10, .ended = 20, .retry_after_ms = 30};

    cooldown_note(&cooldown, &end, 100, 350);
    ck_assert_int_eq(cooldown.until, 50);
    ck_assert_int_eq(cooldown.task_id, 7);
    end = (struct cooldown_end){
        .class = ERROR_RATE_LIMIT, .started = 50, .ended = 60, .retry_after_ms = 1000000};
    cooldown_note(&cooldown, &end, 100, 350);
    ck_assert_int_eq(cooldown.until, 60 + 350); /* the owner's bound holds */
}
END_TEST

START_TEST(cooldown_is_the_reason_of_health)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");

    cool(&profile->cooldown, 10, false, 20);
    profile_update_health(profile, &limits, 0);
    ck_assert_int_eq(profile->health, HEALTH_DEGRADED);
    ck_assert_str_eq(profile->health_reason, "cooling down for 0.1 s after rate_limit: slow down");
    metrics_window_resize(&profile->window, 100);
    for (int i = 0; i < 5; i++)
        add_sample(&profile->window, false, 10);
    profile_update_health(profile, &limits, 0);
    ck_assert_int_eq(profile->health, HEALTH_UNHEALTHY);
    ck_assert_ptr_nonnull(strstr(profile->health_reason, "cooling down"));
}
END_TEST

START_TEST(permissions_by_kind)
{
    struct permissions permissions = permissions_default();
    enum permission_policy policy;
    enum tool_kind kind;

    for (int i = 0; i < TOOL_KIND_COUNT; i++) {
        ck_assert_int_eq(permissions.by_kind[i],
                         i == TOOL_READ ? PERMISSION_ALLOW : PERMISSION_ASK);
        ck_assert_int_eq(tool_kind_parse(tool_kind_name((enum tool_kind)i), &kind), 0);
        ck_assert_int_eq(kind, i);
    }
    ck_assert_int_eq(tool_kind_parse("unheard_of", &kind), -EINVAL);
    ck_assert_int_eq(permission_policy_parse("ask", &policy), 0);
    ck_assert_int_eq(policy, PERMISSION_ASK);
    ck_assert_int_eq(permission_policy_parse("Ask", &policy), -EINVAL);
}
END_TEST

/* Health */

static void health_is(struct profile *profile, enum profile_health health, const char *reason)
{
    profile_update_health(profile, &limits, 0);
    ck_assert_str_eq(profile_health_name(profile->health), profile_health_name(health));
    ck_assert_str_eq(profile->health_reason, reason);
}

/* The health after attempts, '+' or '-' each, the oldest first. */
static void health_after(const char *attempts, enum profile_health health, const char *reason)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");

    profile->health = HEALTH_UNHEALTHY; /* whatever it was before */
    strcpy(profile->health_reason, "old");
    metrics_window_resize(&profile->window, 100);
    for (; *attempts; attempts++)
        add_sample(&profile->window, *attempts == '+', 10);
    health_is(profile, health, reason);
}

START_TEST(health_thresholds)
{
    health_after("", HEALTH_HEALTHY, "");
    health_after("-", HEALTH_HEALTHY, "");
    health_after("--", HEALTH_HEALTHY, "");
    health_after("--++", HEALTH_HEALTHY, ""); /* too few for a rate */
    health_after("---+", HEALTH_HEALTHY, "");
    health_after("---", HEALTH_DEGRADED, "the last 3 attempts failed");
    health_after("----", HEALTH_DEGRADED, "the last 4 attempts failed");
    health_after("-----", HEALTH_UNHEALTHY, "the last 5 attempts failed");
    health_after("++++++++++++++++++++++++++++++++++++++++---", HEALTH_DEGRADED,
                 "the last 3 attempts failed");
    health_after("+++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++-----",
                 HEALTH_UNHEALTHY, "the last 5 attempts failed");
    health_after("+++++", HEALTH_HEALTHY, "");
    health_after("-++++", HEALTH_DEGRADED, "4 of the last 5 attempts succeeded");
    health_after("-+++++++++", HEALTH_HEALTHY, ""); /* nine tenths */
    health_after("--+++++++++++++++++", HEALTH_DEGRADED, "17 of the last 19 attempts succeeded");
    health_after("-----+++++", HEALTH_DEGRADED, "5 of the last 10 attempts succeeded");
    health_after("------++", HEALTH_UNHEALTHY, "2 of the last 8 attempts succeeded");
    /* Three in a row: it is on its way back. */
    health_after("------+++", HEALTH_DEGRADED, "3 of the last 9 attempts succeeded");
    health_after("------+-++", HEALTH_UNHEALTHY, "3 of the last 10 attempts succeeded");
    health_after("++---", HEALTH_UNHEALTHY, "2 of the last 5 attempts succeeded");
    health_after("+++++++---", HEALTH_DEGRADED, "the last 3 attempts failed");
    /* What lies farther back than twenty attempts is past. */
    health_after("----------------------++++++++++++++++++++", HEALTH_HEALTHY, "");
    health_after("----------------------++++++++++++++++++", HEALTH_HEALTHY, "");
    health_after("---------------------+++++++++++++++++", HEALTH_DEGRADED,
                 "17 of the last 20 attempts succeeded");
    health_after("----------+", HEALTH_UNHEALTHY, "1 of the last 11 attempts succeeded");
    ck_assert_str_eq(profile_health_name(HEALTH_HEALTHY), "healthy");
    ck_assert_str_eq(profile_health_name(HEALTH_DEGRADED), "degraded");
    ck_assert_str_eq(profile_health_name(HEALTH_UNHEALTHY), "unhealthy");
}
END_TEST

START_TEST(health_lapses)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run probe;

    metrics_window_resize(&profile->window, 100);
    for (int i = 0; i < 5; i++)
        add_sample(&profile->window, false, 10);
    profile->last_end = 1000;
    profile_update_health(profile, &limits, 300999);
    ck_assert_int_eq(profile->health, HEALTH_UNHEALTHY);
    forecast_begin_run(profile, &probe, 0, 300999); /* while a probe runs nothing has changed */
    profile_update_health(profile, &limits, 301000);
    ck_assert_int_eq(profile->health, HEALTH_UNHEALTHY);
    forecast_end_run(profile, &probe);
    profile_update_health(profile, &limits, 301000);
    ck_assert_int_eq(profile->health, HEALTH_DEGRADED);
    ck_assert_int_eq(profile_slots(profile), 1); /* it is better for the router alone */
    ck_assert_str_eq(profile->health_reason, "the last 5 attempts failed");
    strcpy(profile->seen.missing, "the program \"goose\""); /* that does not pass by itself */
    profile_update_health(profile, &limits, 301000);
    ck_assert_int_eq(profile->health, HEALTH_UNHEALTHY);
}
END_TEST

START_TEST(health_signs)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");

    profile->seen.wait_ms = 3600000;
    health_is(profile, HEALTH_HEALTHY, "");
    profile->seen.wait_ms = 3600001;
    health_is(profile, HEALTH_DEGRADED, "a task has been waiting for 60 min");
    profile->is_active = false; /* as its owner wants it */
    health_is(profile, HEALTH_HEALTHY, "");
    profile->is_active = true;
    profile->seen.wait_ms = 3 * 3600000;
    health_is(profile, HEALTH_DEGRADED, "a task has been waiting for 3.0 h");

    profile->seen.stuck = 1;
    profile->seen.stuck_ms = 95400;
    profile->seen.usual_ms = 12340;
    health_is(profile, HEALTH_DEGRADED,
              "an attempt has been running for 95.4 s; 95 % end within 12.3 s");
    profile->seen.stuck = 3;
    profile->seen.stuck_ms = 600000;
    health_is(profile, HEALTH_DEGRADED,
              "3 attempts run for too long, one for 10 min; 95 % end within 12.3 s");
    profile->seen.stuck = profile->seen.wait_ms = 0;

    profile->seen.has_no_worker = true;
    health_is(profile, HEALTH_DEGRADED, "tasks wait and no worker asks for them");
    strcpy(profile->seen.missing, "the program \"goose\"");
    health_is(profile, HEALTH_UNHEALTHY, "the program \"goose\" is not to be found");
    profile->seen.missing[0] = '\0';
    profile->seen.has_no_worker = false;
    health_is(profile, HEALTH_HEALTHY, "");
}
END_TEST

/* Estimates and forecasts */

static struct estimate estimate_from(const char *type, const int64_t *seconds, size_t count)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct estimate estimate;

    metrics_window_resize(&profile->window, 100);
    for (size_t i = 0; i < count; i++)
        metrics_window_add(&profile->window,
                           &(struct metrics_sample){.type = metrics_type(type),
                                                    .success = true,
                                                    .duration_ms = 1000 * seconds[i]});
    /* Neither what fails nor what is of another type says anything. */
    metrics_window_add(&profile->window, &(struct metrics_sample){.type = metrics_type(type)});
    metrics_window_add(&profile->window, &(struct metrics_sample){.success = true});
    estimate_init(&estimate, &profile->window, metrics_type(type));
    return estimate;
}

START_TEST(estimate_of_one_profile)
{
    struct estimate known = estimate_from("x", (int64_t[]){8, 12}, 2), unknown = {0};
    struct estimate *both[] = {&known, &unknown};

    ck_assert_double_eq(known.count, 2);
    ck_assert_double_eq(known.mean, 10);
    ck_assert_double_eq_tol(known.scatter, 0.08, EXACT); /* 0.2^2 twice */
    estimate_compare(both, 2);
    ck_assert_double_eq_tol(known.seconds, 10, EXACT * 10);
    ck_assert_double_eq_tol(unknown.seconds, 10, EXACT * 10); /* hoped for */
    unknown = (struct estimate){0};
    estimate_compare(both + 1, 1);
    ck_assert_double_eq(unknown.seconds, 60);
    estimate_compare(both, 0);
}
END_TEST

START_TEST(estimates_differ_by_more_than_chance)
{
    struct estimate a = estimate_from("x", (int64_t[]){8, 12}, 2);
    struct estimate b = estimate_from("x", (int64_t[]){16, 24}, 2);
    struct estimate *both[] = {&a, &b};

    /* s^2 = 0.16 / 2; around 15 s: Q = 2 ln(10/15)^2 + 2 ln(20/15)^2 = 0.4943; t^2 = (Q - s^2) / 2
     * = 0.2072; the share t^2 / (t^2 + s^2 / 2) = 0.8382; so 10.68 s and 19.09 s. Then one attempt
     * of 10.68 s more for each. */
    estimate_compare(both, 2);
    ck_assert_double_eq_tol(a.seconds, 10.678198871723305, 1e-12);
    ck_assert_double_eq_tol(b.seconds, 16.286195551824587, 1e-12);
}
END_TEST

START_TEST(estimates_differ_by_chance)
{
    struct estimate a = estimate_from("x", (int64_t[]){5, 15}, 2);
    struct estimate b = estimate_from("x", (int64_t[]){6, 18}, 2);
    struct estimate *both[] = {&a, &b};

    estimate_compare(both, 2); /* 10 s and 12 s, but either may be three times the other */
    ck_assert_double_eq_tol(a.seconds, 11, 1e-12);
    ck_assert_double_eq_tol(b.seconds, 11, 1e-12);
}
END_TEST

/* An attempt that began so many seconds ago, of a forecast for the moment 100 s. */
#define NOW 100000

static void begin_run(struct profile *profile, struct forecast_run *run, const char *type,
                      int64_t seconds_ago)
{
    forecast_begin_run(profile, run, metrics_type(type), NOW - 1000 * seconds_ago);
    profile->slots_used++;
}

static void add_seconds(struct profile *profile, const char *type, int64_t seconds)
{
    if (!profile->window.capacity)
        metrics_window_resize(&profile->window, 100);
    metrics_window_add(&profile->window, &(struct metrics_sample){.type = metrics_type(type),
                                                                  .success = true,
                                                                  .duration_ms = 1000 * seconds});
}

static void waits(struct profile *profile, int64_t position, double seconds)
{
    ck_assert_double_eq_tol(forecast_wait(profile, position, NOW), seconds, 1e-6);
}

START_TEST(forecast_free_slots)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");

    /* Two slots, a minute each as nobody knows better. Between 30 s and 90 s both are expected to
     * start their next one: 2 + 2 (t / 60 - 1/2) = 3 - 1/2. */
    waits(profile, 1, 0);
    waits(profile, 2, 0);
    waits(profile, 3, 45);
    waits(profile, 4, 75);
    waits(profile, 1003, 45 + 500 * 60);
}
END_TEST

START_TEST(forecast_of_equal_durations)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run runs[2];

    profile->config.max_concurrent_tasks = 1;
    add_seconds(profile, "x", 10);
    begin_run(profile, &runs[0], "x", 4);
    for (int position = 1; position <= 1000; position++)
        waits(profile, position, 6 + 10 * (position - 1));

    profile->config.max_concurrent_tasks = 2;
    begin_run(profile, &runs[1], "x", 9);
    waits(profile, 1, 1);
    waits(profile, 2, 6);
    /* And as time goes by. */
    ck_assert_double_eq_tol(forecast_wait(profile, 2, NOW + 500), 5.5, 1e-6);
    waits(profile, 2, 6);
    forecast_end_run(profile, &runs[0]);
    profile->slots_used--;
    waits(profile, 1, 0);
    forecast_end_run(profile, &runs[1]);
}
END_TEST

START_TEST(forecast_of_what_is_left)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run run;

    profile->config.max_concurrent_tasks = 1;
    for (int64_t seconds = 10; seconds <= 40; seconds += 10)
        add_seconds(profile, "x", seconds);
    add_seconds(profile, "y", 480);
    add_seconds(profile, "y", 20);

    /* Those longer than 15 s leave 5, 15 or 25 s. */
    begin_run(profile, &run, "x", 15);
    waits(profile, 1, 15);
    forecast_end_run(profile, &run);
    begin_run(profile, &run, "x", 0);
    waits(profile, 1, 20);
    forecast_end_run(profile, &run);
    /* One that outlasts all, or has no like, is expected to last as long again, and an average one,
     * 100 s, at least. The fourth of eight parts makes one half: the quantile 7/16. */
    begin_run(profile, &run, "x", 41);
    waits(profile, 1, -100 * log(9.0 / 16));
    ck_assert_double_gt(forecast_wait(profile, 1, NOW + 200000), 120);
    forecast_end_run(profile, &run);
    begin_run(profile, &run, "z", 30);
    waits(profile, 1, -100 * log(9.0 / 16));
    forecast_end_run(profile, &run);
}
END_TEST

START_TEST(forecast_of_many_slots)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run *runs = xcalloc(1000, sizeof(*runs));
    double before = 0;

    /* The first of ten ends before an average one does. */
    for (int64_t seconds = 1; seconds <= 100; seconds++)
        add_seconds(profile, "x", seconds);
    profile->config.max_concurrent_tasks = 10;
    for (int i = 0; i < 10; i++)
        begin_run(profile, &runs[i], "x", 0);
    ck_assert_double_lt(forecast_wait(profile, 1, NOW), 15);
    ck_assert_double_gt(forecast_wait(profile, 10, NOW), 40);

    profile->config.max_concurrent_tasks = 1000000;
    waits(profile, 999990, 0);
    ck_assert_double_gt(forecast_wait(profile, 999991, NOW), 0);

    profile->config.max_concurrent_tasks = 1000;
    for (int i = 10; i < 1000; i++)
        begin_run(profile, &runs[i], "x", i % 50);
    for (int position = 1; position <= 3000; position++) {
        double wait = forecast_wait(profile, position, NOW);

        ck_assert_double_ge(wait, before);
        before = wait;
    }
    ck_assert(before > 50 && before < 200); /* three rounds of 50 s, the first one half over */
    for (int i = 0; i < 1000; i++)
        forecast_end_run(profile, &runs[i]);
    free(runs);
}
END_TEST

START_TEST(forecast_without_workers)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run run;

    profile->config.runner.type = RUNNER_WORKER;
    add_seconds(profile, "x", 10);
    waits(profile, 1, 0);
    profile->counts.by_status[TASK_QUEUED] = 1; /* and nobody claims it */
    waits(profile, 1, 10);
    waits(profile, 2, 20);
    begin_run(profile, &run, "x", 7); /* the only worker that is known */
    waits(profile, 1, 3);
    forecast_end_run(profile, &run);
}
END_TEST

START_TEST(forecast_of_a_lowered_limit)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run runs[3];

    add_seconds(profile, "x", 30);
    profile->config.max_concurrent_tasks = 1;
    for (int i = 0; i < 3; i++)
        begin_run(profile, &runs[i], "x", 10 * i);
    waits(profile, 1, 30); /* when the last of the three has ended */
    for (int i = 0; i < 3; i++)
        forecast_end_run(profile, &runs[i]);
}
END_TEST

START_TEST(forecast_of_a_cooldown)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "");
    struct forecast_run run;

    profile->cooldown = (struct cooldown){.length = 20000, .until = NOW + 10000};
    waits(profile, 1, 10); /* the probe */
    waits(profile, 2, 70); /* and the others behind it */

    /* An attempt from before the cooldown makes no room while it lasts. */
    profile->config.max_concurrent_tasks = 1;
    add_seconds(profile, "x", 30);
    begin_run(profile, &run, "x", 29);
    waits(profile, 1, 10);
    profile->cooldown.until = NOW;
    profile->forecast.is_current = false;
    waits(profile, 1, 1);

    /* While the probe runs, nothing else starts. */
    profile->config.max_concurrent_tasks = 2;
    profile->cooldown.is_probing = true;
    forecast_end_run(profile, &run);
    forecast_begin_run(profile, &run, metrics_type("x"), NOW);
    waits(profile, 1, 30);
    forecast_end_run(profile, &run);
}
END_TEST

/* Routing */

static const struct routing_weights weights = {
    .capability = 0.4,
    .load = 0.3,
    .history = 0.2,
    .priority = 0.1,
};

static char *skills[] = {"coding", "testing", "debugging", NULL};

/* The request for the last `n` of the skills. */
static struct router_request request_for(size_t n)
{
    return (struct router_request){.capabilities = skills + (3 - n)};
}

static size_t judge(struct profile *profile, const struct router_request *request,
                    struct router_candidate *ret_candidate)
{
    return router_rank(request, &profile, 1, &weights, ret_candidate);
}

START_TEST(router_rejects)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("dev", "coding debugging");
    const struct router_request two = request_for(2), one = request_for(1), none = {0};
    char *avoided[] = {"dev", "developer", NULL};
    struct router_candidate c;

    ck_assert_uint_eq(judge(profile, &one, &c), 1);
    ck_assert(!c.is_rejected && !c.is_full);
    ck_assert_str_eq(c.reason, "");
    ck_assert_ptr_eq(c.profile, profile);

    ck_assert_uint_eq(judge(profile, &two, &c), 0);
    ck_assert(c.is_rejected && !c.is_full);
    ck_assert_str_eq(c.reason, "it lacks the capability \"testing\"");
    ck_assert_double_eq(c.score, 0);

    profile->counts.by_status[TASK_QUEUED] = 4;
    profile->counts.by_status[TASK_SCHEDULED] = 3;
    profile->counts.by_status[TASK_RUNNING] = 100;
    profile->counts.by_status[TASK_COMPLETED] = 100;
    profile->staged.counts.by_status[TASK_BLOCKED] = 2;
    ck_assert_uint_eq(judge(profile, &none, &c), 1); /* 9 of 10 */
    profile->staged.counts.by_status[TASK_BLOCKED] = 3;
    ck_assert_uint_eq(judge(profile, &none, &c), 0);
    ck_assert(c.is_rejected && c.is_full);
    ck_assert_str_eq(c.reason, "its queue is full");

    /* Avoided, whatever it is capable of. */
    ck_assert_uint_eq(judge(profile, &(struct router_request){.avoid = avoided}, &c), 0);
    ck_assert(c.is_rejected && !c.is_full);
    ck_assert_str_eq(c.reason, "the task avoids it");
    ck_assert_uint_eq(judge(profile, &(struct router_request){.avoid = avoided + 1}, &c), 0);
    ck_assert(c.is_full);

    /* Full is said only when nothing else stands against it. */
    ck_assert_uint_eq(judge(profile, &two, &c), 0);
    ck_assert(!c.is_full);
    profile->is_active = false;
    ck_assert_uint_eq(judge(profile, &two, &c), 0);
    ck_assert(c.is_rejected && !c.is_full);
    ck_assert_str_eq(c.reason, "it is not active");
    profile->staged.is_active = 1; /* by this pass */
    profile->staged.counts.by_status[TASK_BLOCKED] = 0;
    ck_assert_uint_eq(judge(profile, &one, &c), 1);
    profile->is_removed = true;
    ck_assert_uint_eq(judge(profile, &one, &c), 0);
    ck_assert(c.is_rejected && !c.is_full);
    ck_assert_str_eq(c.reason, "it is no longer configured");

    /* Health filters nothing. */
    profile->is_removed = false;
    profile->health = HEALTH_UNHEALTHY;
    ck_assert_uint_eq(judge(profile, &one, &c), 1);
}
END_TEST

static void capability_is(const char *name, const char *offered, char *const *required,
                          double expected)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile(name, offered);
    struct router_candidate c;

    ck_assert_uint_eq(judge(profile, &(struct router_request){required}, &c), 1);
    ck_assert_double_eq_tol(c.terms[TERM_CAPABILITY], expected, EXACT);
}

START_TEST(router_term_capability)
{
    char *coding[] = {"coding", NULL}, *own[] = {"dev", NULL}, *both[] = {"dev", "coding", NULL};

    capability_is("dev", "coding", coding, 1);
    capability_is("dev", "coding testing debugging documentation", coding, 0.25);
    capability_is("dev", "coding testing debugging documentation", skills, 0.75);
    capability_is("dev", "coding testing", NULL, 0);
    capability_is("dev", "", NULL, 0);
    capability_is("dev", "", own, 1);            /* its name is all that it offers */
    capability_is("dev", "a b c", own, 0.25);    /* one more than it lists */
    capability_is("dev", "coding", both, 1);     /* 2 of 2 */
    capability_is("dev", "dev coding", both, 1); /* not counted twice */
    capability_is("dev", "dev a b coding", own, 0.25);
}
END_TEST

START_TEST(router_term_capability_of_what_is_preferred)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("dev", "coding testing");
    char *coding[] = {"coding", NULL}, *some[] = {"testing", "rust", NULL}, *own[] = {"dev", NULL};
    struct router_candidate c;

    /* Wanted: coding, testing, rust; offered: coding, testing. */
    ck_assert_uint_eq(judge(profile, &(struct router_request){.capabilities = coding}, &c), 1);
    ck_assert_double_eq_tol(c.terms[TERM_CAPABILITY], 1.0 / 2, EXACT);
    judge(profile, &(struct router_request){.capabilities = coding, .prefers = some}, &c);
    ck_assert_double_eq_tol(c.terms[TERM_CAPABILITY], 2.0 / 3, EXACT);
    judge(profile, &(struct router_request){.prefers = some}, &c);
    ck_assert_double_eq_tol(c.terms[TERM_CAPABILITY], 1.0 / 3, EXACT);
    /* Its name counts as offered once someone wants it. */
    judge(profile, &(struct router_request){.capabilities = coding, .prefers = own}, &c);
    ck_assert_double_eq_tol(c.terms[TERM_CAPABILITY], 2.0 / 3, EXACT);
    judge(profile, &(struct router_request){.prefers = some + 1}, &c);
    ck_assert_double_eq(c.terms[TERM_CAPABILITY], 0);
}
END_TEST

/* Attempts that have just begun. */
static void begin_runs(struct profile *profile, struct forecast_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        forecast_begin_run(profile, &runs[i], 0, 0);
    profile->slots_used = (int64_t)count;
    profile->counts.by_status[TASK_RUNNING] = (int64_t)count;
}

static void add_typed(struct profile *profile, const char *type, bool success, int64_t duration_ms)
{
    if (!profile->window.capacity)
        metrics_window_resize(&profile->window, 100);
    metrics_window_add(&profile->window, &(struct metrics_sample){.duration_ms = duration_ms,
                                                                  .type = metrics_type(type),
                                                                  .success = success});
    profile->forecast.is_current = false;
}

static double load_among(struct profile *const *profiles, size_t count, const char *type,
                         const struct profile *of)
{
    const struct router_request request = {.type = metrics_type(type)};
    struct router_candidate candidates[4];

    router_rank(&request, profiles, count, &weights, candidates);
    for (size_t i = 0; i < count; i++)
        if (candidates[i].profile == of)
            return candidates[i].terms[TERM_LOAD];
    ck_abort();
    return 0;
}

START_TEST(router_term_load)
{
    CLEANUP(profile_freep) struct profile *idle = make_profile("idle", "");
    CLEANUP(profile_freep) struct profile *busy = make_profile("busy", "");
    struct profile *both[] = {idle, busy};
    struct forecast_run runs[2];
    const double stretch = 1 - 1.25 * log(13.0 / 16); /* the mean, not the median */
    double before, lone;

    /* Without history, idle: as good as can be, with others or alone. */
    ck_assert_double_eq(load_among(both, 2, NULL, idle), 1);
    ck_assert_double_eq(load_among(both, 2, NULL, busy), 1);
    ck_assert_double_eq(load_among(&busy, 1, NULL, busy), 1);

    /* Both of its slots have just been taken, for a minute as far as anybody knows. The second of
     * the eight parts of each makes half a start together: the quantile 3/16. */
    begin_runs(busy, runs, 2);
    ck_assert_double_eq(load_among(both, 2, NULL, idle), 1);
    ck_assert_double_eq_tol(load_among(both, 2, NULL, busy), pow(stretch, -6), EXACT);
    ck_assert_double_eq_tol(load_among(&busy, 1, NULL, busy), pow(stretch, -0.1), EXACT);

    /* What waits for a moment or for others is not in the way; what is queued is. */
    before = lone = load_among(&busy, 1, NULL, busy);
    busy->counts.by_status[TASK_SCHEDULED] = busy->counts.by_status[TASK_BLOCKED] = 4;
    ck_assert_double_eq(load_among(&busy, 1, NULL, busy), before);
    busy->counts.by_status[TASK_SCHEDULED] = busy->counts.by_status[TASK_BLOCKED] = 0;
    for (int i = 1; i < 10; i++) {
        busy->counts.by_status[TASK_QUEUED] = i;
        lone = load_among(&busy, 1, NULL, busy);
        ck_assert_double_lt(lone, before);
        before = lone;
    }
    ck_assert_double_gt(lone, 0);
    forecast_end_run(busy, &runs[0]);
    forecast_end_run(busy, &runs[1]);
}
END_TEST

START_TEST(router_term_load_by_type)
{
    CLEANUP(profile_freep) struct profile *a = make_profile("a", "");
    CLEANUP(profile_freep) struct profile *b = make_profile("b", "");
    struct profile *both[] = {a, b};

    add_typed(a, "x", true, 10000);
    add_typed(a, "y", true, 40000);
    add_typed(b, "x", true, 40000);
    add_typed(b, "y", true, 10000);
    /* 10 s against (40 + 10) / 2 = 25 s: (10 / 25)^6. */
    ck_assert_double_eq(load_among(both, 2, "x", a), 1);
    ck_assert_double_eq_tol(load_among(both, 2, "x", b), 0.004096, EXACT);
    ck_assert_double_eq_tol(load_among(both, 2, "y", a), 0.004096, EXACT);
    ck_assert_double_eq(load_among(both, 2, "y", b), 1);
    /* Nobody knows: nobody is better. */
    ck_assert_double_eq(load_among(both, 2, "z", a), 1);
    ck_assert_double_eq(load_among(both, 2, "z", b), 1);
}
END_TEST

START_TEST(router_term_load_ignores_how_fast_one_fails)
{
    CLEANUP(profile_freep) struct profile *steady = make_profile("a", "");
    CLEANUP(profile_freep) struct profile *failing = make_profile("b", "");
    struct profile *both[] = {steady, failing};

    add_typed(steady, "x", true, 10000);
    add_typed(failing, "x", false, 1);
    ck_assert_double_eq(load_among(both, 2, "x", steady), 1);
    ck_assert_double_eq(load_among(both, 2, "x", failing), 1); /* it is hoped to need 10 s too */
    add_typed(failing, "x", true, 40000);
    ck_assert_double_eq_tol(load_among(both, 2, "x", failing), 0.004096, EXACT);
}
END_TEST

START_TEST(router_term_load_measures_by_the_healthy)
{
    CLEANUP(profile_freep) struct profile *sick = make_profile("sick", "");
    CLEANUP(profile_freep) struct profile *busy = make_profile("busy", "");
    struct profile *both[] = {sick, busy};
    const double stretch = 1 - 1.25 * log(9.0 / 16); /* the mean, not the median */
    struct forecast_run run;

    /* The idle one is no yardstick as long as there is a healthy one. */
    busy->config.max_concurrent_tasks = 1;
    begin_runs(busy, &run, 1);
    sick->health = HEALTH_UNHEALTHY;
    for (int turn = 0; turn < 2; turn++) {
        both[turn] = sick;
        both[1 - turn] = busy;
        ck_assert_double_eq_tol(load_among(both, 2, NULL, busy), pow(stretch, -0.1), EXACT);
        ck_assert_double_eq_tol(load_among(both, 2, NULL, sick), pow(stretch, -0.1), EXACT);
    }
    busy->health = HEALTH_UNHEALTHY;
    ck_assert_double_eq_tol(load_among(both, 2, NULL, busy), pow(stretch, -6), EXACT);
    forecast_end_run(busy, &run);
}
END_TEST

START_TEST(router_term_load_waits_for_a_cooldown)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("dev", "");

    /* 48 s until it may start, taken for 60 s: a stretch of 2. */
    profile->cooldown = (struct cooldown){.length = 60000, .until = 48000};
    ck_assert_double_eq_tol(load_among(&profile, 1, NULL, profile), 0.9330329915368074, EXACT);
}
END_TEST

START_TEST(router_term_history)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("dev", "");
    const struct router_request none = {0};
    struct router_candidate c;

    metrics_window_resize(&profile->window, 100);
    judge(profile, &none, &c);
    ck_assert_double_eq(c.terms[TERM_HISTORY], 0.8); /* 4 of 5 */
    add_sample(&profile->window, false, 10);
    judge(profile, &none, &c);
    ck_assert_double_eq_tol(c.terms[TERM_HISTORY], 4.0 / 6, EXACT);
    /* With 20 younger ones it weighs half, and those S = 0.5 / (1 - 2^(-1/20)) = 14.67 together:
     * (4 + S) / (5.5 + S). */
    for (int i = 0; i < 20; i++)
        add_sample(&profile->window, true, 10);
    judge(profile, &none, &c);
    ck_assert_double_eq_tol(c.terms[TERM_HISTORY], 0.9256630647838534, 1e-12);
    /* The same attempts the other way round. */
    metrics_window_resize(&profile->window, 20);
    add_sample(&profile->window, false, 10);
    judge(profile, &none, &c);
    ck_assert_double_lt(c.terms[TERM_HISTORY], 0.91);
}
END_TEST

START_TEST(router_term_priority)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("dev", "");
    const struct router_request none = {0};
    struct router_candidate c;

    for (int priority = 0; priority <= 10; priority++) {
        profile->config.priority = priority;
        judge(profile, &none, &c);
        ck_assert_double_eq_tol(c.terms[TERM_PRIORITY], priority / 10.0, EXACT);
    }
}
END_TEST

START_TEST(router_score_is_the_sum)
{
    static const struct routing_weights each[] = {
        {0.4, 0.3, 0.2, 0.1}, {1, 0, 0, 0}, {0, 1, 0, 0},      {0, 0, 1, 0},
        {0, 0, 0, 1},         {0, 0, 0, 0}, {1000, 3, 0.5, 7},
    };
    static const char *const names[] = {"capability", "load", "history", "priority"};
    CLEANUP(profile_freep)
    struct profile *profile = make_profile("dev", "coding testing debugging");
    const struct router_request one = request_for(1);
    struct router_candidate c;

    profile->counts.by_status[TASK_QUEUED] = 2; /* the third waits 45 s: see forecast_free_slots */
    judge(profile, &one, &c);
    /* 0.4 / 3 + 0.3 * (60 / 116.25)^0.1 + 0.2 * 0.8 + 0.1 * 0.3 */
    ck_assert_double_eq_tol(c.score, 0.6041333204951601, EXACT);
    for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
        double sum;

        ck_assert_uint_eq(router_rank(&one, &profile, 1, &each[i], &c), 1);
        sum = each[i].capability * c.terms[TERM_CAPABILITY] + each[i].load * c.terms[TERM_LOAD] +
              each[i].history * c.terms[TERM_HISTORY] + each[i].priority * c.terms[TERM_PRIORITY];
        ck_assert_double_eq_tol(c.score, sum, (1 + sum) * EXACT);
        for (int t = 0; t < TERM_COUNT; t++) {
            ck_assert_double_ge(c.terms[t], 0);
            ck_assert_double_le(c.terms[t], 1);
        }
    }
    for (int t = 0; t < TERM_COUNT; t++)
        ck_assert_str_eq(router_term_name((enum router_term)t), names[t]);
}
END_TEST

#define FIELD 7

START_TEST(router_orders)
{
    /* By name: what each one is. The better score comes from the priority alone. */
    static const struct {
        const char *name, *capabilities;
        int64_t priority;
        enum profile_health health;
        bool is_active;
    } field[FIELD] = {
        {"z-best-but-sick", "debugging", 10, HEALTH_UNHEALTHY, true},
        {"y-paused", "debugging", 10, HEALTH_HEALTHY, false},
        {"x-good", "debugging", 8, HEALTH_DEGRADED, true},
        {"b-even", "debugging", 5, HEALTH_HEALTHY, true},
        {"a-even", "debugging", 5, HEALTH_HEALTHY, true},
        {"c-lacking", "coding", 10, HEALTH_HEALTHY, true},
        {"m-low-and-sick", "debugging", 1, HEALTH_UNHEALTHY, true},
    };
    static const char *const expected[FIELD] = {
        "x-good", "a-even", "b-even", "z-best-but-sick", "m-low-and-sick", "c-lacking", "y-paused",
    };
    const struct router_request one = request_for(1);
    struct router_candidate candidates[FIELD];
    struct profile *profiles[FIELD];

    for (size_t i = 0; i < FIELD; i++) {
        profiles[i] = make_profile(field[i].name, field[i].capabilities);
        profiles[i]->config.priority = field[i].priority;
        profiles[i]->health = field[i].health;
        profiles[i]->is_active = field[i].is_active;
    }
    /* In whatever order they come. */
    chance = 9;
    for (int round = 0; round < 50; round++) {
        for (size_t i = FIELD - 1; i > 0; i--) {
            size_t k = random_below(i + 1);
            struct profile *other = profiles[k];

            profiles[k] = profiles[i];
            profiles[i] = other;
        }
        ck_assert_uint_eq(router_rank(&one, profiles, FIELD, &weights, candidates), 5);
        for (size_t i = 0; i < FIELD; i++) {
            ck_assert_str_eq(candidates[i].profile->config.name, expected[i]);
            ck_assert(candidates[i].is_rejected == (i >= 5));
        }
    }
    ck_assert_str_eq(candidates[5].reason, "it lacks the capability \"debugging\"");
    ck_assert_str_eq(candidates[6].reason, "it is not active");
    ck_assert_uint_eq(router_rank(&one, profiles, 0, &weights, candidates), 0);
    for (size_t i = 0; i < FIELD; i++)
        profile_free(profiles[i]);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("core");
    SRunner *runner = srunner_create(suite);
    TCase *tcase;
    int failed;

    tcase = add_case(suite, "task");
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
    tcase = add_case(suite, "profile");
    tcase_add_test(tcase, profile_starts);
    tcase_add_test(tcase, profile_shows_what_is_staged);
    tcase_add_test(tcase, profile_rolls_back);
    tcase_add_test(tcase, profile_commits);
    tcase_add_test(tcase, profile_counts_slots);
    tcase_add_test(tcase, profile_probes_while_unhealthy);
    tcase_add_test(tcase, autoscale_hand_computed);
    tcase_add_test(tcase, autoscale_halves_once);
    tcase_add_test(tcase, autoscale_is_off);
    tcase_add_test(tcase, profile_capabilities);
    tcase = add_case(suite, "metrics");
    tcase_add_test(tcase, metrics_hand_computed);
    tcase_add_test(tcase, metrics_without_data);
    tcase_add_test(tcase, metrics_add_up);
    tcase_add_loop_test(tcase, metrics_percentiles, 0, 6);
    tcase_add_test(tcase, metrics_take_extreme_durations);
    tcase_add_test(tcase, metrics_edges_are_exact);
    tcase_add_test(tcase, metrics_waits_hand_computed);
    tcase_add_test(tcase, metrics_ranges_end_with_the_present);
    tcase_add_test(tcase, metrics_peak_of_a_minute);
    tcase_add_test(tcase, metrics_histogram_text);
    tcase_add_test(tcase, window_wraps);
    tcase_add_test(tcase, window_percentiles);
    tcase_add_test(tcase, window_resizes);
    tcase = add_case(suite, "capacity");
    tcase_add_test(tcase, capacity_of_the_tables);
    tcase_add_test(tcase, capacity_of_one_slot);
    tcase_add_test(tcase, capacity_at_its_limits);
    tcase_add_test(tcase, capacity_recommends_the_least_that_suffices);
    tcase = add_case(suite, "anomaly");
    tcase_add_test(tcase, anomaly_hand_computed);
    tcase_add_test(tcase, anomaly_of_failures_hand_computed);
    tcase_add_test(tcase, anomaly_needs_a_baseline);
    tcase_add_test(tcase, anomaly_ignores_a_few_arrivals);
    tcase_add_test(tcase, anomaly_seldom_cries_wolf);
    tcase_add_test(tcase, anomaly_finds_a_shift_and_gets_used_to_it);
    tcase = add_case(suite, "health");
    tcase_add_test(tcase, health_thresholds);
    tcase_add_test(tcase, health_lapses);
    tcase_add_test(tcase, health_signs);

    tcase = add_case(suite, "cooldown");
    tcase_add_test(tcase, cooldown_doubles_with_each_probe_that_fails);
    tcase_add_test(tcase, cooldown_counts_attempts_that_ran_together_once);
    tcase_add_test(tcase, cooldown_of_attempts_that_ran_together_takes_the_longest_wait);
    tcase_add_test(tcase, cooldown_learns_nothing_from_a_cancelled_probe);
    tcase_add_test(tcase, cooldown_lasts_as_long_as_the_provider_says);
    tcase_add_test(tcase, cooldown_is_the_reason_of_health);
    tcase_add_test(tcase, permissions_by_kind);
    tcase = add_case(suite, "forecast");
    tcase_add_test(tcase, estimate_of_one_profile);
    tcase_add_test(tcase, estimates_differ_by_more_than_chance);
    tcase_add_test(tcase, estimates_differ_by_chance);
    tcase_add_test(tcase, forecast_free_slots);
    tcase_add_test(tcase, forecast_of_equal_durations);
    tcase_add_test(tcase, forecast_of_what_is_left);
    tcase_add_test(tcase, forecast_of_many_slots);
    tcase_add_test(tcase, forecast_without_workers);
    tcase_add_test(tcase, forecast_of_a_lowered_limit);
    tcase_add_test(tcase, forecast_of_a_cooldown);
    tcase = add_case(suite, "router");
    tcase_add_test(tcase, router_rejects);
    tcase_add_test(tcase, router_term_capability);
    tcase_add_test(tcase, router_term_capability_of_what_is_preferred);
    tcase_add_test(tcase, router_term_load);
    tcase_add_test(tcase, router_term_load_by_type);
    tcase_add_test(tcase, router_term_load_ignores_how_fast_one_fails);
    tcase_add_test(tcase, router_term_load_measures_by_the_healthy);
    tcase_add_test(tcase, router_term_load_waits_for_a_cooldown);
    tcase_add_test(tcase, router_term_history);
    tcase_add_test(tcase, router_term_priority);
    tcase_add_test(tcase, router_score_is_the_sum);
    tcase_add_test(tcase, router_orders);

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
