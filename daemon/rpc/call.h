/* SPDX-License-Identifier: MIT */
/*
 * A call: one request, from its line to the moment at which its reply has left.
 *
 *   run ──> ended ──────────────> printed ──> heard, freed
 *    │        ^ │ the commit fails: its reply becomes an error
 *    └> waiting─┘
 *
 * A reply is the call's own until the pass is committed; then the connection prints it. So it can
 * still be replaced (call_fail), dropped (call_drop), or be given in a later pass (call_delay).
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"
#include "common/list.h"
#include "engine/engine.h"

struct batch;
struct connection;
struct rpc_method;

/* Who calls, as the kernel says. */
struct rpc_peer {
    uid_t uid;
    pid_t pid;
    bool is_descendant; /* of an attempt, or may be: see engine_is_descendant() */
    pid_t keeper;       /* which, 0: unknown */
    enum { PEER_UNKNOWN, PEER_GATEWAY, PEER_OTHER } program; /* asked when it matters */
};

struct rpc_call {
    struct engine *engine;
    struct rpc_peer *peer;
    const struct rpc_method *method; /* NULL: there is none */
    char *id;                        /* JSON; NULL: a notification, whose reply nobody gets */
    char *actor;                /* on whose behalf the peer says that it calls; NULL: its own */
    struct json_object *params; /* an object that has passed the checks */
    struct buf *out;            /* where the handler prints its result */

    int64_t task_id; /* set by the handler: what the call was about; 0: no task */

    /* What the reply hands over, and who never heard of it did not get: set by the handler. */
    int64_t claimed_id;
    char *claimed_token;
    bool has_subscribed;

    /* of an error */
    int code; /* 0: it is none */
    char *message;
    char *data; /* JSON, or NULL */

    /* The rest is call.c's. */
    struct connection *connection;
    struct batch *batch; /* whose line the reply is part of, or NULL */
    struct list link;    /* server.waiting, connection.ended or connection.unheard */
    struct list sibling; /* batch.calls */
    struct list falling; /* server.falling: it ended behind the first write of the pass */
    struct buf result;
    size_t size; /* of its reply, about, as counted in connection.staged */
    bool is_delayed;
    bool blocks_next;   /* the connection's next request waits for its end, which is this pass' */
    int64_t deadline;   /* of one that waits, monotonic ms */
    const char *before; /* "[" or "," in a batch, else empty */
    const char *after;  /* "]\n", "" in a batch, else "\n" */
    uint64_t end;       /* of its reply, as stream.sent will be then */
};

/* The calls of one line, which are answered in one. */
struct batch {
    struct list calls; /* that are answered, in the order of their requests */
    struct json_object *requests;
    size_t next; /* the request that is handled next */
    size_t open; /* calls that have not ended */
};

/** `id` is taken over. */
struct rpc_call *call_new(struct connection *connection, struct batch *batch, char *id);
void call_free(struct rpc_call *call);

/** It has its result or its error: it is printed with the commit of the pass. */
void call_end(struct rpc_call *call);
/** The handler is run again, in every pass, until it replies or the deadline (monotonic ms) has
 *  come; takes the call over. */
void call_delay(struct rpc_call *call);
/** The pass failed, or its outcome has stayed unknown: its reply, if it has one, is an error now,
 *  and it handed nothing over. */
void call_fail(struct rpc_call *call);
/** Nobody is left who would hear of it; what it handed over is given back. Frees it. */
void call_drop(struct rpc_call *call);
/** Prints the reply, with what stands around it. */
void call_print(const struct rpc_call *call, struct buf *out);

struct batch *batch_new(struct json_object *requests);
/** Whether all of its calls have ended; if so, the connection gets its replies. */
bool batch_finish(struct batch *batch, struct connection *connection);
void batch_free(struct batch *batch);
/** Nobody is left who would hear of it. */
void batch_drop(struct batch *batch);
