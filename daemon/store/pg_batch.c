/* SPDX-License-Identifier: MIT */
/*
 * Rows that are written together. A row among many costs the server, and acpd, half of what a
 * statement of its own does, so what a pass adds or changes is gathered, by statement, until
 * something else is sent. That changes the order: first come new tasks, then changed ones, then
 * attempts. It makes no difference: rows of different tasks do not depend on each other, and a task
 * changes once in a batch.
 */
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "store/pg.h"

#define ROWS_MAX  64
#define BYTES_MAX (1024 * 1024)

/* In the order in which they are sent; a letter for the type of each parameter. */
static const struct {
    enum statement_name name;
    const char *types; /* n: a number; f: one with a fraction; t: a text; -: it is not used */
} kinds[] = {
    {STMT_ADD_TASK, "nnnnnnnnnnnnnnnnntttttttnnnnnttntn"},
    {STMT_SAVE_SURELY, "nnnnn-nnnnn--nnnntt-t---nnn--ttntnnnn"},
    {STMT_ADD_ATTEMPT, "nnnnnnttntftt"},
};

struct pg_batch {
    const char *types;
    uint64_t session; /* of the rows: with it they are gone */
    size_t rows, bytes;
    int64_t ids[ROWS_MAX];
    struct buf columns[PG_PARAMETERS_MAX]; /* array literals, not closed */
};

static const char *pg_batch_type(char letter)
{
    return letter == 'n' ? "bigint" : letter == 'f' ? "double precision" : "text";
}

static void pg_batch_print_rows(const char *types, struct buf *out)
{
    struct buf names = {0};

    buf_add_text(out, "unnest(");
    for (size_t i = 0; types[i]; i++) {
        if (types[i] == '-')
            continue;
        buf_printf(out, "%s$%zu::%s[]", i ? ", " : "", i + 1, pg_batch_type(types[i]));
        buf_printf(&names, "%sp%zu", i ? ", " : "", i + 1);
    }
    buf_printf(out, ") AS d (%s)", buf_text(&names));
    buf_deinit(&names);
}

/* $1 of a row is d.p1. */
static char *pg_batch_translate(const char *sql, const char *types)
{
    const size_t count = strlen(types);
    struct buf text = {0};

    while (*sql) {
        char *end = NULL;
        size_t number = *sql == '$' ? strtoul(sql + 1, &end, 10) : 0;

        if (strncmp(sql, PG_ROWS, strlen(PG_ROWS)) == 0) {
            pg_batch_print_rows(types, &text);
            sql += strlen(PG_ROWS);
        } else if (strncmp(sql, PG_ROW_COUNT, strlen(PG_ROW_COUNT)) == 0) {
            buf_add_text(&text, "cardinality($1)");
            sql += strlen(PG_ROW_COUNT);
        } else if (number && number <= count) {
            buf_printf(&text, "d.p%zu", number);
            sql = end;
        } else {
            buf_add_char(&text, *sql++);
        }
    }
    return buf_take(&text);
}

void pg_batch_init(struct pg_statement *stmt, enum statement_name name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        char *text = stmt->text;

        if (kinds[i].name != name)
            continue;
        stmt->batch = xcalloc(1, sizeof(*stmt->batch));
        stmt->batch->types = kinds[i].types;
        stmt->text = pg_batch_translate(text, kinds[i].types);
        free(text);
    }
}

void pg_batch_deinit(struct pg_statement *stmt)
{
    for (size_t i = 0; stmt->batch && i < PG_PARAMETERS_MAX; i++)
        buf_deinit(&stmt->batch->columns[i]);
    free(stmt->batch);
}

static void pg_batch_clear(struct pg_batch *batch)
{
    for (size_t i = 0; i < strlen(batch->types); i++) {
        if (batch->bytes > BYTES_MAX)
            buf_deinit(&batch->columns[i]);
        else
            batch->columns[i].len = 0;
    }
    batch->rows = batch->bytes = 0;
}

/* An element of an array's literal; its end is the next comma. */
static void pg_batch_add_text(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    while (*text) {
        size_t plain = strcspn(text, "\"\\");

        buf_add(out, text, plain);
        text += plain;
        if (!*text)
            break;
        buf_add_char(out, '\\');
        buf_add_char(out, *text++);
    }
    buf_add_char(out, '"');
}

static bool pg_batch_has(const struct pg_batch *batch, int64_t id)
{
    for (size_t i = 0; i < batch->rows; i++)
        if (batch->ids[i] == id)
            return true;
    return false;
}

int pg_batch_add(struct pg_statement *stmt)
{
    struct pg_batch *batch = stmt->batch;
    int64_t id = strtoll(stmt->values[0], NULL, 10);
    int r = 0;

    if (batch->session != stmt->pg->session)
        pg_batch_clear(batch);
    batch->session = stmt->pg->session;
    if (pg_batch_has(batch, id)) /* an update changes each row once */
        r = pg_batch_flush(stmt->pg);
    if (r < 0)
        return r;
    for (size_t i = 0; batch->types[i]; i++) {
        struct buf *column = &batch->columns[i];
        size_t before = column->len;

        if (batch->types[i] == '-')
            continue;
        buf_add_char(column, batch->rows ? ',' : '{');
        if (!stmt->values[i])
            buf_add_text(column, "NULL");
        else if (batch->types[i] == 't')
            pg_batch_add_text(column, stmt->values[i]);
        else
            buf_add_text(column, stmt->values[i]);
        batch->bytes += column->len - before;
    }
    batch->ids[batch->rows++] = id;
    return batch->rows == ROWS_MAX || batch->bytes > BYTES_MAX ? pg_batch_flush(stmt->pg) : 0;
}

static int pg_batch_send(struct pg_statement *stmt)
{
    const char *values[PG_PARAMETERS_MAX] = {0};
    struct pg_batch *batch = stmt->batch;
    char node[32];
    int r = pg_begin_later(stmt->pg);

    for (size_t i = 0; batch->types[i]; i++) {
        if (batch->types[i] == '-')
            continue;
        buf_add_char(&batch->columns[i], '}');
        values[i] = buf_text(&batch->columns[i]);
    }
    snprintf(node, sizeof(node), "%lld", (long long)stmt->pg->store.node);
    values[PG_NODE_PARAMETER - 1] = node;
    if (r == 0)
        r = pg_post(stmt, values, NULL, NULL);
    if (r < 0)
        return r;
    stmt->pg->later_count++;
    pg_batch_clear(batch);
    return 0;
}

int pg_batch_flush(struct pg *pg)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kinds) && r == 0; i++) {
        struct pg_statement *stmt = &pg->statements[kinds[i].name];

        if (stmt->batch->rows && stmt->batch->session == pg->session)
            r = pg_batch_send(stmt);
    }
    if (r == 0 && pg->later_count)
        (void)PQflush(pg->connection); /* the server begins with it now */
    return r;
}
