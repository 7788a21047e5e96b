/* SPDX-License-Identifier: MIT */
/* Shared by the files of the SQLite engine. */
#pragma once

#include <sqlite3.h>

#include "store/db.h"

/* Holds for every row of `task` that acpd wrote before rows had checksums. */
#define TASK_WAS_SOUND                                                                             \
    "status BETWEEN 1 AND 7 AND priority BETWEEN 0 AND 2 AND typeof(place) = 'integer' AND "       \
    "typeof(body) = 'text' AND is_line(body) AND json_valid('{' || body || '}') AND "              \
    "(result IS NULL OR (is_line(result) AND json_valid(result))) AND "                            \
    "(routing IS NULL OR (is_line(routing) AND json_valid(routing)))"

/* Pages returned to the system per pass. */
#define PAGES_PER_STEP 64
#define STRING_OF(x)   #x
#define STRING(x)      STRING_OF(x)

#define SCHEMA_NEWEST INT64_MAX

/* Beside those of the verbs. */
#define OWN_STATEMENTS(X)                                                                          \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(COUNT_FREE_PAGES, "PRAGMA freelist_count")                                                   \
    X(GIVE_BACK, "PRAGMA incremental_vacuum(" STRING(PAGES_PER_STEP) ")")

#define X(name, sql) OWN_##name,
enum own_statement { OWN_STATEMENTS(X) OWN_STATEMENT_COUNT };
#undef X

struct sqlite {
    struct store store;
    sqlite3 *db;
    struct statement statements[OWN_STATEMENT_COUNT];
    char *path;
    bool log_has_remains; /* frames of a failed commit */
    bool can_give_back, wants_checkpoint;
};

static inline struct sqlite *sqlite_of(const struct store *store)
{
    return CONTAINER_OF(store, struct sqlite, store);
}

/* See struct db_engine. */
void sqlite_reset(struct db_prepared *stmt);
void sqlite_clear(struct db_prepared *stmt);
void sqlite_bind_number(struct db_prepared *stmt, int index, int64_t number);
void sqlite_bind_double(struct db_prepared *stmt, int index, double number);
void sqlite_bind_text(struct db_prepared *stmt, int index, const char *text);
void sqlite_bind_blob(struct db_prepared *stmt, int index, const void *bytes, size_t len);
int sqlite_step(struct store *store, struct db_prepared *stmt);
struct db_value sqlite_value(struct db_prepared *stmt, int column);
const void *sqlite_blob(struct db_prepared *stmt, int column, size_t *ret_len);
int64_t sqlite_changes(struct store *store);

/** The negative errno for an SQLite result code. */
int sqlite_errno(int rc);

/* Databases as files */

/** CLEANUP(sqlite_closep) */
static inline void sqlite_closep(sqlite3 **db)
{
    sqlite3_close(*db);
}

int sqlite_open_file(const char *path, int flags, sqlite3 **ret_db, char **ret_error);
/** Creates the database if it does not exist. -EBADMSG: only remains of one exist. */
int sqlite_make_if_missing(const char *path, char **ret_error);
/** Creates an empty temporary file next to the path, for a new database; the caller frees its
 *  name, *ret_part. */
int sqlite_begin_part(const char *path, char **ret_part, char **ret_error);
/** Renames the temporary file; fails if `to` exists. The temporary file is gone in any case. */
int sqlite_publish_part(const char *part, const char *to, char **ret_error);
/** Puts the temporary file in the place of the database, which nobody uses, and keeps the old one,
 * if there is one, as *ret_aside, which the caller frees. */
int sqlite_replace(const char *part, const char *path, char **ret_aside);
/** The single number that a statement returns. */
int sqlite_number(sqlite3 *db, const char *sql, int64_t *ret_number);
/** A quick, read-only check for damage: of all pages up to 64 MiB, otherwise for a truncated file.
 *  *ret_error says what was found. */
int sqlite_check_damage(sqlite3 *db, const char *path, char **ret_error);
/** Finds damage in the rows of tasks, which SQLite's own check cannot see: those for which the SQL
 *  condition does not hold. -EBADMSG: *ret_error has their ids. */
int sqlite_check_tasks(sqlite3 *db, const char *condition, char **ret_error);
/** Read-only. 1: the database was written by a newer acpd or by another program; *ret_error says
 *  which. */
int sqlite_check_version(sqlite3 *db, char **ret_error);
/** Migrates the schema to version `to` or to SCHEMA_NEWEST. *ret_error as for store_open(). */
int sqlite_migrate(sqlite3 *db, int64_t to, char **ret_error);
/** What SCHEMA_NEWEST leads to. */
int64_t sqlite_schema_newest(void);
