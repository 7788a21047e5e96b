/* SPDX-License-Identifier: MIT */
/* Nodes: each start of an acpd is one, until it stops or is found dead. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "store/pg.h"

#define LOOK_MS 200

/* A node of the same name elsewhere. */
#define NAMESAKE "FROM node WHERE name = $1 AND place IS DISTINCT FROM $2"

static int pg_node_execute(struct pg *pg, const char *sql)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;

    return pg_execute(pg, sql, &result);
}

/* -ENOENT: it has a namesake. */
static int pg_node_add(struct pg *pg, const struct store_postgres *options)
{
    const char *const texts[] = {options->name, options->place, options->node_url, ACPD_VERSION};
    int64_t id = 0, began = clock_boot_ms(), clock = 0;
    int r = pg_node_execute(pg, "BEGIN; SELECT pg_advisory_xact_lock(" PG_JOIN_LOCK ")");

    if (r == 0)
        r = pg_ask_number_of(pg,
                             "INSERT INTO node (pass, name, place, url, version) "
                             "SELECT 0, $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 " NAMESAKE ") "
                             "RETURNING id",
                             texts, ARRAY_SIZE(texts), &id);
    if (r == 0)
        r = pg_ask_number(pg, "SELECT " PG_CLOCK, &clock);
    if (r == 0)
        r = pg_node_execute(pg, "COMMIT");
    else if (pg->connection)
        (void)pg_node_execute(pg, "ROLLBACK");
    if (r < 0)
        return r;
    pg->store.node = id;
    pg->clock_ahead = clock - clock_mono_ms();
    pg->validity_ms = options->lease_ms - options->lease_ms / 5;
    pg->valid_until = began + pg->validity_ms;
    return 0;
}

/* The pass of a namesake; -ENOENT: there is none. */
static int pg_node_look(struct pg *pg, const struct store_postgres *options, int64_t *ret_pass)
{
    const char *const texts[] = {options->name, options->place};

    return pg_ask_number_of(pg, "SELECT pass " NAMESAKE, texts, ARRAY_SIZE(texts), ret_pass);
}

static int pg_node_bury(struct pg *pg, const struct store_postgres *options, int64_t pass)
{
    CLEANUP(freep) char *number = xasprintf("%lld", (long long)pass);
    const char *const texts[] = {options->name, options->place, number};
    int r = pg_ask_number_of(pg, "DELETE " NAMESAKE " AND pass = $3 RETURNING 1", texts,
                             ARRAY_SIZE(texts), &(int64_t){0});

    return r == -ENOENT ? 0 : r;
}

/* Waits for a lease: a node silent for that long is dead. */
static int pg_node_outlive(struct pg *pg, const struct store_postgres *options)
{
    int64_t first, pass;
    int r = pg_node_look(pg, options, &first);
    const int64_t deadline = clock_mono_ms() + options->lease_ms; /* it may have just been there */

    while (r == 0 && clock_mono_ms() < deadline) {
        poll(NULL, 0, LOOK_MS);
        r = pg_node_look(pg, options, &pass);
        if (r == 0 && pass != first) {
            snprintf(pg->store.error, sizeof(pg->store.error),
                     "another acpd that is running has the name \"%s\"; see node.name",
                     options->name);
            return -EADDRINUSE;
        }
    }
    return r == -ENOENT ? 0 : r < 0 ? r : pg_node_bury(pg, options, first);
}

int pg_node_join(struct pg *pg, const struct store_postgres *options)
{
    int r;

    while ((r = pg_node_add(pg, options)) == -ENOENT && options->lease_ms) {
        r = pg_node_outlive(pg, options);
        if (r < 0)
            break;
    }
    return r;
}

void pg_node_leave(struct pg *pg)
{
    char sql[64];

    if (!pg->store.node || !pg->connection || pg->is_connecting)
        return;
    snprintf(sql, sizeof(sql), "DELETE FROM node WHERE id = %lld", (long long)pg->store.node);
    (void)pg_node_execute(pg, sql);
}
