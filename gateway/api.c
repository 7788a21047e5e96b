/* SPDX-License-Identifier: MIT */
#include "gateway/api.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "gateway/body.h"

#define RETRY_SOON "Retry-After: 1\r\n"

static const struct {
    int code, status;
} statuses[] = {
    {RPC_PARSE_ERROR, 400}, {RPC_INVALID_REQUEST, 400}, {RPC_INVALID_PARAMS, 400},
    {RPC_NOT_FOUND, 404},   {RPC_CONFLICT, 409},        {RPC_QUEUE_FULL, 429},
    {RPC_UNAVAILABLE, 503}, {RPC_FORBIDDEN, 403},       {RPC_INTERNAL_ERROR, 502},
};

static int api_status_of(int code)
{
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        if (statuses[i].code == code)
            return statuses[i].status;
    return 502;
}

static bool api_is_read(const char *verb)
{
    return strcmp(verb, "GET") == 0 || strcmp(verb, "HEAD") == 0 || strcmp(verb, "OPTIONS") == 0;
}

static int api_reply_away(struct mg_connection *connection)
{
    return http_error(connection, 503, RPC_UNAVAILABLE, RETRY_SOON, NULL,
                      "acpd is not reachable; retrying");
}

/* Passes on an error of the daemon. */
static int api_reply_refused(struct mg_connection *connection, struct json_object *error)
{
    int code = json_object_get_int(json_get(error, "code"));
    struct json_object *data = json_get(error, "data");
    const char *message = json_get_string(error, "message");
    int status = api_status_of(code);
    char headers[48] = "";

    if (status == 429 || status == 503) {
        int seconds = json_object_get_int(json_get(data, "retryAfter"));

        snprintf(headers, sizeof(headers), "Retry-After: %d\r\n", seconds > 0 ? seconds : 1);
    }
    return http_error(connection, status, code, headers, data ? json_compact(data) : NULL, "%s",
                      message ? message : "acpd rejected the request");
}

/* Prometheus reads text; the daemon's result is that text as a JSON string. */
static int api_reply_text(struct mg_connection *connection, const struct upstream_reply *reply)
{
    CLEANUP(json_putp) struct json_object *text = NULL;
    const char *reason;
    size_t offset;

    json_parse(reply->result, reply->result_len, &text, &reason, &offset);
    return http_reply(connection, 200, "text/plain; version=0.0.4; charset=utf-8",
                      "Cache-Control: no-store\r\n", json_object_get_string(text),
                      (size_t)json_object_get_string_len(text));
}

static void api_print_openapi(struct json_object *document, void *data)
{
    openapi_print(document, data);
}

static int api_reply_openapi(struct mg_connection *connection, struct upstream *upstream)
{
    CLEANUP(buf_deinit) struct buf out = {0};

    if (!upstream_discover(upstream, api_print_openapi, &out))
        return api_reply_away(connection);
    return http_reply(connection, 200, "application/json", "Cache-Control: no-cache\r\n", out.data,
                      out.len);
}

struct typing {
    const char *method;
    struct json_object *params;
};

static void api_type_params(struct json_object *document, void *data)
{
    struct typing *typing = data;

    route_type_params(document, typing->method, typing->params);
}

/* Adds the body to the parameters. False: the request was answered. In both cases *ret_held bytes
 * of it count as in flight. */
static bool api_take_body(struct mg_connection *connection, const struct token_holder *holder,
                          struct json_object *params, size_t *ret_held)
{
    CLEANUP(buf_deinit) struct buf body = {0};
    CLEANUP(json_putp) struct json_object *value = NULL;
    CLEANUP(freep) char *message = NULL;
    const char *reason = NULL;
    size_t offset = 0;
    int r;

    if (!http_read_body(connection, !holder->name[0], &body))
        return false;
    *ret_held = body.len;
    if (!body.len)
        return true;
    r = json_parse(body.data, body.len, &value, &reason, &offset);
    if (r < 0) {
        http_error(connection, 400, RPC_PARSE_ERROR, NULL, NULL,
                   "the body is not valid JSON; at byte %zu: %s", offset, reason);
        return false;
    }
    if (!json_object_is_type(value, json_type_object)) {
        http_error(connection, 400, RPC_INVALID_REQUEST, NULL, NULL, "the body must be an object");
        return false;
    }
    if (route_add_body(params, value, &message) < 0) {
        http_error(connection, 400, RPC_INVALID_PARAMS, NULL, NULL, "%s", message);
        return false;
    }
    return true;
}

static int api_call(struct mg_connection *connection, struct upstream *upstream,
                    const struct route *route, const struct token_holder *holder,
                    struct json_object *params)
{
    CLEANUP(upstream_reply_deinit) struct upstream_reply reply = {0};
    const char *actor = holder->name[0] ? holder->name : NULL;

    switch (upstream_call(upstream, route->method, actor, params, &reply)) {
    case UPSTREAM_REFUSED:
        return api_reply_refused(connection, reply.error);
    case UPSTREAM_TOO_LARGE:
        return http_error(connection, 413, RPC_INVALID_REQUEST, NULL, NULL,
                          "the request is too large for acpd: %s",
                          json_get_string(reply.error, "message"));
    case UPSTREAM_AWAY:
        return api_reply_away(connection);
    case UPSTREAM_LOST:
        if (!route->writes)
            return http_error(connection, 503, RPC_UNAVAILABLE, RETRY_SOON, NULL,
                              "acpd did not answer");
        return http_error(connection, 504, RPC_UNAVAILABLE, NULL, NULL,
                          "acpd did not answer: the request may or may not have taken effect");
    default:
        break;
    }
    if (route->format == ROUTE_TEXT)
        return api_reply_text(connection, &reply);
    return http_reply(connection, route->status, "application/json", "Cache-Control: no-store\r\n",
                      reply.result, reply.result_len);
}

int api_handle(struct mg_connection *connection, const struct http_policy *policy,
               struct upstream *upstream, struct events *events, const char *path)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    CLEANUP(body_returnp) size_t held = 0; /* of the body, until its tree is gone, too */
    CLEANUP(json_putp) struct json_object *params = json_object_new_object();
    CLEANUP(freep) char *message = NULL;
    const struct route *route = NULL;
    char allow[64], headers[96];
    bool reads = api_is_read(info->request_method);
    struct token_holder holder;
    struct typing typing;

    switch (route_find(info->request_method, path, params, &route, allow)) {
    case ROUTE_BAD_PATH:
        return http_error(connection, 400, RPC_INVALID_REQUEST, NULL, NULL,
                          "the path has a malformed escape or dot segments");
    case ROUTE_UNKNOWN:
        return http_error(connection, 404, RPC_METHOD_NOT_FOUND, NULL, NULL,
                          "%.200s not found; see /api/openapi.json", path);
    case ROUTE_BAD_VERB:
        snprintf(headers, sizeof(headers), "Allow: %s\r\n", allow);
        if (strcmp(info->request_method, "OPTIONS") == 0)
            return http_reply(connection, 204, NULL, headers, NULL, 0);
        return http_error(connection, 405, RPC_METHOD_NOT_FOUND, headers, NULL,
                          "%s is not allowed on this path", info->request_method);
    case ROUTE_FOUND:
        break;
    }
    if (!reads && !http_admit_write(connection))
        return 403;
    if (!http_authorize(connection, policy, &holder))
        return 401;
    if (route->writes && !holder.may_write)
        return http_error(connection, 403, RPC_FORBIDDEN, NULL, NULL,
                          "the token \"%s\" may only read", holder.name);
    if (route->format == ROUTE_OPENAPI)
        return api_reply_openapi(connection, upstream);
    if (route->format == ROUTE_EVENTS)
        return strcmp(info->request_method, "HEAD") == 0
                   ? http_reply(connection, 200, "text/event-stream", NULL, NULL, 0)
                   : events_handle(connection, events);
    if (route_add_query(params, info->query_string, &message) < 0)
        return http_error(connection, 400, RPC_INVALID_PARAMS, NULL, NULL, "%s", message);
    typing = (struct typing){.method = route->method, .params = params};
    if (json_object_object_length(params) && !upstream_discover(upstream, api_type_params, &typing))
        return api_reply_away(connection);
    if (!reads && !api_take_body(connection, &holder, params, &held))
        return 400;
    return api_call(connection, upstream, route, &holder, params);
}
