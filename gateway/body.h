/* SPDX-License-Identifier: MIT */
/*
 * Bodies of requests: read within bounds of size, time and memory.
 *
 * civetweb waits for each byte anew, so a body that trickles in would hold a thread for ever. Here
 * a body has half a minute; and all that are in flight have so much memory together.
 */
#pragma once

#include <civetweb.h>

#include "common/buf.h"

#define BODY_MAX     (16 * 1024 * 1024) /* bytes */
#define BODY_SECONDS 30                 /* from its first byte to its last */

enum body_outcome {
    BODY_ENDED_EARLY = 1, /* its sender went silent or away, or its chunks are malformed */
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    BODY_TOO_MANY, /* the others in flight have the memory; it may be sent again */
};

/** To be called once, before civetweb starts its threads. */
void body_setup(void);

/** Reads the body; 0 or an outcome. Its bytes count as in flight until they are released. */
int body_read(struct mg_connection *connection, struct buf *ret_body);
/** CLEANUP(body_releasep) for the length of what was read. */
void body_releasep(const size_t *len);

/** Reads and drops some of a body that is refused, so that the answer arrives before the end. */
void body_drop(struct mg_connection *connection);

/** Between these two civetweb itself drops what nobody has read, and has the same time for it. */
void body_rest_begins(const struct mg_connection *connection);
void body_rest_ends(void);
