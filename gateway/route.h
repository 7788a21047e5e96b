/* SPDX-License-Identifier: MIT */
/*
 * The routes. Adding one is adding a row: verb, pattern, the daemon's method, and the status of
 * success. A path variable becomes the parameter of its name; query and body members become
 * parameters too. The API's document is printed from the same rows.
 *
 * Of two rows that match a path and its verb the first wins, so a row with a literal segment stands
 * before one with a variable in its place; tests/unit/gateway finds a row that never wins.
 */
#pragma once

#include "common/json.h"

enum route_format {
    ROUTE_JSON,    /* the method's result */
    ROUTE_TEXT,    /* the method's result, a string, as Prometheus reads it */
    ROUTE_OPENAPI, /* this gateway's document */
    ROUTE_EVENTS,  /* a stream of events; see events.h */
};

struct route {
    const char *verb;
    const char *pattern; /* ":name" stands for one segment */
    const char *method;
    int status;
    enum route_format format;
    bool writes; /* it changes something: not for tokens that may only read */
};

/** Ended by a row without a verb. */
extern const struct route routes[];

/** Undoes %XX; in a query also '+'. NULL when it is malformed or holds a NUL, '\0' or bytes that
 * are no UTF-8. The caller frees it. */
char *route_decode(const char *text, size_t len, bool is_query);

enum route_outcome {
    ROUTE_FOUND,
    ROUTE_UNKNOWN,  /* no row has this path */
    ROUTE_BAD_VERB, /* rows have it with other verbs: see ret_allow */
    ROUTE_BAD_PATH, /* an escape is malformed, or it has dot segments */
};

/** Finds the row for a raw path (still escaped, without the query). Path variables are added to
 *  `params` as strings. ret_allow: "GET, HEAD, …" of the rows with this path. */
enum route_outcome route_find(const char *verb, const char *path, struct json_object *params,
                              const struct route **ret_route, char ret_allow[64]);

/** Adds the query's members as strings. On failure *ret_message says why, to be freed. */
int route_add_query(struct json_object *params, const char *query, char **ret_message);
/** Adds the body's members; a name that is there with another value is refused. */
int route_add_body(struct json_object *params, struct json_object *body, char **ret_message);
/** Gives what came in path and query, before the body is added, the types that the method's
 * document declares. */
void route_type_params(struct json_object *document, const char *method,
                       struct json_object *params);

/** The method's entry in an rpc.discover document, and one of its parameters by name or alias. */
struct json_object *route_method(struct json_object *document, const char *method);
struct json_object *route_param(struct json_object *method, const char *name);
