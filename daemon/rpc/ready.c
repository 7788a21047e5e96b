/* SPDX-License-Identifier: MIT */
/* The connections with work to do: requests to handle, replies to print. */
#include "common/clock.h"
#include "rpc/connection.h"

/* The credit of an idle connection over busy ones: more than the cost of a small call. */
#define CREDIT_US 50000

void ready_touch(struct connection *connection)
{
    if (list_is_empty(&connection->dirty) && !connection->is_dead)
        list_append(&connection->server->dirty, &connection->dirty);
}

/* Start-time fair queueing (Goyal, Vin and Cheng, 1996): the connection that has used least time is
 * next, and one that was idle starts a little before the clock: it does not wait, and has not saved
 * up much. */
void ready_wake(struct connection *connection)
{
    struct rpc_server *server = connection->server;

    if (connection->is_dead || connection->ready.index || !list_is_empty(&connection->spent))
        return;
    if (connection->served_us < server->clock_us - CREDIT_US)
        connection->served_us = server->clock_us - CREDIT_US;
    connection->long_us = 0; /* it is read again */
    heap_set(&server->ready, &connection->ready, connection->served_us);
}

void ready_wait_long(struct connection *connection, int64_t long_us)
{
    connection->long_us = long_us;
    connection->long_since = clock_mono_us();
    list_append(&connection->server->long_waits, &connection->long_link);
}

void ready_rest(struct connection *connection)
{
    heap_remove(&connection->server->ready, &connection->ready);
    list_remove(&connection->spent);
    list_remove(&connection->long_link);
}
