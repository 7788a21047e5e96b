/* SPDX-License-Identifier: MIT */
/* Profiles, their cooldown and their health. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "core/error_class.h"
#include "core/forecast.h"
#include "core/metrics.h"
#include "core/profile.h"
#include "core/task.h"
#include "fixture.h"

/* Profiles */

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

START_TEST(profile_knows_the_last_queued_task)
{
    CLEANUP(profile_freep) struct profile *profile = make_profile("p", "a");
    const struct task low = {.id = 1, .sort_key = 900}, first = {.id = 2, .sort_key = 100},
                      second = {.id = 3, .sort_key = 100}, third = {.id = 4, .sort_key = 200};

    profile_note_queued(profile, &first);
    ck_assert_msg(!profile_is_last(profile, &first), "others may have been queued before");
    profile_stage_last(profile, &first);
    profile_note_queued(profile, &second);
    ck_assert(!profile_is_last(profile, &first) && profile_is_last(profile, &second));
    profile_commit(profile);
    profile_note_queued(profile, &low);
    profile_note_queued(profile, &third);
    ck_assert(profile_is_last(profile, &low) && !profile_is_last(profile, &third));
    profile_rollback(profile);
    ck_assert(profile_is_last(profile, &third) && profile_is_last(profile, &second));
    ck_assert(!profile_is_last(profile, &first));
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
              "3 attempts are stuck, one has been running for 10 min; 95 % end within 12.3 s");
    profile->seen.stuck = profile->seen.wait_ms = 0;

    profile->seen.has_no_worker = true;
    health_is(profile, HEALTH_DEGRADED, "tasks are waiting and no worker claims them");
    strcpy(profile->seen.missing, "the program \"goose\"");
    health_is(profile, HEALTH_UNHEALTHY, "the program \"goose\" was not found");
    profile->seen.missing[0] = '\0';
    profile->seen.has_no_worker = false;
    health_is(profile, HEALTH_HEALTHY, "");
}
END_TEST

void add_profile_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "profile");

    tcase_add_test(tcase, profile_starts);
    tcase_add_test(tcase, profile_shows_what_is_staged);
    tcase_add_test(tcase, profile_rolls_back);
    tcase_add_test(tcase, profile_commits);
    tcase_add_test(tcase, profile_knows_the_last_queued_task);
    tcase_add_test(tcase, profile_counts_slots);
    tcase_add_test(tcase, profile_probes_while_unhealthy);
    tcase_add_test(tcase, autoscale_hand_computed);
    tcase_add_test(tcase, autoscale_halves_once);
    tcase_add_test(tcase, autoscale_is_off);
    tcase_add_test(tcase, profile_capabilities);
    tcase = add_case(suite, "cooldown");
    tcase_add_test(tcase, cooldown_doubles_with_each_probe_that_fails);
    tcase_add_test(tcase, cooldown_counts_attempts_that_ran_together_once);
    tcase_add_test(tcase, cooldown_of_attempts_that_ran_together_takes_the_longest_wait);
    tcase_add_test(tcase, cooldown_learns_nothing_from_a_cancelled_probe);
    tcase_add_test(tcase, cooldown_lasts_as_long_as_the_provider_says);
    tcase_add_test(tcase, cooldown_is_the_reason_of_health);
    tcase_add_test(tcase, permissions_by_kind);
    tcase = add_case(suite, "health");
    tcase_add_test(tcase, health_thresholds);
    tcase_add_test(tcase, health_lapses);
    tcase_add_test(tcase, health_signs);
}
