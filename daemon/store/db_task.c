/* SPDX-License-Identifier: MIT */
/* Reading tasks. */
#include "common/alloc.h"
#include "store/db_row.h"

void db_push_task(struct task_list *tasks, struct task *task)
{
    tasks->tasks = xrealloc(tasks->tasks, (tasks->count + 1) * sizeof(*tasks->tasks));
    tasks->tasks[tasks->count++] = *task;
    *task = (struct task){0};
}

/* A row that is being read. */
struct row {
    struct statement *stmt;
    int at;        /* the next column */
    bool is_sound; /* so far, every column has a type that acpd writes */
};

static int64_t db_task_take_number(struct row *row)
{
    struct db_value value = db_value(row->stmt, row->at++);

    row->is_sound &= value.type == DB_NUMBER;
    return value.number;
}

/* A number below `count`. */
static int db_task_take_enum(struct row *row, int count)
{
    int64_t number = db_task_take_number(row);
    bool is_known = number >= 0 && number < count;

    row->is_sound &= is_known;
    return is_known ? (int)number : 0;
}

/* A copy of the text, or NULL. */
static char *db_task_take_text(struct row *row)
{
    struct db_value value = db_value(row->stmt, row->at++);

    if (value.type == DB_TEXT)
        return xstrdup(value.text);
    row->is_sound &= value.type == DB_NULL;
    return NULL;
}

/* The members of a task in the order of TASK_FIELDS. */
static void db_task_take_fields(struct row *row, struct task *task)
{
    char *class;

    task->id = db_task_take_number(row);
    task->profile_id = db_task_take_number(row);
    task->status = (enum task_status)db_task_take_enum(row, TASK_STATUS_COUNT);
    task->priority = (enum task_priority)db_task_take_enum(row, PRIORITY_COUNT);
    task->sort_key = db_task_take_number(row);
    task->created_at = db_task_take_number(row);
    task->started_at = db_task_take_number(row);
    task->finished_at = db_task_take_number(row);
    task->run_at = db_task_take_number(row);
    task->ready_at = db_task_take_number(row);
    task->queued_at = db_task_take_number(row);
    task->timeout_ms = db_task_take_number(row);
    task->max_attempts = db_task_take_number(row);
    task->attempt = db_task_take_number(row);
    task->spent = db_task_take_number(row);
    task->retries = db_task_take_number(row);
    task->interruptions = db_task_take_number(row);
    class = db_task_take_text(row);
    task->error_class = error_class_parse(class);
    if (task->error_class == ERROR_UNKNOWN)
        task->unknown_class = STEAL(class);
    free(class);
    task->error_message = db_task_take_text(row);
    task->key = db_task_take_text(row);
    task->result = db_task_take_text(row);
    task->routing = db_task_take_text(row);
    task->body = db_task_take_text(row);
    task->type = db_task_take_text(row);
    task->bytes = db_task_take_number(row);
    task->cooldowns = db_task_take_number(row);
    task->completed_then = db_task_take_number(row);
    task->submitted_by = db_task_take_number(row);
    task->depth = db_task_take_number(row);
    task->error_tail = db_task_take_text(row);
}

/* The lease behind them. */
static void db_task_take_lease(struct row *row, struct store_lease *lease)
{
    lease->token = db_task_take_text(row);
    if (lease->token) {
        lease->length_ms = db_task_take_number(row);
        lease->worker = db_task_take_text(row);
        return;
    }
    row->is_sound &= db_value(row->stmt, row->at).type == DB_NULL &&
                     db_value(row->stmt, row->at + 1).type == DB_NULL;
    row->at += 2;
}

void db_lease_deinit(struct store_lease *lease)
{
    free(lease->token);
    free(lease->worker);
    *lease = (struct store_lease){0};
}

int db_read_leased(struct store *store, struct statement *stmt, struct task *ret_task,
                   struct store_lease *ret_lease)
{
    struct row row = {.stmt = stmt, .is_sound = true};
    struct store_lease lease = {0};
    struct task task = {0};

    db_task_take_fields(&row, &task);
    db_task_take_lease(&row, &lease);
    task.sum = db_task_take_number(&row);
    if (store->node) {
        task.node_id = db_value(stmt, row.at++).number;
        task.node = db_task_take_text(&row);
    }
    if (!row.is_sound || (store->engine->has_checksums &&
                          task.sum != db_row_crc(&task, lease.token ? &lease : NULL))) {
        int64_t id = task.id;

        task_deinit(&task);
        db_lease_deinit(&lease);
        return db_fail_damaged(store, id);
    }
    *ret_task = task;
    *ret_lease = lease;
    return 0;
}

int db_read_task(struct store *store, struct statement *stmt, struct task *ret_task)
{
    CLEANUP(db_lease_deinit) struct store_lease lease = {0};

    return db_read_leased(store, stmt, ret_task, &lease);
}

void db_bind_task(struct statement *stmt, struct task *task, const struct store_lease *lease)
{
    task->sum = db_row_crc(task, lease);
    db_bind_number(stmt, 1, task->id);
    db_bind_number(stmt, 2, task->profile_id);
    db_bind_number(stmt, 3, task->status);
    db_bind_number(stmt, 4, (int64_t)task->priority);
    db_bind_number(stmt, 5, task->sort_key);
    db_bind_number(stmt, 6, task->created_at);
    db_bind_number(stmt, 7, task->started_at);
    db_bind_number(stmt, 8, task->finished_at);
    db_bind_number(stmt, 9, task->run_at);
    db_bind_number(stmt, 10, task->ready_at);
    db_bind_number(stmt, 11, task->queued_at);
    db_bind_number(stmt, 12, task->timeout_ms);
    db_bind_number(stmt, 13, task->max_attempts);
    db_bind_number(stmt, 14, task->attempt);
    db_bind_number(stmt, 15, task->spent);
    db_bind_number(stmt, 16, task->retries);
    db_bind_number(stmt, 17, task->interruptions);
    db_bind_text(stmt, 18, task_error_name(task));
    db_bind_text(stmt, 19, task->error_message);
    db_bind_text(stmt, 20, task->key);
    db_bind_text(stmt, 21, task->result);
    db_bind_text(stmt, 22, task->routing);
    db_bind_text(stmt, 23, task->body);
    db_bind_text(stmt, 24, task->type);
    db_bind_number(stmt, 25, task->bytes);
    db_bind_number(stmt, 26, task->cooldowns);
    db_bind_number(stmt, 27, task->completed_then);
    db_bind_number(stmt, 28, task->submitted_by);
    db_bind_number(stmt, 29, task->depth);
    db_bind_text(stmt, 30, task->error_tail);
    if (lease) {
        db_bind_text(stmt, LEASE_COLUMN + 1, lease->token);
        db_bind_number(stmt, LEASE_COLUMN + 2, lease->length_ms);
        db_bind_text(stmt, LEASE_COLUMN + 3, lease->worker);
    }
    db_bind_number(stmt, TASK_FIELD_COUNT + 1, task->sum);
}

int db_take_task(struct store *store, struct statement *stmt, struct task *ret_task)
{
    int r = db_step(store, stmt);

    if (r <= 0)
        return r;
    r = db_read_task(store, stmt, ret_task);
    db_reset(stmt);
    return r < 0 ? r : 1;
}

int store_get_task(struct store *store, int64_t id, struct task *ret_task)
{
    struct statement *stmt = db_use(store, STMT_GET_TASK);

    db_bind_number(stmt, 1, id);
    return db_take_task(store, stmt, ret_task);
}

int store_get_task_by_key(struct store *store, const char *key, struct task *ret_task)
{
    struct statement *stmt = db_use(store, STMT_GET_TASK_BY_KEY);

    db_bind_text(stmt, 1, key);
    return db_take_task(store, stmt, ret_task);
}

int store_last_queued(struct store *store, int64_t profile_id, struct task *ret_task)
{
    struct statement *stmt = db_use(store, STMT_LAST_QUEUED);

    db_bind_number(stmt, 1, profile_id);
    return db_take_task(store, stmt, ret_task);
}

static int db_task_count(struct store *store, enum statement_name statement,
                         const struct task *task, int64_t limit, int64_t *ret_count)
{
    struct statement *stmt = db_use(store, statement);
    int r;

    db_bind_number(stmt, 1, (int)task->status);
    db_bind_number(stmt, 2, task->profile_id);
    db_bind_number(stmt, 3, task->sort_key);
    db_bind_number(stmt, 4, task->id);
    db_bind_number(stmt, 5, limit);
    r = db_take_number(store, stmt, ret_count);
    return r < 0 ? r : 0;
}

int store_count_before(struct store *store, const struct task *task, int64_t limit,
                       int64_t *ret_count)
{
    return db_task_count(store, STMT_COUNT_BEFORE, task, limit, ret_count);
}

int store_count_behind(struct store *store, const struct task *task, int64_t limit,
                       int64_t *ret_count)
{
    return db_task_count(store, STMT_COUNT_BEHIND, task, limit, ret_count);
}

int store_oldest_queued(struct store *store, int64_t profile_id, int64_t limit,
                        int64_t *ret_ready_at)
{
    struct statement *stmt = db_use(store, STMT_OLDEST_QUEUED);

    db_bind_number(stmt, 1, profile_id);
    db_bind_number(stmt, 2, limit);
    return db_take_number(store, stmt, ret_ready_at);
}

int store_last_clock(struct store *store, int64_t *ret_at)
{
    int64_t at = 0;
    int r = db_take_number(store, db_use(store, STMT_LAST_CLOCK), &at);

    if (r < 0)
        return r;
    *ret_at = at;
    return 0;
}
