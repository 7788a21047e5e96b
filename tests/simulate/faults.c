/* SPDX-License-Identifier: MIT */
/*
 * To add a fault, add a row and a function in the place of one of acpd's, whose name goes into
 * meson.build, too. The linker replaces calls from other files only.
 */
#include "faults.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#include "core/retry.h"
#include "daemon.h"
#include "engine/judge.h"
#include "engine/queue.h"
#include "engine/reload.h"
#include "engine/runner_lease.h"
#include "engine/settle.h"
#include "engine/state.h"
#include "engine/wake.h"
#include "rpc/call.h"
#include "rpc/server.h"
#include "run/acp_turn.h"
#include "run/run_log.h"
#include "setting.h"
#include "store/store.h"
#include "world.h"

enum fault {
    FAULT_NONE,
    FAULT_COMMIT,
    FAULT_REFUSAL,
    FAULT_EARLY_REPLY,
    FAULT_KEPT_REPLY,
    FAULT_EARLY_START,
    FAULT_GHOST,
    FAULT_END,
    FAULT_TWICE,
    FAULT_RESULT,
    FAULT_CHANGE,
    FAULT_REASON,
    FAULT_FIRST,
    FAULT_EXTEND,
    FAULT_BEYOND,
    FAULT_CANCEL,
    FAULT_STOP,
    FAULT_SLOT,
    FAULT_LIMIT,
    FAULT_PAUSE,
    FAULT_COUNT,
    FAULT_KEY,
    FAULT_ORDER,
    FAULT_RUN_AT,
    FAULT_WAKE,
    FAULT_DEPENDENCY,
    FAULT_RELEASE,
    FAULT_RETENTION,
    FAULT_ATTEMPT,
    FAULT_LEASES,
    FAULT_EXPIRY,
    FAULT_FENCE,
    FAULT_REMOVED,
    FAULT_BATCH,
    FAULT_EVENT,
    FAULT_GHOST_EVENT,
    FAULT_NUMBERS,
    FAULT_DESCRIPTOR,
    FAULT_ANSWER,
    FAULT_ATTEMPTS,
    FAULT_SHORTAGE,
    FAULT_REMAINS,
    FAULT_ROOM,
};

static const char *const names[] = {
    [FAULT_NONE] = "none",
    [FAULT_COMMIT] = "a commit that is none",
    [FAULT_REFUSAL] = "a refused task that is there",
    [FAULT_EARLY_REPLY] = "replies before their commit",
    [FAULT_KEPT_REPLY] = "replies that outlive a failed commit",
    [FAULT_EARLY_START] = "processes before their commit",
    [FAULT_GHOST] = "claims that outlive a failed commit",
    [FAULT_END] = "an end that is not written",
    [FAULT_TWICE] = "an end that is settled twice",
    [FAULT_RESULT] = "a result that is lost",
    [FAULT_CHANGE] = "a change that is not written",
    [FAULT_REASON] = "a refusal for no reason",
    [FAULT_FIRST] = "the second task before the first",
    [FAULT_EXTEND] = "an extension that does not count",
    [FAULT_BEYOND] = "an extension beyond the timeout",
    [FAULT_CANCEL] = "a cancel that is not written",
    [FAULT_STOP] = "a stop that never reaches the process",
    [FAULT_SLOT] = "a slot that is not given back",
    [FAULT_LIMIT] = "a limit that a reload forgets",
    [FAULT_PAUSE] = "a pause that is not written",
    [FAULT_COUNT] = "a counter that misses a step",
    [FAULT_KEY] = "a key that is forgotten",
    [FAULT_ORDER] = "a priority that does not count",
    [FAULT_RUN_AT] = "a time that is not waited for",
    [FAULT_WAKE] = "retries that never become due",
    [FAULT_DEPENDENCY] = "a dependency that is not waited for",
    [FAULT_RELEASE] = "a dependant that is never released",
    [FAULT_RETENTION] = "retention that takes what is young",
    [FAULT_ATTEMPT] = "an attempt that is not counted",
    [FAULT_LEASES] = "leases that do not survive a restart",
    [FAULT_EXPIRY] = "leases that never end",
    [FAULT_FENCE] = "ends that any token brings about",
    [FAULT_REMOVED] = "leases that end with their profile",
    [FAULT_BATCH] = "a batch whose replies change places",
    [FAULT_EVENT] = "an event that is skipped",
    [FAULT_GHOST_EVENT] = "events of failed passes",
    [FAULT_NUMBERS] = "numbers of events that follow the clock back",
    [FAULT_DESCRIPTOR] = "a descriptor that stays open",
    [FAULT_ANSWER] = "a no that reaches the agent as a yes",
    [FAULT_ATTEMPTS] = "one attempt more than there may be",
    [FAULT_SHORTAGE] = "a shortage that spends attempts",
    [FAULT_REMAINS] = "frames of a failed commit that stay",
    [FAULT_ROOM] = "twice the room in a queue",
};

static enum fault fault;

const char *faults_name(size_t number)
{
    return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

size_t faults_find(const char *name)
{
    size_t number = 0;

    while (number < ARRAY_SIZE(names) && strcmp(names[number], name) != 0)
        number++;
    return number;
}

void faults_put_in(size_t number)
{
    fault = (enum fault)number;
}

/* Now and then, so that a fault must be looked for. */
static bool faults_strike(enum fault which)
{
    return fault == which && world_one_in(10);
}

/* Begins the function in the place of acpd's, which is REAL(name). */
#define REAL(name) __real_##name
#define REPLACE(type, name, ...)                                                                   \
    type REAL(name)(__VA_ARGS__);                                                                  \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* --- the pass -----------------------------------------------------------------------------------
 */

REPLACE(int, store_commit, struct store *store)
{
    if (!store_is_writing(store) || !faults_strike(FAULT_COMMIT))
        return REAL(store_commit)(store);
    store_rollback(store);
    return 0;
}

REPLACE(int, sqlite3_file_control, sqlite3 *db, const char *name, int operation, void *data)
{
    return fault == FAULT_REMAINS && operation == SQLITE_FCNTL_JOURNAL_POINTER
               ? SQLITE_ERROR
               : REAL(sqlite3_file_control)(db, name, operation, data);
}

REPLACE(int, engine_commit, struct engine *engine, int r)
{
    if (fault == FAULT_EARLY_REPLY)
        daemon_release();
    if (fault == FAULT_EARLY_START && engine->supervisor)
        engine_launch(engine);
    r = REAL(engine_commit)(engine, r);
    daemon_note_commit(r);
    return r;
}

REPLACE(void, rpc_fail, struct rpc_server *server)
{
    if (fault != FAULT_KEPT_REPLY)
        REAL(rpc_fail)(server);
}

REPLACE(void, settle_rollback, struct engine *engine)
{
    if (fault != FAULT_GHOST)
        REAL(settle_rollback)(engine);
}

REPLACE(void, settle_commit, struct engine *engine)
{
    REAL(settle_commit)(engine);
    if (engine->profile_count && faults_strike(FAULT_SLOT))
        engine->profiles[0]->slots_used++;
}

REPLACE(void, reload_commit, struct engine *engine)
{
    bool reloads = engine->staged.is_set;

    REAL(reload_commit)(engine);
    for (size_t i = 0; reloads && i < engine->profile_count; i++) {
        struct profile_config *config = &engine->profiles[i]->config;

        if (fault == FAULT_LIMIT)
            config->max_concurrent_tasks = 3;
        if (fault == FAULT_ROOM)
            config->queue_limit *= 2;
    }
}

/* --- tasks --------------------------------------------------------------------------------------
 */

REPLACE(int, store_add, struct store *store, const struct store_addition *addition,
        struct task *ret_known)
{
    char *key = addition->task->key;
    int r;

    if (faults_strike(FAULT_KEY))
        addition->task->key = NULL;
    r = REAL(store_add)(store, addition, ret_known);
    addition->task->key = key;
    return r == STORE_DONE && faults_strike(FAULT_REFUSAL) ? STORE_FULL : r;
}

REPLACE(int, store_finish, struct store *store, struct task *task, const struct task_fence *fence,
        const struct store_attempt *attempt, bool *ret_has_dependants)
{
    char *result = task->result;
    int r;

    if (faults_strike(FAULT_END))
        return STORE_DONE;
    if (faults_strike(FAULT_RESULT))
        task->result = NULL;
    r = REAL(store_finish)(store, task, fence, attempt, ret_has_dependants);
    task->result = result;
    return r;
}

REPLACE(int, attempt_settle, struct attempt *attempt)
{
    int r = REAL(attempt_settle)(attempt);

    if (r == 0 && attempt->state == ATTEMPT_SETTLED && faults_strike(FAULT_TWICE))
        profile_stage_counts(attempt->profile)->by_status[TASK_RUNNING]--;
    return r;
}

REPLACE(int, store_cancel, struct store *store, struct task *task, const struct task_fence *fence,
        bool *ret_has_dependants)
{
    return faults_strike(FAULT_CANCEL) ? STORE_DONE
                                       : REAL(store_cancel)(store, task, fence, ret_has_dependants);
}

REPLACE(int, store_change, struct store *store, struct task *task, const struct task_fence *fence)
{
    return faults_strike(FAULT_CHANGE) ? STORE_DONE : REAL(store_change)(store, task, fence);
}

REPLACE(int, engine_assign, struct engine *engine, struct profile *profile,
        struct engine_admission *admission)
{
    return faults_strike(FAULT_REASON) ? -EIO : REAL(engine_assign)(engine, profile, admission);
}

REPLACE(int, store_claim, struct store *store, const struct store_claim *claim,
        struct task_list *ret_tasks)
{
    struct store_claim other = *claim;
    struct task first = {0};
    int r = 0;

    if (fault == FAULT_FIRST)
        r = store_first_queued(store, claim->profile_id, 0, &first);
    if (first.id)
        other.avoided = first.id;
    task_deinit(&first);
    if (r >= 0)
        r = REAL(store_claim)(store, &other, ret_tasks);

    for (size_t i = 0; r >= 0 && i < ret_tasks->count; i++)
        if (ret_tasks->tasks[i].attempt > 1 && faults_strike(FAULT_ATTEMPT))
            ret_tasks->tasks[i].attempt--;
    return r;
}

REPLACE(void, task_enqueue, struct task *task, int64_t now, int64_t aging_interval_ms)
{
    REAL(task_enqueue)(task, now, fault == FAULT_ORDER ? 0 : aging_interval_ms);
}

REPLACE(void, task_counts_step, struct task_counts *counts, enum task_status from,
        enum task_status to)
{
    if (!faults_strike(FAULT_COUNT))
        REAL(task_counts_step)(counts, from, to);
}

REPLACE(int, store_wake, struct store *store, const struct store_waking *waking,
        struct task_list *ret_tasks, int64_t *ret_next)
{
    struct store_waking early = *waking;

    early.now += fault == FAULT_RUN_AT ? 3600000 : 0;
    return REAL(store_wake)(store, &early, ret_tasks, ret_next);
}

REPLACE(int, wake_step, struct engine *engine)
{
    return fault == FAULT_WAKE ? 0 : REAL(wake_step)(engine);
}

REPLACE(int, store_depend, struct store *store, const int64_t *ids, size_t count,
        enum task_status *ret_statuses)
{
    int r = REAL(store_depend)(store, ids, count, ret_statuses);

    for (size_t i = 0; r >= 0 && fault == FAULT_DEPENDENCY && i < count; i++)
        ret_statuses[i] = TASK_COMPLETED;
    return r;
}

REPLACE(int, store_take_dependants, struct store *store, int limit,
        struct store_dependant **ret_dependants, size_t *ret_count)
{
    return fault == FAULT_RELEASE
               ? STORE_STALE
               : REAL(store_take_dependants)(store, limit, ret_dependants, ret_count);
}

/* No faults: half of the calls handle one task and end the step, which otherwise takes hundreds. */

REPLACE(int, queue_release, struct engine *engine, int *budget)
{
    int one = 1, r;

    if (world_noise() & 1)
        return REAL(queue_release)(engine, budget);
    r = REAL(queue_release)(engine, &one);
    *budget = 0;
    return r;
}

REPLACE(int, queue_wake, struct engine *engine, struct profile *profile, int *budget)
{
    int one = 1, r;

    if (world_noise() & 1)
        return REAL(queue_wake)(engine, profile, budget);
    r = REAL(queue_wake)(engine, profile, &one);
    *budget = 0;
    return r;
}

REPLACE(int, store_prune, struct store *store, const struct store_pruning *pruning,
        struct task_list *ret_removed)
{
    struct store_pruning greedy = *pruning;

    greedy.before += fault == FAULT_RETENTION ? INT64_C(400) * 86400000 : 0;
    return REAL(store_prune)(store, &greedy, ret_removed);
}

REPLACE(int, store_update_profile, struct store *store, int64_t id, int is_active,
        int64_t last_activity)
{
    return REAL(store_update_profile)(store, id, fault == FAULT_PAUSE ? -1 : is_active,
                                      last_activity);
}

/* --- attempts -----------------------------------------------------------------------------------
 */

REPLACE(void, run_stop, struct run *run)
{
    if (!faults_strike(FAULT_STOP))
        REAL(run_stop)(run);
}

REPLACE(void, run_log_free, struct run_log *log)
{
    if (!faults_strike(FAULT_DESCRIPTOR))
        REAL(run_log_free)(log);
}

REPLACE(void, judge_end, struct attempt *attempt, const struct run_end *end)
{
    REAL(judge_end)(attempt, end);
    attempt->is_shortage &= fault != FAULT_SHORTAGE;
}

REPLACE(int, lease_adopt_all, struct engine *engine)
{
    return fault == FAULT_LEASES ? 0 : REAL(lease_adopt_all)(engine);
}

REPLACE(int, engine_extend, struct engine *engine, int64_t id, const char *token,
        int64_t *ret_until)
{
    int64_t until = 0;
    int r;

    list_for_each (before, &engine->attempts) {
        const struct attempt *attempt = list_entry(before, struct attempt, link);

        until = attempt->task_id == id ? attempt->lease_until : until;
        if (fault == FAULT_BEYOND && attempt->task_id == id &&
            attempt->timeout_at < engine->now.mono + SETTING_LEASE_MS) {
            *ret_until = engine->now.wall + SETTING_LEASE_MS;
            return 0;
        }
    }
    r = REAL(engine_extend)(engine, id, token, ret_until);
    list_for_each (after, &engine->attempts) {
        struct attempt *attempt = list_entry(after, struct attempt, link);

        if (fault != FAULT_EXTEND || r || attempt->task_id != id || !attempt->lease)
            continue;
        attempt->lease_until = until;
        attempt_arm(attempt);
    }
    return r;
}

REPLACE(int, overdue_step, struct engine *engine)
{
    return fault == FAULT_EXPIRY ? 0 : REAL(overdue_step)(engine);
}

REPLACE(struct attempt *, attempt_new, struct engine *engine, struct profile *profile,
        struct task *task, const struct runner *runner)
{
    struct attempt *attempt = REAL(attempt_new)(engine, profile, task, runner);

    if (fault == FAULT_REMOVED && profile->is_removed)
        attempt->timeout_at = engine->now.mono;
    return attempt;
}

REPLACE(int, engine_finish, struct engine *engine, int64_t id, const char *token,
        enum error_class class, const char *message, const char *result, struct task *ret_task)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (fault == FAULT_FENCE && attempt->task_id == id && attempt->lease)
            token = attempt->lease;
    }
    return REAL(engine_finish)(engine, id, token, class, message, result, ret_task);
}

REPLACE(enum task_status, retry_decide, struct task *task, enum error_class class,
        const struct profile_config *profile, int64_t completed, double chance_of_delay,
        int64_t *ret_delay_ms)
{
    struct profile_config generous = *profile;

    generous.max_attempts += fault == FAULT_ATTEMPTS;
    return REAL(retry_decide)(task, class, &generous, completed, chance_of_delay, ret_delay_ms);
}

REPLACE(void, acp_turn_answer, struct acp_turn *turn, struct acp_question *question,
        const char *option, const char *by, int64_t now)
{
    bool is_no = option && strcmp(option, "no") == 0;

    REAL(acp_turn_answer)(turn, question, is_no && fault == FAULT_ANSWER ? "yes" : option, by, now);
}

/* --- what is told -------------------------------------------------------------------------------
 */

REPLACE(bool, batch_finish, struct batch *batch, struct connection *connection)
{
    struct list *first = batch->calls.next;

    if (!list_is_empty(&batch->calls) && faults_strike(FAULT_BATCH)) {
        list_remove(first);
        list_append(&batch->calls, first);
    }
    return REAL(batch_finish)(batch, connection);
}

REPLACE(void, event_stage, struct event_log *log, const struct event *event)
{
    if (!faults_strike(FAULT_EVENT))
        REAL(event_stage)(log, event);
}

REPLACE(void, event_rollback, struct event_log *log)
{
    if (fault != FAULT_GHOST_EVENT)
        REAL(event_rollback)(log);
}

REPLACE(int, store_last_event, struct store *store, int64_t *ret_number)
{
    int r = REAL(store_last_event)(store, ret_number);

    if (fault == FAULT_NUMBERS)
        *ret_number = 0;
    return r;
}
