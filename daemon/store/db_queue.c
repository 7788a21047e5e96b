/* SPDX-License-Identifier: MIT */
/*
 * Changing tasks. The transaction holds the write lock from its first statement, so what
 * a verb reads stays valid until the commit: each verb reads, decides and writes.
 */
#include <errno.h>

#include "common/alloc.h"
#include "store/db.h"

/* Counters */

/* `was` NULL: the task is new. */
static void db_queue_count_step(struct store *store, const struct task_fence *was,
                                const struct task *task)
{
    struct task_counts *counts = db_counts(store, task->profile_id);

    if (task->status == TASK_QUEUED)
        db_head_note_queued(store, task);
    if (was && was->status == TASK_QUEUED && task->status != TASK_RUNNING)
        db_head_forget(store, was->profile_id);
    counts->finished_bytes += task->bytes;
    if (!was || was->profile_id == task->profile_id) {
        task_counts_step(counts, was ? was->status : TASK_NEW, task->status);
    } else {
        task_counts_step(counts, TASK_NEW, task->status);
        counts = db_counts(store, was->profile_id);
        counts->by_status[was->status]--;
    }
    counts->finished_bytes -= was ? was->bytes : 0;
}

/* Adding */

int store_count_waiting(struct store *store, int64_t profile_id, int64_t *ret_waiting)
{
    int r = db_begin(store);
    struct profile_change *change;

    if (r < 0)
        return r;
    change = db_change_of(store, profile_id);
    if (change->waiting < 0) {
        struct statement *stmt = db_use(store, STMT_COUNT_WAITING);
        int64_t waiting = 0;

        db_bind_number(stmt, 1, profile_id);
        r = db_take_number(store, stmt, &waiting);
        if (r <= 0)
            return r < 0 ? r : STORE_STALE;
        change->waiting = waiting;
    }
    *ret_waiting = change->waiting + task_counts_waiting(&change->counts);
    return STORE_DONE;
}

/* Whether one more task may wait: STORE_DONE, STORE_FULL, or STORE_STALE. */
static int db_queue_check_room(struct store *store, const struct task *task, int64_t limit)
{
    int64_t waiting = 0;
    int r = store_count_waiting(store, task->profile_id, &waiting);

    return r != STORE_DONE ? r : waiting < limit ? STORE_DONE : STORE_FULL;
}

static int db_queue_add_row(struct store *store, struct task *task)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_ADD_TASK, &stmt);

    if (r < 0)
        return r;
    /* The checksum covers the id, so the id has to be known first. */
    if (!store->next_id) {
        r = db_take_number(store, db_use(store, STMT_NEXT_ID), &store->next_id);
        if (r < 0)
            return r;
    }
    task->id = store->next_id;
    db_bind_task(stmt, task, NULL);
    r = db_run_later(store, stmt);
    if (r == 0)
        store->next_id++;
    else
        task->id = 0;
    return r;
}

int store_add(struct store *store, const struct store_addition *addition, struct task *ret_known)
{
    struct task *task = addition->task;
    int r = db_begin(store);

    if (r == 0 && task->key)
        r = store_get_task_by_key(store, task->key, ret_known);
    if (r)
        return r < 0 ? r : STORE_KNOWN;
    r = db_queue_check_room(store, task, addition->limit);
    if (r != STORE_DONE)
        return r;
    r = db_queue_add_row(store, task);
    if (addition->depends_on_count)
        store->has_dependencies = 1;
    for (size_t i = 0; i < addition->depends_on_count && r == 0; i++)
        r = db_run_for_pair(store, STMT_ADD_DEPENDENCY, task->id, addition->depends_on[i]);
    if (r < 0)
        return r;
    db_queue_count_step(store, NULL, task);
    return STORE_DONE;
}

int store_depend(struct store *store, const int64_t *ids, size_t count,
                 enum task_status *ret_statuses)
{
    int r = db_begin(store);

    for (size_t i = 0; i < count && r >= 0; i++) {
        struct statement *stmt = db_use(store, STMT_GET_STATUS);
        int64_t status = TASK_NEW;

        db_bind_number(stmt, 1, ids[i]);
        r = db_take_number(store, stmt, &status);
        if (r > 0 && (status < TASK_QUEUED || status >= TASK_STATUS_COUNT))
            r = db_fail_damaged(store, ids[i]);
        ret_statuses[i] = (enum task_status)status;
    }
    return r < 0 ? r : 0;
}

/* Changing */

/* Writes the row if it still matches the fence. `lease`: of the attempt that it starts, or NULL. */
static int db_queue_save(struct store *store, struct task *task, const struct task_fence *fence,
                         const struct store_lease *lease)
{
    const bool is_later = fence->is_sure && store->engine->run_later;
    const int64_t was_sum = task->sum;
    struct statement *stmt;
    int r = db_begin(store);

    if (r < 0)
        return r;
    stmt = db_use(store, is_later ? STMT_SAVE_SURELY : STMT_SAVE_TASK);
    db_bind_task(stmt, task, lease);
    db_bind_number(stmt, 35, (int)fence->status);
    db_bind_number(stmt, 36, fence->attempt);
    if (fence->sum)
        db_bind_number(stmt, 37, fence->sum);
    r = is_later ? db_run_later(store, stmt) : db_run(store, stmt);
    if (r < 0)
        return r;
    if (!is_later && !db_changes(store)) {
        task->sum = was_sum;
        return STORE_STALE;
    }
    store->writes++;
    db_queue_count_step(store, fence, task);
    if (fence->status == TASK_RUNNING && task->status == TASK_CANCELLED)
        db_change_of(store, task->profile_id)->held = -1; /* its processes count */
    return STORE_DONE;
}

int store_change(struct store *store, struct task *task, const struct task_fence *fence)
{
    int r = db_begin(store);

    if (r < 0)
        return r;
    r = fence->limit ? db_queue_check_room(store, task, fence->limit) : STORE_DONE;
    return r == STORE_DONE ? db_queue_save(store, task, fence, NULL) : r;
}

/* Records that the dependants of a task have to be released; writes nothing if it has none. */
static int db_queue_add_release(struct store *store, int64_t id, bool *ret_has_dependants)
{
    int r = 0;

    *ret_has_dependants = false;
    if (store->has_dependencies < 0) {
        r = db_step(store, db_use(store, STMT_HAS_DEPENDENCIES));
        db_reset(&store->statements[STMT_HAS_DEPENDENCIES]);
        store->has_dependencies = r > 0;
    }
    if (r < 0 || !store->has_dependencies)
        return r < 0 ? r : STORE_DONE;
    r = db_run_for_id(store, STMT_ADD_RELEASE, id);
    *ret_has_dependants = r == 0 && db_changes(store) > 0;
    return r < 0 ? r : STORE_DONE;
}

int store_cancel(struct store *store, struct task *task, const struct task_fence *fence,
                 bool *ret_has_dependants)
{
    int r = db_queue_save(store, task, fence, NULL);

    return r == STORE_DONE ? db_queue_add_release(store, task->id, ret_has_dependants) : r;
}

int store_finish(struct store *store, struct task *task, const struct task_fence *fence,
                 const struct store_attempt *attempt, bool *ret_has_dependants)
{
    int r = db_queue_save(store, task, fence, NULL);

    *ret_has_dependants = false;
    if (r != STORE_DONE)
        return r;
    r = db_add_attempt(store, attempt);
    if (r < 0 || !task_status_is_finished(task->status))
        return r < 0 ? r : STORE_DONE;
    return db_queue_add_release(store, task->id, ret_has_dependants);
}

/* Claiming and waking */

static int db_queue_next_of_status(struct store *store, enum task_status status, int64_t profile_id,
                                   int64_t except, struct task *ret_task)
{
    struct statement *stmt = db_use(store, STMT_NEXT_OF_STATUS);

    db_bind_number(stmt, 1, (int)status);
    db_bind_number(stmt, 2, profile_id);
    db_bind_number(stmt, 3, except);
    return db_take_task(store, stmt, ret_task);
}

int store_first_queued(struct store *store, int64_t profile_id, int64_t avoided,
                       struct task *ret_task)
{
    int r = db_queue_next_of_status(store, TASK_QUEUED, profile_id, avoided, ret_task);

    return r || !avoided ? r : db_queue_next_of_status(store, TASK_QUEUED, profile_id, 0, ret_task);
}

/* Asks how many of the profile's tasks are some node's, whether it is paused, and whose task is
 * first. 1: known. */
static int db_queue_count_held(struct store *store, struct profile_change *ret_change)
{
    struct statement *stmt = db_use(store, STMT_COUNT_HELD);
    int r;

    db_bind_number(stmt, 1, ret_change->profile_id);
    db_bind_number(stmt, 2, store->node);
    r = db_step(store, stmt);
    if (r <= 0)
        return r;
    ret_change->was_active = db_number(stmt, 0) != 0;
    ret_change->held = db_number(stmt, 1);
    ret_change->is_preceded = db_number(stmt, 2) != 0;
    db_reset(stmt);
    return 1;
}

/* How many of its tasks may be claimed, as far as others who share the store leave room. */
static int db_queue_room(struct store *store, const struct store_claim *claim, size_t *ret_room)
{
    struct profile_change unwritten = {
        .profile_id = claim->profile_id, .is_active = -1, .held = -1};
    struct profile_change *change =
        store->in_transaction ? db_change_of(store, claim->profile_id) : &unwritten;
    int64_t left = INT64_MAX;
    bool is_active;
    int r = 1;

    *ret_room = claim->limit;
    if (!store->node)
        return 0;
    if (change->held < 0)
        r = db_queue_count_held(store, change);
    if (r <= 0) {
        *ret_room = 0;
        return r;
    }
    is_active = change->is_active >= 0 ? change->is_active : change->was_active;
    if (claim->most)
        left = claim->most - change->held - change->counts.by_status[TASK_RUNNING] -
               (claim->yields && change->is_preceded);
    if (!is_active || left <= 0)
        *ret_room = 0;
    else if (left < (int64_t)claim->limit)
        *ret_room = (size_t)left;
    return 0;
}

/* The task to claim next; `left`: how many more may be. */
static int db_queue_next_to_claim(struct store *store, const struct store_claim *claim, size_t left,
                                  struct task *ret_task)
{
    if (!claim->avoided)
        return db_head_take(store, claim->profile_id, left, ret_task);
    db_head_forget(store, claim->profile_id);
    return store_first_queued(store, claim->profile_id, claim->avoided, ret_task);
}

int store_claim(struct store *store, const struct store_claim *claim, struct task_list *ret_tasks)
{
    size_t room = 0;
    int r = 0;

    if (!store->in_transaction) { /* which one that finds no room does not need */
        r = db_queue_room(store, claim, &room);
        if (r < 0 || !room)
            return r;
    }
    r = db_begin(store);
    if (r == 0)
        r = db_queue_room(store, claim, &room);
    while (r >= 0 && ret_tasks->count < room) {
        CLEANUP(task_deinit) struct task task = {0};
        struct task_fence fence;

        r = db_queue_next_to_claim(store, claim, room - ret_tasks->count, &task);
        if (r <= 0)
            break;
        fence = task_fence(&task);
        fence.is_sure = true; /* nobody else has changed it since it was read */
        task.status = TASK_RUNNING;
        task.attempt++;
        task.started_at = claim->now;
        task.sort_key = task.id;
        r = db_queue_save(store, &task, &fence, claim->lease);
        if (r != STORE_DONE)
            break;
        task.node_id = store->node;
        free(STEAL(task.node));
        db_head_note_claim(store, &task);
        db_push_task(ret_tasks, &task);
    }
    /* Tasks before a damaged row stay claimed. */
    if (r == -EBADMSG && !store->failure && ret_tasks->count)
        return 0;
    return r < 0 ? r : 0;
}

int store_wake(struct store *store, const struct store_waking *waking, struct task_list *ret_tasks,
               int64_t *ret_next)
{
    int r = db_begin(store);

    while (r >= 0) {
        CLEANUP(task_deinit) struct task task = {0};
        struct task_fence fence;

        r = db_queue_next_of_status(store, TASK_SCHEDULED, waking->profile_id, 0, &task);
        if (r < 0)
            break;
        *ret_next = r ? task.sort_key : INT64_MAX;
        if (!r || task.sort_key > waking->now || ret_tasks->count == waking->limit)
            break;
        fence = task_fence(&task);
        task.status = TASK_QUEUED;
        task_enqueue(&task, waking->queue_now, waking->aging_interval);
        r = db_queue_save(store, &task, &fence, NULL);
        if (r != STORE_DONE)
            break;
        db_push_task(ret_tasks, &task);
    }
    return r < 0 ? r : 0;
}

int store_shift_retries(struct store *store, int64_t step)
{
    struct statement *stmt;
    int r = db_use_writing(store, STMT_SHIFT_RETRIES, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, step);
    return db_run(store, stmt);
}

/* Running tasks behind the cursor: those that a worker holds, or the others. */
static struct statement *db_queue_use_running(struct store *store,
                                              const struct store_cursor *cursor, bool is_leased,
                                              size_t limit)
{
    struct statement *stmt = db_use(store, STMT_LIST_RUNNING_BY);

    db_bind_number(stmt, 1, cursor->profile_id);
    db_bind_number(stmt, 2, cursor->sort_key);
    db_bind_number(stmt, 3, is_leased);
    db_bind_number(stmt, 4, (int64_t)limit);
    return stmt;
}

/* The next of them. 1: found; a task without an id has a damaged row. */
static int db_queue_step_running(struct store *store, struct statement *stmt,
                                 struct store_cursor *cursor, struct store_leased *ret_leased)
{
    int r = db_step(store, stmt);

    if (r <= 0)
        return r;
    cursor->profile_id = db_number(stmt, 1);
    cursor->sort_key = db_number(stmt, 4);
    *ret_leased = (struct store_leased){0};
    (void)db_read_leased(store, stmt, &ret_leased->task, &ret_leased->lease);
    return 1;
}

int store_take_over(struct store *store, struct store_cursor *cursor, size_t limit,
                    struct task_list *ret_tasks, int64_t *ret_damaged)
{
    struct statement *stmt = db_queue_use_running(store, cursor, false, limit);
    struct store_leased next;
    size_t rows = 0;
    int r;

    *ret_damaged = 0;
    for (; (r = db_queue_step_running(store, stmt, cursor, &next)) > 0; rows++) {
        if (next.task.id)
            db_push_task(ret_tasks, &next.task);
        else
            ++*ret_damaged;
    }
    return r < 0 ? r : rows == limit ? STORE_DONE : STORE_STALE;
}

int store_list_leased(struct store *store, struct store_cursor *cursor, size_t limit,
                      struct store_leased **ret_leased, size_t *ret_count)
{
    struct statement *stmt = db_queue_use_running(store, cursor, true, limit);
    struct store_leased *leased = NULL, next;
    size_t rows = 0, count = 0;
    int r;

    for (; (r = db_queue_step_running(store, stmt, cursor, &next)) > 0; rows++) {
        if (!next.task.id)
            continue;
        leased = xrealloc(leased, (count + 1) * sizeof(*leased));
        leased[count++] = next;
    }
    if (r < 0) {
        store_leased_free(leased, count);
        return r;
    }
    *ret_leased = leased;
    *ret_count = count;
    return rows == limit ? STORE_DONE : STORE_STALE;
}

void store_leased_free(struct store_leased *leased, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        task_deinit(&leased[i].task);
        db_lease_deinit(&leased[i].lease);
    }
    free(leased);
}

/* Removing */

static bool db_queue_is_spared(const struct store_pruning *pruning, int64_t id)
{
    for (size_t i = 0; i < pruning->spared_count; i++)
        if (pruning->spared[i] == id)
            return true;
    return false;
}

static int db_queue_remove_task(struct store *store, const struct task *task)
{
    static const enum statement_name parts[] = {STMT_REMOVE_TASK, STMT_REMOVE_ATTEMPTS,
                                                STMT_REMOVE_DEPENDENCIES, STMT_REMOVE_DEPENDANTS};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
        r = db_run_for_id(store, parts[i], task->id);
    if (r == 0)
        db_counts(store, task->profile_id)->finished_bytes -= task->bytes;
    return r;
}

int store_prune(struct store *store, const struct store_pruning *pruning,
                struct task_list *ret_removed)
{
    int64_t attempts = 0, bytes = 0;
    int r = db_begin(store);

    while (r >= 0 && (int64_t)ret_removed->count < pruning->tasks && attempts < pruning->attempts &&
           bytes < pruning->bytes) {
        CLEANUP(task_deinit) struct task task = {0};

        r = db_take_task(store, db_use(store, STMT_OLDEST_FINISHED), &task);
        if (r < 0)
            break;
        if (r == 0 || (bytes >= pruning->excess && task.finished_at >= pruning->before) ||
            db_queue_is_spared(pruning, task.id))
            return STORE_STALE;
        r = db_queue_remove_task(store, &task);
        attempts += task.attempt;
        bytes += task.bytes;
        db_push_task(ret_removed, &task);
    }
    return r < 0 ? r : STORE_DONE;
}
