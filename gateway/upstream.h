/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side: a bounded pool of connections to its socket, one call at a time on each.
 *
 * A call that the daemon never saw may be tried again, and is, once, on a new connection. A call
 * that it may have seen is never sent twice.
 *
 * Thread-safe.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"

struct upstream;

enum upstream_outcome {
    UPSTREAM_REFUSED = 1, /* the daemon answered with an error */
    UPSTREAM_AWAY,        /* it cannot be reached; nothing was sent */
    UPSTREAM_LOST,        /* the call was sent, and the answer did not come */
    UPSTREAM_TOO_LARGE,   /* the call makes a longer line than the daemon reads */
};

struct upstream_reply {
    struct buf line;    /* as received */
    const char *result; /* JSON within `line` */
    size_t result_len;
    struct json_object
        *error; /* {code, message, data?} of UPSTREAM_REFUSED and UPSTREAM_TOO_LARGE */
};

/** A connection of one's own to the daemon's socket, or a negative errno. */
int upstream_connect(const char *socket_path);

struct upstream *upstream_new(const char *socket_path);
void upstream_free(struct upstream *upstream);

/** Calls a method; 0 or an outcome. actor: the name of who asked for it, NULL for nobody in
 *  particular. The reply is deinited by the caller in every case. */
int upstream_call(struct upstream *upstream, const char *method, const char *actor,
                  struct json_object *params, struct upstream_reply *ret_reply);
void upstream_reply_deinit(struct upstream_reply *reply);

/** Lets `look` read the daemon's rpc.discover document, one caller at a time; it is kept until a
 *  connection breaks. False: the daemon is away. */
bool upstream_discover(struct upstream *upstream,
                       void (*look)(struct json_object *document, void *data), void *data);
