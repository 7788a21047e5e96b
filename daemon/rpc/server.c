/* SPDX-License-Identifier: MIT */
#include "rpc/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/log.h"
#include "rpc/connection.h"

#define ACCEPTS_AT_ONCE 64

/* The owner and root may talk; others only where the socket's group was opened to them, and they
 * have a role. */
static bool may_talk(const struct rpc_server *server, int fd, struct rpc_peer *ret_peer)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    if (connection_role(server, peer.uid) != ROLE_NONE) {
        *ret_peer = (struct rpc_peer){
            .uid = peer.uid,
            .pid = peer.pid,
        };
        ret_peer->is_descendant = engine_is_descendant(server->engine, peer.pid, &ret_peer->keeper);
        return true;
    }
    log_warning("refused a connection of user %u, process %d", (unsigned)peer.uid, (int)peer.pid);
    return false;
}

static void pause_accepting(struct rpc_server *server)
{
    event_del(server->acceptable);
    server->is_accepting = false;
}

static void on_accept_again(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct rpc_server *server = data;

    if (server->has_stopped || server->is_accepting)
        return;
    event_add(server->acceptable, NULL);
    server->is_accepting = true;
}

static void on_acceptable(evutil_socket_t listener, short what UNUSED, void *data)
{
    struct rpc_server *server = data;

    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct rpc_peer peer;
        int fd;

        if (server->connection_count >= (size_t)server->engine->settings.connection_limit) {
            pause_accepting(server); /* until rpc_reap() has made room */
            return;
        }
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
                return;
            /* Out of descriptors or memory: a connection waits in the backlog, and looking at it
             * again at once would be spinning. */
            log_warning("cannot accept a connection: %s", strerror(errno));
            pause_accepting(server);
            event_add(server->accept_again, &(struct timeval){.tv_usec = 200000});
            return;
        }
        if (may_talk(server, fd, &peer))
            connection_new(server, fd, &peer);
        else
            close(fd);
    }
}

struct rpc_server *rpc_server_new(struct event_base *base, struct engine *engine,
                                  struct listener *listener)
{
    struct rpc_server *server = xcalloc(1, sizeof(*server));

    server->base = base;
    server->engine = engine;
    server->listener = *listener;
    *listener = (struct listener){.fd = -1, .lock_fd = -1};
    server->reader = json_reader_new();
    list_init(&server->connections);
    list_init(&server->ready);
    list_init(&server->dirty);
    list_init(&server->dead);
    list_init(&server->waiting);
    list_init(&server->subscribers);
    engine->serve_waiting = waiting_serve;
    engine->waiting = server;
    server->acceptable =
        event_new(base, server->listener.fd, EV_READ | EV_PERSIST, on_acceptable, server);
    server->accept_again = event_new(base, -1, 0, on_accept_again, server);
    event_add(server->acceptable, NULL);
    server->is_accepting = true;
    return server;
}

void rpc_stop_accepting(struct rpc_server *server)
{
    if (server->has_stopped)
        return;
    server->has_stopped = true;
    pause_accepting(server);
    event_del(server->accept_again);
    listener_close(&server->listener);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    server->engine->serve_waiting = NULL;
    list_splice(&server->connections, &server->dead);
    list_for_each_safe (link, &server->connections)
        connection_free(list_entry(link, struct connection, link));
    event_free(server->acceptable);
    event_free(server->accept_again);
    listener_deinit(&server->listener);
    json_reader_free(server->reader);
    buf_deinit(&server->result);
    buf_deinit(&server->ids);
    free(server->marks);
    free(server);
}

size_t rpc_process(struct rpc_server *server)
{
    struct list round = LIST_INIT(round);
    size_t handled = 0;

    /* Each connection once a round; one with lines left goes to the end. */
    list_splice(&round, &server->ready);
    while (!list_is_empty(&round)) {
        struct connection *connection = list_entry(round.next, struct connection, ready);

        list_remove(&connection->ready);
        list_append(&server->ready, &connection->ready);
        handled += connection_process(connection);
    }
    return handled;
}

bool rpc_has_backlog(const struct rpc_server *server)
{
    return !list_is_empty(&server->ready);
}

void rpc_fail(struct rpc_server *server)
{
    struct buf staged = {0}; /* anew */
    const char *message = "the storage fails; nothing was changed";

    /* Each connection's staged output from its first falling mark on is built anew, mark by mark:
     * errors for replies, punctuation as it was. Marks of one connection are in the order of its
     * output.
     */
    for (size_t i = 0; i < server->mark_count; i++) {
        struct reply_mark *mark = &server->marks[i];
        struct connection *connection = mark->connection;

        if (!mark->falls)
            continue;
        buf_clear(&staged);
        for (size_t k = i; k < server->mark_count; k++) {
            struct reply_mark *other = &server->marks[k];

            if (other->connection != connection)
                continue;
            other->falls = false;
            if (other->prefix)
                buf_add_char(&staged, other->prefix);
            if (other->is_reply) {
                message_print_error(&staged, server->ids.data + other->id_at, other->id_len,
                                    RPC_UNAVAILABLE, message, NULL);
                subscription_fail(connection, other->start);
            } else if (connection->staged.data[other->start] == ']') {
                buf_add_text(&staged, "]\n");
            } else {
                buf_add_char(&staged, '\n');
            }
        }
        connection->staged.len = mark->start;
        buf_add(&connection->staged, staged.data, staged.len);
    }
    buf_deinit(&staged);
    waiting_fail(server, message);
}

void rpc_release(struct rpc_server *server)
{
    list_for_each_safe (link, &server->dirty) {
        struct connection *connection = list_entry(link, struct connection, dirty);

        list_remove(&connection->dirty);
        connection_release(connection);
    }
    server->mark_count = 0;
    buf_clear(&server->ids);
    list_for_each_safe (at, &server->subscribers) {
        struct connection *connection = list_entry(at, struct connection, subscription.link);

        if ((connection->at_eof && connection_has_hung_up(connection)) ||
            connection_role(server, connection->peer.uid) == ROLE_NONE)
            connection_kill(connection);
        else
            connection_release(connection);
    }
}

void rpc_reap(struct rpc_server *server)
{
    while (!list_is_empty(&server->dead))
        connection_free(list_entry(server->dead.next, struct connection, link));
    /* Unless it waits for descriptors: below the limit, newcomers are welcome again. */
    if (!evtimer_pending(server->accept_again, NULL) &&
        server->connection_count < (size_t)server->engine->settings.connection_limit)
        on_accept_again(-1, 0, server);
}
