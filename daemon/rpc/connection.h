/* SPDX-License-Identifier: MIT */
/* A client's connection and the server's lists, shared by the files of rpc/. */
#pragma once

#include "rpc/call.h"
#include "rpc/method.h"
#include "rpc/server.h"
#include "rpc/stream.h"

/* Time of a connection's turn in a pass; a request of which more is expected is long. */
#define TURN_US 500

/* A follower of events: see subscription.c. */
struct subscription {
    struct list link; /* server.subscribers; unlinked: not subscribed */
    int64_t *profiles;
    size_t profile_count; /* profiles NULL: all */
    int64_t next;         /* the next event to send */
    bool has_gap;         /* requested events are no longer available */
    bool is_announced;    /* its reply was printed, so events may follow */
};

struct connection {
    struct list link;       /* server.connections, or server.dead */
    struct list spent;      /* server.spent: it has used its share of the pass */
    struct heap_node ready; /* server.ready, while it has requests to handle: see turn.c */
    int64_t served_us;      /* time used, on the server's fairness clock */
    struct list dirty;      /* server.dirty, while there is something to print or to close */
    struct rpc_server *server;
    struct rpc_peer peer;
    struct stream stream;

    uint64_t pass;        /* the last pass that handled its requests */
    size_t pass_requests; /* how many then */

    struct batch *batch;      /* the current batch, over several passes if necessary */
    struct rpc_call *partial; /* the call whose result is being printed in parts, or NULL */
    int64_t long_us;          /* what its next request is expected to take, while that waits
                               * for its place because it is long; else 0 */
    int64_t long_since;       /* since when, monotonic us */
    struct list long_link;    /* server.long_waits */
    size_t waiting;           /* calls that are delayed */
    struct list ended;        /* struct rpc_call, printed with the commit, in this order */
    size_t staged;            /* approximate size of the replies of ended calls */
    struct list unheard; /* struct rpc_call: printed but not sent, with something to hand over */
    struct subscription subscription;

    bool is_blocked;   /* by a call that ends in this pass, to keep the order of replies */
    bool is_throttled; /* not read from until the client has read its replies */
    bool is_closing;   /* close after its replies have been sent */
    bool is_dead;      /* free after the pass */
};

struct rpc_server {
    struct event_base *base;
    struct engine *engine;
    struct event *acceptable, *accept_again;
    struct listener listener;
    struct list connections, spent, dirty, dead;
    struct heap ready; /* connections with requests to handle */
    int64_t clock_us;  /* used time of the last one served: new connections start there */
    struct list subscribers;
    struct json_doc request; /* the line that is being read */
    struct list spare_calls; /* struct rpc_call: to be used again */
    size_t spare_count;
    struct list waiting;     /* struct rpc_call: delayed, the oldest first */
    struct list uncommitted; /* struct rpc_call: ended after the first write of the pass */
    size_t connection_count;
    bool is_accepting, has_stopped;
    int64_t turn_began;     /* the turn of a connection, monotonic us */
    uint64_t pass;          /* the last one that handled requests, */
    int64_t pass_us;        /* for how long, */
    size_t handled;         /* and how many */
    bool began_long;        /* it began with a long call */
    bool has_held;          /* a long call waits for the next pass */
    struct list long_waits; /* connections whose next request is long, the oldest first */
    int64_t long_ran;       /* when one of them was last handled, monotonic us */
    int64_t *expected_us;   /* by rpc_method_number(): how long its calls take */
};

/** Subscribes to the events after `after`; -1: from now on. `is_foreign`: that is the number of an
 *  event of another node. `profiles` are ids; NULL: all. */
void subscription_start(struct connection *connection, const int64_t *profiles, size_t count,
                        int64_t after, bool is_foreign);
void subscription_end(struct connection *connection);
bool subscription_is_active(const struct connection *connection);
/** Adds events to the output while there is room. */
void subscription_pump(struct connection *connection);

/** Closes it; it is freed by rpc_reap(). */
void connection_kill(struct connection *connection);
/** It has requests to handle (rpc/ready.c). */
void ready_wake(struct connection *connection);
/** Its next request is long, and waits for its place in rpc_process(). */
void ready_wait_long(struct connection *connection, int64_t long_us);
/** It has none, until it is woken again. */
void ready_rest(struct connection *connection);
/** There is something to print or to close with the commit. */
void ready_touch(struct connection *connection);
/** The user's role under the current settings. */
enum role connection_role(const struct rpc_server *server, uid_t uid);
/** Adopts an accepted socket. */
struct connection *connection_new(struct rpc_server *server, int fd, const struct rpc_peer *peer);
void connection_free(struct connection *connection);
/** Handles its requests for about TURN_US, within the limits of a pass; returns how many
 *  (rpc/turn.c). */
size_t turn_take(struct connection *connection);
/** Starts or stops reading, depending on the unread replies. */
void connection_update_reading(struct connection *connection);
/** Prints the replies of ended calls, and sends them. */
void connection_send_replies(struct connection *connection);
/** Whether the unread replies exceed the limit. */
bool connection_is_congested(const struct connection *connection);

/** Whether the peer may call this method; if not, sets the call's error. */
bool dispatch_admit(const struct rpc_server *server, struct rpc_call *call);
/** Runs the handler of a call with checked parameters, ends or delays the call, and adds its writes
 *  to the audit log. */
void dispatch_run(struct rpc_call *call);
/** Handles the message of one line: a request, or the start of a batch. False: it is a long
 * request, which waits for its place; the same again then. */
bool dispatch_line(struct connection *connection, const char *line, size_t len);
/** Prints the next part of the connection's partial call. */
void dispatch_partial(struct connection *connection);
/** Handles the next request of the connection's batch; false as above. */
bool dispatch_batch(struct connection *connection);
/** Answers a line that is not a request. */
void dispatch_refuse(struct connection *connection, enum rpc_code code, const char *message);
