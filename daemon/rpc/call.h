/* SPDX-License-Identifier: MIT */
/*
 * A call: one request, from its line to the moment at which its reply has left.
 *
 *   run ──> ended ──────────────> printed ──> heard, freed
 *    │        ^ │ the commit fails: its reply becomes an error
 *    ├> waiting─┤
 *    └> partial─┘
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
struct rpc_call;
struct rpc_method;
struct rpc_server;

/* The caller, as reported by the kernel. */
struct rpc_peer {
    uid_t uid;
    pid_t pid;
    bool is_descendant; /* of an attempt, or may be: see engine_is_descendant() */
    uint64_t run;       /* of that attempt, 0: unknown */
    enum { PEER_UNKNOWN, PEER_GATEWAY, PEER_OTHER } program; /* asked when it matters */
};

/* What a reply hands over beyond its text: a lease, or a subscription. */
struct rpc_handover {
    void (*begin)(struct rpc_call *call);     /* the reply is printed; NULL: nothing begins then */
    void (*take_back)(struct rpc_call *call); /* the pass failed, or the client is gone */
    bool is_until_heard; /* take_back is due until the client has the reply, not just printed */
};

struct rpc_call {
    struct engine *engine;
    struct rpc_peer *peer;
    const struct rpc_method *method; /* NULL: there is none */
    char *id;                        /* JSON; NULL: a notification, which has no reply */
    char *actor;                     /* on whose behalf the peer calls; NULL: its own */
    struct json_value *params;       /* an object that has passed the checks */
    struct buf *out;                 /* where the handler prints its result */

    int64_t task_id; /* set by the handler: the task concerned; 0: none */

    /* How far a result that is printed in parts has come. */
    struct {
        size_t section, at; /* the handler's; of the profiles: see engine_next_profile() */
        uint64_t version;   /* of the profiles at its beginning */
        bool is_whole;      /* they changed meanwhile: it began again, and is printed at once */
    } progress;

    /* What the reply hands over, set by the handler; NULL: nothing. */
    const struct rpc_handover *handover;
    char *lease; /* of a claimed task, else NULL */

    /* of an error */
    int code; /* 0: it is none */
    char *message;
    char *data; /* JSON, or NULL */

    /* The rest is call.c's. */
    struct connection *connection;
    struct batch *batch;     /* whose line the reply is part of, or NULL */
    struct list link;        /* server.waiting, connection.ended or connection.unheard */
    struct list sibling;     /* batch.calls */
    struct list uncommitted; /* server.uncommitted: ended after the first write of the pass */
    struct json_doc request; /* holds the parameters, unless the batch does */
    struct buf result;
    size_t size; /* of its reply, about, as counted in connection.staged */
    bool is_delayed;
    bool is_partial;    /* the next part of its result is connection.partial's turn */
    bool blocks_next;   /* the connection's next request waits for its end, in this pass */
    int64_t deadline;   /* of one that waits, monotonic ms */
    const char *before; /* "[" or "," in a batch, else empty */
    const char *after;  /* "]\n", "" in a batch, else "\n" */
    uint64_t end;       /* of its reply, as stream.sent will be then */
};

/* The calls of one line, answered with one line. */
struct batch {
    struct list calls; /* those with replies, in the order of their requests */
    struct json_doc doc;
    struct json_value *next; /* the next request, or NULL */
    size_t open;             /* number of calls that have not ended */
};

/** `id` is taken over. */
struct rpc_call *call_new(struct connection *connection, struct batch *batch, char *id);
void call_free(struct rpc_call *call);
/** Frees those that were kept to be used again. */
void call_free_spare(struct rpc_server *server);

/** The call has its result or error, which is printed with the commit of the pass. */
void call_end(struct rpc_call *call);
/** Runs the handler again, in every pass, until it replies or the deadline (monotonic ms) has
 *  passed; takes ownership of the call. */
void call_delay(struct rpc_call *call);
/** Runs the handler again when it is the connection's turn, before its next request; takes
 *  ownership of the call. */
void call_continue(struct rpc_call *call);
/** The pass failed, or its outcome is still unknown after DOUBT_MS: replaces the reply, if any, by
 * an error that hands nothing over. */
void call_fail(struct rpc_call *call);
/** The client is gone: gives back what the reply handed over, and frees the call. */
void call_drop(struct rpc_call *call);
/** Prints the reply, with separators. */
void call_print(const struct rpc_call *call, struct buf *out);

/** A batch of the requests in this array; takes over the document. */
struct batch *call_batch_new(struct json_doc *doc, const struct json_value *requests);
/** Whether all of its calls have ended; if so, the connection gets its replies. */
bool call_batch_finish(struct batch *batch, struct connection *connection);
void call_batch_free(struct batch *batch);
/** The client is gone. */
void call_batch_drop(struct batch *batch);
