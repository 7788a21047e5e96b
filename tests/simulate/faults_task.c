/* SPDX-License-Identifier: MIT */
/* Faults of tasks. */
#include "faults_table.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "core/metrics.h"
#include "core/retry.h"
#include "engine/queue.h"
#include "engine/state.h"
#include "engine/wake.h"
#include "store/store.h"
#include "world.h"

/* Tasks that were added in this pass and, among them, those whose pass has failed. */
static struct {
    char *key;
    int64_t id;
    bool is_lost;
} added[64];
static size_t added_count;

static void faults_note_added(const struct task *task)
{
    if (faults_current != FAULT_REMEMBERED || !task->key || added_count == ARRAY_SIZE(added))
        return;
    added[added_count].key = xstrdup(task->key);
    added[added_count].is_lost = false;
    added[added_count++].id = task->id;
}

void faults_note_end_of_pass(int r)
{
    for (size_t i = added_count; i-- && !added[i].is_lost;) {
        added[i].is_lost = r < 0;
        if (r >= 0)
            free(added[--added_count].key);
    }
}

/* The task that was lost with a failed pass, as if it were there. */
static bool faults_remember(const struct task *task, struct task *ret_known)
{
    for (size_t i = 0; i < added_count; i++) {
        if (!task->key || !added[i].is_lost || strcmp(added[i].key, task->key) != 0)
            continue;
        *ret_known = *task;
        ret_known->id = added[i].id;
        ret_known->key = xstrdup(task->key);
        ret_known->body = xstrdup(task->body);
        ret_known->type = task->type ? xstrdup(task->type) : NULL;
        ret_known->routing = task->routing ? xstrdup(task->routing) : NULL;
        return true;
    }
    return false;
}

REPLACE(int, store_add, struct store *store, const struct store_addition *addition,
        struct task *ret_known)
{
    static char *other_body;
    struct task *task = addition->task;
    char *key = task->key, *body = task->body;
    int r;

    if (faults_current == FAULT_REMEMBERED && faults_remember(task, ret_known))
        return STORE_KNOWN;
    if (faults_strike(FAULT_KEY))
        task->key = NULL;
    if (other_body && faults_strike(FAULT_BODY))
        task->body = other_body;
    r = REAL(store_add)(store, addition, ret_known);
    task->key = key;
    task->body = body;
    if (faults_current == FAULT_BODY) {
        free(other_body);
        other_body = xstrdup(body);
    }
    if (r == STORE_DONE)
        faults_note_added(task);
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

REPLACE(int, store_cancel, struct store *store, struct task *task, const struct task_fence *fence,
        bool *ret_has_dependants)
{
    return faults_strike(FAULT_CANCEL) ? STORE_DONE
                                       : REAL(store_cancel)(store, task, fence, ret_has_dependants);
}

REPLACE(int, store_change, struct store *store, struct task *task, const struct task_fence *fence)
{
    if (faults_current == FAULT_BUDGET && !task->spent)
        task->spent = task->attempt;
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

    if (faults_current == FAULT_FIRST)
        r = store_first_queued(store, claim->profile_id, 0, &first);
    if (first.id)
        other.avoided = first.id;
    task_deinit(&first);
    if (r >= 0)
        r = REAL(store_claim)(store, &other, ret_tasks);

    if (faults_current == FAULT_DAMAGE && store_is_damage(store, r))
        r = 0;
    for (size_t i = 0; r >= 0 && i < ret_tasks->count; i++)
        if (ret_tasks->tasks[i].attempt > 1 && faults_strike(FAULT_ATTEMPT))
            ret_tasks->tasks[i].attempt--;
    return r;
}

REPLACE(void, task_enqueue, struct task *task, int64_t now, int64_t aging_interval_ms)
{
    REAL(task_enqueue)
    (task, faults_current == FAULT_CLOCK ? world_wall_ms() : now,
     faults_current == FAULT_ORDER ? 0 : aging_interval_ms);
}

REPLACE(int64_t, task_rank, const struct task *task, int64_t aging_interval_ms)
{
    return faults_current == FAULT_PLACE ? task->sort_key
                                         : REAL(task_rank)(task, aging_interval_ms);
}

REPLACE(int, engine_list_queue, struct engine *engine, const struct profile *profile,
        const struct task *after, const struct task_page *page, struct task_list *ret_tasks)
{
    struct task_page first = *page;

    if (faults_strike(FAULT_LIST))
        first.tasks = 1;
    return REAL(engine_list_queue)(engine, profile, after, &first, ret_tasks);
}

REPLACE(int, task_transition, struct task *task, enum task_status to, struct task_counts *counts)
{
    int r = REAL(task_transition)(task, to, counts);

    if (r == 0 && to == TASK_FAILED && faults_current == FAULT_FAILED)
        counts->by_status[TASK_FAILED]--;
    return r;
}

REPLACE(void, metrics_bucket_add, struct metrics_bucket *bucket, const struct metrics_bucket *other)
{
    REAL(metrics_bucket_add)(bucket, other);
    if (bucket->completed && faults_strike(FAULT_METRICS))
        bucket->completed--;
}

REPLACE(int, engine_cancel, struct engine *engine, int64_t id, struct task *ret_task)
{
    int r = REAL(engine_cancel)(engine, id, ret_task);

    return r == 0 && faults_strike(FAULT_REFUSED_CANCEL) ? ENGINE_CONFLICT : r;
}

REPLACE(int, engine_retry, struct engine *engine, int64_t id, struct task *ret_task)
{
    return faults_strike(FAULT_RETRY) ? engine_get_task(engine, id, ret_task)
                                      : REAL(engine_retry)(engine, id, ret_task);
}

REPLACE(int, engine_update, struct engine *engine, int64_t id, const struct engine_update *update,
        struct task *ret_task)
{
    struct engine_update other = *update;

    if (faults_strike(FAULT_MOVE))
        other.profile = NULL;
    if (other.has_run_at && faults_current == FAULT_SECOND)
        other.priority = -1;
    return REAL(engine_update)(engine, id, &other, ret_task);
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

    early.now += faults_current == FAULT_RUN_AT ? 3600000 : 0;
    return REAL(store_wake)(store, &early, ret_tasks, ret_next);
}

REPLACE(int, wake_step, struct engine *engine)
{
    return faults_current == FAULT_WAKE ? 0 : REAL(wake_step)(engine);
}

REPLACE(int, store_depend, struct store *store, const int64_t *ids, size_t count,
        enum task_status *ret_statuses)
{
    int r = REAL(store_depend)(store, ids, count, ret_statuses);

    for (size_t i = 0; r >= 0 && faults_current == FAULT_DEPENDENCY && i < count; i++)
        ret_statuses[i] = TASK_COMPLETED;
    return r;
}

REPLACE(int, store_take_dependants, struct store *store, int limit,
        struct store_dependant **ret_dependants, size_t *ret_count)
{
    return faults_current == FAULT_RELEASE
               ? STORE_STALE
               : REAL(store_take_dependants)(store, limit, ret_dependants, ret_count);
}

REPLACE(int, store_prune, struct store *store, const struct store_pruning *pruning,
        struct task_list *ret_removed)
{
    struct store_pruning greedy = *pruning;

    if (faults_current == FAULT_KEPT)
        return STORE_STALE;
    greedy.before += faults_current == FAULT_RETENTION ? INT64_C(400) * 86400000 : 0;
    return REAL(store_prune)(store, &greedy, ret_removed);
}

REPLACE(int, store_update_profile, struct store *store, int64_t id, int is_active,
        int64_t last_activity)
{
    return REAL(store_update_profile)(store, id, faults_current == FAULT_PAUSE ? -1 : is_active,
                                      last_activity);
}
