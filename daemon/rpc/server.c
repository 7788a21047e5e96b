/* SPDX-License-Identifier: MIT */
#include "rpc/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/log.h"
#include "rpc/connection.h"

#define ACCEPTS_AT_ONCE 64

/* Time of handlers in a pass: enough to share a commit, little enough to keep others from waiting
 * long. */
#define PASS_US 10000
/* Long calls wait for this time at most while none of them runs. */
#define LONG_WAIT_US 250000

/* The owner and root may talk; others only where the socket's group was opened to them, and they
 * have a role. */
static bool server_may_talk(const struct rpc_server *server, int fd, struct rpc_peer *ret_peer)
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
        ret_peer->is_descendant = engine_is_descendant(server->engine, peer.pid, &ret_peer->run);
        return true;
    }
    log_warning("refused a connection of user %u, process %d", (unsigned)peer.uid, (int)peer.pid);
    return false;
}

static void server_pause_accepting(struct rpc_server *server)
{
    event_del(server->acceptable);
    server->is_accepting = false;
}

static void server_on_accept_again(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct rpc_server *server = data;

    if (server->has_stopped || server->is_accepting)
        return;
    event_add(server->acceptable, NULL);
    server->is_accepting = true;
}

static void server_on_acceptable(evutil_socket_t listener, short what UNUSED, void *data)
{
    struct rpc_server *server = data;

    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct rpc_peer peer;
        int fd;

        if (server->connection_count >= (size_t)engine_settings(server->engine)->connection_limit) {
            server_pause_accepting(server); /* until rpc_reap() has made room */
            return;
        }
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
                return;
            /* Out of descriptors or memory: a connection waits in the backlog, and looking at it
             * again at once would be spinning. */
            log_warning("cannot accept a connection: %s", strerror(errno));
            server_pause_accepting(server);
            event_add(server->accept_again, &(struct timeval){.tv_usec = 200000});
            return;
        }
        if (server_may_talk(server, fd, &peer))
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
    server->expected_us = xcalloc(rpc_method_count(), sizeof(*server->expected_us));
    list_init(&server->connections);
    list_init(&server->spent);
    list_init(&server->long_waits);
    list_init(&server->dirty);
    list_init(&server->dead);
    list_init(&server->waiting);
    list_init(&server->spare_calls);
    list_init(&server->uncommitted);
    list_init(&server->subscribers);
    server->acceptable =
        event_new(base, server->listener.fd, EV_READ | EV_PERSIST, server_on_acceptable, server);
    server->accept_again = event_new(base, -1, 0, server_on_accept_again, server);
    event_add(server->acceptable, NULL);
    server->is_accepting = true;
    return server;
}

void rpc_stop_accepting(struct rpc_server *server)
{
    if (server->has_stopped)
        return;
    server->has_stopped = true;
    server_pause_accepting(server);
    event_del(server->accept_again);
    listener_close(&server->listener);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    list_splice(&server->connections, &server->dead);
    list_for_each_safe (link, &server->connections)
        connection_free(list_entry(link, struct connection, link));
    event_free(server->acceptable);
    event_free(server->accept_again);
    call_free_spare(server);
    heap_deinit(&server->ready);
    listener_deinit(&server->listener);
    free(server->expected_us);
    json_doc_deinit(&server->request);
    free(server);
}

/* A long call that would run over the end of the pass begins the next one, so that the replies of
 * those before it need not wait for it; and nothing more is handled in this pass. */
static bool server_hold(struct rpc_server *server, const struct connection *connection)
{
    bool holds =
        connection->long_us && server->handled && server->pass_us + connection->long_us > PASS_US;

    if (engine_is_in_doubt(server->engine)) /* it is refused at once */
        return false;
    server->has_held |= holds;
    return holds;
}

static size_t server_take_turn(struct rpc_server *server, struct connection *connection)
{
    int64_t began = clock_mono_us(), ended;
    bool is_long = connection->long_us;
    size_t handled;

    if (server->clock_us < connection->served_us)
        server->clock_us = connection->served_us;
    handled = turn_take(connection);
    ended = clock_mono_us();
    server->pass_us += ended - began;
    server->began_long |= is_long && !server->handled && handled;
    server->handled += handled;
    if (is_long)
        server->long_ran = ended;
    return handled;
}

/* The one that is next among those with long calls; NULL: there is none. */
static struct connection *server_find_long(const struct rpc_server *server)
{
    struct connection *next = NULL;

    list_for_each (link, &server->long_waits) {
        struct connection *connection = list_entry(link, struct connection, long_link);

        if (!next || connection->ready.key < next->ready.key)
            next = connection;
    }
    return next;
}

/* Newcomers could come before long calls for ever, as they have not used any time yet. So the
 * oldest is next if none has run for a while. */
static struct connection *server_find_overdue(const struct rpc_server *server)
{
    struct connection *oldest;
    int64_t since;

    if (list_is_empty(&server->long_waits))
        return NULL;
    oldest = list_entry(server->long_waits.next, struct connection, long_link);
    since = oldest->long_since > server->long_ran ? oldest->long_since : server->long_ran;
    return clock_mono_us() - since > LONG_WAIT_US ? oldest : NULL;
}

/* The long call that begins this pass, or NULL. After one, a pass begins with others: whoever has
 * come meanwhile waits for no second one. */
static struct connection *server_choose_first(const struct rpc_server *server)
{
    struct connection *overdue;

    if (server->began_long)
        return NULL;
    overdue = server_find_overdue(server);
    return overdue || !server->has_held ? overdue : server_find_long(server);
}

/* Those that used up their share of the last pass continue, and a long call may begin this one. */
static size_t server_begin_pass(struct rpc_server *server)
{
    struct connection *first = server_choose_first(server);

    server->began_long = false;
    server->pass = engine_pass(server->engine);
    server->pass_us = 0;
    server->handled = 0;
    server->has_held = false;
    list_for_each_safe (link, &server->spent) {
        list_remove(link);
        ready_wake(list_entry(link, struct connection, spent));
    }
    return first ? server_take_turn(server, first) : 0;
}

size_t rpc_process(struct rpc_server *server)
{
    struct heap_node *top;
    size_t handled = 0;

    if (server->pass != engine_pass(server->engine))
        handled += server_begin_pass(server);
    while (server->pass_us <= PASS_US && (top = heap_top(&server->ready))) {
        struct connection *connection = CONTAINER_OF(top, struct connection, ready);

        if (server_hold(server, connection))
            break;
        handled += server_take_turn(server, connection);
    }
    return handled;
}

bool rpc_has_backlog(const struct rpc_server *server)
{
    return heap_top(&server->ready) || !list_is_empty(&server->spent);
}

/* Closes connections of delayed calls whose clients have gone, so that they get nothing. */
static void server_close_gone(struct rpc_server *server)
{
    list_for_each_safe (link, &server->connections) {
        struct connection *connection = list_entry(link, struct connection, link);

        if (connection->waiting && connection->stream.at_eof &&
            stream_has_hung_up(&connection->stream))
            connection_kill(connection);
    }
}

void rpc_serve(struct rpc_server *server)
{
    struct list round = LIST_INIT(round);

    if (list_is_empty(&server->waiting))
        return;
    server_close_gone(server);
    list_splice(&round, &server->waiting);
    while (!list_is_empty(&round)) {
        struct rpc_call *call = list_entry(round.next, struct rpc_call, link);

        list_remove(&call->link);
        if (dispatch_admit(server, call))
            dispatch_run(call);
        else
            call_end(call);
    }
}

int64_t rpc_next_deadline(const struct rpc_server *server)
{
    int64_t at = INT64_MAX;

    list_for_each (link, &server->waiting) {
        const struct rpc_call *call = list_entry(link, struct rpc_call, link);

        if (call->deadline < at)
            at = call->deadline;
    }
    return at;
}

void rpc_fail(struct rpc_server *server)
{
    list_for_each_safe (link, &server->uncommitted)
        call_fail(list_entry(link, struct rpc_call, uncommitted));
    list_for_each_safe (at, &server->waiting) {
        struct rpc_call *call = list_entry(at, struct rpc_call, link);

        if (call->deadline > engine_now(server->engine)->mono)
            continue;
        list_remove(&call->link);
        call_fail(call);
        call_end(call);
    }
}

void rpc_send_replies(struct rpc_server *server)
{
    list_for_each_safe (at, &server->uncommitted)
        list_remove(at);
    list_for_each_safe (link, &server->dirty) {
        struct connection *connection = list_entry(link, struct connection, dirty);

        list_remove(&connection->dirty);
        connection_send_replies(connection);
    }
    list_for_each_safe (follower, &server->subscribers) {
        struct connection *connection = list_entry(follower, struct connection, subscription.link);

        if ((connection->stream.at_eof && stream_has_hung_up(&connection->stream)) ||
            connection_role(server, connection->peer.uid) == ROLE_NONE)
            connection_kill(connection);
        else
            connection_send_replies(connection);
    }
}

void rpc_reap(struct rpc_server *server)
{
    while (!list_is_empty(&server->dead))
        connection_free(list_entry(server->dead.next, struct connection, link));
    /* Unless it waits for descriptors: below the limit, newcomers are welcome again. */
    if (!evtimer_pending(server->accept_again, NULL) &&
        server->connection_count < (size_t)engine_settings(server->engine)->connection_limit)
        server_on_accept_again(-1, 0, server);
}
