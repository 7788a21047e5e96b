/* SPDX-License-Identifier: MIT */
#include "engine/health.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/path.h"
#include "engine/attempt.h"
#include "engine/profiles.h"

#define STUCK_SAMPLE_MIN 10 /* attempts, before there is a usual */
#define LOOKS_PER_PASS   64 /* each asks the store, and the file system */

/* How long an attempt may take before it counts as stuck; 0: unknown. */
static int64_t health_stuck_after(const struct engine *engine, const struct profile *profile)
{
    const struct health_limits *limits = &engine->settings.health;
    int64_t ms = (int64_t)(limits->stuck_factor * (double)profile->seen.usual_ms);

    if (profile->window.count < STUCK_SAMPLE_MIN)
        return 0;
    return ms < limits->stuck_min_ms ? limits->stuck_min_ms : ms;
}

/* Finds the profile's stuck attempts. */
static void health_look_at_attempts(struct profile *profile, int64_t now)
{
    profile->seen.stuck = profile->seen.stuck_ms = 0;
    list_for_each (link, &profile->running) {
        struct attempt *attempt =
            CONTAINER_OF(list_entry(link, struct forecast_run, link), struct attempt, slot);
        int64_t elapsed = now - attempt->started_mono;

        attempt->is_stuck = attempt->state == ATTEMPT_RUNNING && profile->seen.stuck_after_ms &&
                            elapsed > profile->seen.stuck_after_ms;
        if (!attempt->is_stuck)
            continue;
        profile->seen.stuck++;
        if (elapsed > profile->seen.stuck_ms)
            profile->seen.stuck_ms = elapsed;
    }
}

static bool health_has_no_worker(const struct engine *engine, const struct profile *profile)
{
    return profile->config.runner.type == RUNNER_WORKER &&
           profile_may_claim(profile, engine->now.mono) &&
           engine->now.mono - profile->last_claim > engine->settings.health_check_interval_ms;
}

static bool health_lacks_program(const struct runner_config *runner)
{
    const char *path = getenv("PATH");
    CLEANUP(freep) char *found = NULL;

    for (size_t i = 0; runner->env && runner->env[i]; i++)
        if (strncmp(runner->env[i], "PATH", 4) == 0 && strchr("=", runner->env[i][4]))
            path = runner->env[i][4] ? runner->env[i] + 5 : NULL;
    found = path_find_program(runner->command[0], path, runner->cwd);
    return !found;
}

bool engine_lacks(const struct runner_config *runner, enum engine_need need, char *ret_what,
                  size_t size)
{
    if (!runner->command)
        return false;
    if (need == NEED_FOLDER) {
        snprintf(ret_what, size, "the folder \"%s\"", runner->cwd ? runner->cwd : "");
        return runner->cwd && !path_is_folder(runner->cwd);
    }
    snprintf(ret_what, size, "the program \"%s\"", runner->command[0]);
    return health_lacks_program(runner);
}

static void health_look_for_program(struct profile *profile)
{
    bool is_missing = false;

    for (int need = 0; need < ENGINE_NEED_COUNT && !profile->is_removed && !is_missing; need++)
        is_missing = engine_lacks(&profile->config.runner, (enum engine_need)need,
                                  profile->seen.missing, sizeof(profile->seen.missing));
    if (!is_missing)
        profile->seen.missing[0] = '\0';
}

static int health_look_at_profile(struct engine *engine, struct profile *profile)
{
    double age;
    int r = engine_oldest_queued(engine, profile, &age);

    if (r < 0)
        return r;
    profile->seen.is_new = true;
    profile_touch(profile);
    profile->seen.wait_ms = age > 0 ? (int64_t)(1000 * age) : 0;
    profile->seen.usual_ms = metrics_window_percentile(&profile->window, 0.95);
    profile->seen.stuck_after_ms = health_stuck_after(engine, profile);
    health_look_at_attempts(profile, engine->now.mono);
    profile->seen.has_no_worker = health_has_no_worker(engine, profile);
    health_look_for_program(profile);
    return 0;
}

int health_step(struct engine *engine)
{
    size_t end = engine->health_at + LOOKS_PER_PASS;

    if (engine->now.mono < engine->next_health_check)
        return 0;
    for (; engine->health_at < engine->profile_count && engine->health_at < end;
         engine->health_at++) {
        struct profile *profile = engine->profiles[engine->health_at];
        /* A configuration that comes into force with this pass may name it. */
        bool may_go = profile->is_removed && !engine->staged.is_set;
        int r = may_go ? profiles_forget_if_spent(engine, profile) : 0;

        if (r == 0 && !profile->staged.is_forgotten)
            r = health_look_at_profile(engine, profile);
        if (r < 0)
            return r;
    }
    if (engine->health_at < engine->profile_count) {
        engine->has_more_work = true;
        return 0;
    }
    engine->health_at = 0;
    engine->busy.longest_before_us = engine->busy.longest_us;
    engine->busy.longest_us = 0;
    engine->next_health_check = engine->now.mono + engine->settings.health_check_interval_ms;
    return 0;
}

int64_t health_deadline(const struct engine *engine)
{
    return engine->next_health_check;
}

void engine_note_busy(struct engine *engine, int64_t us)
{
    if (us > engine->busy.longest_us)
        engine->busy.longest_us = us;
}

double engine_lag(const struct engine *engine)
{
    const int64_t now = engine->busy.longest_us, before = engine->busy.longest_before_us;

    return (double)(now > before ? now : before) / 1e6;
}
