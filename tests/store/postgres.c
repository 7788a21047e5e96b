/* SPDX-License-Identifier: MIT */
/* PostgreSQL: a place is a database of the server that ACPD_POSTGRES names, a connection string. */
#include "engine.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "store/postgres.h"

#define TIMEOUT_MS 30000

/* Runs statements; *ret_number is the number that they return, if they do. */
static bool ask(const char *url, const char *sql, int64_t *ret_number)
{
    PGconn *connection = PQconnectdb(url);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_TUPLES_OK)
        *ret_number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    else if (status != PGRES_COMMAND_OK)
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

static char *create(void)
{
    static int count;
    const char *server = getenv("ACPD_POSTGRES");
    CLEANUP(freep) char *name = xasprintf("acpd_%d_%d", (int)getpid(), ++count);
    CLEANUP(freep) char *sql = xasprintf("CREATE DATABASE %s", name);

    return server && ask(server, sql, &(int64_t){0}) ? xasprintf("%s dbname=%s", server, name)
                                                     : NULL;
}

static int open_store(const char *place, struct store **ret_store, char **ret_error)
{
    return store_open_postgres(&(struct store_postgres){.url = place, .timeout_ms = TIMEOUT_MS},
                               ret_store, ret_error);
}

static int open_node(const char *place, const char *name, const char *where,
                     struct store **ret_store, char **ret_error)
{
    const struct store_postgres options = {.url = place,
                                           .timeout_ms = TIMEOUT_MS,
                                           .name = name,
                                           .place = where,
                                           .node_url = "http://node",
                                           .lease_ms = 500};

    return store_open_postgres(&options, ret_store, ret_error);
}

static int verify(const char *place, char **ret_error)
{
    static const char orphans[] =
        "SELECT (SELECT count(*) FROM dependency WHERE task_id NOT IN (SELECT id FROM task)) + "
        "(SELECT count(*) FROM task WHERE profile_id NOT IN (SELECT id FROM profile))";
    int64_t count = -1;

    if (ask(place, orphans, &count) && count == 0)
        return 0;
    *ret_error = xasprintf("%lld rows belong to nothing", (long long)count);
    return -1;
}

static void destroy(char *place)
{
    CLEANUP(freep)
    char *sql = xasprintf("DROP DATABASE %s WITH (FORCE)", strstr(place, "dbname=acpd_") + 7);

    ask(getenv("ACPD_POSTGRES"), sql, &(int64_t){0});
    free(place);
}

const struct test_engine engine = {
    .name = "PostgreSQL",
    .create = create,
    .open = open_store,
    .open_node = open_node,
    .close = store_close,
    .verify = verify,
    .destroy = destroy,
};
