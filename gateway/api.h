/* SPDX-License-Identifier: MIT */
/* HTTP to RPC: makes a route's call and answers with its reply. */
#pragma once

#include "gateway/events.h"
#include "gateway/http.h"
#include "gateway/route.h"
#include "gateway/upstream.h"

/** Answers a request to /api or /metrics; returns the status. */
int api_handle(struct mg_connection *connection, const struct http_policy *policy,
               struct upstream *upstream, struct events *events, const char *path);
/** Prints the OpenAPI 3.1 document of the routes, with parameters from rpc.discover. */
void openapi_print(struct json_object *document, struct buf *out);
