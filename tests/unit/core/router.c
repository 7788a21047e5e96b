/* SPDX-License-Identifier: MIT */
/* Routing. */
#include <errno.h>
#include <math.h>

#include "core/forecast.h"
#include "core/metrics.h"
#include "core/profile.h"
#include "core/router.h"
#include "core/task.h"
#include "fixture.h"

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
    char *avoided[] = {"dev", "developer", NULL}, *nodes[] = {"big", "gpu-*", NULL};
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

    /* Avoided, whatever its capabilities. */
    ck_assert_uint_eq(judge(profile, &(struct router_request){.avoid = avoided}, &c), 0);
    ck_assert(c.is_rejected && !c.is_full);
    ck_assert_str_eq(c.reason, "the task avoids it");
    ck_assert_uint_eq(judge(profile, &(struct router_request){.avoid = avoided + 1}, &c), 0);
    ck_assert(c.is_full);

    /* Elsewhere. */
    profile->config.nodes = nodes;
    ck_assert_uint_eq(judge(profile, &(struct router_request){.node = "cpu-1"}, &c), 0);
    ck_assert_str_eq(c.reason, "it does not run on node \"cpu-1\"");
    ck_assert_uint_eq(judge(profile, &(struct router_request){.node = "gpu-1"}, &c), 0);
    ck_assert(c.is_full);
    profile->config.nodes = NULL;

    /* "Full" is reported only if there is no other reason. */
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
    capability_is("dev", "", own, 1);            /* it offers only its name */
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
    /* Its name counts as offered if it is wanted. */
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

    /* Without history, idle: the best load, among others or alone. */
    ck_assert_double_eq(load_among(both, 2, NULL, idle), 1);
    ck_assert_double_eq(load_among(both, 2, NULL, busy), 1);
    ck_assert_double_eq(load_among(&busy, 1, NULL, busy), 1);

    /* Both of its slots have just been taken, for a minute as far as anybody knows. The second of
     * the eight parts of each makes half a start together: the quantile 3/16. */
    begin_runs(busy, runs, 2);
    ck_assert_double_eq(load_among(both, 2, NULL, idle), 1);
    ck_assert_double_eq_tol(load_among(both, 2, NULL, busy), pow(stretch, -6), EXACT);
    ck_assert_double_eq_tol(load_among(&busy, 1, NULL, busy), pow(stretch, -0.1), EXACT);

    /* Scheduled and blocked tasks do not count; queued ones do. */
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
    /* Nothing is known, so none is better. */
    ck_assert_double_eq(load_among(both, 2, "z", a), 1);
    ck_assert_double_eq(load_among(both, 2, "z", b), 1);
}
END_TEST

/* One attempt of 10 s, and three of 20, 40 and 60 s, whose squares are 3.5 times that of their
 * mean: they scatter by 3.5 - 3 = 0.5. */
START_TEST(router_term_load_draws_together_what_may_be_chance)
{
    CLEANUP(profile_freep) struct profile *a = make_profile("a", "");
    CLEANUP(profile_freep) struct profile *b = make_profile("b", "");
    struct profile *both[] = {a, b};
    const double mean = (10 + 20 + 40 + 60) / 4.0, luck = 0.5 / (4 - 2);
    const double distance = pow(log(10 / mean), 2) + 3 * pow(log(40 / mean), 2);
    const double difference = (distance - luck) / (4 - (1 + 9) / 4.0);
    const double fast = mean * pow(10 / mean, difference / (difference + luck));
    const double slow = mean * pow(40 / mean, difference / (difference + luck / 3));

    add_typed(a, "x", true, 10000);
    for (int i = 1; i <= 3; i++)
        add_typed(b, "x", true, 20000 * i);
    ck_assert_double_eq(load_among(both, 2, "x", a), 1);
    ck_assert_double_eq_tol(load_among(both, 2, "x", b), pow(fast / ((3 * slow + fast) / 4), 6),
                            EXACT);
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
    ck_assert_double_eq(load_among(both, 2, "x", failing), 1); /* optimistically 10 s, too */
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

    /* The idle profile is no reference while there is a healthy one. */
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
    /* The same attempts in reverse order. */
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
        ck_assert_str_eq(router_term_names[t], names[t]);
}
END_TEST

#define FIELD 7

START_TEST(router_orders)
{
    /* Names describe the profiles. Scores differ only by priority. */
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
    /* In any order. */
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

void add_router_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "router");

    tcase_add_test(tcase, router_rejects);
    tcase_add_test(tcase, router_term_capability);
    tcase_add_test(tcase, router_term_capability_of_what_is_preferred);
    tcase_add_test(tcase, router_term_load);
    tcase_add_test(tcase, router_term_load_by_type);
    tcase_add_test(tcase, router_term_load_draws_together_what_may_be_chance);
    tcase_add_test(tcase, router_term_load_ignores_how_fast_one_fails);
    tcase_add_test(tcase, router_term_load_measures_by_the_healthy);
    tcase_add_test(tcase, router_term_load_waits_for_a_cooldown);
    tcase_add_test(tcase, router_term_history);
    tcase_add_test(tcase, router_term_priority);
    tcase_add_test(tcase, router_score_is_the_sum);
    tcase_add_test(tcase, router_orders);
}
