/* SPDX-License-Identifier: MIT */
/* Shared by the files of the SQLite engine. */
#pragma once

#include <sqlite3.h>

#include "store/store.h"

/* The columns of `task` in the order in which rows are read, and their checksum. The columns of
 * the lease (token, length, holder) are NULL unless a worker runs the task. */
#define TASK_FIELDS   TASK_FIELDS_5 ", lease_token, lease_ms, lease_worker"
#define TASK_FIELDS_5 /* of schema 5 */                                                            \
    "id, profile_id, status, priority, place, created_at, started_at, finished_at, run_at, "       \
    "ready_at, queued_at, timeout, max_attempts, attempt, spent, retries, interruptions, "         \
    "error_class, error_message, key, result, routing, body, type, bytes, cooldowns, "             \
    "completed_then, submitted_by, depth, error_tail"
#define TASK_FIELD_COUNT 33
#define LEASE_COLUMN     30
#define TASK_COLUMNS     TASK_FIELDS ", crc"

/* The partial index task_live covers unfinished tasks; task_profile covers tasks that are not
 * running, which saves a write per claim. SQLite uses them only for queries that repeat their
 * conditions. */
#define LIVE    "status <= 4"
#define AT_REST "status <> 4"

/* Pages returned to the system per pass. */
#define PAGES_PER_STEP 64
#define STRING_OF(x)   #x
#define STRING(x)      STRING_OF(x)

/* Whether profile ?1 has metrics or attempts. */
#define HAS_HISTORY                                                                                \
    "(EXISTS (SELECT 1 FROM bucket WHERE profile_id = ?1) OR "                                     \
    "EXISTS (SELECT 1 FROM attempt INDEXED BY attempt_recent WHERE counts AND profile_id = ?1))"

/* All statements; prepared once, when the database is opened. */
#define STATEMENTS(X)                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(COUNT_FREE_PAGES, "PRAGMA freelist_count")                                                   \
    X(GIVE_BACK, "PRAGMA incremental_vacuum(" STRING(PAGES_PER_STEP) ")")                          \
    X(ADD_PROFILE, "INSERT INTO profile (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")         \
    X(GET_PROFILE, "SELECT * FROM profile WHERE name = ?1")                                        \
    X(LIST_PROFILES, "SELECT * FROM profile ORDER BY name")                                        \
    X(UPDATE_PROFILE,                                                                              \
      "UPDATE profile SET queued = queued + ?2, scheduled = scheduled + ?3, "                      \
      "blocked = blocked + ?4, running = running + ?5, completed = completed + ?6, "               \
      "failed = failed + ?7, cancelled = cancelled + ?8, is_active = coalesce(?9, is_active), "    \
      "last_activity = coalesce(?10, last_activity), "                                             \
      "finished_bytes = finished_bytes + ?11, minute_at = coalesce(?12, minute_at), "              \
      "minute_queue_max = coalesce(?13, minute_queue_max), "                                       \
      "minute = iif(?12 IS NULL, minute, ?14) WHERE id = ?1")                                      \
    X(COUNT_WAITING, "SELECT queued + scheduled + blocked FROM profile WHERE id = ?1")             \
    X(NEXT_ID, "SELECT ifnull(max(id), 0) + 1 FROM task")                                          \
    X(HAS_HISTORY, "SELECT " HAS_HISTORY)                                                          \
    X(REMOVE_PROFILE,                                                                              \
      "DELETE FROM profile WHERE id = ?1 "                                                         \
      "AND NOT EXISTS (SELECT 1 FROM task WHERE profile_id = ?1 AND status <> 4) "                 \
      "AND NOT EXISTS (SELECT 1 FROM task WHERE profile_id = ?1 AND status = 4 AND status <= 4) "  \
      "AND NOT " HAS_HISTORY)                                                                      \
    X(ADD_TASK, "INSERT INTO task (" TASK_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, " \
                "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, " \
                "?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34)")                                    \
    X(GET_TASK, "SELECT " TASK_COLUMNS " FROM task WHERE id = ?1")                                 \
    X(GET_TASK_BY_KEY, "SELECT " TASK_COLUMNS " FROM task WHERE key = ?1")                         \
    X(SAVE_TASK, /* the parameters of ADD_TASK, as far as columns change */                        \
      "UPDATE task SET profile_id = ?2, status = ?3, priority = ?4, place = ?5, started_at = ?7, " \
      "finished_at = ?8, run_at = ?9, ready_at = ?10, queued_at = ?11, attempt = ?14, "            \
      "spent = ?15, retries = ?16, interruptions = ?17, error_class = ?18, error_message = ?19, "  \
      "result = ?21, bytes = ?25, cooldowns = ?26, completed_then = ?27, error_tail = ?30, "       \
      "lease_token = ?31, lease_ms = ?32, lease_worker = ?33, crc = ?34 "                          \
      "WHERE id = ?1 AND status = ?35 AND attempt = ?36 AND crc = ifnull(?37, crc)")               \
    X(GET_STATUS, "SELECT status FROM task WHERE id = ?1")                                         \
    X(LAST_QUEUED, "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE            \
                   " AND status = 1 AND profile_id = ?1 ORDER BY place DESC, id DESC LIMIT 1")     \
    X(OLDEST_FINISHED, "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_age WHERE status > 4 "   \
                       "AND id < (SELECT max(id) FROM task) "                                      \
                       "AND NOT EXISTS (SELECT 1 FROM release WHERE task_id = task.id) "           \
                       "AND task_crc(" TASK_FIELDS ") = crc ORDER BY finished_at LIMIT 1")         \
    X(REMOVE_TASK, "DELETE FROM task WHERE id = ?1 AND status > 4")                                \
    X(REMOVE_ATTEMPTS, "DELETE FROM attempt WHERE task_id = ?1")                                   \
    X(REMOVE_DEPENDENCIES, "DELETE FROM dependency WHERE task_id = ?1")                            \
    X(REMOVE_DEPENDANTS, "DELETE FROM dependency WHERE depends_on = ?1")                           \
    X(ADD_DEPENDENCY, "INSERT OR IGNORE INTO dependency VALUES (?2, ?1)")                          \
    X(UNMET_DEPENDENCY, /* a bare column is that of the row with the maximum */                    \
      "SELECT depends_on, max(CASE status WHEN 5 THEN 0 ELSE status END) FROM dependency "         \
      "INDEXED BY dependency_of CROSS JOIN task ON id = depends_on WHERE task_id = ?1")            \
    X(HAS_DEPENDENCIES, "SELECT 1 FROM dependency LIMIT 1")                                        \
    X(ADD_RELEASE, "INSERT OR REPLACE INTO release SELECT ?1, 0 "                                  \
                   "WHERE EXISTS (SELECT 1 FROM dependency WHERE depends_on = ?1)")                \
    X(NEXT_RELEASE, "SELECT task_id, after FROM release LIMIT 1")                                  \
    X(MOVE_RELEASE, "UPDATE release SET after = ?2 WHERE task_id = ?1")                            \
    X(DROP_RELEASE, "DELETE FROM release WHERE task_id = ?1")                                      \
    X(NEXT_DEPENDANT, "SELECT " TASK_COLUMNS " FROM dependency CROSS JOIN task ON id = task_id "   \
                      "WHERE depends_on = ?1 AND task_id > ?2 AND status = 3 "                     \
                      "ORDER BY task_id LIMIT 1")                                                  \
    X(NEXT_OF_STATUS,                                                                              \
      "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE                         \
      " AND status = ?1 AND profile_id = ?2 AND id <> ?3 ORDER BY place, id LIMIT 1")              \
    X(LIST_RUNNING_BY,                                                                             \
      "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE                         \
      " AND status = 4 AND (profile_id, place) > (?1, ?2) AND (lease_token IS NOT NULL) = ?3 "     \
      "ORDER BY profile_id, place LIMIT ?4")                                                       \
    X(COUNT_BEFORE, "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_live WHERE " LIVE    \
                    " AND status = ?1 AND profile_id = ?2 AND (place, id) < (?3, ?4) LIMIT ?5)")   \
    X(COUNT_BEHIND, "SELECT count(*) FROM (SELECT 1 FROM task INDEXED BY task_live WHERE " LIVE    \
                    " AND status = ?1 AND profile_id = ?2 AND (place, id) > (?3, ?4) LIMIT ?5)")   \
    X(OLDEST_QUEUED, "SELECT min(ready_at) FROM (SELECT ready_at FROM task INDEXED BY task_live "  \
                     "WHERE " LIVE " AND status = 1 AND profile_id = ?1 ORDER BY place, id "       \
                     "LIMIT ?2)")                                                                  \
    X(LAST_CLOCK, "SELECT max(max(ready_at, queued_at)) FROM (SELECT * FROM task "                 \
                  "ORDER BY id DESC LIMIT 100) WHERE task_crc(" TASK_FIELDS ") = crc")             \
    X(SHIFT_RETRIES,                                                                               \
      "UPDATE task SET place = place + ?1, crc = task_crc(id, profile_id, status, priority, "      \
      "place + ?1, created_at, started_at, finished_at, run_at, ready_at, queued_at, timeout, "    \
      "max_attempts, attempt, spent, retries, interruptions, error_class, error_message, key, "    \
      "result, routing, body, type, bytes, cooldowns, completed_then, submitted_by, "              \
      "depth, error_tail, NULL, NULL, NULL) "                                                      \
      "WHERE " LIVE " AND status = 2 AND place <> run_at AND task_crc(" TASK_FIELDS ") = crc")     \
    X(LIST_STATUS, "SELECT " TASK_COLUMNS " FROM task INDEXED BY task_live WHERE " LIVE            \
                   " AND status = ?1 AND profile_id = ?2 AND (place, id) > (?3, ?4) "              \
                   "ORDER BY place, id")                                                           \
    X(LIST_TASKS, "SELECT " TASK_COLUMNS " FROM task WHERE id < ?1 ORDER BY id DESC")              \
    X(LAST_OF_STATUS, "SELECT id FROM task INDEXED BY task_profile WHERE " AT_REST                 \
                      " AND profile_id = ?1 AND status = ?2 AND id < ?3 ORDER BY id DESC LIMIT 1") \
    X(LAST_RUNNING, /* at most as many as there are slots */                                       \
      "SELECT max(id) FROM task INDEXED BY task_live WHERE " LIVE                                  \
      " AND status = ?2 AND profile_id = ?1 AND id < ?3")                                          \
    X(LIST_PROFILE_IDS, "SELECT id FROM profile")                                                  \
    X(ADD_ATTEMPT,                                                                                 \
      "INSERT INTO attempt VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")       \
    X(REPORT_ATTEMPT, "UPDATE attempt SET usage = ?3, cost = ?4, currency = ?5 "                   \
                      "WHERE task_id = ?1 AND number = ?2")                                        \
    X(RECENT_ATTEMPTS,                                                                             \
      "SELECT error_class, duration, type FROM attempt INDEXED BY attempt_recent "                 \
      "WHERE counts AND profile_id = ?1 ORDER BY finished_at DESC LIMIT ?2")                       \
    X(GET_BUCKET, "SELECT data FROM bucket WHERE profile_id = ?1 AND span = ?2 AND at = ?3")       \
    X(PUT_BUCKET, "INSERT OR REPLACE INTO bucket VALUES (?1, ?2, ?3, ?4)")                         \
    X(LIST_BUCKETS, "SELECT data, at FROM bucket "                                                 \
                    "WHERE profile_id = ?1 AND span = ?2 AND at >= ?3 AND at < ?4")                \
    X(PRUNE_BUCKETS,                                                                               \
      "DELETE FROM bucket WHERE profile_id = ?2 AND span = ?3 AND at <= (SELECT max(at) FROM "     \
      "(SELECT at FROM bucket WHERE profile_id = ?2 AND span = ?3 AND at < ?4 ORDER BY at "        \
      "LIMIT ?1))")                                                                                \
    X(PUT_UPTIME, "INSERT INTO uptime VALUES (?1, ?2, ?3) ON CONFLICT (started_at) DO UPDATE SET " \
                  "seen_at = max(seen_at, excluded.seen_at), "                                     \
                  "last_event = max(last_event, excluded.last_event)")                             \
    X(LAST_EVENT, "SELECT max(last_event) FROM uptime")                                            \
    X(LIST_UPTIME, "SELECT started_at, seen_at FROM uptime WHERE started_at < ?2 AND "             \
                   "seen_at >= ?1 ORDER BY started_at")                                            \
    X(PRUNE_UPTIME, "DELETE FROM uptime WHERE started_at IN (SELECT started_at FROM uptime "       \
                    "WHERE started_at < ?2 AND seen_at < ?2 ORDER BY started_at LIMIT ?1)")

#define X(name, sql) STMT_##name,
enum statement { STATEMENTS(X) STATEMENT_COUNT };
#undef X

/* Holds for every row of `task` that acpd wrote before rows had checksums. */
#define TASK_WAS_SOUND                                                                             \
    "status BETWEEN 1 AND 7 AND priority BETWEEN 0 AND 2 AND typeof(place) = 'integer' AND "       \
    "typeof(body) = 'text' AND is_line(body) AND json_valid('{' || body || '}') AND "              \
    "(result IS NULL OR (is_line(result) AND json_valid(result))) AND "                            \
    "(routing IS NULL OR (is_line(routing) AND json_valid(routing)))"

#define SCHEMA_NEWEST INT64_MAX

/* Changes of the current pass to a profile's row; written by the commit. */
struct profile_change {
    int64_t profile_id;
    struct task_counts counts;     /* added */
    int is_active;                 /* -1: unchanged */
    int64_t last_activity;         /* 0: unchanged */
    int64_t waiting;               /* as stored in the row; -1: not read yet */
    struct metrics_minute *minute; /* NULL: unchanged */
};

struct store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char *path;
    bool in_transaction;
    uint64_t writes;
    struct profile_change *changes;
    size_t change_count, change_capacity;
    int has_dependencies; /* in this transaction; -1: unknown */
    int64_t next_id;      /* of the next task in this transaction; 0: unknown */
    bool log_has_remains; /* frames of a failed commit */
    bool can_give_back, wants_checkpoint;
    int failure; /* errno of the verb that failed in this transaction, or 0 */
    char error[256];
    char damage[96]; /* the last damaged row found */
};

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
/** The single number that a statement returns. */
int sqlite_number(sqlite3 *db, const char *sql, int64_t *ret_number);
/** A quick, read-only check for damage: of all pages up to 64 MiB, otherwise for a truncated file.
 *  *ret_error says what was found. */
int sqlite_check_damage(sqlite3 *db, const char *path, char **ret_error);
/** Read-only. 1: the database was written by a newer acpd or by another program; *ret_error says
 *  which. */
int sqlite_check_version(sqlite3 *db, char **ret_error);
/** Migrates the schema to version `to` or to SCHEMA_NEWEST. *ret_error as for store_open(). */
int sqlite_migrate(sqlite3 *db, int64_t to, char **ret_error);

/** The statement, reset and without bindings. */
sqlite3_stmt *sqlite_use(struct store *store, enum statement statement);
/** Opens the transaction if none is open. Later reads stay valid until the commit. */
int sqlite_begin(struct store *store);
/** The same for a statement that writes. */
int sqlite_use_writing(struct store *store, enum statement statement, sqlite3_stmt **ret_stmt);
/** 1: a row; 0: done; negative: failed, and the failure is recorded. Resets the statement unless
 *  it returns a row. */
int sqlite_step(struct store *store, sqlite3_stmt *stmt);
/** The negative errno for an SQLite result code. */
int sqlite_errno(int rc);
/** Records the failure of the last SQLite call and returns its negative errno. */
int sqlite_fail(struct store *store);
/** Records that the row of a task is damaged and returns -EBADMSG. The transaction stays usable. */
int sqlite_fail_damaged(struct store *store, int64_t task_id);
/** Steps a statement that returns no rows. */
int sqlite_run(struct store *store, sqlite3_stmt *stmt);
/** Runs a writing statement whose only parameter is an id. */
int sqlite_run_for_id(struct store *store, enum statement statement, int64_t id);
/** The number that a statement returns. 1: found. */
int sqlite_take_number(struct store *store, sqlite3_stmt *stmt, int64_t *ret_number);

/** Takes ownership of the task. */
void sqlite_push_task(struct task_list *tasks, struct task *task);
/** Reads the current row of a statement over TASK_COLUMNS. -EBADMSG: it does not match its
 *  checksum. */
int sqlite_read_task(struct store *store, sqlite3_stmt *stmt, struct task *ret_task);
/** The same with its lease; its token is NULL if it has none. */
int sqlite_read_leased(struct store *store, sqlite3_stmt *stmt, struct task *ret_task,
                       struct store_lease *ret_lease);
void sqlite_lease_deinit(struct store_lease *lease);
/** Reads the row of a statement that returns at most one. 1: found. */
int sqlite_take_task(struct store *store, sqlite3_stmt *stmt, struct task *ret_task);
/** Binds ?1 to ?34, TASK_COLUMNS, and sets the task's checksum. `lease` NULL: none. */
void sqlite_bind_task(sqlite3_stmt *stmt, struct task *task, const struct store_lease *lease);

/** The pending changes of a profile in this transaction; valid until the next call. */
struct profile_change *sqlite_change_of(struct store *store, int64_t profile_id);
/** Their counters. */
struct task_counts *sqlite_counts(struct store *store, int64_t profile_id);
/** Writes the pending changes of all profiles. */
int sqlite_flush_profiles(struct store *store);
/** Forgets them. */
void sqlite_drop_changes(struct store *store);
int sqlite_add_attempt(struct store *store, const struct store_attempt *attempt);

void sqlite_bind_text_or_null(sqlite3_stmt *stmt, int index, const char *text);
/** A copy of the column's text, or NULL; the caller frees it. */
char *sqlite_column_copy(sqlite3_stmt *stmt, int column);
/** NULL: ERROR_NONE; an unknown name: ERROR_UNKNOWN. */
enum error_class sqlite_class_parse(const char *name);
