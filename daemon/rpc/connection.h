/* SPDX-License-Identifier: MIT */
/* What the files of the socket share: one client's connection, and the staging of replies. */
#pragma once

#include <event2/event.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/list.h"
#include "rpc/method.h"
#include "rpc/server.h"

/* A follower of events: see subscription.c. */
struct subscription {
    struct list link; /* server.subscribers; in none: the connection follows nothing */
    int64_t *profiles;
    size_t profile_count; /* profiles NULL: all */
    int64_t next;         /* the next event to be sent */
    bool has_gap;         /* what it asked for is no longer held */
    uint64_t pass;        /* that it began in, */
    size_t reply_at;      /* and where its reply stands in connection.staged */
};

struct connection {
    struct list link;  /* server.connections, or server.dead */
    struct list ready; /* server.ready, while it has lines to be handled */
    struct list dirty; /* server.dirty, while it has staged replies */
    struct rpc_server *server;
    struct event *readable, *writable;
    int fd;
    struct rpc_peer peer;

    struct buf in;
    size_t in_at;      /* where the next line starts */
    size_t in_scanned; /* no newline before this */
    uint64_t pass;     /* the last pass that handled lines of it */
    size_t pass_lines; /* how many then */

    struct buf out;    /* committed: may leave */
    size_t out_sent;   /* of it */
    struct buf staged; /* by the pass under way */

    uint64_t out_moved; /* bytes that have been committed so far, */
    uint64_t out_left;  /* and that have left */
    struct list grants; /* struct grant: claims whose replies have not left */
    struct subscription subscription;
    size_t waiting;          /* calls that wait for a task */
    bool is_in_batch;        /* its batch is being handled: what else it is told comes behind */
    struct list after_batch; /* struct waiting */

    bool at_eof;     /* the client sends nothing more */
    bool is_held;    /* not read from until it has read its replies */
    bool is_closing; /* to be closed once its replies have left */
    bool is_dead;    /* to be freed after the pass */
};

/* A claim that the client has not heard of yet. */
struct grant {
    struct list link;
    int64_t task_id;
    char *token;
    uint64_t end; /* of its reply, as out_left will be then */
};

/* A piece of a connection's staged output, kept so that it can be replaced when the commit fails.
 */
struct reply_mark {
    struct connection *connection;
    size_t start;         /* in connection.staged */
    bool is_reply;        /* else punctuation, which stays */
    bool falls;           /* staged after the pass's first write */
    char prefix;          /* '[' or ',' within a batch, else 0 */
    size_t id_at, id_len; /* in server.ids */
};

struct rpc_server {
    struct event_base *base;
    struct engine *engine;
    struct event *acceptable, *accept_again;
    struct listener listener;
    struct list connections, ready, dirty, dead;
    struct list subscribers;
    struct list waiting; /* calls, the oldest first; see waiting.c */
    size_t connection_count;
    bool is_accepting, has_stopped;

    struct json_reader *reader;
    struct buf result; /* of the handler under way */
    struct reply_mark *marks;
    size_t mark_count, mark_capacity;
    struct buf ids;
};

/** Puts a call on the list of those that wait, until its deadline; takes its parameters over. */
void waiting_add(struct connection *connection, const char *id, size_t id_len,
                 const struct rpc_method *method, const struct rpc_call *call);
/** Stages the ends of calls that had to wait for the end of a batch of their connection. */
void waiting_finish_batch(struct connection *connection);
/** Drops the calls of a connection that is closing. */
void waiting_drop(struct connection *connection);
/** Of a pass that failed: those whose time is over hear of it. */
void waiting_fail(struct rpc_server *server, const char *message);
/** For engine.serve_waiting. */
void waiting_serve(void *server);

/** Follows the events behind `after`; -1: from now on. `profiles` are ids, NULL: all. */
void subscription_start(struct connection *connection, const int64_t *profiles, size_t count,
                        int64_t after);
void subscription_end(struct connection *connection);
/** The reply that stands at this place of the pass under way falls: if it is the one that said that
 * the connection follows, it does not. */
void subscription_fail(struct connection *connection, size_t reply_at);
bool subscription_is_active(const struct connection *connection);
/** Adds to the committed output what there is room for. */
void subscription_pump(struct connection *connection);

/** Whether the client has closed its end for good. */
bool connection_has_hung_up(const struct connection *connection);
void connection_kill(struct connection *connection);
/** Looks at it in the next pass. */
void connection_wake(struct connection *connection);
/** What a user may do here, as the settings are now. */
enum role connection_role(const struct rpc_server *server, uid_t uid);
/** Adopts an accepted socket. */
struct connection *connection_new(struct rpc_server *server, int fd, const struct rpc_peer *peer);
void connection_free(struct connection *connection);
/** Handles its lines up to the bounds of a pass; returns how many. */
size_t connection_process(struct connection *connection);
/** Lets go of what was staged. */
void connection_release(struct connection *connection);
/** Whether the replies that wait for the client have passed the bound. */
bool connection_is_congested(const struct connection *connection);

/** Whether the peer may call this at all; if not, the call's error is set. */
bool message_admit(const struct rpc_server *server, const struct rpc_method *method,
                   struct rpc_call *call);
/** Runs the handler of a call whose parameters have been checked, and notes in the audit log what
 * it wrote (rpc/message.c). */
enum rpc_outcome message_run(const struct rpc_method *method, struct rpc_call *call);
/** Handles one message and stages its replies (rpc/message.c); returns how many requests it had. */
size_t message_handle(struct connection *connection, const char *line, size_t len);
/** Stages the end of a call: its result, which stands in server.result, or its error; takes over
 *  the claim. */
void message_finish(struct connection *connection, const char *id, size_t id_len, char prefix,
                    struct rpc_call *call, enum rpc_outcome outcome);
/** Stages what stands between and behind replies. */
void message_punctuate(struct connection *connection, const char *text);
/** Stages an error that answers no request in particular. */
void message_refuse(struct connection *connection, enum rpc_code code, const char *message);
/** Prints {"jsonrpc": …, "error": …}. */
void message_print_error(struct buf *out, const char *id, size_t id_len, int code,
                         const char *message, const char *data);
