/* SPDX-License-Identifier: MIT */
/*
 * The daemon's events for browsers: Server-Sent Events (HTML Standard, section 9.2).
 *
 * One subscription on the daemon's socket feeds a ring that all streams read, each at its own pace.
 * An event's id is the daemon's seq, so a browser that comes back with Last-Event-ID is told what
 * it missed, from the ring or else by a `gap` event: read the state anew. Two events are the
 * gateway's own and have no id: `down` and `up`, when the daemon goes away and is back.
 *
 * Thread-safe.
 */
#pragma once

#include "gateway/http.h"

struct events;

struct events *events_new(const char *socket_path);
/** Ends every stream; browsers come back, and are asked for their token anew. */
void events_renew(struct events *events);
/** Ends every stream and takes no more. */
void events_stop(struct events *events);
void events_free(struct events *events);

/** Serves one stream until the browser leaves or the gateway ends; returns the status. */
int events_handle(struct mg_connection *connection, struct events *events);
