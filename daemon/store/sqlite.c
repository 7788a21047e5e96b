/* SPDX-License-Identifier: MIT */
/* SQLite beneath the verbs: statements and values. */
#include "store/sqlite.h"

#include <errno.h>

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

int sqlite_number(sqlite3 *db, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return -EIO;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        *ret_number = sqlite3_column_int64(stmt, 0);
    return sqlite3_finalize(stmt) == SQLITE_OK ? 0 : -EIO;
}

static sqlite3_stmt *sqlite_stmt_of(struct db_prepared *stmt)
{
    return (sqlite3_stmt *)stmt;
}

void sqlite_reset(struct db_prepared *stmt)
{
    sqlite3_reset(sqlite_stmt_of(stmt));
}

void sqlite_clear(struct db_prepared *stmt)
{
    sqlite3_clear_bindings(sqlite_stmt_of(stmt));
}

void sqlite_bind_number(struct db_prepared *stmt, int index, int64_t number)
{
    sqlite3_bind_int64(sqlite_stmt_of(stmt), index, number);
}

void sqlite_bind_double(struct db_prepared *stmt, int index, double number)
{
    sqlite3_bind_double(sqlite_stmt_of(stmt), index, number);
}

void sqlite_bind_text(struct db_prepared *stmt, int index, const char *text)
{
    sqlite3_bind_text(sqlite_stmt_of(stmt), index, text, -1, SQLITE_STATIC);
}

void sqlite_bind_blob(struct db_prepared *stmt, int index, const void *bytes, size_t len)
{
    sqlite3_bind_blob(sqlite_stmt_of(stmt), index, bytes, (int)len, SQLITE_STATIC);
}

int sqlite_step(struct store *store, struct db_prepared *stmt)
{
    sqlite3 *db = sqlite_of(store)->db;
    int rc = sqlite3_step(sqlite_stmt_of(stmt)), r;

    if (rc == SQLITE_ROW)
        return 1;
    r = rc == SQLITE_DONE
            ? 0
            : db_fail(store, sqlite_errno(sqlite3_extended_errcode(db)), sqlite3_errmsg(db));
    sqlite3_reset(sqlite_stmt_of(stmt));
    return r;
}

/* sqlite3_column_value() needs no mutex here: acpd uses SQLite from one thread. */
struct db_value sqlite_value(struct db_prepared *stmt, int column)
{
    sqlite3_value *value = sqlite3_column_value(sqlite_stmt_of(stmt), column);

    switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
        return (struct db_value){.type = DB_NUMBER, .number = sqlite3_value_int64(value)};
    case SQLITE_TEXT:
        return (struct db_value){.type = DB_TEXT, .text = (const char *)sqlite3_value_text(value)};
    case SQLITE_NULL:
        return (struct db_value){.type = DB_NULL};
    default:
        return (struct db_value){.type = DB_OTHER};
    }
}

const void *sqlite_blob(struct db_prepared *stmt, int column, size_t *ret_len)
{
    sqlite3_stmt *sqlite = sqlite_stmt_of(stmt);

    if (sqlite3_column_type(sqlite, column) == SQLITE_NULL)
        return NULL;
    *ret_len = (size_t)sqlite3_column_bytes(sqlite, column);
    return *ret_len ? sqlite3_column_blob(sqlite, column) : "";
}

int64_t sqlite_changes(struct store *store)
{
    return sqlite3_changes(sqlite_of(store)->db);
}
