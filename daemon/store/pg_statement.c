/* SPDX-License-Identifier: MIT */
/* Statements and values of PostgreSQL. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/utf8.h"
#include "store/pg.h"

#define LATER_MAX 256 /* so that neither side waits for the other to read */

#define LONG_MS 60000 /* for the one statement that may change hundreds of thousands of rows */

#define TYPE_GUESSED 0 /* by the server, from the statement */

#define X(name, sql) [STMT_##name] = (sql),
static const char *const texts[ALL_STATEMENT_COUNT] = {STATEMENTS(X) SHARED_STATEMENTS(X)};
#undef X

#define NODE      "$40"               /* PG_NODE_PARAMETER */
#define ONLY_NODE PG_ONLY_NODE("$23") /* of the body that is added */

#define PROFILE_COLUMNS                                                                            \
    "id, name, is_active, queued, scheduled, blocked, running, completed, failed, cancelled, "     \
    "last_activity, finished_bytes, coalesce(share.minute_at, 0), "                                \
    "coalesce(share.minute_queue_max, 0), share.minute "                                           \
    "FROM profile LEFT JOIN share ON share.profile_id = id AND node_id = " NODE "::bigint"

#define SAVED                                                                                      \
    "UPDATE task SET profile_id = $2, status = $3::bigint, priority = $4, place = $5, "            \
    "started_at = $7, "                                                                            \
    "finished_at = $8, run_at = $9, ready_at = $10, queued_at = $11, attempt = $14, "              \
    "spent = $15, retries = $16, interruptions = $17, error_class = $18, error_message = $19, "    \
    "result = $21, bytes = $25, cooldowns = $26, completed_then = $27, error_tail = $30, "         \
    "lease_token = $31, lease_ms = $32, lease_worker = $33, crc = $34, "                           \
    "node_id = CASE WHEN $3::bigint = 4 THEN " NODE "::bigint "                                    \
    "WHEN status = 4 AND $3::bigint <> 7 THEN NULL ELSE node_id END, "                             \
    "node = CASE WHEN $3::bigint = 4 THEN (SELECT name FROM node WHERE id = " NODE                 \
    ") ELSE node END "
#define SAVED_IF "WHERE id = $1 AND status = $35 AND attempt = $36 AND crc = coalesce($37, crc)"

/* Where PostgreSQL has other words, and where nodes share the tables. Its pages have checksums, so
 * that rows are not looked at. */
static const char *const own[ALL_STATEMENT_COUNT] = {
    [STMT_GET_PROFILE] = "SELECT " PROFILE_COLUMNS " WHERE name = $1",
    [STMT_LIST_PROFILES] = "SELECT " PROFILE_COLUMNS " ORDER BY name",
    [STMT_UPDATE_PROFILE] =
        ("WITH kept AS (INSERT INTO share (profile_id, node_id, minute_at, minute_queue_max, "
         "minute) "
         "SELECT $1::bigint, " NODE "::bigint, $12::bigint, $13::bigint, $14::bytea "
         "WHERE $12 IS NOT NULL "
         "ON CONFLICT (profile_id, node_id) DO UPDATE SET minute_at = excluded.minute_at, "
         "minute_queue_max = excluded.minute_queue_max, minute = excluded.minute) "
         "UPDATE profile SET queued = queued + $2, scheduled = scheduled + $3, "
         "blocked = blocked + $4, running = running + $5, completed = completed + $6, "
         "failed = failed + $7, cancelled = cancelled + $8, is_active = coalesce($9, is_active), "
         "last_activity = greatest($10, last_activity), finished_bytes = finished_bytes + $11 "
         "WHERE id = $1"),
    [STMT_REMOVE_PROFILE] =
        ("DELETE FROM profile WHERE id = $1 AND NOT EXISTS "
         "(SELECT 1 FROM node WHERE name IS NOT NULL AND id <> " NODE ") "
         "AND NOT EXISTS (SELECT 1 FROM task WHERE profile_id = $1 AND status <> 4) "
         "AND NOT EXISTS (SELECT 1 FROM task WHERE profile_id = $1 AND status = 4 AND status <= 4) "
         "AND NOT EXISTS (SELECT 1 FROM bucket WHERE profile_id = $1) "
         "AND NOT EXISTS (SELECT 1 FROM attempt WHERE counts AND profile_id = $1)"),
    /* A claim makes it this node's. A cancelled one stays so until its processes are gone. */
    [STMT_SAVE_TASK] = SAVED SAVED_IF,
    [STMT_SAVE_SURELY] = ("WITH saved AS (" SAVED "FROM " PG_ROWS " " SAVED_IF " RETURNING 1) "
                          "SELECT 1 / (count(*) = " PG_ROW_COUNT ")::int FROM saved"),
    [STMT_MARK_NODE] = ("UPDATE node SET pass = pass + 1 WHERE id = " NODE " AND pass = $1 "
                        "RETURNING " PG_CLOCK ", (SELECT coalesce(max(id), 0) + 1 FROM task), "
                        "EXISTS (SELECT 1 FROM dependency)"),
    [STMT_ADD_TASK] =
        ("INSERT INTO task (" TASK_COLUMNS ", only_node) SELECT $1, $2, $3, $4, $5, $6, $7, $8, "
         "$9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, "
         "$27, $28, $29, $30, $31, $32, $33, $34, " ONLY_NODE " FROM " PG_ROWS),
    [STMT_NEXT_OF_STATUS] = /* anyone may wake a task, but not claim it */
    ("SELECT " TASK_COLUMNS ", node_id, node FROM task WHERE " LIVE
     " AND status = $1 AND profile_id = $2 AND id <> $3 "
     "AND (status <> 1 OR " MAY_RUN_ON NODE "))) ORDER BY place, id LIMIT 1"),
    [STMT_QUEUE_HEAD] =
        ("SELECT * FROM (SELECT " TASK_COLUMNS ", node_id, node FROM task WHERE " LIVE
         " AND status = 1 AND profile_id = $1 AND " MAY_RUN_ON NODE ")) "
         "ORDER BY place, id LIMIT 64) AS head LIMIT $2"),
    /* In the order of the index for it, not of the one of all tasks. */
    [STMT_LAST_OF_STATUS] =
        ("SELECT id FROM task WHERE " AT_REST " AND profile_id = $1 AND status = $2 AND id < $3 "
         "ORDER BY profile_id DESC, status DESC, id DESC LIMIT 1"),
    [STMT_LAST_RUNNING] = ("SELECT max(id) FROM (SELECT id FROM task WHERE " LIVE
                           " AND status = $2 AND profile_id = $1 AND id < $3 OFFSET 0) AS found"),
    [STMT_LIST_RUNNING_BY] = /* a worker is no process of the node */
    ("SELECT " TASK_COLUMNS ", node_id, node FROM task WHERE " LIVE
     " AND status = 4 AND (profile_id, place) > ($1, $2) AND (lease_token IS NOT NULL) = ($3 <> 0) "
     "AND (node_id IS NULL OR node_id NOT IN (SELECT id FROM node WHERE name IS NOT NULL AND "
     "(id = " NODE " OR $3 = 0 OR place IS DISTINCT FROM (SELECT place FROM node WHERE id = " NODE
     ")))) ORDER BY profile_id, place LIMIT $4"),
    [STMT_ADD_ATTEMPT] =
        ("INSERT INTO attempt SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 <> 0, $10, $11, $12, $13, "
         "(SELECT node FROM task WHERE id = $1) FROM " PG_ROWS),
    [STMT_OLDEST_FINISHED] = ("SELECT " TASK_COLUMNS ", node_id, node FROM task WHERE status > 4 "
                              "AND node_id IS NULL AND status <= 7 AND priority BETWEEN 0 AND 2 "
                              "AND id < (SELECT max(id) FROM task) "
                              "AND NOT EXISTS (SELECT 1 FROM release WHERE task_id = task.id) "
                              "ORDER BY finished_at LIMIT 1"),
    [STMT_UNMET_DEPENDENCY] = ("SELECT depends_on, CASE status WHEN 5 THEN 0 ELSE status END AS s "
                               "FROM dependency JOIN task ON id = depends_on WHERE task_id = $1 "
                               "ORDER BY s DESC LIMIT 1"),
    [STMT_ADD_RELEASE] = ("INSERT INTO release SELECT $1::bigint, 0 WHERE EXISTS "
                          "(SELECT 1 FROM dependency WHERE depends_on = $1) "
                          "ON CONFLICT (task_id) DO UPDATE SET after = 0"),
    [STMT_LAST_CLOCK] = ("SELECT max(greatest(ready_at, queued_at)) FROM "
                         "(SELECT ready_at, queued_at FROM task ORDER BY id DESC LIMIT 100) AS t"),
    [STMT_SHIFT_RETRIES] = ("UPDATE task SET place = place + $1, crc = crc + 4294967296 "
                            "WHERE " LIVE " AND status = 2 AND place <> run_at"),
    [STMT_PUT_UPTIME] =
        ("INSERT INTO uptime VALUES ($1, $2, $3) ON CONFLICT (started_at) DO UPDATE "
         "SET seen_at = greatest(uptime.seen_at, excluded.seen_at), "
         "last_event = greatest(uptime.last_event, excluded.last_event)"),
};

/* Those of most passes. Their plans do not depend on values. */
static const char *const names[ALL_STATEMENT_COUNT] = {
    [STMT_ADD_TASK] = "add_task",
    [STMT_SAVE_TASK] = "save_task",
    [STMT_SAVE_SURELY] = "save_surely",
    [STMT_GET_TASK] = "get_task",
    [STMT_GET_TASK_BY_KEY] = "get_task_by_key",
    [STMT_ADD_ATTEMPT] = "add_attempt",
    [STMT_UPDATE_PROFILE] = "update_profile",
    [STMT_COUNT_WAITING] = "count_waiting",
    [STMT_ADD_NEWS] = "add_news",
    [STMT_LIST_NEWS] = "list_news",
    [STMT_COUNT_HELD] = "count_held",
    [STMT_SET_TIMEOUTS] = "set_timeouts",
    [STMT_LOCK_WRITERS] = "lock_writers",
    [STMT_MARK_NODE] = "mark_node",
    [STMT_QUEUE_HEAD] = "queue_head",
};

static struct pg_statement *pg_statement_of(struct db_prepared *prepared)
{
    return (struct pg_statement *)prepared;
}

/* --- texts --------------------------------------------------------------------------------------
 */

/* Whether the text goes on with the words; *at moves behind them. */
static bool pg_statement_skip(const char **at, const char *words)
{
    size_t len = strlen(words);

    if (strncmp(*at, words, len) != 0)
        return false;
    *at += len;
    return true;
}

/* Parameters are $1 instead of ?1; hints for SQLite are left out; tasks have nodes. */
static char *pg_statement_translate(const char *sql)
{
    struct buf text = {0};

    while (*sql) {
        if (pg_statement_skip(&sql, " INDEXED BY "))
            sql += strcspn(sql, " ");
        else if (pg_statement_skip(&sql, " CROSS JOIN "))
            buf_add_text(&text, " JOIN ");
        else if (pg_statement_skip(&sql, "SELECT " TASK_COLUMNS))
            buf_add_text(&text, "SELECT " TASK_COLUMNS ", node_id, node");
        else
            buf_add_char(&text, *sql == '?' ? '$' : *sql), sql++;
    }
    return buf_take(&text);
}

/* Some statements leave parameters out, whose types the server cannot guess. */
static void pg_statement_find_parameters(struct pg_statement *stmt)
{
    const char *at = stmt->text;

    for (int i = 0; i < PG_PARAMETERS_MAX; i++)
        stmt->types[i] = TYPE_TEXT;
    while ((at = strchr(at, '$'))) {
        int number = (int)strtol(++at, NULL, 10);

        stmt->types[number - 1] = TYPE_GUESSED;
        stmt->parameters = number > stmt->parameters ? number : stmt->parameters;
    }
}

void pg_statement_init(struct pg *pg)
{
    for (int i = 0; i < ALL_STATEMENT_COUNT; i++) {
        struct pg_statement *stmt = &pg->statements[i];

        stmt->pg = pg;
        stmt->name = pg->is_pooled ? NULL : names[i];
        stmt->text = own[i] ? xstrdup(own[i]) : pg_statement_translate(texts[i]);
        pg_batch_init(stmt, (enum statement_name)i);
        pg_statement_find_parameters(stmt);
    }
}

void pg_statement_deinit(struct pg *pg)
{
    for (int i = 0; i < ALL_STATEMENT_COUNT; i++) {
        pg_reset((struct db_prepared *)&pg->statements[i]);
        pg_clear((struct db_prepared *)&pg->statements[i]);
        pg_batch_deinit(&pg->statements[i]);
        free(pg->statements[i].text);
    }
}

/* --- parameters ---------------------------------------------------------------------------------
 */

void pg_reset(struct db_prepared *prepared)
{
    struct pg_statement *stmt = pg_statement_of(prepared);

    PQclear(STEAL(stmt->result));
    PQfreemem(STEAL(stmt->blob));
}

void pg_clear(struct db_prepared *prepared)
{
    struct pg_statement *stmt = pg_statement_of(prepared);

    memset(stmt->values, 0, sizeof(stmt->values));
    memset(stmt->formats, 0, sizeof(stmt->formats));
    for (int i = 0; i < stmt->parameters; i++)
        free(STEAL(stmt->mended[i]));
}

void pg_bind_number(struct db_prepared *prepared, int index, int64_t number)
{
    struct pg_statement *stmt = pg_statement_of(prepared);
    char *text = stmt->numbers[index - 1];

    snprintf(text, sizeof(stmt->numbers[0]), "%lld", (long long)number);
    stmt->values[index - 1] = text;
}

void pg_bind_double(struct db_prepared *prepared, int index, double number)
{
    struct pg_statement *stmt = pg_statement_of(prepared);
    char *text = stmt->numbers[index - 1];

    snprintf(text, sizeof(stmt->numbers[0]), "%.17g", number);
    stmt->values[index - 1] = text;
}

char *pg_statement_mend(const char *text)
{
    size_t len = strlen(text), at = 0, width;
    struct buf out = {0};

    while (at < len && (width = utf8_width(text + at, len - at)))
        at += width;
    if (at == len)
        return NULL;
    buf_add_utf8(&out, text, len);
    return buf_take(&out);
}

void pg_bind_text(struct db_prepared *prepared, int index, const char *text)
{
    struct pg_statement *stmt = pg_statement_of(prepared);

    stmt->mended[index - 1] = pg_statement_mend(text);
    stmt->values[index - 1] = stmt->mended[index - 1] ? stmt->mended[index - 1] : text;
}

void pg_bind_blob(struct db_prepared *prepared, int index, const void *bytes, size_t len)
{
    struct pg_statement *stmt = pg_statement_of(prepared);

    stmt->values[index - 1] = bytes ? bytes : "";
    stmt->lengths[index - 1] = (int)len;
    stmt->formats[index - 1] = 1;
}

/* --- rows ---------------------------------------------------------------------------------------
 */

static int pg_statement_post_bound(struct pg_statement *stmt)
{
    if (stmt->parameters == PG_NODE_PARAMETER)
        pg_bind_number((struct db_prepared *)stmt, PG_NODE_PARAMETER, stmt->pg->store.node);
    return pg_post(stmt, stmt->values, stmt->lengths, stmt->formats);
}

static int pg_statement_send(struct pg_statement *stmt)
{
    struct pg *pg = stmt->pg;
    int r = pg_batch_flush(pg);

    if (r == 0)
        r = pg_statement_post_bound(stmt);
    if (r < 0)
        return r;
    if (pg->later_count)
        return pg_await_later(pg, &stmt->result);
    return pg_receive(pg, stmt == &pg->statements[STMT_SHIFT_RETRIES] ? LONG_MS : pg->timeout_ms,
                      &stmt->result);
}

static int pg_statement_run(struct pg_statement *stmt)
{
    struct pg *pg = stmt->pg;
    int r = pg_connect(pg);

    if (r < 0)
        return r;
    r = pg_statement_send(stmt);
    if (r < 0)
        pg_abort(pg);
    else if (PQresultStatus(stmt->result) == PGRES_COMMAND_OK)
        pg->changes = strtoll(PQcmdTuples(stmt->result), NULL, 10);
    return r;
}

int pg_run_later(struct store *store UNUSED, struct db_prepared *prepared)
{
    struct pg_statement *stmt = pg_statement_of(prepared);
    struct pg *pg = stmt->pg;
    int r = pg_connect(pg);

    if (r == 0 && stmt->batch)
        return pg_batch_add(stmt);
    if (r == 0)
        r = pg_batch_flush(pg);
    if (r == 0)
        r = pg_begin_later(pg);
    if (r == 0)
        r = pg_statement_post_bound(stmt);
    if (r < 0)
        return r;
    pg->later_count++;
    (void)PQflush(pg->connection); /* the server begins with it now */
    return pg->later_count < LATER_MAX ? 0 : pg_await_later(pg, NULL);
}

int pg_step(struct store *store UNUSED, struct db_prepared *prepared)
{
    struct pg_statement *stmt = pg_statement_of(prepared);
    int r = 0;

    if (stmt->result) {
        stmt->row++;
    } else {
        stmt->row = 0;
        r = pg_statement_run(stmt);
    }
    if (r == 0 && stmt->row < PQntuples(stmt->result))
        return 1;
    pg_reset(prepared);
    return r;
}

struct db_value pg_value(struct db_prepared *prepared, int column)
{
    struct pg_statement *stmt = pg_statement_of(prepared);
    const char *text = PQgetvalue(stmt->result, stmt->row, column);

    if (PQgetisnull(stmt->result, stmt->row, column))
        return (struct db_value){.type = DB_NULL};
    switch (PQftype(stmt->result, column)) {
    case TYPE_BOOL:
        return (struct db_value){.type = DB_NUMBER, .number = text[0] == 't'};
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8:
        return (struct db_value){.type = DB_NUMBER, .number = strtoll(text, NULL, 10)};
    case TYPE_BYTEA:
        return (struct db_value){.type = DB_OTHER};
    default:
        return (struct db_value){.type = DB_TEXT, .text = text};
    }
}

const void *pg_blob(struct db_prepared *prepared, int column, size_t *ret_len)
{
    struct pg_statement *stmt = pg_statement_of(prepared);
    const char *text = PQgetvalue(stmt->result, stmt->row, column);

    if (PQgetisnull(stmt->result, stmt->row, column))
        return NULL;
    PQfreemem(stmt->blob);
    stmt->blob = PQunescapeBytea((const unsigned char *)text, ret_len);
    return stmt->blob;
}
