/* SPDX-License-Identifier: MIT */
/*
 * The routes. To add one, add a row: verb, pattern, the daemon's method, and the status of success.
 * Path variables, query values and body members become parameters. The OpenAPI document is printed
 * from the same rows.
 *
 * If two rows match a path and verb, the first wins, so a literal segment must come before a
 * variable in the same place; tests/unit/gateway finds rows that never win.
 */
#pragma once

#include "common/json.h"

enum route_format {
    ROUTE_JSON,    /* the method's result */
    ROUTE_TEXT,    /* the method's result, a string, as Prometheus text */
    ROUTE_OPENAPI, /* this gateway's document */
    ROUTE_EVENTS,  /* a stream of events; see events.h */
};

struct route {
    const char *verb;
    const char *pattern; /* ":name" stands for one segment */
    const char *method;
    int status;
    enum route_format format;
    bool writes; /* it writes: not allowed with `read` tokens */
};

/** The last row has no verb. */
extern const struct route routes[];

/** Decodes %XX, and '+' in a query. NULL if it is malformed, or contains a NUL or invalid UTF-8.
 * The caller frees it. */
char *route_decode(const char *text, size_t len, bool is_query);

enum route_outcome {
    ROUTE_FOUND,
    ROUTE_UNKNOWN,  /* no row has this path */
    ROUTE_BAD_VERB, /* the path exists with other verbs: see ret_allow */
    ROUTE_BAD_PATH, /* an escape is malformed, or it has dot segments */
};

/** Finds the row for a raw path (still escaped, without the query). Path variables are added to
 *  `params` as strings. ret_allow: "GET, HEAD, …" of the rows with this path. */
enum route_outcome route_find(const char *verb, const char *path, struct json_object *params,
                              const struct route **ret_route, char ret_allow[64]);

/** Adds the query's members as strings. On failure *ret_message says why; the caller frees it. */
int route_add_query(struct json_object *params, const char *query, char **ret_message);
/** Adds the body's members; rejects a name that already has another value. */
int route_add_body(struct json_object *params, struct json_object *body, char **ret_message);
/** Converts the path and query values, before the body is added, to the types that the method
 * declares. */
void route_type_params(struct json_object *document, const char *method,
                       struct json_object *params);

/** The method's entry in an rpc.discover document, and one of its parameters by name or alias. */
struct json_object *route_method(struct json_object *document, const char *method);
struct json_object *route_param(struct json_object *method, const char *name);
