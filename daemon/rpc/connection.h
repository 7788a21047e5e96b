/* SPDX-License-Identifier: MIT */
/* What the files of the socket share: one client's connection, and the server's lists. */
#pragma once

#include "rpc/call.h"
#include "rpc/method.h"
#include "rpc/server.h"
#include "rpc/stream.h"

/* A follower of events: see subscription.c. */
struct subscription {
    struct list link; /* server.subscribers; in none: the connection follows nothing */
    int64_t *profiles;
    size_t profile_count; /* profiles NULL: all */
    int64_t next;         /* the next event to be sent */
    bool has_gap;         /* what it asked for is no longer held */
    bool is_announced;    /* its reply was printed: events may follow */
};

struct connection {
    struct list link;       /* server.connections, or server.dead */
    struct list spent;      /* server.spent: it has had its share of the pass */
    struct heap_node ready; /* server.ready, by served_us, while it has requests to be handled */
    int64_t served_us;      /* time that it has taken, on the server's clock of fairness */
    struct list dirty; /* server.dirty, while there is something to be printed, or to be closed */
    struct rpc_server *server;
    struct rpc_peer peer;
    struct stream stream;

    uint64_t pass;        /* the last pass that handled requests of it */
    size_t pass_requests; /* how many then */

    struct batch *batch; /* whose requests are being handled, over several passes if need be */
    size_t waiting;      /* calls that are delayed */
    struct list ended;   /* struct rpc_call, to be printed with the commit, in this order */
    size_t staged;       /* bytes that calls which have ended will print, about */
    struct list unheard; /* struct rpc_call: printed, not yet sent, and they hand something over */
    struct subscription subscription;

    bool is_blocked;   /* by a call that ends in this pass: the replies keep their order */
    bool is_throttled; /* not read from until it has read its replies */
    bool is_closing;   /* to be closed once its replies have left */
    bool is_dead;      /* to be freed after the pass */
};

struct rpc_server {
    struct event_base *base;
    struct engine *engine;
    struct event *acceptable, *accept_again;
    struct listener listener;
    struct list connections, spent, dirty, dead;
    struct heap ready; /* connections: the one that has taken least time comes first */
    int64_t clock_us;  /* what the one that came last had taken: newcomers start there */
    struct list subscribers;
    struct list waiting; /* struct rpc_call: delayed, the oldest first */
    struct list falling; /* struct rpc_call: ended behind the first write of the pass */
    size_t connection_count;
    bool is_accepting, has_stopped;
    struct json_reader *reader;
    uint64_t pass;   /* the last one that handled requests, */
    int64_t pass_us; /* and for how long */
};

/** Follows the events behind `after`; -1: from now on. `profiles` are ids, NULL: all. */
void subscription_start(struct connection *connection, const int64_t *profiles, size_t count,
                        int64_t after);
void subscription_end(struct connection *connection);
bool subscription_is_active(const struct connection *connection);
/** Adds to the output what there is room for. */
void subscription_pump(struct connection *connection);

/** Closes it; it is freed by rpc_reap(). */
void connection_kill(struct connection *connection);
/** It has requests to be handled (rpc/ready.c). */
void connection_wake(struct connection *connection);
/** It has none, until it is woken again. */
void connection_rest(struct connection *connection);
/** There is something to be printed, or to be closed, with the commit. */
void connection_touch(struct connection *connection);
/** What a user may do here, as the settings are now. */
enum role connection_role(const struct rpc_server *server, uid_t uid);
/** Adopts an accepted socket. */
struct connection *connection_new(struct rpc_server *server, int fd, const struct rpc_peer *peer);
void connection_free(struct connection *connection);
/** Handles its requests for about `share_us`, up to the bounds of a pass; returns how many
 *  (rpc/turn.c). */
size_t turn_take(struct connection *connection, int64_t share_us);
/** Reads on when there is room, or stops: a client that does not read its replies is not read from.
 */
void connection_update_reading(struct connection *connection);
/** Prints what has ended, and sends. */
void connection_release(struct connection *connection);
/** Whether the replies that wait for the client have passed the bound. */
bool connection_is_congested(const struct connection *connection);

/** Whether the peer may call this at all; if not, the call's error is set. */
bool dispatch_admit(const struct rpc_server *server, struct rpc_call *call);
/** Runs the handler of a call whose parameters have been checked, ends the call or delays it, and
 *  notes in the audit log what it wrote. */
void dispatch_run(struct rpc_call *call);
/** Handles the message of one line: a request, or the begin of a batch. */
void dispatch_line(struct connection *connection, const char *line, size_t len);
/** Handles the next request of the connection's batch. */
void dispatch_batch(struct connection *connection);
/** Answers a line that is no request. */
void dispatch_refuse(struct connection *connection, enum rpc_code code, const char *message);
