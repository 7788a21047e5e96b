/* SPDX-License-Identifier: MIT */
/* SQLite's side of a migration. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "store/migrate_row.h"
#include "store/sqlite_files.h"

#define TABLES                                                                                     \
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY "    \
    "rowid"
#define COLUMNS "SELECT name, pk FROM pragma_table_info(?1) ORDER BY pk = 0, pk, cid"

void migrate_sqlite_finalizep(sqlite3_stmt **stmt)
{
    sqlite3_finalize(*stmt);
}

static int migrate_sqlite_failed(struct migrate *m)
{
    return migrate_row_fail(m, sqlite_errno(sqlite3_extended_errcode(m->db)), "%s: %s",
                            m->options->path, sqlite3_errmsg(m->db));
}

static int migrate_sqlite_prepare(struct migrate *m, const char *sql, sqlite3_stmt **ret_stmt)
{
    return sqlite3_prepare_v2(m->db, sql, -1, ret_stmt, NULL) == SQLITE_OK
               ? 0
               : migrate_sqlite_failed(m);
}

int migrate_sqlite_execute(struct migrate *m, const char *sql)
{
    return sqlite3_exec(m->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : migrate_sqlite_failed(m);
}

int migrate_sqlite_number(struct migrate *m, const char *sql, int64_t *ret_number)
{
    return sqlite_number(m->db, sql, ret_number) < 0 ? migrate_sqlite_failed(m) : 0;
}

/* --- databases ----------------------------------------------------------------------------------
 */

int migrate_sqlite_open(struct migrate *m)
{
    CLEANUP(freep) char *error = NULL;
    int64_t version = 0;
    int r = sqlite_open_file(m->options->path, SQLITE_OPEN_READONLY, &m->db, &error);

    if (r == 0)
        r = sqlite_check_version(m->db, &error);
    if (r)
        return migrate_row_fail(m, r < 0 ? r : -ENOTSUP, "%s: %s", m->options->path,
                                error ? error : sqlite3_errmsg(m->db));
    r = migrate_sqlite_number(m, "PRAGMA user_version", &version);
    if (r == 0 && version != sqlite_schema_newest())
        r = migrate_row_fail(
            m, -ENOTSUP, "%s: has schema %lld; start this version of acpd on it once to upgrade it",
            m->options->path, (long long)version);
    return r;
}

int migrate_sqlite_create(struct migrate *m, char **ret_part)
{
    CLEANUP(freep) char *error = NULL;
    int r;

    /* What an earlier run left is of no use: nothing in it was synced. */
    *ret_part = xasprintf("%s.migrating", m->options->path);
    if (unlink(*ret_part) < 0 && errno != ENOENT)
        return migrate_row_fail(m, -errno, "%s: %s", *ret_part, strerror(errno));
    r = sqlite_open_file(*ret_part, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &m->db, &error);
    if (r < 0)
        return migrate_row_fail(m, r, "%s", error);
    r = migrate_sqlite_execute(m, "PRAGMA journal_mode = OFF; PRAGMA cache_size = -65536");
    if (r == 0 && sqlite_migrate(m->db, SCHEMA_NEWEST, &error) < 0)
        r = migrate_row_fail(m, -EIO, "%s", error);
    return r == 0 ? migrate_sqlite_execute(m, "BEGIN") : r;
}

/* --- tables -------------------------------------------------------------------------------------
 */

static int migrate_sqlite_list_columns(struct migrate *m, struct migrate_table *table)
{
    CLEANUP(migrate_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    struct buf columns = {0}, key = {0};
    int r = migrate_sqlite_prepare(m, COLUMNS, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_text(stmt, 1, table->name, -1, SQLITE_STATIC);
    while (sqlite3_step(stmt) == SQLITE_ROW && table->column_count < MIGRATE_COLUMNS_MAX - 1) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);

        if (strcmp(name, "crc") == 0) {
            table->has_sum = true;
            continue;
        }
        buf_printf(&columns, "%s\"%s\"", table->column_count++ ? ", " : "", name);
        if (sqlite3_column_int(stmt, 1))
            buf_printf(&key, "%s\"%s\"", table->key_count++ ? ", " : "", name);
    }
    table->columns = buf_take(&columns);
    table->key = buf_take(&key);
    return 0;
}

int migrate_sqlite_list_tables(struct migrate *m)
{
    CLEANUP(migrate_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    int r = migrate_sqlite_prepare(m, TABLES, &stmt);

    while (r == 0 && sqlite3_step(stmt) == SQLITE_ROW) {
        struct migrate_table *table;

        m->tables = xrealloc(m->tables, (m->table_count + 1) * sizeof(*m->tables));
        table = &m->tables[m->table_count++];
        *table =
            (struct migrate_table){.name = xstrdup((const char *)sqlite3_column_text(stmt, 0))};
        r = migrate_sqlite_list_columns(m, table);
    }
    return r;
}

/* The primary keys of other tables are not given by the database. */
int migrate_sqlite_last_id(struct migrate *m, const struct migrate_table *table, int64_t *ret_id)
{
    CLEANUP(freep)
    char *sql = xasprintf("SELECT max(seq) FROM sqlite_sequence WHERE name = '%s'", table->name);

    return migrate_sqlite_number(m, sql, ret_id);
}

int migrate_sqlite_set_last_id(struct migrate *m, const struct migrate_table *table, int64_t id)
{
    CLEANUP(freep)
    char *sql = xasprintf("DELETE FROM sqlite_sequence WHERE name = '%s';"
                          "INSERT INTO sqlite_sequence VALUES ('%s', %lld)",
                          table->name, table->name, (long long)id);

    return migrate_sqlite_execute(m, sql);
}

/* --- reading ------------------------------------------------------------------------------------
 */

int migrate_sqlite_begin_reading(struct migrate *m, struct migrate_table *table, bool with_sum,
                                 sqlite3_stmt **ret_stmt)
{
    CLEANUP(freep)
    char *sql = xasprintf("SELECT %s%s FROM \"%s\" ORDER BY %s", table->columns,
                          with_sum && table->has_sum ? ", crc" : "", table->name, table->key);

    table->rows = table->mended = 0;
    return migrate_sqlite_prepare(m, sql, ret_stmt);
}

/* False: a zero byte is in the text, which no string of acpd has, and no text of PostgreSQL. */
static bool migrate_sqlite_add_text(struct migrate_table *table, const char *text, size_t len,
                                    struct buf *row)
{
    CLEANUP(freep) char *mended = NULL;

    if (strlen(text) != len)
        return false;
    mended = pg_statement_mend(text);
    if (mended) {
        table->mended++;
        text = mended;
    }
    migrate_row_add(row, text, strlen(text));
    return true;
}

/* False: the column never has such a value. */
static bool migrate_sqlite_add(struct migrate_table *table, sqlite3_stmt *stmt, int column,
                               struct buf *row)
{
    Oid type = table->types[column];
    int64_t number = sqlite3_column_int64(stmt, column);

    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_NULL:
        migrate_row_add_null(row);
        return true;
    case SQLITE_INTEGER:
        if (type == TYPE_INT8)
            migrate_row_add_number(row, number);
        else if (type == TYPE_BOOL && (number == 0 || number == 1))
            migrate_row_add(row, number ? "\1" : "\0", 1);
        else
            return false;
        return true;
    case SQLITE_FLOAT:
        migrate_row_add_double(row, sqlite3_column_double(stmt, column));
        return type == TYPE_FLOAT8;
    case SQLITE_TEXT:
        return type == TYPE_TEXT &&
               migrate_sqlite_add_text(table, (const char *)sqlite3_column_text(stmt, column),
                                       (size_t)sqlite3_column_bytes(stmt, column), row);
    default:
        migrate_row_add(row, sqlite3_column_blob(stmt, column),
                        (size_t)sqlite3_column_bytes(stmt, column));
        return type == TYPE_BYTEA;
    }
}

static int migrate_sqlite_refuse(struct migrate *m, const struct migrate_table *table,
                                 sqlite3_stmt *stmt, int column)
{
    CLEANUP(buf_deinit) struct buf key = {0};

    for (int i = 0; i < table->key_count; i++)
        buf_printf(&key, "%s%lld", i ? ", " : "", (long long)sqlite3_column_int64(stmt, i));
    return migrate_row_fail(m, -EBADMSG,
                            "%s: damaged: \"%s\" of the row of %s in which (%s) is (%s); nothing "
                            "was moved: set it right or delete the row, with sqlite3",
                            m->options->path, sqlite3_column_name(stmt, column), table->name,
                            table->key, buf_text(&key));
}

int migrate_sqlite_read(struct migrate *m, struct migrate_table *table, sqlite3_stmt *stmt,
                        struct buf *row)
{
    int rc = sqlite3_step(stmt), columns = sqlite3_column_count(stmt);

    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? 0 : migrate_sqlite_failed(m);
    migrate_row_begin(row, columns);
    for (int i = 0; i < columns; i++)
        if (!migrate_sqlite_add(table, stmt, i, row))
            return migrate_sqlite_refuse(m, table, stmt, i);
    table->rows++;
    return 1;
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* The values get the names of their columns, for the checksum. */
int migrate_sqlite_begin_writing(struct migrate *m, const struct migrate_table *table,
                                 sqlite3_stmt **ret_stmt)
{
    CLEANUP(buf_deinit) struct buf sql = {0};

    buf_printf(&sql, "WITH new (%s) AS (VALUES (", table->columns);
    for (int i = 0; i < table->column_count; i++)
        buf_printf(&sql, "%s?%d", i ? ", " : "", i + 1);
    buf_printf(&sql, ")) INSERT INTO \"%s\" (%s%s) SELECT *%s FROM new", table->name,
               table->columns, table->has_sum ? ", crc" : "",
               table->has_sum ? ", task_crc(" TASK_FIELDS ")" : "");
    return migrate_sqlite_prepare(m, buf_text(&sql), ret_stmt);
}

static void migrate_sqlite_bind(sqlite3_stmt *stmt, int index, Oid type, struct migrate_field field)
{
    if (!field.bytes)
        sqlite3_bind_null(stmt, index);
    else if (type == TYPE_TEXT)
        sqlite3_bind_text(stmt, index, field.bytes, (int)field.len, SQLITE_STATIC);
    else if (type == TYPE_BYTEA)
        sqlite3_bind_blob(stmt, index, field.bytes, (int)field.len, SQLITE_STATIC);
    else if (type == TYPE_FLOAT8)
        sqlite3_bind_double(stmt, index, migrate_row_double(field));
    else
        sqlite3_bind_int64(stmt, index, migrate_row_number(field));
}

int migrate_sqlite_write(struct migrate *m, const struct migrate_table *table, sqlite3_stmt *stmt,
                         const struct buf *row)
{
    size_t at = 0;

    for (int i = 0; i < table->column_count; i++)
        migrate_sqlite_bind(stmt, i + 1, table->types[i], migrate_row_take(row, &at));
    if (sqlite3_step(stmt) != SQLITE_DONE)
        return migrate_sqlite_failed(m);
    sqlite3_reset(stmt);
    return 0;
}
