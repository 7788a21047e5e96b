/* SPDX-License-Identifier: MIT */
/*
 * What every request and every answer goes through, whatever it is about: the guards against
 * malformed, smuggled and cross-site requests, and the headers that each answer carries.
 */
#pragma once

#include <civetweb.h>

#include "common/buf.h"
#include "common/json.h"
#include "gateway/tokens.h"

struct http_policy {
    char *listen_host;     /* the address that it listens on */
    char **allow_hosts;    /* names beyond it and those of loopback that Host may have */
    struct tokens *tokens; /* of "Authorization: Bearer"; NULL: none is asked for */
};

void http_policy_deinit(struct http_policy *policy);

/** Checks how a request is framed and whom it addresses. False: it was answered. */
bool http_admit(struct mg_connection *connection, const struct http_policy *policy);
/** Checks that a write does not come from a page of another site, which may send whatever a form
 *  can. False: it was answered with 403 or 415. */
bool http_admit_write(struct mg_connection *connection);
/** Checks the bearer token, and says whose it is. False: answered with 401 or 429. */
bool http_authorize(struct mg_connection *connection, const struct http_policy *policy,
                    struct token_holder *ret_holder);

/** Sends an answer. `headers`: more of them, each ended by CRLF, or NULL. Without the body when the
 *  verb is HEAD. Returns the status. */
int http_reply(struct mg_connection *connection, int status, const char *content_type,
               const char *headers, const void *body, size_t len);
/** Sends {"error", "code", "data"?}. data: JSON, or NULL. Returns the status. */
int http_error(struct mg_connection *connection, int status, int code, const char *headers,
               const char *data, const char *format, ...) PRINTF_LIKE(6, 7);
/** Begins an answer whose body is written by the caller and ends with the connection. */
void http_stream(struct mg_connection *connection, const char *content_type);
/** Reads the body, which the caller releases: see body.h. False: it was answered, with 400, 408,
 * 413 or 503. */
bool http_read_body(struct mg_connection *connection, bool is_stranger, struct buf *ret_body);

/** civetweb's callback for requests that it refuses by itself. */
int http_on_error(struct mg_connection *connection, int status, const char *message);
