/* SPDX-License-Identifier: MIT */
/*
 * Moving everything from SQLite to PostgreSQL or back.
 *
 * Whatever ends a run, the target has either everything or nothing: a server gets one transaction,
 * SQLite another file, which takes the name of the database once it is complete. A run that ends
 * between that moment and its report is repeated by comparing. Tables and columns are those that
 * SQLite's catalogue has.
 */
#include "store/migrate.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "store/migrate_row.h"
#include "store/sqlite_files.h"

#define CHUNK 65536 /* bytes that are sent at once */

static void migrate_deinit(struct migrate *m)
{
    for (size_t i = 0; i < m->table_count; i++) {
        free(m->tables[i].name);
        free(m->tables[i].columns);
        free(m->tables[i].key);
    }
    free(m->tables);
    sqlite3_close(m->db);
    if (m->pg)
        store_close(&m->pg->store);
    free(m->aside);
    free(m->error);
}

static int migrate_for_each_table(struct migrate *m,
                                  int (*step)(struct migrate *m, struct migrate_table *table))
{
    int r = 0;

    for (size_t i = 0; i < m->table_count && r == 0; i++)
        r = step(m, &m->tables[i]);
    return r;
}

static int migrate_list_tables(struct migrate *m)
{
    int r = migrate_sqlite_list_tables(m);

    return r == 0 ? migrate_for_each_table(m, migrate_pg_describe) : r;
}

/* --- comparing ----------------------------------------------------------------------------------
 */

/* 1: the rows differ. */
static int migrate_compare_table(struct migrate *m, struct migrate_table *table)
{
    CLEANUP(migrate_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    CLEANUP(buf_deinit) struct buf here = {0}, there = {0};
    int has_here, has_there, r = migrate_sqlite_begin_reading(m, table, false, &stmt);

    if (r == 0)
        r = migrate_pg_begin_reading(m, table);
    if (r < 0)
        return r;
    do {
        buf_clear(&here);
        buf_clear(&there);
        has_here = migrate_sqlite_read(m, table, stmt, &here);
        has_there = has_here < 0 ? 0 : migrate_pg_read(m, &there);
        if (has_here < 0 || has_there < 0)
            return has_here < 0 ? has_here : has_there;
        if (has_here != has_there || here.len != there.len ||
            (here.len && memcmp(here.data, there.data, here.len) != 0))
            return 1;
    } while (has_here);
    return 0;
}

static int migrate_compare(struct migrate *m)
{
    int r = migrate_for_each_table(m, migrate_compare_table);

    return r > 0 ? migrate_row_fail(m, -EIO, "the copy differs from the original") : r;
}

/* The target has tasks: those of an earlier run, or others. */
static int migrate_compare_existing(struct migrate *m, int64_t tasks)
{
    int r = migrate_for_each_table(m, migrate_compare_table);

    return r > 0 ? migrate_row_fail(m, -EEXIST,
                                    "the target has %lld task%s already, and differs from the "
                                    "source; nothing was changed",
                                    (long long)tasks, PLURAL(tasks))
                 : r;
}

/* --- to PostgreSQL ------------------------------------------------------------------------------
 */

static int migrate_copy_rows_to_postgres(struct migrate *m, struct migrate_table *table)
{
    CLEANUP(migrate_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    CLEANUP(buf_deinit) struct buf rows = {0};
    int r = migrate_sqlite_begin_reading(m, table, true, &stmt);

    if (r == 0)
        r = migrate_pg_begin_writing(m, table);
    if (r < 0)
        return r;
    while ((r = migrate_sqlite_read(m, table, stmt, &rows)) > 0)
        if (rows.len >= CHUNK && (r = migrate_pg_write(m, &rows)) < 0)
            return r;
    if (r == 0)
        r = migrate_pg_write(m, &rows);
    return r == 0 ? migrate_pg_end_writing(m) : r;
}

static int migrate_copy_to_postgres(struct migrate *m, struct migrate_table *table)
{
    int64_t id = 0;
    int r = migrate_copy_rows_to_postgres(m, table);

    if (r == 0)
        r = migrate_sqlite_last_id(m, table, &id);
    return r == 0 && id ? migrate_pg_set_last_id(m, table, id) : r;
}

/* A statement with the names of all tables between these words. */
static int migrate_execute_for_tables(struct migrate *m, const char *before, const char *behind)
{
    CLEANUP(buf_deinit) struct buf sql = {0};

    buf_add_text(&sql, before);
    for (size_t i = 0; i < m->table_count; i++)
        buf_printf(&sql, "%s\"%s\"", i ? ", " : " ", m->tables[i].name);
    buf_add_text(&sql, behind);
    return migrate_pg_execute(m, buf_text(&sql));
}

static int migrate_commit(struct migrate *m)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = pg_execute(m->pg, "COMMIT", &result);

    return r < 0 ? migrate_row_fail(m, r, "%s; run this again to find out whether it was done",
                                    m->pg->store.error)
                 : 0;
}

/* The server plans better once it knows the tables. */
static int migrate_fill_postgres(struct migrate *m)
{
    int r = migrate_pg_execute(m, "BEGIN");

    if (r == 0)
        r = migrate_execute_for_tables(m, "TRUNCATE", ", share, question, news RESTART IDENTITY");
    if (r == 0)
        r = migrate_for_each_table(m, migrate_copy_to_postgres);
    if (r == 0)
        r = migrate_pg_arrange(m);
    if (r == 0)
        r = migrate_execute_for_tables(m, "ANALYZE", "");
    if (r == 0)
        r = migrate_compare(m);
    return r == 0 ? migrate_commit(m) : r;
}

static int migrate_verify(struct migrate *m, const char *path, const char *hint)
{
    CLEANUP(freep) char *info = NULL, *error = NULL;
    int r = sqlite_files_verify(path, &info, &error);

    return r < 0 ? migrate_row_fail(m, r, "%s%s", error, r == -EBADMSG ? hint : "") : 0;
}

static int migrate_to_postgres(struct migrate *m)
{
    int64_t tasks = 0;
    int r = migrate_verify(m, m->options->path,
                           "; nothing was moved: \"acpd recover\" saves what can be read, "
                           "\"acpd restore\" puts that, or a backup, in its place");

    if (r == 0)
        r = migrate_sqlite_open(m);
    if (r == 0)
        r = migrate_sqlite_execute(m, "BEGIN"); /* one snapshot */
    if (r == 0)
        r = migrate_pg_open(m);
    if (r == 0)
        r = migrate_list_tables(m);
    if (r == 0)
        r = migrate_pg_number(m, "SELECT count(*) FROM task", &tasks);
    if (r < 0)
        return r;
    return tasks ? migrate_compare_existing(m, tasks) : migrate_fill_postgres(m);
}

/* --- to SQLite ----------------------------------------------------------------------------------
 */

static int migrate_copy_rows_to_sqlite(struct migrate *m, const struct migrate_table *table)
{
    CLEANUP(migrate_sqlite_finalizep) sqlite3_stmt *stmt = NULL;
    CLEANUP(buf_deinit) struct buf row = {0};
    int r = migrate_sqlite_begin_writing(m, table, &stmt);

    if (r == 0)
        r = migrate_pg_begin_reading(m, table);
    if (r < 0)
        return r;
    while ((r = migrate_pg_read(m, &row)) > 0) {
        r = migrate_sqlite_write(m, table, stmt, &row);
        if (r < 0)
            return r;
        buf_clear(&row);
    }
    return r;
}

static int migrate_copy_to_sqlite(struct migrate *m, struct migrate_table *table)
{
    int64_t id = 0;
    int r = migrate_copy_rows_to_sqlite(m, table);

    if (r == 0)
        r = migrate_pg_last_id(m, table, &id);
    return r == 0 && id ? migrate_sqlite_set_last_id(m, table, id) : r;
}

/* PostgreSQL looks at no row's contents, so what was changed there by hand may be anything. */
static int migrate_check_tasks(struct migrate *m)
{
    CLEANUP(freep) char *error = NULL;
    int r = sqlite_check_tasks(m->db, TASK_WAS_SOUND, &error);

    return r < 0 ? migrate_row_fail(m, r,
                                    "the database: %s; nothing was moved: correct or delete "
                                    "the row with psql",
                                    error ? error : sqlite3_errmsg(m->db))
                 : 0;
}

static int migrate_fill_sqlite(struct migrate *m, const char *part)
{
    int r = migrate_list_tables(m);

    if (r == 0)
        r = migrate_pg_execute(m, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    if (r == 0)
        r = migrate_for_each_table(m, migrate_copy_to_sqlite);
    if (r == 0)
        r = migrate_check_tasks(m);
    if (r == 0)
        r = migrate_sqlite_execute(m, "COMMIT");
    if (r == 0)
        r = migrate_compare(m);
    sqlite3_close(STEAL(m->db));
    return r == 0 ? migrate_verify(m, part, "") : r;
}

static int migrate_make_sqlite(struct migrate *m)
{
    CLEANUP(freep) char *part = NULL;
    int r = migrate_sqlite_create(m, &part);

    if (r == 0)
        r = migrate_fill_sqlite(m, part);
    if (r == 0) {
        r = sqlite_replace(part, m->options->path, &m->aside);
        if (r < 0)
            migrate_row_fail(m, r, "%s: %s", m->options->path, strerror(-r));
    }
    if (r < 0)
        unlink(part);
    return r;
}

/* The tasks of an existing database; a file that is none is refused. */
static int migrate_count_existing(struct migrate *m, int64_t *ret_tasks)
{
    int r;

    if (access(m->options->path, F_OK) < 0)
        return 0;
    r = migrate_verify(m, m->options->path, "");
    if (r == 0)
        r = migrate_sqlite_open(m);
    return r == 0 ? migrate_sqlite_number(m, "SELECT count(*) FROM task", ret_tasks) : r;
}

static int migrate_to_sqlite(struct migrate *m)
{
    int64_t tasks = 0;
    int r = migrate_pg_open(m);

    if (r == 0)
        r = migrate_count_existing(m, &tasks);
    if (r == 0 && tasks) {
        r = migrate_list_tables(m);
        return r == 0 ? migrate_compare_existing(m, tasks) : r;
    }
    sqlite3_close(STEAL(m->db));
    return r == 0 ? migrate_make_sqlite(m) : r;
}

/* --- both ---------------------------------------------------------------------------------------
 */

static char *migrate_report(const struct migrate *m)
{
    struct buf report = {0};

    for (size_t i = 0; i < m->table_count; i++) {
        const struct migrate_table *table = &m->tables[i];
        const char *was = table->mended == 1 ? "was" : "were";

        buf_printf(&report, "%s: %lld row%s, the same in both", table->name, (long long)table->rows,
                   PLURAL(table->rows));
        if (table->mended)
            buf_printf(&report, "; %lld text%s that %s not UTF-8 %s mended (U+FFFD)",
                       (long long)table->mended, PLURAL(table->mended), was, was);
        buf_add_char(&report, '\n');
    }
    if (m->aside && access(m->aside, F_OK) == 0)
        buf_printf(&report, "the previous database, without tasks, is %s\n", m->aside);
    return buf_take(&report);
}

int migrate_run(const struct migrate_options *options, char **ret_report, char **ret_error)
{
    CLEANUP(migrate_deinit) struct migrate m = {.options = options};
    int r = options->is_to_postgres ? migrate_to_postgres(&m) : migrate_to_sqlite(&m);

    if (r < 0)
        *ret_error = STEAL(m.error);
    else
        *ret_report = migrate_report(&m);
    return r;
}
