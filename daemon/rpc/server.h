/* SPDX-License-Identifier: MIT */
/*
 * The socket: connections, lines in, replies out.
 *
 * The loop drives it in steps. Events only move bytes; rpc_process() runs the handlers of the lines
 * that have arrived; their replies are staged and leave with rpc_release() after the commit. When
 * the commit failed, rpc_fail() first turns every reply that was staged after the pass's first
 * write into an error. Connections are freed by rpc_reap() alone, never under a callback's feet.
 *
 * Bounds: the settings have the limits of connections, of a line, of the lines a connection gets
 * handled in one pass, and of the output that may wait for a client that does not read; beyond that
 * its requests are not read either.
 */
#pragma once

#include "engine/engine.h"
#include "rpc/listener.h"

struct event_base;
struct rpc_server;

/** Serves the clients of a listener, which it takes over. */
struct rpc_server *rpc_server_new(struct event_base *base, struct engine *engine,
                                  struct listener *listener);
/** Closes every connection and the listener. */
void rpc_server_free(struct rpc_server *server);

/** Handles the lines that have arrived, within the bounds of a pass; returns how many. */
size_t rpc_process(struct rpc_server *server);
/** Whether lines are left that the bounds of the last pass kept back. */
bool rpc_has_backlog(const struct rpc_server *server);
/** The monotonic ms at which a call that waits must be answered. */
int64_t rpc_next_deadline(const struct rpc_server *server);
/** Runs the calls again that were delayed, in the order in which they came; between the plan of a
 *  pass and its commit. */
void rpc_serve(struct rpc_server *server);
void rpc_fail(struct rpc_server *server);
void rpc_release(struct rpc_server *server);
void rpc_reap(struct rpc_server *server);
/** Accepts no more connections; those there are go on. */
void rpc_stop_accepting(struct rpc_server *server);
