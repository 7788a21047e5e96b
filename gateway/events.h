/* SPDX-License-Identifier: MIT */
/*
 * The daemon's events for browsers: Server-Sent Events (HTML Standard, section 9.2).
 *
 * One subscription on the daemon's socket feeds a ring that all streams read, each at its own pace.
 * An event's id is the daemon's seq, so a browser that reconnects with Last-Event-ID gets the
 * events it missed, from the ring, or else a `gap` event: read the state again. Two events are the
 * gateway's own and have no id: `down` and `up`, when the daemon becomes unreachable and is back.
 *
 * Thread-safe.
 */
#pragma once

#include "gateway/http.h"

struct events;

struct events *events_new(const char *socket_path);
/** Ends every stream; browsers reconnect, and their tokens are checked again. */
void events_renew(struct events *events);
/** Ends every stream and accepts no more. */
void events_stop(struct events *events);
void events_free(struct events *events);

/** Serves one stream until the browser disconnects or the gateway stops; returns the status. */
int events_handle(struct mg_connection *connection, struct events *events);
