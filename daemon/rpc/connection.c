/* SPDX-License-Identifier: MIT */
#include "rpc/connection.h"

#include <stdio.h>

#include "common/alloc.h"

bool connection_is_congested(const struct connection *connection)
{
    return stream_pending(&connection->stream) + connection->staged >
           (size_t)engine_settings(connection->server->engine)->output_limit;
}

enum role connection_role(const struct rpc_server *server, uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return ROLE_OPERATE;
    return server->listener.is_shared ? roles_find(&engine_settings(server->engine)->roles, uid)
                                      : ROLE_NONE;
}

/* The client has received what the replies up to here hand over. */
static void connection_forget_heard(struct connection *connection)
{
    list_for_each_safe (link, &connection->unheard) {
        struct rpc_call *call = list_entry(link, struct rpc_call, link);

        if (call->end > connection->stream.sent)
            return;
        call_free(call);
    }
}

static void connection_drop_waiting(struct connection *connection)
{
    list_for_each_safe (link, &connection->server->waiting) {
        struct rpc_call *call = list_entry(link, struct rpc_call, link);
        struct batch *batch = call->batch;

        if (call->connection != connection)
            continue;
        call_drop(call);
        connection->waiting--;
        if (batch && --batch->open == 0 && batch != connection->batch)
            call_batch_drop(batch);
    }
}

/* It is of no list. */
static void connection_drop_partial(struct connection *connection)
{
    struct batch *batch = connection->partial->batch;

    call_drop(STEAL(connection->partial));
    if (batch && --batch->open == 0 && batch != connection->batch)
        call_batch_drop(batch);
}

/* The client will not receive them. */
static void connection_drop_calls(struct connection *connection)
{
    connection_forget_heard(connection);
    if (connection->waiting)
        connection_drop_waiting(connection);
    if (connection->partial)
        connection_drop_partial(connection);
    list_splice(&connection->unheard, &connection->ended);
    list_for_each_safe (link, &connection->unheard)
        call_drop(list_entry(link, struct rpc_call, link));
    if (connection->batch)
        call_batch_drop(connection->batch);
    connection->batch = NULL;
    connection->staged = 0;
}

void connection_kill(struct connection *connection)
{
    connection->is_dead = true;
    subscription_end(connection);
    connection_drop_calls(connection);
    event_del(connection->stream.readable);
    event_del(connection->stream.writable);
    ready_rest(connection);
    list_remove(&connection->dirty);
    list_remove(&connection->link);
    list_append(&connection->server->dead, &connection->link);
}

void connection_update_reading(struct connection *connection)
{
    if (connection->is_dead)
        return;
    connection->is_throttled |= connection_is_congested(connection);
    stream_set_reading(&connection->stream, !connection->is_closing && !connection->is_throttled);
}

static void connection_on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct connection *connection = data;
    int r = stream_read(&connection->stream,
                        (size_t)engine_settings(connection->server->engine)->line_limit);

    if (r < 0) {
        connection_kill(connection);
        return;
    }
    if (r > 0)
        ready_wake(connection);
    connection_update_reading(connection);
}

static void connection_flush(struct connection *connection);

static void connection_on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    connection_flush(data);
}

struct connection *connection_new(struct rpc_server *server, int fd, const struct rpc_peer *peer)
{
    struct connection *connection = xcalloc(1, sizeof(*connection));

    connection->server = server;
    connection->peer = *peer;
    connection->served_us = INT64_MIN;
    stream_init(&connection->stream, server->base, fd, connection_on_readable,
                connection_on_writable, connection);
    list_init(&connection->spent);
    list_init(&connection->long_link);
    list_init(&connection->dirty);
    list_init(&connection->ended);
    list_init(&connection->unheard);
    list_init(&connection->subscription.link);
    list_append(&server->connections, &connection->link);
    server->connection_count++;
    return connection;
}

void connection_free(struct connection *connection)
{
    subscription_end(connection);
    connection_drop_calls(connection);
    stream_deinit(&connection->stream);
    ready_rest(connection);
    list_remove(&connection->link);
    list_remove(&connection->dirty);
    connection->server->connection_count--;
    free(connection);
}

/* Sends what is committed. */
static void connection_flush(struct connection *connection)
{
    struct stream *stream = &connection->stream;

    if (connection->is_dead)
        return;
    if (!stream_pending(stream))
        subscription_pump(connection);
    if (stream_send(stream) < 0) {
        connection_kill(connection);
        return;
    }
    connection_forget_heard(connection);
    if (!stream_pending(stream) && connection->is_closing && list_is_empty(&connection->ended)) {
        connection_kill(connection);
        return;
    }
    if (connection->is_throttled && !connection_is_congested(connection)) {
        connection->is_throttled = false;
        ready_wake(connection);
        connection_update_reading(connection);
    }
}

static void connection_print_ended(struct connection *connection)
{
    struct stream *stream = &connection->stream;

    list_for_each_safe (link, &connection->ended) {
        struct rpc_call *call = list_entry(link, struct rpc_call, link);

        connection->staged -= call->size;
        call_print(call, &stream->out);
        list_remove(link);
        if (call->handover && call->handover->begin)
            call->handover->begin(call);
        if (call->handover && call->handover->is_until_heard) {
            buf_deinit(&call->result);
            call->end = stream_position(stream);
            list_append(&connection->unheard, link);
        } else {
            call_free(call);
        }
    }
}

void connection_send_replies(struct connection *connection)
{
    connection_print_ended(connection);
    subscription_pump(connection);
    connection_flush(connection);
}
