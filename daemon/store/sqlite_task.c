/* SPDX-License-Identifier: MIT */
/* Reading tasks in SQLite. */
#include "common/alloc.h"
#include "store/sqlite_row.h"

void sqlite_push_task(struct task_list *tasks, struct task *task)
{
    tasks->tasks = xrealloc(tasks->tasks, (tasks->count + 1) * sizeof(*tasks->tasks));
    tasks->tasks[tasks->count++] = *task;
    *task = (struct task){0};
}

int sqlite_read_task(struct store *store, sqlite3_stmt *stmt, struct task *ret_task)
{
    int64_t id = sqlite3_column_int64(stmt, 0);

    if (!sqlite_row_is_sound(stmt))
        return sqlite_fail_damaged(store, id);
    *ret_task = (struct task){
        .id = id,
        .profile_id = sqlite3_column_int64(stmt, 1),
        .status = (enum task_status)sqlite3_column_int(stmt, 2),
        .priority = (enum task_priority)sqlite3_column_int(stmt, 3),
        .sort_key = sqlite3_column_int64(stmt, 4),
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
        .sum = sqlite3_column_int64(stmt, TASK_FIELD_COUNT),
    };
    if (ret_task->error_class == ERROR_UNKNOWN)
        ret_task->unknown_class = sqlite_column_copy(stmt, 17);
    return 0;
}

void sqlite_bind_task(sqlite3_stmt *stmt, struct task *task, const struct store_lease *lease)
{
    task->sum = sqlite_row_crc(task, lease);
    sqlite3_bind_int64(stmt, 1, task->id);
    sqlite3_bind_int64(stmt, 2, task->profile_id);
    sqlite3_bind_int(stmt, 3, (int)task->status);
    sqlite3_bind_int(stmt, 4, (int)task->priority);
    sqlite3_bind_int64(stmt, 5, task->sort_key);
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
    sqlite_bind_text_or_null(stmt, 18, task_error_name(task));
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
    if (lease) {
        sqlite_bind_text_or_null(stmt, LEASE_COLUMN + 1, lease->token);
        sqlite3_bind_int64(stmt, LEASE_COLUMN + 2, lease->length_ms);
        sqlite_bind_text_or_null(stmt, LEASE_COLUMN + 3, lease->worker);
    }
    sqlite3_bind_int64(stmt, TASK_FIELD_COUNT + 1, task->sum);
}

int sqlite_take_task(struct store *store, sqlite3_stmt *stmt, struct task *ret_task)
{
    int r = sqlite_step(store, stmt);

    if (r <= 0)
        return r;
    r = sqlite_read_task(store, stmt, ret_task);
    sqlite3_reset(stmt);
    return r < 0 ? r : 1;
}

int store_get_task(struct store *store, int64_t id, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_GET_TASK);

    sqlite3_bind_int64(stmt, 1, id);
    return sqlite_take_task(store, stmt, ret_task);
}

int store_get_task_by_key(struct store *store, const char *key, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_GET_TASK_BY_KEY);

    sqlite_bind_text_or_null(stmt, 1, key);
    return sqlite_take_task(store, stmt, ret_task);
}

int store_last_queued(struct store *store, int64_t profile_id, struct task *ret_task)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_LAST_QUEUED);

    sqlite3_bind_int64(stmt, 1, profile_id);
    return sqlite_take_task(store, stmt, ret_task);
}

int store_count_before(struct store *store, const struct task *task, int64_t limit,
                       int64_t *ret_count)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_COUNT_BEFORE);
    int r;

    sqlite3_bind_int(stmt, 1, (int)task->status);
    sqlite3_bind_int64(stmt, 2, task->profile_id);
    sqlite3_bind_int64(stmt, 3, task->sort_key);
    sqlite3_bind_int64(stmt, 4, task->id);
    sqlite3_bind_int64(stmt, 5, limit);
    r = sqlite_take_number(store, stmt, ret_count);
    return r < 0 ? r : 0;
}

int store_oldest_queued(struct store *store, int64_t profile_id, int64_t limit,
                        int64_t *ret_ready_at)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_OLDEST_QUEUED);

    sqlite3_bind_int64(stmt, 1, profile_id);
    sqlite3_bind_int64(stmt, 2, limit);
    return sqlite_take_number(store, stmt, ret_ready_at);
}

int store_last_clock(struct store *store, int64_t *ret_at)
{
    int64_t at = 0;
    int r = sqlite_take_number(store, sqlite_use(store, STMT_LAST_CLOCK), &at);

    if (r < 0)
        return r;
    *ret_at = at;
    return 0;
}
