/* SPDX-License-Identifier: MIT */
/*
 * The socket: connections, lines in, replies out.
 *
 * The loop drives it in steps. Events only move bytes; rpc_process() runs the handlers of the lines
 * that have arrived; their replies are staged and leave with rpc_send_replies() after the commit.
 * If the commit failed, rpc_fail() first turns every reply staged after the pass's first write into
 * an error. Only rpc_reap() frees connections, never a callback.
 *
 * Limits: the settings limit the connections, the length of a line, the lines of a connection per
 * pass, and the output waiting for a client that does not read; beyond that, its requests are not
 * read.
 */
#pragma once

#include "engine/engine.h"
#include "rpc/listener.h"

struct event_base;
struct rpc_server;

/** Serves the clients of a listener; takes ownership of it. */
struct rpc_server *rpc_server_new(struct event_base *base, struct engine *engine,
                                  struct listener *listener);
/** Closes every connection and the listener. */
void rpc_server_free(struct rpc_server *server);

/** Handles the lines that have arrived, within the limits of a pass; returns how many. */
size_t rpc_process(struct rpc_server *server);
/** Whether lines are left because of the limits of the last pass. */
bool rpc_has_backlog(const struct rpc_server *server);
/** When a waiting call must be answered, in monotonic ms. */
int64_t rpc_next_deadline(const struct rpc_server *server);
/** Runs delayed calls again, in the order of their arrival, between the plan of a pass and its
 *  commit. */
void rpc_serve(struct rpc_server *server);
void rpc_fail(struct rpc_server *server);
void rpc_send_replies(struct rpc_server *server);
void rpc_reap(struct rpc_server *server);
/** Accepts no more connections; existing ones continue. */
void rpc_stop_accepting(struct rpc_server *server);
