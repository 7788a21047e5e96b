/* SPDX-License-Identifier: MIT */
#include "engine/runner_lease.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/alloc.h"
#include "common/log.h"
#include "engine/judge.h"
#include "engine/queue.h"
#include "engine/runner.h"
#include "engine/settle.h"

#define ADOPTED_PER_STEP 256

/* Whether `a` comes first in the order of a queue. */
static bool runner_lease_is_before(const struct task *a, const struct task *b)
{
    return a->sort_key != b->sort_key ? a->sort_key < b->sort_key : a->id < b->id;
}

static char *runner_lease_make_token(void)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char random[16];
    char *token = xcalloc(1, 2 * sizeof(random) + 1);

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        abort();
    for (size_t i = 0; i < sizeof(random); i++) {
        token[2 * i] = hex[random[i] >> 4];
        token[2 * i + 1] = hex[random[i] & 15];
    }
    return token;
}

/* A worker has tried to claim tasks of the profile. */
static void runner_lease_note_worker(const struct engine *engine, struct profile *profile)
{
    profile->last_claim = engine->now.mono;
    if (profile->seen.has_no_worker) {
        profile->seen.is_new = true;
        profile_touch(profile);
    }
    profile->seen.has_no_worker = false;
}

/* Makes the profile the best one when its first task comes before `first`. */
static int runner_lease_compare_first(struct engine *engine, struct profile *profile,
                                      struct task *first, struct profile **best)
{
    const struct cooldown *cooldown = profile_cooldown(profile);
    CLEANUP(task_deinit) struct task task = {0};
    int r = store_first_queued(engine->store, profile->id, cooldown->length ? cooldown->task_id : 0,
                               &task);

    if (r <= 0 || (*best && !runner_lease_is_before(&task, first)))
        return r < 0 ? r : 0;
    task_deinit(first);
    *first = task;
    task = (struct task){0};
    *best = profile;
    return 0;
}

int engine_claim(struct engine *engine, struct profile *const *profiles, size_t count,
                 const char *worker, int64_t lease_ms, const struct task **ret_task,
                 char **ret_token)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    CLEANUP(task_deinit) struct task first = {0};
    CLEANUP(freep) char *token = NULL;
    struct profile *best = NULL;
    struct attempt *attempt;
    int r;

    if (engine->is_stopping)
        return -ESHUTDOWN;
    if (engine->fleet.is_retiring)
        return ENGINE_NOT_FOUND;
    for (size_t i = 0; i < count; i++) {
        runner_lease_note_worker(engine, profiles[i]);
        if (!profile_may_claim(profiles[i], engine->now.mono))
            continue;
        if (count == 1) { /* nothing to compare */
            best = profiles[i];
            break;
        }
        r = runner_lease_compare_first(engine, profiles[i], &first, &best);
        if (r < 0)
            return r;
    }
    if (!best)
        return ENGINE_NOT_FOUND;
    token = runner_lease_make_token();
    lease_ms = lease_ms ? lease_ms : best->config.runner.lease_ms;
    r = queue_claim(
        engine, best, 1,
        &(struct store_lease){.token = token, .length_ms = lease_ms, .worker = (char *)worker},
        &tasks);
    if (r < 0)
        return r;
    if (!tasks.count)
        return ENGINE_NOT_FOUND;
    attempt = attempt_begin(engine, best, &tasks.tasks[0], &runner_lease);
    attempt->lease = xstrdup(token);
    attempt->lease_ms = lease_ms;
    attempt->lease_until = engine->now.mono + lease_ms;
    *ret_token = STEAL(token);
    *ret_task = &attempt->task;
    return 0;
}

/* ENGINE_CONFLICT: the attempt is no longer its owner's. */
static int runner_lease_find(struct engine *engine, int64_t id, const char *token,
                             struct attempt **ret_attempt)
{
    struct attempt *attempt = attempt_find_held(engine, id, token);
    CLEANUP(task_deinit) struct task task = {0};
    int r;

    if (attempt && attempt->state == ATTEMPT_RUNNING && attempt->stop == ERROR_NONE) {
        *ret_attempt = attempt;
        return 0;
    }
    r = store_get_task(engine->store, id, &task);
    return r < 0 ? r : r == 0 ? ENGINE_NOT_FOUND : ENGINE_CONFLICT;
}

int engine_extend(struct engine *engine, int64_t id, const char *token, int64_t *ret_until)
{
    struct attempt *attempt;
    int r = runner_lease_find(engine, id, token, &attempt);

    if (r)
        return r;
    if (attempt->timeout_at <= engine->now.mono)
        return ENGINE_CONFLICT; /* this pass ends it */
    attempt->lease_until = engine->now.mono + attempt->lease_ms;
    if (attempt->lease_until > attempt->timeout_at)
        attempt->lease_until = attempt->timeout_at;
    attempt_arm(attempt);
    *ret_until = engine->now.wall + attempt->lease_until - engine->now.mono;
    return 0;
}

int engine_finish(struct engine *engine, int64_t id, const char *token, enum error_class class,
                  const char *message, const char *result, const struct task **ret_task)
{
    struct attempt *attempt;
    int r = runner_lease_find(engine, id, token, &attempt);

    if (r)
        return r;
    attempt->class = class;
    attempt->message = message ? xstrdup(message) : NULL;
    attempt->result = result ? xstrdup(result) : NULL;
    attempt->ended_mono = engine->now.mono;
    heap_remove(&engine->deadlines, &attempt->deadline);
    attempt->was_asked = true;
    attempt->state = ATTEMPT_ENDED;
    attempt_touch(attempt);
    r = settle_attempt(attempt);
    if (r < 0)
        return r;
    if (attempt->is_stale)
        return ENGINE_CONFLICT;
    *ret_task = &attempt->after;
    return 0;
}

void engine_return_claim(struct engine *engine, int64_t id, const char *token)
{
    struct attempt *attempt = attempt_find_held(engine, id, token);

    if (!attempt || attempt->state > ATTEMPT_RUNNING)
        return;
    attempt_end_as(attempt, ERROR_INTERRUPTED,
                   xstrdup("the worker disconnected before it received its claim"));
    engine->has_more_work = true;
}

/* A worker that continues keeps its task: its full lease starts again. */
static int runner_lease_adopt(struct engine *engine, struct store_leased *leased)
{
    struct profile *profile = roster_find_id(&engine->roster, leased->task.profile_id);
    struct attempt *attempt;
    int r;

    if (!profile || attempt_find_held(engine, leased->task.id, leased->lease.token))
        return 0;
    r = queue_adopt(engine, leased->task.id);
    if (r)
        return r == ENGINE_STALE ? 0 : r;
    attempt = attempt_new(engine, profile, &leased->task, &runner_lease);
    attempt->state = ATTEMPT_RUNNING;
    /* Used only for durations: changes of the wall clock expire nothing. */
    if (attempt->task.started_at < engine->now.wall)
        attempt->started_mono -= engine->now.wall - attempt->task.started_at;
    attempt->slot.started = attempt->started_mono;
    attempt->lease = STEAL(leased->lease.token);
    attempt->lease_ms = leased->lease.length_ms;
    attempt->lease_until = engine->now.mono + attempt->lease_ms;
    attempt_arm(attempt);
    attempt->is_new = true;
    attempt_touch(attempt);
    profile->staged.slots_used++;
    profile_touch(profile);
    return 0;
}

int runner_lease_adopt_all(struct engine *engine)
{
    struct store_cursor cursor = {0};
    int r = STORE_DONE;

    while (r == STORE_DONE) {
        struct store_leased *leased = NULL;
        size_t count = 0;

        r = store_list_leased(engine->store, &cursor, ADOPTED_PER_STEP, &leased, &count);
        for (size_t i = 0; i < count && r >= 0; i++) {
            int adopted = runner_lease_adopt(engine, &leased[i]);

            r = adopted < 0 ? adopted : r;
        }
        store_leased_free(leased, count);
    }
    return r < 0 ? r : 0;
}

/* Its worker learns of it with its next call. */
static void runner_lease_stop(struct attempt *attempt)
{
    if (attempt->state != ATTEMPT_RUNNING)
        return;
    attempt_end_as(attempt, attempt->stop, xstrdup("stopped"));
    attempt->engine->has_more_work = true;
}

static void runner_lease_expire(struct attempt *attempt)
{
    if (attempt->timeout_at <= attempt->engine->now.mono)
        attempt_end_as(attempt, ERROR_TIMEOUT, judge_timeout(attempt));
    else
        attempt_end_as(attempt, ERROR_LOST_LEASE,
                       xasprintf("its worker did not extend its lease of %g s in time",
                                 (double)attempt->lease_ms / 1000));
}

const struct runner runner_lease = {
    .stop = runner_lease_stop,
    .expire = runner_lease_expire,
};
