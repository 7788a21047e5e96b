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

/* A row that is being read. sqlite3_column_value() needs no mutex here: acpd uses SQLite from one
 * thread. */
struct row {
    sqlite3_stmt *stmt;
    int at;        /* the next column */
    bool is_sound; /* so far, every column has a type that acpd writes */
};

static int64_t sqlite_task_take_number(struct row *row)
{
    sqlite3_value *value = sqlite3_column_value(row->stmt, row->at++);

    row->is_sound &= sqlite3_value_type(value) == SQLITE_INTEGER;
    return sqlite3_value_int64(value);
}

/* A number below `count`. */
static int sqlite_task_take_enum(struct row *row, int count)
{
    int64_t number = sqlite_task_take_number(row);
    bool is_known = number >= 0 && number < count;

    row->is_sound &= is_known;
    return is_known ? (int)number : 0;
}

/* A copy of the text, or NULL. */
static char *sqlite_task_take_text(struct row *row)
{
    sqlite3_value *value = sqlite3_column_value(row->stmt, row->at++);

    if (sqlite3_value_type(value) == SQLITE_TEXT)
        return xstrdup((const char *)sqlite3_value_text(value));
    row->is_sound &= sqlite3_value_type(value) == SQLITE_NULL;
    return NULL;
}

/* The members of a task in the order of TASK_FIELDS. */
static void sqlite_task_take_fields(struct row *row, struct task *task)
{
    char *class;

    task->id = sqlite_task_take_number(row);
    task->profile_id = sqlite_task_take_number(row);
    task->status = (enum task_status)sqlite_task_take_enum(row, TASK_STATUS_COUNT);
    task->priority = (enum task_priority)sqlite_task_take_enum(row, PRIORITY_COUNT);
    task->sort_key = sqlite_task_take_number(row);
    task->created_at = sqlite_task_take_number(row);
    task->started_at = sqlite_task_take_number(row);
    task->finished_at = sqlite_task_take_number(row);
    task->run_at = sqlite_task_take_number(row);
    task->ready_at = sqlite_task_take_number(row);
    task->queued_at = sqlite_task_take_number(row);
    task->timeout_ms = sqlite_task_take_number(row);
    task->max_attempts = sqlite_task_take_number(row);
    task->attempt = sqlite_task_take_number(row);
    task->spent = sqlite_task_take_number(row);
    task->retries = sqlite_task_take_number(row);
    task->interruptions = sqlite_task_take_number(row);
    class = sqlite_task_take_text(row);
    task->error_class = sqlite_class_parse(class);
    if (task->error_class == ERROR_UNKNOWN)
        task->unknown_class = STEAL(class);
    free(class);
    task->error_message = sqlite_task_take_text(row);
    task->key = sqlite_task_take_text(row);
    task->result = sqlite_task_take_text(row);
    task->routing = sqlite_task_take_text(row);
    task->body = sqlite_task_take_text(row);
    task->type = sqlite_task_take_text(row);
    task->bytes = sqlite_task_take_number(row);
    task->cooldowns = sqlite_task_take_number(row);
    task->completed_then = sqlite_task_take_number(row);
    task->submitted_by = sqlite_task_take_number(row);
    task->depth = sqlite_task_take_number(row);
    task->error_tail = sqlite_task_take_text(row);
}

/* The lease behind them. */
static void sqlite_task_take_lease(struct row *row, struct store_lease *lease)
{
    lease->token = sqlite_task_take_text(row);
    if (lease->token) {
        lease->length_ms = sqlite_task_take_number(row);
        lease->worker = sqlite_task_take_text(row);
        return;
    }
    row->is_sound &= sqlite3_column_type(row->stmt, row->at) == SQLITE_NULL &&
                     sqlite3_column_type(row->stmt, row->at + 1) == SQLITE_NULL;
    row->at += 2;
}

void sqlite_lease_deinit(struct store_lease *lease)
{
    free(lease->token);
    free(lease->worker);
    *lease = (struct store_lease){0};
}

int sqlite_read_leased(struct store *store, sqlite3_stmt *stmt, struct task *ret_task,
                       struct store_lease *ret_lease)
{
    struct row row = {.stmt = stmt, .is_sound = true};
    struct store_lease lease = {0};
    struct task task = {0};

    sqlite_task_take_fields(&row, &task);
    sqlite_task_take_lease(&row, &lease);
    task.sum = sqlite_task_take_number(&row);
    if (!row.is_sound || task.sum != sqlite_row_crc(&task, lease.token ? &lease : NULL)) {
        int64_t id = task.id;

        task_deinit(&task);
        sqlite_lease_deinit(&lease);
        return sqlite_fail_damaged(store, id);
    }
    *ret_task = task;
    *ret_lease = lease;
    return 0;
}

int sqlite_read_task(struct store *store, sqlite3_stmt *stmt, struct task *ret_task)
{
    CLEANUP(sqlite_lease_deinit) struct store_lease lease = {0};

    return sqlite_read_leased(store, stmt, ret_task, &lease);
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

static int sqlite_task_count(struct store *store, enum statement statement, const struct task *task,
                             int64_t limit, int64_t *ret_count)
{
    sqlite3_stmt *stmt = sqlite_use(store, statement);
    int r;

    sqlite3_bind_int(stmt, 1, (int)task->status);
    sqlite3_bind_int64(stmt, 2, task->profile_id);
    sqlite3_bind_int64(stmt, 3, task->sort_key);
    sqlite3_bind_int64(stmt, 4, task->id);
    sqlite3_bind_int64(stmt, 5, limit);
    r = sqlite_take_number(store, stmt, ret_count);
    return r < 0 ? r : 0;
}

int store_count_before(struct store *store, const struct task *task, int64_t limit,
                       int64_t *ret_count)
{
    return sqlite_task_count(store, STMT_COUNT_BEFORE, task, limit, ret_count);
}

int store_count_behind(struct store *store, const struct task *task, int64_t limit,
                       int64_t *ret_count)
{
    return sqlite_task_count(store, STMT_COUNT_BEHIND, task, limit, ret_count);
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
