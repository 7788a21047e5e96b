/* SPDX-License-Identifier: MIT */
/*
 * Keep-alive connections.
 *
 * Clients that pool their connections keep them for a minute or more and lose a request that
 * coincides with a close, so the gateway closes last. But each connection occupies one of
 * civetweb's threads; when threads run short, the connections idle longest are closed, so that new
 * ones are served.
 *
 * All functions except kept_setup() and kept_close_all() must be called by the connection's thread.
 */
#pragma once

#include <signal.h>

#include "common/macros.h"

#define KEPT_SECONDS 75      /* announced to clients */
#define KEPT_MS      "80000" /* until it is closed, later than announced */

/** Ends civetweb's wait for a client, which then treats the connection as broken. */
#define KEPT_SIGNAL SIGUSR1

/** Closes idle connections while more than `limit` are open. */
void kept_setup(int limit);

/** A connection was opened; a connection is gone. */
void kept_open(void);
void kept_gone(void);
/** It starts to wait for its next request; the request has arrived. */
void kept_wait(void);
void kept_work(void);
/** Closes every idle one. */
void kept_close_all(void);
