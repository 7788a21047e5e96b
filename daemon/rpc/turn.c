/* SPDX-License-Identifier: MIT */
/* A connection's turn in a pass: its next requests, for a while.
 *
 * The connections wait in the order of the time they have used. One whose next request is expected
 * to take longer than a turn waits as if it had used that time already: whoever asks for little is
 * answered before it, even among those who have not used any yet.
 */
#include <stdio.h>

#include "common/clock.h"
#include "rpc/connection.h"

static void turn_refuse_line(struct connection *connection)
{
    char message[96];

    snprintf(message, sizeof(message), "a line is at most %lld bytes",
             (long long)engine_settings(connection->server->engine)->line_limit);
    dispatch_refuse(connection, RPC_INVALID_REQUEST, message);
    connection->is_closing = true;
    stream_drop_input(&connection->stream);
}

/* Handles the next request, of a batch or of a line, or a part of the last one. False: there is
 * none yet, or it is long and waits. */
static bool turn_handle_next(struct connection *connection)
{
    size_t limit = (size_t)engine_settings(connection->server->engine)->line_limit;
    struct stream *stream = &connection->stream;
    const char *line;
    size_t len;

    if (connection->partial) {
        dispatch_partial(connection);
        return true;
    }
    if (connection->batch)
        return dispatch_batch(connection);
    if (!stream_find_line(stream, &line, &len)) {
        if (stream_unhandled(stream) > limit)
            turn_refuse_line(connection);
        return false;
    }
    if (len > limit) {
        turn_refuse_line(connection);
        return true;
    }
    /* json_doc_read() takes a CR before the LF for white space; an empty line is none. */
    if (len && !(len == 1 && line[0] == '\r') && !dispatch_line(connection, line, len))
        return false;
    stream_take_line(stream);
    return true;
}

/* Closes it once everything has been answered, when the client says no more. */
static void turn_close_at_end(struct connection *connection)
{
    const struct stream *stream = &connection->stream;

    if (!connection->is_closing &&
        (!stream->at_eof || connection->waiting || connection->partial || connection->batch ||
         subscription_is_active(connection) || stream_unhandled(stream)))
        return;
    connection->is_closing = true;
    ready_rest(connection);
    ready_touch(connection);
}

/* Whether it may continue in this turn; otherwise the reason decides when it continues. */
static bool turn_has_turn(struct connection *connection)
{
    const struct settings *settings = engine_settings(connection->server->engine);
    bool is_within = connection->batch || connection->partial;

    /* The replies of a batch leave together: nothing gets room by waiting within one, or before the
     * last part of its last call. */
    if (connection->is_closing || connection->is_blocked ||
        (!is_within && connection_is_congested(connection))) {
        ready_rest(connection);
        return false;
    }
    if (connection->pass_requests < (size_t)settings->lines_per_pass)
        return true;
    ready_rest(connection);
    list_append(&connection->server->spent, &connection->spent);
    return false;
}

size_t turn_take(struct connection *connection)
{
    struct rpc_server *server = connection->server;
    int64_t now = server->turn_began = clock_mono_us();
    size_t handled = 0;

    if (connection->pass != engine_pass(server->engine))
        connection->pass_requests = 0;
    connection->pass = engine_pass(server->engine);
    while (now - server->turn_began <= TURN_US && turn_has_turn(connection)) {
        if (!turn_handle_next(connection)) {
            if (!connection->long_us)
                ready_rest(connection);
            break;
        }
        connection->pass_requests++;
        handled++;
        now = clock_mono_us();
    }
    connection->served_us += now - server->turn_began + (int64_t)handled;
    if (connection->ready.index)
        heap_set(&server->ready, &connection->ready, connection->served_us + connection->long_us);
    turn_close_at_end(connection);
    stream_tidy(&connection->stream);
    connection_update_reading(connection);
    return handled;
}
