/* SPDX-License-Identifier: MIT */
/*
 * A connection to PostgreSQL. Nothing waits longer than the timeout: what is not answered by then
 * ends the connection. A new one is made step by step, in later calls. Only a name that has to be
 * resolved is waited for.
 */
#include "store/pg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"

#define LOOK_MS    20   /* between looks for an answer */
#define RETRY_MS   500  /* between attempts to connect */
#define CONNECT_MS 5000 /* of one attempt */
/* How long a call waits for a new connection, and how often one does: the others fail at once. */
#define PATIENCE_MS 50
#define PATIENT_MS  500

void pg_clearp(PGresult **result)
{
    PQclear(*result);
}

int pg_fail(struct pg *pg, int r, const char *message)
{
    CLEANUP(freep)
    char *text = xasprintf("the database: %.*s", (int)strcspn(message, "\n"), message);

    return db_fail(&pg->store, r, text);
}

static void pg_drop(struct pg *pg)
{
    PQfinish(STEAL(pg->connection));
    pg->is_connecting = pg->is_open = false;
    pg->later_count = 0;
    pg->session++;
}

int pg_lose(struct pg *pg, int r, const char *message)
{
    r = pg_fail(pg, r, message);
    pg_drop(pg);
    return r;
}

static int pg_lose_as_said(struct pg *pg)
{
    CLEANUP(freep) char *message = xstrdup(PQerrorMessage(pg->connection));

    return pg_lose(pg, -EIO, message);
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* Waits until the socket is ready; false: not before the deadline. */
static bool pg_poll(PGconn *connection, short events, int64_t deadline)
{
    struct pollfd socket = {.fd = PQsocket(connection), .events = events};
    int r;

    do {
        int64_t left = deadline - clock_mono_ms();

        r = poll(&socket, 1, left > 0 ? (int)left : 0);
    } while (r < 0 && errno == EINTR);
    return r > 0;
}

/* Until it is sent and the answer has begun. TLS may hold bytes that the socket does not show, so
 * now and then it is asked in any case. */
static int pg_await(struct pg *pg, int64_t deadline)
{
    int unsent;

    while ((unsent = PQflush(pg->connection)) > 0 || PQisBusy(pg->connection)) {
        int64_t now = clock_mono_ms();

        if (now > deadline)
            return pg_lose(pg, -ETIMEDOUT, "no answer in time");
        pg_poll(pg->connection, unsent > 0 ? POLLIN | POLLOUT : POLLIN, now + LOOK_MS);
        if (!PQconsumeInput(pg->connection))
            return pg_lose_as_said(pg);
    }
    return unsent < 0 ? pg_lose_as_said(pg) : 0;
}

static int pg_errno(const PGresult *result)
{
    static const struct {
        const char *state; /* SQLSTATE */
        int r;
    } states[] = {
        {"53100", -ENOSPC},                       /* disk_full */
        {"53200", -ENOMEM},    {"25006", -EROFS}, /* read_only_sql_transaction */
        {"55P03", -EBUSY},                        /* lock_not_available */
        {"57014", -ETIMEDOUT},                    /* query_canceled */
        {"22012", -EAGAIN},                       /* division_by_zero: see SAVE_SURELY */
    };
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    for (size_t i = 0; state && i < ARRAY_SIZE(states); i++)
        if (strcmp(state, states[i].state) == 0)
            return states[i].r;
    return -EIO;
}

int pg_receive(struct pg *pg, int64_t timeout_ms, PGresult **ret_result)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    PGresult *result = NULL, *next;
    int r;

    for (;;) {
        r = pg_await(pg, deadline);
        if (r < 0)
            break;
        next = PQgetResult(pg->connection);
        if (!next)
            break;
        PQclear(result);
        result = next;
    }
    if (r == 0 && PQstatus(pg->connection) != CONNECTION_OK)
        r = pg_lose_as_said(pg);
    if (r == 0 && (!result || PQresultStatus(result) == PGRES_FATAL_ERROR ||
                   PQresultStatus(result) == PGRES_PIPELINE_ABORTED))
        r = pg_fail(pg, result ? pg_errno(result) : -EIO,
                    result ? PQresultErrorMessage(result) : "no answer");
    if (r < 0) {
        PQclear(result);
        return r;
    }
    *ret_result = result;
    return 0;
}

/* The outcome of the next statement, whose result is kept if it is wanted. Only the first failure
 * of a pipeline says something. */
static int pg_take_later(struct pg *pg, int failure, PGresult **ret_result)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    char error[sizeof(pg->store.error)];
    int r;

    memcpy(error, pg->store.error, sizeof(error));
    r = pg_receive(pg, pg->timeout_ms, &result);
    if (failure)
        memcpy(pg->store.error, error, sizeof(error));
    if (r == 0 && ret_result)
        *ret_result = STEAL(result);
    return failure ? failure : r;
}

int pg_await_later(struct pg *pg, PGresult **ret_result)
{
    size_t count = pg->later_count;
    int r = 0;

    if (!PQpipelineSync(pg->connection))
        return pg_lose_as_said(pg);
    for (size_t i = 0; i < count && pg->connection; i++)
        r = pg_take_later(pg, r, NULL);
    if (ret_result && pg->connection)
        r = pg_take_later(pg, r, ret_result);
    if (pg->connection) /* the answer to the synchronisation */
        r = pg_take_later(pg, r, NULL);
    pg->later_count = 0;
    if (pg->connection && !PQexitPipelineMode(pg->connection))
        return pg_lose_as_said(pg);
    return r;
}

/* In a pipeline, statements go one by one. */
static int pg_execute_after(struct pg *pg, const char *sql, PGresult **ret_result)
{
    return PQsendQueryParams(pg->connection, sql, 0, NULL, NULL, NULL, NULL, 0)
               ? pg_await_later(pg, ret_result)
               : pg_lose_as_said(pg);
}

int pg_execute(struct pg *pg, const char *sql, PGresult **ret_result)
{
    if (pg->later_count)
        return pg_execute_after(pg, sql, ret_result);
    return PQsendQuery(pg->connection, sql) ? pg_receive(pg, pg->timeout_ms, ret_result)
                                            : pg_lose_as_said(pg);
}

static int pg_take_number(PGresult *result, int64_t *ret_number)
{
    if (!PQntuples(result))
        return -ENOENT;
    *ret_number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    return 0;
}

int pg_ask_number(struct pg *pg, const char *sql, int64_t *ret_number)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = pg_execute(pg, sql, &result);

    return r < 0 ? r : pg_take_number(result, ret_number);
}

int pg_ask_number_of(struct pg *pg, const char *sql, const char *const *texts, int count,
                     int64_t *ret_number)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = PQsendQueryParams(pg->connection, sql, count, NULL, texts, NULL, NULL, 0)
                ? pg_receive(pg, pg->timeout_ms, &result)
                : pg_lose_as_said(pg);

    return r < 0 ? r : pg_take_number(result, ret_number);
}

/* --- the connection -----------------------------------------------------------------------------
 */

static void pg_be_silent(void *data UNUSED, const PGresult *result UNUSED)
{
}

void pg_begin_connecting(struct pg *pg, int64_t now)
{
    /* What the connection string says takes precedence over what comes before it. */
    const char *const names[] = {"target_session_attrs", "dbname", "fallback_application_name",
                                 "client_encoding", NULL};
    const char *const values[] = {"read-write", pg->url, "acpd", "UTF8", NULL};

    pg->connection = PQconnectStartParams(names, values, true);
    pg->is_connecting = true;
    pg->waits_for = PGRES_POLLING_WRITING;
    pg->next_try = now + RETRY_MS;
    pg->give_up = now + CONNECT_MS;
}

int pg_take_leave(struct pg *pg)
{
    int r =
        pg_lose(pg, -ESTALE,
                "this node's row is gone: another acpd took over, or the database was restored");

    pg->store.is_lost = true;
    return r;
}

static int pg_find_node(struct pg *pg)
{
    char sql[96];
    int r;

    snprintf(sql, sizeof(sql), "SELECT pass FROM node WHERE id = %lld", (long long)pg->store.node);
    r = pg_ask_number(pg, sql, &(int64_t){0});
    return r == -ENOENT ? pg_take_leave(pg) : r;
}

/* Each statement has an index that reads just what is wanted, in its order. A plan that is kept
 * would otherwise be one for tables as small as they were at first. */
static int pg_set_up_session(struct pg *pg)
{
    const char *encoding = PQparameterStatus(pg->connection, "server_encoding");
    CLEANUP(pg_clearp) PGresult *result = NULL;
    int r = 0;

    PQsetnonblocking(pg->connection, 1);
    PQsetNoticeReceiver(pg->connection, pg_be_silent, NULL);
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return pg_fail(pg, -EINVAL, "its encoding has to be UTF8");
    if (!pg->is_pooled)
        r = pg_execute(pg,
                       "SET enable_seqscan = off; SET enable_bitmapscan = off;"
                       "SET plan_cache_mode = force_generic_plan; SET jit = off",
                       &result);
    return r == 0 && pg->store.node ? pg_find_node(pg) : r;
}

/* The session begins, or the connection is of no use. */
static int pg_greet(struct pg *pg)
{
    int r;

    pg->is_connecting = false;
    r = pg_set_up_session(pg);
    if (r < 0 && pg->connection)
        pg_drop(pg);
    return r;
}

int pg_go_on_connecting(struct pg *pg, int64_t deadline)
{
    if (PQstatus(pg->connection) == CONNECTION_BAD)
        return pg_lose_as_said(pg);
    while (pg_poll(pg->connection, pg->waits_for == PGRES_POLLING_WRITING ? POLLOUT : POLLIN,
                   deadline)) {
        pg->waits_for = PQconnectPoll(pg->connection);
        if (pg->waits_for == PGRES_POLLING_OK)
            return pg_greet(pg);
        if (pg->waits_for == PGRES_POLLING_FAILED)
            return pg_lose_as_said(pg);
    }
    return clock_mono_ms() < pg->give_up ? pg_fail(pg, -EIO, "no connection yet")
                                         : pg_lose(pg, -ETIMEDOUT, "no connection in time");
}

int pg_connect(struct pg *pg)
{
    int64_t now = clock_mono_ms(), wait = 0;

    if (pg->connection && !pg->is_connecting)
        return 0;
    if (!pg->connection && now < pg->next_try)
        return pg_fail(pg, -EIO, "no connection");
    if (!pg->connection)
        pg_begin_connecting(pg, now);
    if (now >= pg->next_wait) {
        wait = PATIENCE_MS;
        pg->next_wait = now + PATIENT_MS;
    }
    return pg_go_on_connecting(pg, now + wait);
}

/* --- sending statements -------------------------------------------------------------------------
 */

static int pg_prepare(struct pg_statement *stmt)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    struct pg *pg = stmt->pg;
    int r = 0;

    if (!PQsendPrepare(pg->connection, stmt->name, stmt->text, stmt->parameters, stmt->types))
        return pg_lose(pg, -EIO, "cannot send");
    if (PQpipelineStatus(pg->connection) == PQ_PIPELINE_ON)
        pg->later_count++;
    else
        r = pg_receive(pg, pg->timeout_ms, &result);
    if (r == 0)
        stmt->session = pg->session;
    return r;
}

int pg_post(struct pg_statement *stmt, const char *const *values, const int *lengths,
            const int *formats)
{
    struct pg *pg = stmt->pg;
    int r = stmt->name && stmt->session != pg->session ? pg_prepare(stmt) : 0;

    if (r < 0)
        return r;
    r = stmt->name ? PQsendQueryPrepared(pg->connection, stmt->name, stmt->parameters, values,
                                         lengths, formats, 0)
                   : PQsendQueryParams(pg->connection, stmt->text, stmt->parameters, stmt->types,
                                       values, lengths, formats, 0);
    return r ? 0 : pg_lose(pg, -EIO, "cannot send");
}

int pg_begin_later(struct pg *pg)
{
    if (pg->later_count || PQenterPipelineMode(pg->connection))
        return 0;
    return pg_lose(pg, -EIO, "cannot send");
}

void pg_abort(struct pg *pg)
{
    PGresult *result = NULL;

    if (!pg->is_open || !pg->connection)
        return;
    pg->is_open = false;
    if (pg->later_count)
        (void)pg_await_later(pg, NULL);
    if (!pg->connection)
        return;
    /* A pipeline that has failed may not have prepared what it was to; the rows that wait are
     * forgotten, too. */
    pg->session++;
    if (pg_execute(pg, pg->is_pooled ? "ROLLBACK" : "ROLLBACK; DEALLOCATE ALL", &result) == 0)
        PQclear(result);
    else if (pg->connection)
        pg_lose(pg, -EIO, "rollback failed");
}
