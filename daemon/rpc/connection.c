/* SPDX-License-Identifier: MIT */
#include "rpc/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/log.h"

#define READ_SIZE   (64 * 1024)
#define INPUT_AHEAD (256 * 1024) /* unhandled bytes at which reading pauses */
#define KEEP_BUFFER (64 * 1024)  /* capacity of each buffer that an idle connection may keep */

bool connection_is_congested(const struct connection *connection)
{
    return connection->out.len - connection->out_sent + connection->staged.len >
           (size_t)connection->server->engine->settings.output_limit;
}

void connection_wake(struct connection *connection)
{
    if (list_is_empty(&connection->ready) && !connection->is_dead)
        list_append(&connection->server->ready, &connection->ready);
}

enum role connection_role(const struct rpc_server *server, uid_t uid)
{
    if (uid == 0 || uid == geteuid())
        return ROLE_OPERATE;
    return server->listener.is_shared ? roles_find(&server->engine->settings.roles, uid)
                                      : ROLE_NONE;
}

bool connection_has_hung_up(const struct connection *connection)
{
    struct pollfd polled = {.fd = connection->fd};

    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR));
}

/* The client has heard of its claims up to here; with `all`, it will not hear of the rest. */
static void settle_grants(struct connection *connection, bool all)
{
    list_for_each_safe (link, &connection->grants) {
        struct grant *grant = list_entry(link, struct grant, link);

        if (grant->end > connection->out_left && !all)
            return;
        if (grant->end > connection->out_left)
            engine_release_claim(connection->server->engine, grant->task_id, grant->token);
        list_remove(&grant->link);
        free(grant->token);
        free(grant);
    }
}

void connection_kill(struct connection *connection)
{
    connection->is_dead = true;
    waiting_drop(connection);
    subscription_end(connection);
    settle_grants(connection, true);
    event_del(connection->readable);
    event_del(connection->writable);
    list_remove(&connection->ready);
    list_remove(&connection->link);
    list_append(&connection->server->dead, &connection->link);
}

/* Reads on when there is room, or stops: a client that does not read its replies is not read from.
 */
static void update_reading(struct connection *connection)
{
    bool wants;

    if (connection->is_dead)
        return;
    connection->is_held |= connection_is_congested(connection);
    wants = !connection->at_eof && !connection->is_closing && !connection->is_held &&
            (connection->in.len - connection->in_at < INPUT_AHEAD ||
             connection->in_scanned == connection->in.len);
    if (wants)
        event_add(connection->readable, NULL);
    else
        event_del(connection->readable);
}

/* Whether a whole line, or the rest at the end of input, stands in the buffer. */
static bool find_line(struct connection *connection, size_t *ret_len, size_t *ret_next)
{
    size_t available = connection->in.len - connection->in_at;
    const char *newline;

    if (connection->in_scanned < connection->in_at)
        connection->in_scanned = connection->in_at;
    newline = connection->in_scanned < connection->in.len
                  ? memchr(connection->in.data + connection->in_scanned, '\n',
                           connection->in.len - connection->in_scanned)
                  : NULL;
    if (newline) {
        *ret_len = (size_t)(newline - connection->in.data) - connection->in_at;
        *ret_next = connection->in_at + *ret_len + 1;
        return true;
    }
    connection->in_scanned = connection->in.len;
    if (!connection->at_eof || !available)
        return false;
    *ret_len = available;
    *ret_next = connection->in.len;
    return true;
}

static bool exceeds_line_limit(const struct connection *connection)
{
    return connection->in.len - connection->in_at >
           (size_t)connection->server->engine->settings.line_limit;
}

static void on_readable(evutil_socket_t fd, short what UNUSED, void *data)
{
    struct connection *connection = data;
    char *room = buf_reserve(&connection->in, READ_SIZE);
    ssize_t n = read(fd, room, READ_SIZE);
    size_t before = connection->in.len;

    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return;
        connection_kill(connection);
        return;
    }
    connection->in.len += (size_t)n;
    if (n == 0)
        connection->at_eof = true;
    if (n == 0 || memchr(connection->in.data + before, '\n', (size_t)n) ||
        exceeds_line_limit(connection))
        connection_wake(connection);
    else if (connection->in_scanned == before)
        connection->in_scanned = connection->in.len;
    update_reading(connection);
}

static void flush(struct connection *connection);

static void on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    flush(data);
}

struct connection *connection_new(struct rpc_server *server, int fd, const struct rpc_peer *peer)
{
    struct connection *connection = xcalloc(1, sizeof(*connection));

    connection->server = server;
    connection->fd = fd;
    connection->peer = *peer;
    connection->readable =
        event_new(server->base, fd, EV_READ | EV_PERSIST, on_readable, connection);
    connection->writable =
        event_new(server->base, fd, EV_WRITE | EV_PERSIST, on_writable, connection);
    list_init(&connection->ready);
    list_init(&connection->dirty);
    list_init(&connection->grants);
    list_init(&connection->after_batch);
    list_init(&connection->subscription.link);
    list_append(&server->connections, &connection->link);
    server->connection_count++;
    event_add(connection->readable, NULL);
    return connection;
}

void connection_free(struct connection *connection)
{
    waiting_drop(connection);
    subscription_end(connection);
    settle_grants(connection, true);
    event_free(connection->readable);
    event_free(connection->writable);
    list_remove(&connection->link);
    list_remove(&connection->ready);
    list_remove(&connection->dirty);
    connection->server->connection_count--;
    close(connection->fd);
    buf_deinit(&connection->in);
    buf_deinit(&connection->out);
    buf_deinit(&connection->staged);
    free(connection);
}

static void drop_handled_input(struct connection *connection)
{
    buf_consume(&connection->in, connection->in_at);
    connection->in_scanned -=
        connection->in_scanned < connection->in_at ? connection->in_scanned : connection->in_at;
    connection->in_at = 0;
    if (!connection->in.len && connection->in.capacity > KEEP_BUFFER)
        buf_deinit(&connection->in);
}

static void refuse_line(struct connection *connection)
{
    char message[96];

    snprintf(message, sizeof(message), "a line is at most %lld bytes",
             (long long)connection->server->engine->settings.line_limit);
    message_refuse(connection, RPC_INVALID_REQUEST, message);
    connection->is_closing = true;
    connection->in_at = connection->in.len;
}

size_t connection_process(struct connection *connection)
{
    const struct settings *settings = &connection->server->engine->settings;
    uint64_t pass = connection->server->engine->passes;
    size_t handled = 0, len, next;

    if (connection->pass != pass) {
        connection->pass = pass;
        connection->pass_lines = 0;
    }
    while (!connection->is_closing && connection->pass_lines < (size_t)settings->lines_per_pass) {
        if (connection_is_congested(connection)) {
            list_remove(&connection->ready); /* until flush() has made room */
            break;
        }
        if (!find_line(connection, &len, &next)) {
            if (exceeds_line_limit(connection))
                refuse_line(connection);
            list_remove(&connection->ready);
            break;
        }
        if (len > (size_t)settings->line_limit) {
            refuse_line(connection);
            break;
        }
        handled++;
        /* json_reader_parse() takes a CR before the LF for white space; an empty line is none. */
        if (len && !(len == 1 && connection->in.data[connection->in_at] == '\r'))
            connection->pass_lines +=
                message_handle(connection, connection->in.data + connection->in_at, len);
        else
            connection->pass_lines++;
        connection->in_at = next;
    }
    if (connection->is_closing ||
        (connection->at_eof && !connection->waiting && !subscription_is_active(connection) &&
         connection->in_at == connection->in.len)) {
        connection->is_closing = true;
        list_remove(&connection->ready);
        /* Nothing staged and nothing to send: rpc_release() would not look at it. */
        if (list_is_empty(&connection->dirty))
            list_append(&connection->server->dirty, &connection->dirty);
    }
    drop_handled_input(connection);
    update_reading(connection);
    return handled;
}

/* Sends what is committed. */
static void flush(struct connection *connection)
{
    struct buf *out = &connection->out;

    if (connection->is_dead)
        return;
    if (connection->out_sent == out->len)
        subscription_pump(connection);
    while (connection->out_sent < out->len) {
        ssize_t n = send(connection->fd, out->data + connection->out_sent,
                         out->len - connection->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            connection_kill(connection);
            return;
        }
        connection->out_sent += (size_t)n;
        connection->out_left += (size_t)n;
    }
    settle_grants(connection, false);
    /* At the half, so that each byte is moved once at most and what was sent is not kept. */
    if (connection->out_sent >= out->len / 2) {
        buf_consume(out, connection->out_sent);
        connection->out_sent = 0;
    }
    if (out->len) {
        event_add(connection->writable, NULL);
    } else {
        if (out->capacity > KEEP_BUFFER)
            buf_deinit(out);
        event_del(connection->writable);
        if (connection->is_closing && !connection->staged.len) {
            connection_kill(connection);
            return;
        }
    }
    if (connection->is_held && !connection_is_congested(connection)) {
        connection->is_held = false;
        connection_wake(connection);
        update_reading(connection);
    }
}

void connection_release(struct connection *connection)
{
    connection->out_moved += connection->staged.len;
    if (!connection->out.len) {
        struct buf empty = connection->out;

        connection->out = connection->staged;
        connection->staged = empty;
    } else {
        buf_add(&connection->out, connection->staged.data, connection->staged.len);
        buf_clear(&connection->staged);
    }
    if (connection->staged.capacity > KEEP_BUFFER)
        buf_deinit(&connection->staged);
    subscription_pump(connection);
    flush(connection);
}
