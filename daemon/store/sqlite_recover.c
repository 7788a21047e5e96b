/* SPDX-License-Identifier: MIT */
/*
 * Saves the readable rows of a damaged database.
 *
 * A table is a tree of pages, and damage affects whole pages. Rows are read in the order of their
 * ids. After an error, reading resumes behind the last good row: one id further, then two, four and
 * so on, until it reaches an undamaged page. A table without ids is read from both ends. Indexes
 * are rebuilt.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "store/sqlite_files.h"
#include "store/sqlite_row.h"

#define TIME_MAX "253402300799999" /* ms: the end of the year 9999 */

static const struct {
    const char *name;
    const char *key; /* the id to resume from, or the sort columns */
    bool has_ids;
    const char *is_sound; /* of a row; SQLite does not check contents */
} tables[] = {
    {"profile", "id", true,
     "is_word(name) AND is_active IN (0, 1) AND last_activity BETWEEN 0 AND " TIME_MAX},
    {"task", "id", true, NULL}, /* see sqlite_row_soundness() */
    {"attempt", "task_id, number", false, "1"},
    {"bucket", "profile_id, span, at", false, "1"},
    {"lease", "task_id", true, "1"},
    {"dependency", "depends_on, task_id", false, "1"},
    {"release", "task_id", true, "1"},
    {"uptime", "started_at", true, "1"},
};

/* Limit of ids and of times in ms: every JSON parser represents them exactly. */
#define ID_MAX INT64_C(9007199254740991)

struct recovery {
    sqlite3 *from, *to;
    int64_t version;
    bool has_gaps;
};

static const char *sqlite_recover_soundness(const struct recovery *recovery, size_t t)
{
    return tables[t].is_sound ? tables[t].is_sound : sqlite_row_soundness(recovery->version);
}

static void sqlite_recover_finalizep(sqlite3_stmt **stmt)
{
    sqlite3_finalize(*stmt);
}

static sqlite3_stmt *sqlite_recover_prepare(sqlite3 *db, char *sql)
{
    sqlite3_stmt *stmt = NULL;

    sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    free(sql);
    return stmt;
}

/* INSERT INTO table VALUES (?, …) */
static sqlite3_stmt *sqlite_recover_prepare_insert(sqlite3 *db, const char *table, int columns)
{
    CLEANUP(buf_deinit) struct buf sql = {0};

    buf_printf(&sql, "INSERT OR IGNORE INTO \"%s\" VALUES (", table);
    for (int i = 0; i < columns; i++)
        buf_add_text(&sql, i ? ", ?" : "?");
    buf_add_char(&sql, ')');
    return sqlite_recover_prepare(db, xstrdup(buf_text(&sql)));
}

/* The last column says whether the row is sound. */
static int sqlite_recover_put_row(sqlite3_stmt *read, sqlite3_stmt *insert)
{
    int columns = sqlite3_column_count(read) - 1, rc;

    if (!sqlite3_column_int(read, columns))
        return SQLITE_CORRUPT;
    for (int i = 0; i < columns; i++)
        sqlite3_bind_value(insert, i + 1, sqlite3_column_value(read, i));
    rc = sqlite3_step(insert);
    sqlite3_reset(insert);
    /* A constraint failed, such as NOT NULL: the row is damaged. */
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Whether the new database cannot be written, which is not damage of the old one. */
static bool sqlite_recover_has_failed(const struct recovery *recovery)
{
    int rc = sqlite3_errcode(recovery->to) & 0xff;

    return rc == SQLITE_FULL || rc == SQLITE_IOERR || rc == SQLITE_CANTOPEN;
}

/* Removes the row that was read last: the next row has a smaller id, so that of the last one was
 * wrong. */
static void sqlite_recover_take_back(struct recovery *recovery, const char *table, const char *key,
                                     int64_t id)
{
    CLEANUP(freep)
    char *sql = xasprintf("DELETE FROM \"%s\" WHERE \"%s\" = %lld", table, key, (long long)id);

    sqlite3_exec(recovery->to, sql, NULL, NULL, NULL);
}

static void sqlite_recover_save_by_id(struct recovery *recovery, size_t t)
{
    const char *table = tables[t].name, *key = tables[t].key;
    CLEANUP(sqlite_recover_finalizep)
    sqlite3_stmt *read = sqlite_recover_prepare(
        recovery->from,
        xasprintf("SELECT *, %s FROM \"%s\" NOT INDEXED WHERE \"%s\" > ?1 ORDER BY \"%s\"",
                  sqlite_recover_soundness(recovery, t), table, key, key));
    CLEANUP(sqlite_recover_finalizep)
    sqlite3_stmt *insert =
        read ? sqlite_recover_prepare_insert(recovery->to, table, sqlite3_column_count(read) - 1)
             : NULL;
    int64_t before = 0, after = 0, step = 1; /* ids start at 1 */

    recovery->has_gaps |= !insert;
    while (insert && !sqlite_recover_has_failed(recovery)) {
        int rc;

        sqlite3_bind_int64(read, 1, after);
        while ((rc = sqlite3_step(read)) == SQLITE_ROW) {
            int64_t id = sqlite3_column_int64(read, 0);

            if (id <= after && id > before) {
                sqlite_recover_take_back(recovery, table, key, after);
                after = before;
                break;
            }
            if (id <= after) /* a page points backwards */
                break;
            before = after;
            after = id;
            step = 1;
            if (id > ID_MAX || sqlite_recover_put_row(read, insert) != SQLITE_OK)
                recovery->has_gaps = true;
        }
        sqlite3_reset(read);
        if (rc == SQLITE_DONE)
            return;
        recovery->has_gaps = true;
        if (after > ID_MAX - step)
            return;
        after += step;
        before = after;
        step *= 2;
    }
}

static bool sqlite_recover_save_from_one_end(struct recovery *recovery, size_t t, const char *order)
{
    CLEANUP(buf_deinit) struct buf keys = {0};
    CLEANUP(freep) char *columns = xstrdup(tables[t].key);
    CLEANUP(sqlite_recover_finalizep) sqlite3_stmt *read = NULL, *insert = NULL;
    char *place = NULL;
    int rc = SQLITE_ERROR;

    for (char *name = strtok_r(columns, ", ", &place); name; name = strtok_r(NULL, ", ", &place))
        buf_printf(&keys, "%s\"%s\" %s", keys.len ? ", " : "", name, order);
    read = sqlite_recover_prepare(recovery->from, xasprintf("SELECT *, %s FROM \"%s\" ORDER BY %s",
                                                            sqlite_recover_soundness(recovery, t),
                                                            tables[t].name, buf_text(&keys)));
    if (read)
        insert = sqlite_recover_prepare_insert(recovery->to, tables[t].name,
                                               sqlite3_column_count(read) - 1);
    recovery->has_gaps |= !insert;
    while (insert && !sqlite_recover_has_failed(recovery) &&
           (rc = sqlite3_step(read)) == SQLITE_ROW)
        if (sqlite_recover_put_row(read, insert) != SQLITE_OK)
            recovery->has_gaps = true;
    return rc == SQLITE_DONE;
}

static bool sqlite_recover_has_table(sqlite3 *db, const char *name)
{
    CLEANUP(sqlite_recover_finalizep)
    sqlite3_stmt *stmt =
        sqlite_recover_prepare(db, xasprintf("SELECT 1 FROM \"%s\" LIMIT 0", name));

    return stmt;
}

static void sqlite_recover_save_table(struct recovery *recovery, size_t t)
{
    if (!sqlite_recover_has_table(recovery->to, tables[t].name)) /* an older schema */
        return;
    if (tables[t].has_ids) {
        sqlite_recover_save_by_id(recovery, t);
    } else if (!sqlite_recover_save_from_one_end(recovery, t, "ASC")) {
        recovery->has_gaps = true;
        sqlite_recover_save_from_one_end(recovery, t, "DESC");
    }
}

static int sqlite_recover_save(struct recovery *recovery, char **ret_error)
{
    /* Tasks whose profile row is lost get a profile with a new name. */
    static const char owners[] = "INSERT OR IGNORE INTO profile (id, name) SELECT DISTINCT "
                                 "profile_id, 'recovered-' || profile_id FROM task";
    int64_t version = 0, tasks = 0;
    int r;

    /* Otherwise SQLite refuses to read a truncated file. */
    sqlite3_exec(recovery->from, "PRAGMA writable_schema = ON", NULL, NULL, NULL);
    r = sqlite_number(recovery->from, "PRAGMA user_version", &version);

    /* The first page holds the version and the locations of the tables. */
    if (r < 0 || version < 1 || !sqlite_recover_has_table(recovery->from, "task")) {
        *ret_error = xstrdup("the first page, which locates all tables, is unreadable");
        return -EBADMSG;
    }
    recovery->version = version;
    r = sqlite_check_version(recovery->from, ret_error);
    if (r > 0)
        return -ENOTSUP;
    r = sqlite_migrate(recovery->to, version, ret_error);
    if (r < 0)
        return r;
    sqlite3_exec(recovery->to, "BEGIN", NULL, NULL, NULL);
    sqlite3_exec(recovery->from, "BEGIN", NULL, NULL, NULL); /* one snapshot */
    for (size_t t = 0; t < ARRAY_SIZE(tables) && !sqlite_recover_has_failed(recovery); t++)
        sqlite_recover_save_table(recovery, t);
    if (sqlite_recover_has_failed(recovery)) {
        *ret_error = xstrdup(sqlite3_errmsg(recovery->to));
        return -EIO;
    }
    sqlite3_exec(recovery->to, owners, NULL, NULL, NULL);
    if (sqlite3_exec(recovery->to, "COMMIT", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite_number(recovery->to, "SELECT count(*) FROM task", &tasks) < 0) {
        *ret_error = xstrdup(sqlite3_errmsg(recovery->to));
        return -EIO;
    }
    return 0;
}

int sqlite_recover(const char *path, const char *to, char **ret_info, char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *from_db = NULL, *to_db = NULL;
    CLEANUP(freep) char *part = NULL, *reason = NULL, *info = NULL;
    struct recovery recovery = {0};
    struct stat st;
    int r;

    if (lstat(to, &st) == 0) {
        *ret_error = xasprintf("%s: already exists; not replaced", to);
        return -EEXIST;
    }
    r = sqlite_open_file(path, SQLITE_OPEN_READONLY, &from_db, ret_error);
    if (r == 0)
        r = sqlite_begin_part(to, &part, ret_error);
    if (!part)
        return r;
    r = sqlite_open_file(part, SQLITE_OPEN_READWRITE, &to_db, &reason);
    recovery.from = from_db;
    recovery.to = to_db;
    if (r == 0)
        r = sqlite_recover_save(&recovery, &reason);
    sqlite3_close(STEAL(to_db));
    if (r == 0)
        r = sqlite_files_verify(part, &info, &reason);
    if (r < 0) {
        unlink(part);
        *ret_error = xasprintf("%s: %s", path, reason ? reason : "cannot be read");
        return r;
    }
    r = sqlite_publish_part(part, to, ret_error);
    if (r == 0)
        *ret_info = xasprintf("%s%s", info,
                              recovery.has_gaps ? "; some of the data could not be read" : "");
    return r;
}
