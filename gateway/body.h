/* SPDX-License-Identifier: MIT */
/*
 * Bodies of requests: read within bounds of size, time, memory and threads.
 *
 * civetweb waits for each byte anew, so a body that trickles in would hold a thread for ever. Here
 * a body has half a minute; one that nobody wants has less than a second, before and after the
 * answer; all that are in flight have so much memory together; and those who have not shown a token
 * have so many threads to wait in: one more ends the wait of the one that waits for longest.
 *
 * All but body_setup() and body_releasep() is called by the thread that serves the request, of
 * which it keeps what has become of the body.
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
    BODY_TOO_MANY,  /* the others in flight have the memory; it may be sent again */
    BODY_GIVES_WAY, /* others want the thread; it may be sent again */
};

/** To be called once, before civetweb starts its threads. */
void body_setup(void);

/** A request came. */
void body_begin(const struct mg_connection *connection);
/** Where it ends is in doubt. */
void body_distrust(void);
/** Reads the body; 0 or an outcome. Its bytes count as in flight until they are released.
 *  is_stranger: its sender has shown no token. */
int body_read(struct mg_connection *connection, bool is_stranger, struct buf *ret_body);
/** CLEANUP(body_releasep) for the length of what was read. */
void body_releasep(const size_t *len);
/** The answer is to be sent: a body that nobody has read is dropped if it is short and there.
 *  False: it is not, and the answer has to say that the connection will be closed. */
bool body_settle(struct mg_connection *connection);
/** The answer was sent. Closes the connection, if need be, so that the answer arrives first. */
void body_end(struct mg_connection *connection);
