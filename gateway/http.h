/* SPDX-License-Identifier: MIT */
/*
 * Common to all requests and answers: the guards against malformed, smuggled and cross-site
 * requests, and the headers of each answer.
 */
#pragma once

#include <civetweb.h>

#include "common/buf.h"
#include "common/json.h"
#include "gateway/tokens.h"

struct http_policy {
    char *listen_host;     /* the listening address */
    char **allow_hosts;    /* names other than it and loopback names that Host may have */
    struct tokens *tokens; /* for "Authorization: Bearer"; NULL: no token is required */
};

void http_policy_deinit(struct http_policy *policy);

/** Checks the framing and the Host of a request. False: it was answered. */
bool http_admit(struct mg_connection *connection, const struct http_policy *policy);
/** Checks that a write does not come from a page of another site, which can send anything that a
 *  form can. False: answered with 403 or 415. */
bool http_admit_write(struct mg_connection *connection);
/** Checks the bearer token and returns its owner. False: answered with 401 or 429. */
bool http_authorize(struct mg_connection *connection, const struct http_policy *policy,
                    struct token_holder *ret_holder);

/** Sends an answer. `headers`: additional ones, each ended by CRLF, or NULL. Omits the body for
 *  HEAD. Returns the status. */
int http_reply(struct mg_connection *connection, int status, const char *content_type,
               const char *headers, const void *body, size_t len);
/** Sends {"error", "code", "data"?}. data: JSON, or NULL. Returns the status. */
int http_error(struct mg_connection *connection, int status, int code, const char *headers,
               const char *data, const char *format, ...) PRINTF_LIKE(6, 7);
/** Starts an answer whose body the caller writes; it ends with the connection. */
void http_stream(struct mg_connection *connection, const char *content_type);
/** Reads the body, which the caller releases: see body.h. False: answered with 400, 408, 413 or
 * 503. */
bool http_read_body(struct mg_connection *connection, bool is_stranger, struct buf *ret_body);

/** civetweb's callback for requests that it rejects itself. */
int http_on_error(struct mg_connection *connection, int status, const char *message);
