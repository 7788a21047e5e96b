/* SPDX-License-Identifier: MIT */
/* SQLite statements: running them, reading and binding values, and translating errors. */
#include "store/sqlite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"

int sqlite_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

int sqlite_fail(struct store *store)
{
    int r = sqlite_errno(sqlite3_extended_errcode(store->db));

    snprintf(store->error, sizeof(store->error), "%s", sqlite3_errmsg(store->db));
    if (store->in_transaction)
        store->failure = r;
    return r;
}

int sqlite_fail_damaged(struct store *store, int64_t task_id)
{
    snprintf(store->damage, sizeof(store->damage), "the row of task %lld is damaged",
             (long long)task_id);
    snprintf(store->error, sizeof(store->error), "%s", store->damage);
    return -EBADMSG;
}

sqlite3_stmt *sqlite_use(struct store *store, enum statement statement)
{
    sqlite3_stmt *stmt = store->statements[statement];

    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return stmt;
}

int sqlite_begin(struct store *store)
{
    int r;

    if (store->failure)
        return store->failure;
    if (store->in_transaction)
        return 0;
    r = sqlite_run(store, sqlite_use(store, STMT_BEGIN));
    if (r < 0)
        return store->failure = r;
    store->in_transaction = true;
    store->next_id = 0;
    store->has_dependencies = -1;
    return 0;
}

int sqlite_use_writing(struct store *store, enum statement statement, sqlite3_stmt **ret_stmt)
{
    int r = sqlite_begin(store);

    if (r < 0)
        return r;
    store->writes++;
    *ret_stmt = sqlite_use(store, statement);
    return 0;
}

int sqlite_step(struct store *store, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(stmt);
        return 0;
    }
    rc = sqlite_fail(store);
    sqlite3_reset(stmt);
    return rc;
}

int sqlite_run(struct store *store, sqlite3_stmt *stmt)
{
    int r = sqlite_step(store, stmt);

    if (r > 0)
        sqlite3_reset(stmt);
    return r < 0 ? r : 0;
}

int sqlite_run_for_id(struct store *store, enum statement statement, int64_t id)
{
    sqlite3_stmt *stmt;
    int r = sqlite_use_writing(store, statement, &stmt);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, id);
    return sqlite_run(store, stmt);
}

int sqlite_take_number(struct store *store, sqlite3_stmt *stmt, int64_t *ret_number)
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

void sqlite_bind_text_or_null(sqlite3_stmt *stmt, int index, const char *text)
{
    if (text)
        sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}

char *sqlite_column_copy(sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    return text ? xstrdup(text) : NULL;
}

enum error_class sqlite_class_parse(const char *name)
{
    if (!name)
        return ERROR_NONE;
    for (int i = 1; i < ERROR_CLASS_COUNT; i++)
        if (strcmp(name, error_class_info((enum error_class)i)->name) == 0)
            return (enum error_class)i;
    return ERROR_UNKNOWN;
}

int sqlite_number(sqlite3 *db, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return -EIO;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(stmt, 0);
    return sqlite3_finalize(stmt) == SQLITE_OK ? 0 : -EIO;
}

bool store_is_writing(const struct store *store)
{
    return store->in_transaction || store->failure;
}

uint64_t store_writes(const struct store *store)
{
    return store->writes;
}

const char *store_damage(const struct store *store)
{
    return store->damage;
}

bool store_has_failed(const struct store *store)
{
    return store->failure != 0;
}

bool store_is_damage(const struct store *store, int r)
{
    return r == -EBADMSG && !store->failure;
}

const char *store_error(const struct store *store)
{
    return store->error;
}
