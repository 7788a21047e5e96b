/* SPDX-License-Identifier: MIT */
/*
 * Lists of tasks.
 *
 * An index lists the tasks of one profile in one status by id. Longer lists merge several such
 * series, newest first: one seek per series and one per task.
 */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/heap.h"
#include "store/db.h"

/* Rows that a list reads at a time, from the first on: an engine may fetch all that a statement
 * returns, and rows may be long. */
#define STEP_MIN 4
#define STEP_MAX 64

static size_t db_list_length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

static size_t db_list_texts_of(const struct task *task)
{
    return db_list_length_of(task->body) + db_list_length_of(task->result) +
           db_list_length_of(task->routing) + db_list_length_of(task->error_message) +
           db_list_length_of(task->error_tail);
}

/* Takes ownership of the task. Returns whether the page is full. */
static bool db_list_add(struct task_page *left, struct task_list *tasks, struct task *task)
{
    size_t bytes = db_list_texts_of(task);

    left->tasks -= left->tasks > 0;
    left->bytes -= left->bytes < bytes ? left->bytes : bytes;
    db_push_task(tasks, task);
    return !left->tasks || !left->bytes;
}

/* Adds the rows of a statement, which returns a step. STORE_DONE: there are more. */
static int db_list_rows(struct store *store, struct statement *stmt, struct task_page *left,
                        struct task_list *ret_tasks)
{
    bool is_full = !left->tasks || !left->bytes;
    int r;

    while ((r = db_step(store, stmt)) > 0) {
        struct task task;

        if (is_full)
            break;
        r = db_read_task(store, stmt, &task);
        if (r < 0)
            break;
        is_full = db_list_add(left, ret_tasks, &task);
    }
    db_reset(stmt);
    return r < 0 ? r : r > 0 ? STORE_DONE : STORE_STALE;
}

/* The last task, if `step` tasks came since there were `count`. */
static const struct task *db_list_last_of_step(const struct task_list *tasks, size_t count,
                                               size_t step)
{
    return tasks->count - count == step ? &tasks->tasks[tasks->count - 1] : NULL;
}

static size_t db_list_next_step(size_t step)
{
    return step * 2 < STEP_MAX ? step * 2 : STEP_MAX;
}

/* The tasks in one status, behind `after` (NULL: all). */
static int db_list_section(struct store *store, int64_t profile_id, enum task_status status,
                           const struct task *after, struct task_page *left,
                           struct task_list *ret_tasks)
{
    int64_t sort_key = after ? after->sort_key : INT64_MIN, id = after ? after->id : 0;

    for (size_t step = STEP_MIN;; step = db_list_next_step(step)) {
        struct statement *stmt = db_use(store, STMT_LIST_STATUS);
        size_t count = ret_tasks->count;
        const struct task *last;
        int r;

        db_bind_number(stmt, 1, status);
        db_bind_number(stmt, 2, profile_id);
        db_bind_number(stmt, 3, sort_key);
        db_bind_number(stmt, 4, id);
        db_bind_number(stmt, 5, (int64_t)step);
        r = db_list_rows(store, stmt, left, ret_tasks);
        last = db_list_last_of_step(ret_tasks, count, step);
        if (r != STORE_STALE || !last)
            return r;
        sort_key = last->sort_key;
        id = last->id;
    }
}

int store_list_queue(struct store *store, int64_t profile_id, const struct task *after,
                     const struct task_page *page, struct task_list *ret_tasks)
{
    static const enum task_status sections[] = {TASK_QUEUED, TASK_SCHEDULED, TASK_BLOCKED};
    struct task_page left = *page;
    bool reached = !after;
    int r = STORE_STALE;

    for (size_t i = 0; i < ARRAY_SIZE(sections) && r == STORE_STALE; i++) {
        bool starts_here = after && after->status == sections[i];

        reached |= starts_here;
        if (reached)
            r = db_list_section(store, profile_id, sections[i], starts_here ? after : NULL, &left,
                                ret_tasks);
    }
    return r;
}

/* The matching tasks of one profile in one status. */
struct series {
    struct heap_node node; /* by the highest remaining id */
    int64_t profile_id;
    enum task_status status;
};

struct merge {
    struct series *series;
    size_t count;
    struct heap heap;
};

static void db_list_merge_deinit(struct merge *merge)
{
    heap_deinit(&merge->heap);
    free(merge->series);
}

/* Advances to the highest id below `before`. */
static int db_list_advance(struct store *store, struct merge *merge, struct series *series,
                           int64_t before)
{
    struct statement *stmt =
        db_use(store, series->status == TASK_RUNNING ? STMT_LAST_RUNNING : STMT_LAST_OF_STATUS);
    int64_t id;
    int r;

    db_bind_number(stmt, 1, series->profile_id);
    db_bind_number(stmt, 2, (int)series->status);
    db_bind_number(stmt, 3, before);
    r = db_take_number(store, stmt, &id);
    if (r > 0)
        heap_set(&merge->heap, &series->node, -id);
    else
        heap_remove(&merge->heap, &series->node);
    return r < 0 ? r : 0;
}

static void db_list_add_profile(struct merge *merge, int64_t profile_id, enum task_status status)
{
    int first = status ? (int)status : TASK_QUEUED;
    int last = status ? (int)status : TASK_STATUS_COUNT - 1;

    for (int s = first; s <= last; s++) {
        merge->series = xrealloc(merge->series, (merge->count + 1) * sizeof(*merge->series));
        merge->series[merge->count++] =
            (struct series){.profile_id = profile_id, .status = (enum task_status)s};
    }
}

static int db_list_begin(struct store *store, const struct task_filter *filter, int64_t before,
                         struct merge *merge)
{
    struct statement *stmt = db_use(store, STMT_LIST_PROFILE_IDS);
    int r = 0;

    if (filter->profile_id)
        db_list_add_profile(merge, filter->profile_id, filter->status);
    else
        while ((r = db_step(store, stmt)) > 0)
            db_list_add_profile(merge, db_number(stmt, 0), filter->status);
    for (size_t i = 0; i < merge->count && r == 0; i++)
        r = db_list_advance(store, merge, &merge->series[i], before);
    return r;
}

static int db_list_merged(struct store *store, const struct task_filter *filter, int64_t before,
                          struct task_list *ret_tasks)
{
    CLEANUP(db_list_merge_deinit) struct merge merge = {0};
    struct task_page left = filter->page;
    bool is_full = !left.tasks || !left.bytes;
    struct heap_node *top;
    int r = db_list_begin(store, filter, before, &merge);

    while (r == 0 && (top = heap_top(&merge.heap)) && !is_full) {
        int64_t id = -top->key;
        struct task task;

        r = store_get_task(store, id, &task);
        if (r <= 0)
            return r < 0 ? r : -EBADMSG;
        is_full = db_list_add(&left, ret_tasks, &task);
        r = db_list_advance(store, &merge, CONTAINER_OF(top, struct series, node), id);
    }
    return r < 0 ? r : heap_top(&merge.heap) ? STORE_DONE : STORE_STALE;
}

static int db_list_all(struct store *store, const struct task_filter *filter, int64_t before,
                       struct task_list *ret_tasks)
{
    struct task_page left = filter->page;

    for (size_t step = STEP_MIN;; step = db_list_next_step(step)) {
        struct statement *stmt = db_use(store, STMT_LIST_TASKS);
        size_t count = ret_tasks->count;
        const struct task *last;
        int r;

        db_bind_number(stmt, 1, before);
        db_bind_number(stmt, 2, (int64_t)step);
        r = db_list_rows(store, stmt, &left, ret_tasks);
        last = db_list_last_of_step(ret_tasks, count, step);
        if (r != STORE_STALE || !last)
            return r;
        before = last->id;
    }
}

int store_list_tasks(struct store *store, const struct task_filter *filter,
                     struct task_list *ret_tasks)
{
    int64_t before = filter->before ? filter->before : INT64_MAX;

    return filter->profile_id || filter->status != TASK_NEW
               ? db_list_merged(store, filter, before, ret_tasks)
               : db_list_all(store, filter, before, ret_tasks);
}
