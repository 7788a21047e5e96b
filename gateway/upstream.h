/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side: a bounded pool of connections to its socket, one call at a time on each.
 *
 * A call that the daemon cannot have seen is retried once, on a new connection. A call that it may
 * have seen is never sent twice.
 *
 * Thread-safe.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"

struct upstream;

enum upstream_outcome {
    UPSTREAM_REFUSED = 1, /* the daemon answered with an error */
    UPSTREAM_AWAY,        /* it is not reachable; nothing was sent */
    UPSTREAM_LOST,        /* the call was sent, but no answer arrived */
    UPSTREAM_TOO_LARGE,   /* the call's line is longer than the daemon accepts */
};

struct upstream_reply {
    struct buf line;    /* as received */
    const char *result; /* JSON within `line` */
    size_t result_len;
    struct json_object
        *error; /* {code, message, data?} of UPSTREAM_REFUSED and UPSTREAM_TOO_LARGE */
};

/** A separate connection to the daemon's socket, or a negative errno. */
int upstream_connect(const char *socket_path);

struct upstream *upstream_new(const char *socket_path);
void upstream_free(struct upstream *upstream);

/** Calls a method; 0 or an outcome. actor: the name of the caller, or NULL. The caller always
 *  deinits the reply. */
int upstream_call(struct upstream *upstream, const char *method, const char *actor,
                  struct json_object *params, struct upstream_reply *ret_reply);
void upstream_reply_deinit(struct upstream_reply *reply);

/** Lets `look` read the daemon's rpc.discover document, one caller at a time; it is cached until a
 *  connection breaks. False: the daemon is not reachable. */
bool upstream_discover(struct upstream *upstream,
                       void (*look)(struct json_object *document, void *data), void *data);
