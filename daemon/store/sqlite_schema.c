/* SPDX-License-Identifier: MIT */
/*
 * The schema as a list of migrations. The database's user_version is the number of those applied.
 * A released migration never changes; add another one instead.
 *
 * profile   the transactions that change tasks also update the counters
 * task      times in ms; 0 and NULL mean none; `body` holds the JSON members that never change.
 *           A new id is the highest plus one, so removing tasks must always keep the newest one, or
 *           its id would be reused. (AUTOINCREMENT would guarantee this too, but costs a tenth of
 *           the time of an assignment.)
 * attempt   finished attempts; a running one is in its task's row
 * bucket    metrics of one profile in a minute, quarter-hour or hour (span, in ms);
 *           profile 0 stands for all profiles and holds only queue_max
 */
#include <errno.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "store/sqlite.h"

static const char *const migrations[] = {
    "CREATE TABLE profile ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  is_active INTEGER NOT NULL DEFAULT 1,"
    "  queued INTEGER NOT NULL DEFAULT 0,"
    "  scheduled INTEGER NOT NULL DEFAULT 0,"
    "  blocked INTEGER NOT NULL DEFAULT 0,"
    "  running INTEGER NOT NULL DEFAULT 0,"
    "  completed INTEGER NOT NULL DEFAULT 0,"
    "  failed INTEGER NOT NULL DEFAULT 0,"
    "  cancelled INTEGER NOT NULL DEFAULT 0,"
    "  last_activity INTEGER NOT NULL DEFAULT 0"
    ");"
    "CREATE TABLE task ("
    "  id INTEGER PRIMARY KEY,"
    "  profile_id INTEGER NOT NULL,"
    "  status INTEGER NOT NULL," /* enum task_status */
    "  priority INTEGER NOT NULL,"
    "  place INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL,"
    "  started_at INTEGER NOT NULL,"
    "  finished_at INTEGER NOT NULL,"
    "  run_at INTEGER NOT NULL,"
    "  ready_at INTEGER NOT NULL,"
    "  queued_at INTEGER NOT NULL,"
    "  timeout INTEGER NOT NULL,"
    "  max_attempts INTEGER NOT NULL,"
    "  attempt INTEGER NOT NULL,"
    "  spent INTEGER NOT NULL,"
    "  retries INTEGER NOT NULL,"
    "  interruptions INTEGER NOT NULL,"
    "  error_class TEXT,"
    "  error_message TEXT,"
    "  key TEXT,"
    "  result TEXT,"
    "  routing TEXT,"
    "  body TEXT NOT NULL"
    ");"
    "CREATE INDEX task_live ON task (status, profile_id, place) WHERE status <= 4;"
    "CREATE INDEX task_finished ON task (status) WHERE status > 4;"
    "CREATE UNIQUE INDEX task_key ON task (key) WHERE key IS NOT NULL;"
    "CREATE TABLE attempt ("
    "  task_id INTEGER NOT NULL,"
    "  number INTEGER NOT NULL,"
    "  profile_id INTEGER NOT NULL,"
    "  started_at INTEGER NOT NULL,"
    "  finished_at INTEGER NOT NULL,"
    "  duration INTEGER NOT NULL,"
    "  error_class TEXT,"
    "  error_message TEXT,"
    "  counts INTEGER NOT NULL,"
    "  PRIMARY KEY (task_id, number)"
    ") WITHOUT ROWID;"
    "CREATE INDEX attempt_recent ON attempt (profile_id, finished_at) WHERE counts;"
    "CREATE TABLE bucket ("
    "  profile_id INTEGER NOT NULL,"
    "  span INTEGER NOT NULL,"
    "  at INTEGER NOT NULL,"
    "  completed INTEGER NOT NULL,"
    "  failed INTEGER NOT NULL,"
    "  cancelled INTEGER NOT NULL,"
    "  retried INTEGER NOT NULL,"
    "  successes INTEGER NOT NULL,"
    "  errors INTEGER NOT NULL,"
    "  duration_sum INTEGER NOT NULL,"
    "  started INTEGER NOT NULL,"
    "  wait_sum INTEGER NOT NULL,"
    "  durations TEXT NOT NULL," /* see metrics_histogram_print() */
    "  PRIMARY KEY (profile_id, span, at)"
    ") WITHOUT ROWID;",

    "CREATE TABLE lease ("
    "  task_id INTEGER PRIMARY KEY,"
    "  attempt INTEGER NOT NULL,"
    "  token TEXT NOT NULL,"
    "  length INTEGER NOT NULL,"
    "  worker TEXT NOT NULL"
    ");",

    "ALTER TABLE attempt ADD COLUMN usage TEXT;" /* JSON, as reported by the agent */
    "ALTER TABLE attempt ADD COLUMN cost REAL;"
    "ALTER TABLE attempt ADD COLUMN currency TEXT;"
    "ALTER TABLE bucket ADD COLUMN cost REAL NOT NULL DEFAULT 0;"
    "ALTER TABLE bucket ADD COLUMN currency TEXT NOT NULL DEFAULT '';",

    "ALTER TABLE task ADD COLUMN type TEXT;"
    "ALTER TABLE task ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;" /* of a finished task */
    "UPDATE task SET type = json_extract('{' || body || '}', '$.type'),"
    "  body = (SELECT substr(rest, 2, length(rest) - 2)"
    "          FROM (SELECT json_remove('{' || body || '}', '$.type') AS rest))"
    "  WHERE json_valid('{' || body || '}');"
    "UPDATE task SET bytes = length(body) + ifnull(length(result), 0) WHERE status > 4;"
    "CREATE INDEX task_age ON task (finished_at) WHERE status > 4;"
    "ALTER TABLE profile ADD COLUMN finished_bytes INTEGER NOT NULL DEFAULT 0;"
    "UPDATE profile SET finished_bytes = finished.total FROM"
    "  (SELECT profile_id, sum(bytes) AS total FROM task WHERE status > 4 GROUP BY profile_id)"
    "  AS finished WHERE finished.profile_id = profile.id;"
    "ALTER TABLE attempt ADD COLUMN type TEXT;"                     /* its task's */
    "ALTER TABLE bucket ADD COLUMN waits TEXT NOT NULL DEFAULT '';" /* as durations */
    "ALTER TABLE bucket ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE bucket ADD COLUMN queue_max INTEGER NOT NULL DEFAULT 0;"
    /* Quarter-hours from the existing minutes. Reading concatenated histograms adds them up. */
    "INSERT INTO bucket"
    "  SELECT profile_id, 900000, at - at % 900000, sum(completed), sum(failed), sum(cancelled),"
    "    sum(retried), sum(successes), sum(errors), sum(duration_sum), sum(started), sum(wait_sum),"
    "    group_concat(durations, ' '), sum(cost), max(currency), '', 0, 0"
    "  FROM bucket WHERE span = 60000 GROUP BY 1, 3;"
    "CREATE TABLE dependency ("
    "  depends_on INTEGER NOT NULL,"
    "  task_id INTEGER NOT NULL,"
    "  PRIMARY KEY (depends_on, task_id)"
    ") WITHOUT ROWID;"
    "CREATE INDEX dependency_of ON dependency (task_id);"
    /* Finished tasks whose dependants are not released yet, except those up to `after`. */
    "CREATE TABLE release ("
    "  task_id INTEGER PRIMARY KEY,"
    "  after INTEGER NOT NULL"
    ");"
    /* Spans of wall time in which acpd ran. */
    "CREATE TABLE uptime ("
    "  started_at INTEGER PRIMARY KEY,"
    "  seen_at INTEGER NOT NULL"
    ");",

    "ALTER TABLE task ADD COLUMN cooldowns INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE task ADD COLUMN completed_then INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE task ADD COLUMN error_tail TEXT;"
    "ALTER TABLE task ADD COLUMN submitted_by INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE task ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE task ADD COLUMN crc INTEGER;" /* see sqlite_row.c; NULL: the row was damaged */
    "UPDATE task SET crc = task_crc(" TASK_FIELDS_5 ") WHERE " TASK_WAS_SOUND ";",

    /* Moves each lease into its task's row. Damaged rows stay unchanged. */
    "ALTER TABLE task ADD COLUMN lease_token TEXT;"
    "ALTER TABLE task ADD COLUMN lease_ms INTEGER;"
    "ALTER TABLE task ADD COLUMN lease_worker TEXT;"
    "UPDATE task SET lease_token = token, lease_ms = length, lease_worker = worker,"
    "  crc = task_crc(" TASK_FIELDS_5 ", token, length, worker) FROM"
    "  (SELECT task_id, attempt AS number, token, length, worker FROM lease)"
    "  WHERE task_id = id AND number = attempt AND status = 4"
    "  AND task_crc(" TASK_FIELDS_5 ") = crc;"
    "DROP TABLE lease;"
    "DROP INDEX task_finished;"
    "CREATE INDEX task_profile ON task (profile_id, status) WHERE status <> 4;" /* see LIVE */
    /* The current minute, or the last one that was not empty. */
    "ALTER TABLE profile ADD COLUMN minute_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE profile ADD COLUMN minute_queue_max INTEGER NOT NULL DEFAULT 0;" /* of all */
    "ALTER TABLE profile ADD COLUMN minute BLOB;" /* see core/metrics_blob.h */
    "ALTER TABLE bucket RENAME TO bucket_before;"
    "CREATE TABLE bucket ("
    "  profile_id INTEGER NOT NULL,"
    "  span INTEGER NOT NULL,"
    "  at INTEGER NOT NULL,"
    "  data BLOB NOT NULL,"
    "  PRIMARY KEY (profile_id, span, at)"
    ") WITHOUT ROWID;"
    "INSERT INTO bucket SELECT profile_id, span, at, metrics_blob(completed, failed, cancelled,"
    "  retried, successes, errors, duration_sum, started, wait_sum, durations, cost, currency,"
    "  waits, arrived, queue_max) FROM bucket_before;"
    "DROP TABLE bucket_before;",

    "ALTER TABLE uptime ADD COLUMN last_event INTEGER NOT NULL DEFAULT 0;",
};

static int sqlite_schema_read_version(sqlite3 *db, int64_t *ret_version)
{
    return sqlite_number(db, "PRAGMA user_version", ret_version);
}

static int sqlite_schema_migrate_failed(sqlite3 *db, char **ret_error)
{
    *ret_error = xasprintf("cannot migrate the database schema: %s", sqlite3_errmsg(db));
    return -EIO;
}

int sqlite_check_version(sqlite3 *db, char **ret_error)
{
    const int known = (int)ARRAY_SIZE(migrations);
    int64_t version = 0, tables = 0, ours = 0;

    if (sqlite_schema_read_version(db, &version) < 0 ||
        sqlite_number(db, "SELECT count(*) FROM sqlite_master", &tables) < 0 ||
        sqlite_number(db,
                      "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN "
                      "('profile', 'task', 'attempt', 'bucket')",
                      &ours) < 0)
        return -EIO;
    if (version < 0 || (version == 0 && tables) || (version > 0 && version <= known && ours < 4)) {
        *ret_error = xasprintf("this is not an acpd database (schema %lld, %lld tables "
                               "and indexes); nothing was changed",
                               (long long)version, (long long)tables);
        return 1;
    }
    if (version > known) {
        *ret_error =
            xasprintf("the database was written by a newer acpd (schema %lld; this program "
                      "knows %d); nothing was changed",
                      (long long)version, known);
        return 1;
    }
    return 0;
}

int sqlite_migrate(sqlite3 *db, int64_t to, char **ret_error)
{
    const int64_t known = (int64_t)ARRAY_SIZE(migrations);
    CLEANUP(buf_deinit) struct buf sql = {0};
    int64_t version = 0;

    to = to < known ? to : known;
    if (sqlite_schema_read_version(db, &version) < 0)
        return sqlite_schema_migrate_failed(db, ret_error);
    if (version >= to)
        return 0;
    /* Free space can be returned to the system; this must be set while the database is empty. */
    if (version == 0 &&
        sqlite3_exec(db, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_schema_migrate_failed(db, ret_error);
    buf_add_text(&sql, "BEGIN IMMEDIATE;");
    for (int64_t i = version; i < to; i++)
        buf_add_text(&sql, migrations[i]);
    buf_printf(&sql, "PRAGMA user_version = %lld; COMMIT;", (long long)to);
    if (sqlite3_exec(db, buf_text(&sql), NULL, NULL, NULL) != SQLITE_OK) {
        sqlite_schema_migrate_failed(db, ret_error);
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return -EIO;
    }
    return 0;
}

int64_t sqlite_schema_newest(void)
{
    return (int64_t)ARRAY_SIZE(migrations);
}
