/* SPDX-License-Identifier: MIT */
/*
 * Connections that are kept for another request.
 *
 * Clients that pool their connections keep them for a minute or more, and a request that meets a
 * close is lost to them, so the gateway is the last to close. Each connection holds one of
 * civetweb's threads, however; when threads run short, those that have been idle for longest are
 * closed, so that a newcomer is served.
 *
 * All but kept_setup() and kept_close_all() is called by the connection's thread.
 */
#pragma once

#include <signal.h>

#include "common/macros.h"

#define KEPT_SECONDS 75      /* that a client may count on */
#define KEPT_MS      "80000" /* until it is closed: later than clients may do it */

/** Ends a wait of civetweb's for a client: it takes the connection for broken. */
#define KEPT_SIGNAL SIGUSR1

/** While more than `limit` connections are open, idle ones are closed. */
void kept_setup(int limit);

/** A connection was opened; and it is gone. */
void kept_open(void);
void kept_gone(void);
/** It waits for its next request; and here that is. */
void kept_wait(void);
void kept_work(void);
/** Closes every idle one. */
void kept_close_all(void);
