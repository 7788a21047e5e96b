/* SPDX-License-Identifier: MIT */
/*
 * Request bodies, read within limits of size, time, memory and threads.
 *
 * civetweb restarts its timeout with each byte, so a slow body would hold a thread forever. Here a
 * body has half a minute, and an unwanted one less than a second, before and after the answer. All
 * bodies in flight share a memory limit, and those of clients without a valid token share a number
 * of threads; one more ends the longest wait.
 *
 * All functions except body_setup() and body_returnp() must be called by the thread that serves
 * the request; the state of the body is thread-local.
 */
#pragma once

#include <civetweb.h>

#include "common/buf.h"

#define BODY_MAX     (16 * 1024 * 1024) /* bytes */
#define BODY_SECONDS 30                 /* from its first byte to its last */

enum body_outcome {
    BODY_ENDED_EARLY = 1, /* its sender stalled or disconnected, or its chunks are malformed */
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    BODY_TOO_MANY,  /* others in flight use the memory; it may be sent again */
    BODY_GIVES_WAY, /* others need the thread; it may be sent again */
};

/** Call once, before civetweb starts its threads. */
void body_setup(void);

/** A request came. */
void body_begin(const struct mg_connection *connection);
/** Its end is unknown. */
void body_distrust(void);
/** Reads the body; 0 or an outcome. Its bytes count as in flight until they are returned.
 *  is_stranger: the client has no valid token. */
int body_read(struct mg_connection *connection, bool is_stranger, struct buf *ret_body);
/** CLEANUP(body_returnp) for the number of bytes read. */
void body_returnp(const size_t *len);
/** Call before sending the answer: drops an unread body if it is short and has arrived. False: it
 *  has not, and the answer must announce that the connection will be closed. */
bool body_settle(struct mg_connection *connection);
/** Call after the answer was sent. Closes the connection if necessary, after the answer has
 * arrived. */
void body_end(struct mg_connection *connection);
