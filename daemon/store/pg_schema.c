/* SPDX-License-Identifier: MIT */
/*
 * The tables in PostgreSQL: those of SQLite (sqlite_schema.c), and those of the nodes that share
 * them: `node`, a row for each handle, which counts its transactions, `share`, `question` and
 * `news`. The row of acpd_schema is the number of migrations that were applied. A released
 * migration never changes; add another one instead.
 */
#include <errno.h>
#include <stdio.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "store/pg.h"

#define SCHEMA_LOCK "7013266" /* advisory: one migrates at a time */

static const char *const migrations[] = {
    "CREATE TABLE node ("
    "  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  pass bigint NOT NULL"
    ") WITH (fillfactor = 50);"
    "CREATE TABLE profile ("
    "  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  name text COLLATE \"C\" NOT NULL UNIQUE,"
    "  is_active bigint NOT NULL DEFAULT 1,"
    "  queued bigint NOT NULL DEFAULT 0,"
    "  scheduled bigint NOT NULL DEFAULT 0,"
    "  blocked bigint NOT NULL DEFAULT 0,"
    "  running bigint NOT NULL DEFAULT 0,"
    "  completed bigint NOT NULL DEFAULT 0,"
    "  failed bigint NOT NULL DEFAULT 0,"
    "  cancelled bigint NOT NULL DEFAULT 0,"
    "  last_activity bigint NOT NULL DEFAULT 0,"
    "  finished_bytes bigint NOT NULL DEFAULT 0,"
    "  minute_at bigint NOT NULL DEFAULT 0,"
    "  minute_queue_max bigint NOT NULL DEFAULT 0,"
    "  minute bytea"
    ") WITH (fillfactor = 50);"
    "CREATE TABLE task ("
    "  id bigint PRIMARY KEY,"
    "  profile_id bigint NOT NULL,"
    "  status bigint NOT NULL,"
    "  priority bigint NOT NULL,"
    "  place bigint NOT NULL,"
    "  created_at bigint NOT NULL,"
    "  started_at bigint NOT NULL,"
    "  finished_at bigint NOT NULL,"
    "  run_at bigint NOT NULL,"
    "  ready_at bigint NOT NULL,"
    "  queued_at bigint NOT NULL,"
    "  timeout bigint NOT NULL,"
    "  max_attempts bigint NOT NULL,"
    "  attempt bigint NOT NULL,"
    "  spent bigint NOT NULL,"
    "  retries bigint NOT NULL,"
    "  interruptions bigint NOT NULL,"
    "  error_class text,"
    "  error_message text,"
    "  key text,"
    "  result text,"
    "  routing text,"
    "  body text NOT NULL,"
    "  type text,"
    "  bytes bigint NOT NULL,"
    "  cooldowns bigint NOT NULL,"
    "  completed_then bigint NOT NULL,"
    "  submitted_by bigint NOT NULL,"
    "  depth bigint NOT NULL,"
    "  error_tail text,"
    "  lease_token text,"
    "  lease_ms bigint,"
    "  lease_worker text,"
    "  crc bigint NOT NULL"
    ") WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,"
    "  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05);"
    "CREATE INDEX task_live ON task (status, profile_id, place, id) WHERE status <= 4;"
    "CREATE INDEX task_profile ON task (profile_id, status, id) WHERE status <> 4;"
    "CREATE INDEX task_age ON task (finished_at) WHERE status > 4;"
    "CREATE UNIQUE INDEX task_key ON task (key) WHERE key IS NOT NULL;"
    "CREATE TABLE attempt ("
    "  task_id bigint NOT NULL,"
    "  number bigint NOT NULL,"
    "  profile_id bigint NOT NULL,"
    "  started_at bigint NOT NULL,"
    "  finished_at bigint NOT NULL,"
    "  duration bigint NOT NULL,"
    "  error_class text,"
    "  error_message text,"
    "  counts boolean NOT NULL,"
    "  usage text,"
    "  cost double precision,"
    "  currency text,"
    "  type text,"
    "  PRIMARY KEY (task_id, number)"
    ");"
    "CREATE INDEX attempt_recent ON attempt (profile_id, finished_at) WHERE counts;"
    "CREATE TABLE bucket ("
    "  profile_id bigint NOT NULL,"
    "  span bigint NOT NULL,"
    "  at bigint NOT NULL,"
    "  data bytea NOT NULL,"
    "  PRIMARY KEY (profile_id, span, at)"
    ");"
    "CREATE TABLE dependency ("
    "  depends_on bigint NOT NULL,"
    "  task_id bigint NOT NULL,"
    "  PRIMARY KEY (depends_on, task_id)"
    ");"
    "CREATE INDEX dependency_of ON dependency (task_id);"
    "CREATE TABLE release ("
    "  task_id bigint PRIMARY KEY,"
    "  after bigint NOT NULL"
    ");"
    "CREATE TABLE uptime ("
    "  started_at bigint PRIMARY KEY,"
    "  seen_at bigint NOT NULL,"
    "  last_event bigint NOT NULL"
    ");",
    /* Nodes share the tables. A share is what one of them has counted of the running minute. */
    "DELETE FROM node;"
    "ALTER TABLE node"
    "  ADD name text, ADD place text, ADD url text, ADD version text,"
    "  ADD is_retiring boolean NOT NULL DEFAULT false;"
    "ALTER TABLE task ADD node_id bigint, ADD node text;"
    "CREATE INDEX task_ending ON task (profile_id) WHERE node_id IS NOT NULL AND status > 4;"
    "ALTER TABLE attempt ADD node text;"
    "CREATE TABLE share ("
    "  profile_id bigint NOT NULL,"
    "  node_id bigint NOT NULL,"
    "  minute_at bigint NOT NULL,"
    "  minute_queue_max bigint NOT NULL,"
    "  minute bytea,"
    "  PRIMARY KEY (profile_id, node_id)"
    ") WITH (fillfactor = 50);"
    "INSERT INTO share SELECT id, 0, minute_at, minute_queue_max, minute FROM profile "
    "WHERE minute_at > 0;"
    "UPDATE profile SET minute_at = 0, minute_queue_max = 0, minute = NULL;"
    "CREATE TABLE question ("
    "  id text PRIMARY KEY,"
    "  node_id bigint NOT NULL,"
    "  body text NOT NULL,"
    "  answer text,"
    "  answered_by text"
    ");"
    "CREATE TABLE news ("
    "  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  node_id bigint NOT NULL,"
    "  at bigint NOT NULL,"
    "  body text NOT NULL"
    ");",
    /* The only node that may run it; NULL: any. Those are skipped by other nodes' claims. */
    "ALTER TABLE task ADD only_node text;"
    "CREATE INDEX task_for_one ON task (profile_id, only_node, place, id) "
    "WHERE status = 1 AND only_node IS NOT NULL;",
    /* How it is configured, for the others. */
    "ALTER TABLE node ADD config text, ADD config_sum bigint NOT NULL DEFAULT 0;",
};

/* Under the lock. */
static int pg_schema_read_version(struct pg *pg, int64_t *ret_version)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = pg_execute(pg,
                       "BEGIN; SELECT pg_advisory_xact_lock(" SCHEMA_LOCK ");"
                       "CREATE TABLE IF NOT EXISTS acpd_schema (version bigint NOT NULL);"
                       "SELECT coalesce(max(version), 0) FROM acpd_schema",
                       &result);

    if (r < 0)
        return r;
    *ret_version = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    return 0;
}

static int pg_schema_refuse(struct pg *pg, int64_t version)
{
    snprintf(pg->store.error, sizeof(pg->store.error),
             "the database was written by a newer acpd (schema %lld; this program knows %zu); "
             "nothing was changed",
             (long long)version, ARRAY_SIZE(migrations));
    return -ENOTSUP;
}

static int pg_schema_apply(struct pg *pg, int64_t version)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    CLEANUP(buf_deinit) struct buf sql = {0};
    const int64_t known = (int64_t)ARRAY_SIZE(migrations);

    for (int64_t i = version; i < known; i++)
        buf_add_text(&sql, migrations[i]);
    if (version < known)
        buf_printf(&sql, "DELETE FROM acpd_schema; INSERT INTO acpd_schema VALUES (%lld);",
                   (long long)known);
    buf_add_text(&sql, "COMMIT");
    return pg_execute(pg, buf_text(&sql), &result);
}

int pg_schema_migrate(struct pg *pg)
{
    int64_t version = 0;
    int r = pg_schema_read_version(pg, &version);

    if (r < 0)
        return r;
    return version <= (int64_t)ARRAY_SIZE(migrations) ? pg_schema_apply(pg, version)
                                                      : pg_schema_refuse(pg, version);
}

int pg_schema_look(struct pg *pg, int64_t *ret_version)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = pg_execute(pg, "SELECT to_regclass('acpd_schema')", &result);

    *ret_version = 0;
    if (r < 0 || PQgetisnull(result, 0, 0))
        return r;
    PQclear(STEAL(result));
    r = pg_execute(pg, "SELECT coalesce(max(version), 0) FROM acpd_schema", &result);
    if (r < 0)
        return r;
    *ret_version = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    return *ret_version > (int64_t)ARRAY_SIZE(migrations) ? pg_schema_refuse(pg, *ret_version) : 0;
}

int64_t pg_schema_newest(void)
{
    return (int64_t)ARRAY_SIZE(migrations);
}
