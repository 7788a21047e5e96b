/* SPDX-License-Identifier: MIT */
/* PostgreSQL's side of a migration. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "store/migrate_row.h"
#include "store/postgres.h"

#define TIMEOUT_MS 600000 /* of one statement, such as counting a million rows */

/* Columns without a place in SQLite: nodes do not move. */
#define NODE_COLUMNS "('node', 'node_id', 'only_node')"
/* Profiles with the minutes that their nodes have counted, which SQLite has in their rows. */
#define PROFILES                                                                                   \
    "(SELECT (jsonb_populate_record(profile, to_jsonb(share) - 'profile_id' - 'node_id')).* "      \
    "FROM profile LEFT JOIN share ON profile_id = profile.id) AS whole"
/* What PostgreSQL has in other places: minutes, as of a dead node, and the only nodes of tasks. */
#define ONLY_NODE PG_ONLY_NODE("body")
#define ARRANGE                                                                                    \
    "INSERT INTO share SELECT id, 0, minute_at, minute_queue_max, minute FROM profile "            \
    "WHERE minute_at > 0; UPDATE profile SET minute_at = 0, minute_queue_max = 0, minute = NULL;"  \
    "UPDATE task SET only_node = " ONLY_NODE " WHERE " ONLY_NODE " IS NOT NULL"

static int migrate_pg_failed(struct migrate *m, int r)
{
    return migrate_row_fail(m, r, "%s", m->pg->store.error);
}

static int migrate_pg_lose(struct migrate *m)
{
    CLEANUP(freep) char *message = xstrdup(PQerrorMessage(m->pg->connection));

    return migrate_pg_failed(m, pg_lose(m->pg, -EIO, message));
}

int migrate_pg_execute(struct migrate *m, const char *sql)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = pg_execute(m->pg, sql, &result);

    return r < 0 ? migrate_pg_failed(m, r) : 0;
}

int migrate_pg_number(struct migrate *m, const char *sql, int64_t *ret_number)
{
    int r = pg_ask_number(m->pg, sql, ret_number);

    return r < 0 ? migrate_pg_failed(m, r) : 0;
}

/* Only a target may be without tables. */
static int migrate_pg_check_schema(struct migrate *m)
{
    int64_t version = 0;
    int r = pg_schema_look(m->pg, &version);

    if (r == 0 && version == 0 && m->options->is_to_postgres) {
        r = pg_schema_migrate(m->pg);
        version = pg_schema_newest();
    }
    if (r < 0)
        return migrate_pg_failed(m, r);
    if (version == 0)
        return migrate_row_fail(m, -ENOENT, "the database: has no acpd tables");
    return version == pg_schema_newest()
               ? 0
               : migrate_row_fail(m, -ENOTSUP,
                                  "the database: has schema %lld; start this version of acpd on it "
                                  "once to upgrade it",
                                  (long long)version);
}

/* Is held until the connection ends. */
static int migrate_pg_lock(struct migrate *m)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = pg_execute(m->pg, "SELECT pg_advisory_lock(" PG_JOIN_LOCK ")", &result);

    if (r == -EBUSY)
        return migrate_row_fail(m, r, "the database: another acpd uses it");
    return r < 0 ? migrate_pg_failed(m, r) : 0;
}

/* An acpd that cannot reach the server at the moment has no lock, but would come back. */
static int migrate_pg_check_nodes(struct migrate *m)
{
    int64_t count = 0;
    int r = migrate_pg_number(m, "SELECT count(*) FROM node", &count);

    if (r == 0 && count)
        r = migrate_row_fail(m, -EBUSY,
                             "the database: in use by an acpd, or one was killed; stop it, or "
                             "start and stop acpd on it once");
    return r;
}

/* Where several have counted the minute of a profile, one has to add them up. */
static int migrate_pg_check_shares(struct migrate *m)
{
    int64_t count = 0;
    int r = migrate_pg_number(m,
                              "SELECT count(*) FROM (SELECT FROM share GROUP BY profile_id "
                              "HAVING count(*) > 1) AS several",
                              &count);

    if (r == 0 && count && !m->options->is_to_postgres)
        r = migrate_row_fail(m, -EAGAIN,
                             "the database: the last minute's metrics of several nodes are not "
                             "merged yet; start and stop acpd on it once");
    return r;
}

/* Rows are awaited as long as it takes, locks are not. */
int migrate_pg_open(struct migrate *m)
{
    const struct store_postgres options = {.url = m->options->url, .timeout_ms = TIMEOUT_MS};
    CLEANUP(freep) char *error = NULL;
    int r = pg_open(&options, &m->pg, &error);

    if (r < 0)
        return migrate_row_fail(m, r, "%s", error);
    PQsetnonblocking(m->pg->connection, 0);
    r = migrate_pg_execute(m, "SET idle_in_transaction_session_timeout = 0;"
                              "SET statement_timeout = 0; SET lock_timeout = '5s'");
    if (r == 0)
        r = migrate_pg_lock(m);
    if (r == 0)
        r = migrate_pg_check_schema(m);
    if (r == 0)
        r = migrate_pg_check_nodes(m);
    return r == 0 ? migrate_pg_check_shares(m) : r;
}

/* --- tables -------------------------------------------------------------------------------------
 */

static int migrate_pg_check_columns(struct migrate *m, const struct migrate_table *table)
{
    int64_t count = 0;
    CLEANUP(freep)
    char *sql = xasprintf("SELECT count(*) FROM pg_attribute WHERE attrelid = '\"%s\"'::regclass "
                          "AND attnum > 0 AND NOT attisdropped AND attname NOT IN " NODE_COLUMNS,
                          table->name);
    int r = migrate_pg_number(m, sql, &count);

    if (r == 0 && count != table->column_count + table->has_sum)
        r = migrate_row_fail(m, -ENOTSUP, "the table %s has other columns in PostgreSQL",
                             table->name);
    return r;
}

int migrate_pg_describe(struct migrate *m, struct migrate_table *table)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    CLEANUP(freep)
    char *sql = xasprintf("SELECT %s%s FROM \"%s\" LIMIT 0", table->columns,
                          table->has_sum ? ", crc" : "", table->name);
    int r = pg_execute(m->pg, sql, &result);

    if (r < 0)
        return migrate_pg_failed(m, r);
    for (int i = 0; i < PQnfields(result); i++) {
        Oid type = table->types[i] = PQftype(result, i);

        if (type != TYPE_BOOL && type != TYPE_BYTEA && type != TYPE_INT8 && type != TYPE_TEXT &&
            type != TYPE_FLOAT8)
            return migrate_row_fail(m, -ENOTSUP, "the column %s of the table %s has another type",
                                    PQfname(result, i), table->name);
    }
    return migrate_pg_check_columns(m, table);
}

/* NULL: not given by the database. */
static char *migrate_pg_sequence(const struct migrate_table *table)
{
    return xasprintf("pg_get_serial_sequence('\"%s\"', split_part('%s', '\"', 2))", table->name,
                     table->key);
}

int migrate_pg_last_id(struct migrate *m, const struct migrate_table *table, int64_t *ret_id)
{
    CLEANUP(freep) char *sequence = migrate_pg_sequence(table);
    CLEANUP(freep)
    char *sql = xasprintf("SELECT coalesce(pg_sequence_last_value(%s::regclass), 0)", sequence);

    return migrate_pg_number(m, sql, ret_id);
}

int migrate_pg_set_last_id(struct migrate *m, const struct migrate_table *table, int64_t id)
{
    CLEANUP(freep) char *sequence = migrate_pg_sequence(table);
    CLEANUP(freep) char *sql = xasprintf("SELECT setval(%s, %lld)", sequence, (long long)id);

    return migrate_pg_execute(m, sql);
}

/* --- rows ---------------------------------------------------------------------------------------
 */

int migrate_pg_begin_reading(struct migrate *m, const struct migrate_table *table)
{
    CLEANUP(freep)
    char *sql = xasprintf("SELECT %s FROM %s ORDER BY %s", table->columns,
                          strcmp(table->name, "profile") == 0 ? PROFILES : table->name, table->key);

    return PQsendQueryParams(m->pg->connection, sql, 0, NULL, NULL, NULL, NULL, 1) &&
                   PQsetSingleRowMode(m->pg->connection)
               ? 0
               : migrate_pg_lose(m);
}

int migrate_pg_read(struct migrate *m, struct buf *row)
{
    CLEANUP(pg_clearp) PGresult *result = PQgetResult(m->pg->connection);
    int columns = PQnfields(result);

    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        while (result) { /* the end: no row, and no other result */
            PQclear(result);
            result = PQgetResult(m->pg->connection);
        }
        return 0;
    }
    if (PQresultStatus(result) != PGRES_SINGLE_TUPLE)
        return migrate_pg_lose(m);
    migrate_row_begin(row, columns);
    for (int i = 0; i < columns; i++) {
        if (PQgetisnull(result, 0, i))
            migrate_row_add_null(row);
        else
            migrate_row_add(row, PQgetvalue(result, 0, i), (size_t)PQgetlength(result, 0, i));
    }
    return 1;
}

int migrate_pg_begin_writing(struct migrate *m, const struct migrate_table *table)
{
    /* Its signature, flags and the length of an extension. */
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    CLEANUP(freep)
    char *sql = xasprintf("COPY \"%s\" (%s%s) FROM STDIN (FORMAT binary)", table->name,
                          table->columns, table->has_sum ? ", crc" : "");
    CLEANUP(pg_clearp) PGresult *result = PQexec(m->pg->connection, sql);

    return PQresultStatus(result) == PGRES_COPY_IN &&
                   PQputCopyData(m->pg->connection, header, sizeof(header)) > 0
               ? 0
               : migrate_pg_lose(m);
}

int migrate_pg_write(struct migrate *m, struct buf *rows)
{
    if (rows->len && PQputCopyData(m->pg->connection, rows->data, (int)rows->len) <= 0)
        return migrate_pg_lose(m);
    buf_clear(rows);
    return 0;
}

int migrate_pg_end_writing(struct migrate *m)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r;

    if (PQputCopyData(m->pg->connection, "\377\377", 2) <= 0 ||
        PQputCopyEnd(m->pg->connection, NULL) <= 0)
        return migrate_pg_lose(m);
    r = pg_receive(m->pg, TIMEOUT_MS, &result);
    return r < 0 ? migrate_pg_failed(m, r) : 0;
}

int migrate_pg_arrange(struct migrate *m)
{
    return migrate_pg_execute(m, ARRANGE);
}
