/* SPDX-License-Identifier: MIT */
/* Tasks in SQLite. */
#include <string.h>

#include "store/sqlite_row.h"

/* A row of TASK_COLUMNS. */
static int read_task(struct store *store, sqlite3_stmt *stmt, struct task *ret_task)
{
    int64_t id = sqlite3_column_int64(stmt, 0);

    if (!sqlite_row_is_sound(stmt))
        return sqlite_fail_damaged(store, id);
    *ret_task = (struct task){
        .id = id,
        .profile_id = sqlite3_column_int64(stmt, 1),
        .status = (enum task_status)sqlite3_column_int(stmt, 2),
        .priority = (enum task_priority)sqlite3_column_int(stmt, 3),
        .place = sqlite3_column_int64(stmt, 4),
        .created_at = sqlite3_column_int64(stmt, 5),
        .started_at = sqlite3_column_int64(stmt, 6),
        .finished_at = sqlite3_column_int64(stmt, 7),
        .run_at = sqlite3_column_int64(stmt, 8),
        .ready_at = sqlite3_column_int64(stmt, 9),
        .queued_at = sqlite3_column_int64(stmt, 10),
        .timeout_ms = sqlite3_column_int64(stmt, 11),
        .max_attempts = sqlite3_column_int64(stmt, 12),
        .attempt = sqlite3_column_int64(stmt, 13),
        .spent = sqlite3_column_int64(stmt, 14),
        .retries = sqlite3_column_int64(stmt, 15),
        .interruptions = sqlite3_column_int64(stmt, 16),
        .error_class = sqlite_class_parse((const char *)sqlite3_column_text(stmt, 17)),
        .error_message = sqlite_column_copy(stmt, 18),
        .key = sqlite_column_copy(stmt, 19),
        .result = sqlite_column_copy(stmt, 20),
        .routing = sqlite_column_copy(stmt, 21),
        .body = sqlite_column_copy(stmt, 22),
        .type = sqlite_column_copy(stmt, 23),
        .bytes = sqlite3_column_int64(stmt, 24),
        .cooldowns = sqlite3_column_int64(stmt, 25),
        .completed_then = sqlite3_column_int64(stmt, 26),
        .submitted_by = sqlite3_column_int64(stmt, 27),
        .depth = sqlite3_column_int64(stmt, 28),
        .error_tail = sqlite_column_copy(stmt, 29),
    };
    return 0;
}

/* The number that a statement returns. 1: there was one. */
static int take_number(struct store *store, sqlite3_stmt *stmt, int64_t *ret_number)
{
    int r = sqlite_step(store, stmt);

    if (r <= 0)
        return r;
    r = sqlite3_column_type(stmt, 0) != SQLITE_NULL;
    if (r)
        *ret_number = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return r;
}

/* The parameters ?1 to ?31: TASK_COLUMNS. */
static void bind_task(sqlite3_stmt *stmt, const struct task *task)
{
    sqlite3_bind_int64(stmt, 1, task->id);
    sqlite3_bind_int64(stmt, 2, task->profile_id);
    sqlite3_bind_int(stmt, 3, (int)task->status);
    sqlite3_bind_int(stmt, 4, (int)task->priority);
    sqlite3_bind_int64(stmt, 5, task->place);
    sqlite3_bind_int64(stmt, 6, task->created_at);
    sqlite3_bind_int64(stmt, 7, task->started_at);
    sqlite3_bind_int64(stmt, 8, task->finished_at);
    sqlite3_bind_int64(stmt, 9, task->run_at);
    sqlite3_bind_int64(stmt, 10, task->ready_at);
    sqlite3_bind_int64(stmt, 11, task->queued_at);
    sqlite3_bind_int64(stmt, 12, task->timeout_ms);
    sqlite3_bind_int64(stmt, 13, task->max_attempts);
    sqlite3_bind_int64(stmt, 14, task->attempt);
    sqlite3_bind_int64(stmt, 15, task->spent);
    sqlite3_bind_int64(stmt, 16, task->retries);
    sqlite3_bind_int64(stmt, 17, task->interruptions);
    sqlite_bind_text_or_null(stmt, 18, sqlite_class_name(task->error_class));
    sqlite_bind_text_or_null(stmt, 19, task->error_message);
    sqlite_bind_text_or_null(stmt, 20, task->key);
    sqlite_bind_text_or_null(stmt, 21, task->result);
    sqlite_bind_text_or_null(stmt, 22, task->routing);
    sqlite_bind_text_or_null(stmt, 23, task->body);
    sqlite_bind_text_or_null(stmt, 24, task->type);
    sqlite3_bind_int64(stmt, 25, task->bytes);
    sqlite3_bind_int64(stmt, 26, task->cooldowns);
    sqlite3_bind_int64(stmt, 27, task->completed_then);
    sqlite3_bind_int64(stmt, 28, task->submitted_by);
    sqlite3_bind_int64(stmt, 29, task->depth);
    sqlite_bind_text_or_null(stmt, 30, task->error_tail);
    sqlite3_bind_int64(stmt, 31, sqlite_row_crc(task));
}

int store_add_task(struct store *store, struct task *task)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_ADD_TASK, &stmt);

    if (r < 0)
        return r;
    /* The sum is over the id too, so that has to be known before. Nobody else writes meanwhile. */
    if (!store->next_id) {
        r = take_number(store, sqlite_use(store, STMT_NEXT_ID), &store->next_id);
        if (r < 0)
            return r;
    }
    task->id = store->next_id;
    bind_task(stmt, task);
    r = sqlite_run(store, stmt);
    if (r == 0)
        store->next_id++;
    else
        task->id = 0;
    return r;
}

int store_save_task(struct store *store, const struct task *task, enum task_status was_status,
                    int64_t was_attempt)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_SAVE_TASK, &stmt);

    if (r < 0)
        return r;
    bind_task(stmt, task);
    sqlite3_bind_int(stmt, 32, (int)was_status);
    sqlite3_bind_int64(stmt, 33, was_attempt);
    r = sqlite_run(store, stmt);
    return r < 0 ? r : sqlite3_changes(store->db);
}

/* The row of a statement that returns at most one. */
static int take_one(struct store *store, sqlite3_stmt *stmt, struct task *ret_task)
{
    int r = sqlite_step(store, stmt);

    if (r <= 0)
        return r;
    r = read_task(store, stmt, ret_task);
    sqlite3_reset(stmt);
    return r < 0 ? r : 1;
}

int store_get_task(struct store *store, int64_t id, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_GET_TASK);

    sqlite3_bind_int64(stmt, 1, id);
    return take_one(store, stmt, ret_task);
}

int store_get_task_by_key(struct store *store, const char *key, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_GET_TASK_BY_KEY);

    sqlite_bind_text_or_null(stmt, 1, key);
    return take_one(store, stmt, ret_task);
}

/* A writing statement whose only parameter is an id. */
static int run_for_id(struct store *store, enum statement statement, int64_t id)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, statement, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, id);
    return sqlite_run(store, stmt);
}

int store_get_status(struct store *store, int64_t id, enum task_status *ret_status)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_GET_STATUS);
    int r, status;

    sqlite3_bind_int64(stmt, 1, id);
    r = sqlite_step(store, stmt);
    if (r <= 0)
        return r;
    status = sqlite3_column_int(stmt, 0);
    sqlite3_reset(stmt);
    if (status < TASK_QUEUED || status >= TASK_STATUS_COUNT)
        return sqlite_fail_damaged(store, id);
    *ret_status = (enum task_status)status;
    return 1;
}

int store_oldest_finished(struct store *store, struct task *ret_task)
{
    return take_one(store, sqlite_use(store, STMT_OLDEST_FINISHED), ret_task);
}

int store_remove_task(struct store *store, int64_t id)
{
    static const enum statement parts[] = {STMT_REMOVE_TASK, STMT_REMOVE_ATTEMPTS,
                                           STMT_REMOVE_DEPENDENCIES, STMT_REMOVE_DEPENDANTS};
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
        r = run_for_id(store, parts[i], id);
    return r;
}

static int next_of_status(struct store *store, enum task_status status, int64_t profile_id,
                          int64_t except, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_NEXT_OF_STATUS);

    sqlite3_bind_int(stmt, 1, (int)status);
    sqlite3_bind_int64(stmt, 2, profile_id);
    sqlite3_bind_int64(stmt, 3, except);
    return take_one(store, stmt, ret_task);
}

int store_next_queued(struct store *store, int64_t profile_id, int64_t except,
                      struct task *ret_task)
{
    return next_of_status(store, TASK_QUEUED, profile_id, except, ret_task);
}

int store_last_queued(struct store *store, int64_t profile_id, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_LAST_QUEUED);

    sqlite3_bind_int64(stmt, 1, profile_id);
    return take_one(store, stmt, ret_task);
}

int store_next_scheduled(struct store *store, int64_t profile_id, struct task *ret_task)
{
    return next_of_status(store, TASK_SCHEDULED, profile_id, 0, ret_task);
}

int store_next_running(struct store *store, int64_t skip, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_NEXT_RUNNING);

    sqlite3_bind_int64(stmt, 1, skip);
    return take_one(store, stmt, ret_task);
}

int store_count_before(struct store *store, const struct task *task, int64_t limit,
                       int64_t *ret_count)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_COUNT_BEFORE);
    int r;

    sqlite3_bind_int(stmt, 1, (int)task->status);
    sqlite3_bind_int64(stmt, 2, task->profile_id);
    sqlite3_bind_int64(stmt, 3, task->place);
    sqlite3_bind_int64(stmt, 4, task->id);
    sqlite3_bind_int64(stmt, 5, limit);
    r = take_number(store, stmt, ret_count);
    return r < 0 ? r : 0;
}

int store_oldest_queued(struct store *store, int64_t profile_id, int64_t limit,
                        int64_t *ret_ready_at)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_OLDEST_QUEUED);

    sqlite3_bind_int64(stmt, 1, profile_id);
    sqlite3_bind_int64(stmt, 2, limit);
    return take_number(store, stmt, ret_ready_at);
}

int store_last_clock(struct store *store, int64_t *ret_at)
{
    int64_t at = 0;
    int r = take_number(store, sqlite_use(store, STMT_LAST_CLOCK), &at);

    if (r < 0)
        return r;
    *ret_at = at;
    return 0;
}

int store_shift_retries(struct store *store, int64_t step)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_SHIFT_RETRIES, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, step);
    return sqlite_run(store, stmt);
}

/* Calls `row` for each row. 1: it ended the list. */
static int list_rows(struct store *store, sqlite3_stmt *stmt, store_row row, void *data)
{
    int r;

    while ((r = sqlite_step(store, stmt)) > 0) {
        CLEANUP(task_deinit) struct task task = {0};

        r = read_task(store, stmt, &task);
        if (r < 0 || row(&task, data)) {
            sqlite3_reset(stmt);
            return r < 0 ? r : 1;
        }
    }
    return r;
}

int store_list_queue(struct store *store, int64_t profile_id, const struct task *after,
                     store_row row, void *data)
{
    static const enum task_status sections[] = {TASK_QUEUED, TASK_SCHEDULED, TASK_BLOCKED};
    bool reached = !after;

    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        bool starts_here = after && after->status == sections[i];
        sqlite3_stmt *stmt;
        int r;

        reached |= starts_here;
        if (!reached)
            continue;
        stmt = sqlite_use(store, STMT_LIST_STATUS);
        sqlite3_bind_int(stmt, 1, (int)sections[i]);
        sqlite3_bind_int64(stmt, 2, profile_id);
        sqlite3_bind_int64(stmt, 3, starts_here ? after->place : INT64_MIN);
        sqlite3_bind_int64(stmt, 4, starts_here ? after->id : 0);
        r = list_rows(store, stmt, row, data);
        if (r)
            return r < 0 ? r : 0;
    }
    return 0;
}

int store_list_tasks(struct store *store, const struct store_filter *filter, store_row row,
                     void *data, int64_t *ret_next)
{
    bool finished = task_status_is_finished(filter->status);
    enum statement statement = finished                         ? STMT_LIST_FINISHED
                               : filter->status == TASK_RUNNING ? STMT_LIST_RUNNING
                                                                : STMT_LIST_TASKS;
    sqlite3_stmt *stmt = sqlite_use(store, statement);
    int64_t missed = 0, next = 0;
    bool ended = false;
    int r;

    sqlite3_bind_int64(stmt, 1, filter->before ? filter->before : INT64_MAX);
    if (finished)
        sqlite3_bind_int(stmt, 2, (int)filter->status);
    while ((r = sqlite_step(store, stmt)) > 0) {
        /* Only what matches is read as a whole: rows may be large. */
        bool matches =
            (!filter->profile_id || sqlite3_column_int64(stmt, 1) == filter->profile_id) &&
            (filter->status == TASK_NEW || sqlite3_column_int(stmt, 2) == (int)filter->status);

        if (matches) {
            CLEANUP(task_deinit) struct task task = {0};

            r = read_task(store, stmt, &task);
            if (r < 0 || row(&task, data)) {
                ended = true;
                break;
            }
        } else if (++missed == filter->scan_limit) {
            next = sqlite3_column_int64(stmt, 0);
            break;
        }
    }
    sqlite3_reset(stmt);
    if (r < 0)
        return r;
    *ret_next = next;
    return ended;
}

int store_add_dependency(struct store *store, int64_t task_id, int64_t depends_on)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_ADD_DEPENDENCY, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, task_id);
    sqlite3_bind_int64(stmt, 2, depends_on);
    return sqlite_run(store, stmt);
}

int store_unmet_dependency(struct store *store, int64_t task_id, int64_t *ret_id,
                           enum task_status *ret_status)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_UNMET_DEPENDENCY);
    int r;

    sqlite3_bind_int64(stmt, 1, task_id);
    r = sqlite_step(store, stmt);
    if (r <= 0)
        return r;
    r = sqlite3_column_int(stmt, 1) != 0;
    if (r) {
        *ret_id = sqlite3_column_int64(stmt, 0);
        *ret_status = (enum task_status)sqlite3_column_int(stmt, 1);
    }
    sqlite3_reset(stmt);
    return r;
}

int store_add_release(struct store *store, int64_t id)
{
    int r = run_for_id(store, STMT_ADD_RELEASE, id);

    return r < 0 ? r : sqlite3_changes(store->db);
}

int store_next_release(struct store *store, int64_t *ret_id, int64_t *ret_after)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_NEXT_RELEASE);
    int r = sqlite_step(store, stmt);

    if (r <= 0)
        return r;
    *ret_id = sqlite3_column_int64(stmt, 0);
    *ret_after = sqlite3_column_int64(stmt, 1);
    sqlite3_reset(stmt);
    return 1;
}

int store_move_release(struct store *store, int64_t id, int64_t after)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, STMT_MOVE_RELEASE, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, id);
    sqlite3_bind_int64(stmt, 2, after);
    return sqlite_run(store, stmt);
}

int store_drop_release(struct store *store, int64_t id)
{
    return run_for_id(store, STMT_DROP_RELEASE, id);
}

int store_next_dependant(struct store *store, int64_t id, int64_t after, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_NEXT_DEPENDANT);

    sqlite3_bind_int64(stmt, 1, id);
    sqlite3_bind_int64(stmt, 2, after);
    return take_one(store, stmt, ret_task);
}
