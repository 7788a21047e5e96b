/* SPDX-License-Identifier: MIT */
/* The API's document (OpenAPI 3.1), printed from the routes and the daemon's declarations. */
#include <string.h>

#include "common/alloc.h"
#include "gateway/api.h"

/* "/api/tasks/:id" is "/api/tasks/{id}" there. */
static void print_path(const char *pattern, struct buf *out)
{
    buf_add_char(out, '"');
    while (*pattern) {
        size_t len;

        if (*pattern != ':') {
            buf_add_char(out, *pattern++);
            continue;
        }
        len = strcspn(++pattern, "/");
        buf_printf(out, "{%.*s}", (int)len, pattern);
        pattern += len;
    }
    buf_add_char(out, '"');
}

/* Whether the parameter comes in the path, by its name or its alias; ret_name is that name. */
static bool is_in_path(const char *pattern, struct json_object *param, const char **ret_name)
{
    const char *names[] = {json_get_string(param, "name"), json_get_string(param, "x-alias")};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *colon = strchr(pattern, ':');

        if (names[i] && colon && strlen(names[i]) == strcspn(colon + 1, "/") &&
            strncmp(colon + 1, names[i], strlen(names[i])) == 0) {
            *ret_name = names[i];
            return true;
        }
    }
    return false;
}

static void print_parameter(const char *name, bool in_path, struct json_object *param,
                            struct buf *out)
{
    bool is_required = in_path || json_object_get_boolean(json_get(param, "required"));

    buf_printf(out, "{\"name\":\"%s\",\"in\":\"%s\",\"required\":%s,\"schema\":%s}", name,
               in_path ? "path" : "query", is_required ? "true" : "false",
               json_compact(json_get(param, "schema")));
}

static void print_response(const struct route *route, struct buf *out)
{
    static const char *const types[] = {
        [ROUTE_JSON] = "application/json",
        [ROUTE_TEXT] = "text/plain",
        [ROUTE_OPENAPI] = "application/json",
        [ROUTE_EVENTS] = "text/event-stream",
    };

    buf_printf(out,
               "\"responses\":{\"%d\":{\"description\":\"Done.\",\"content\":{\"%s\":{}}},"
               "\"default\":{\"$ref\":\"#/components/responses/Error\"}}",
               route->status, types[route->format]);
}

static void print_operation(const struct route *route, struct json_object *method, struct buf *out)
{
    struct json_object *params = json_get(method, "params");
    size_t count = params ? json_object_array_length(params) : 0;
    bool has_body = strcmp(route->verb, "GET") != 0;
    CLEANUP(buf_deinit) struct buf parameters = {0}, properties = {0}, required = {0};

    /* The gateway's own take no parameters, whatever their method does. */
    if (route->format == ROUTE_OPENAPI || route->format == ROUTE_EVENTS)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *param = json_object_array_get_idx(params, i);
        const char *name = json_get_string(param, "name");
        bool in_path = is_in_path(route->pattern, param, &name);

        if (in_path || !has_body) {
            if (parameters.len)
                buf_add_char(&parameters, ',');
            print_parameter(name, in_path, param, &parameters);
            continue;
        }
        buf_printf(&properties, "%s\"%s\":%s", properties.len ? "," : "", name,
                   json_compact(json_get(param, "schema")));
        if (json_object_get_boolean(json_get(param, "required")))
            buf_printf(&required, "%s\"%s\"", required.len ? "," : "", name);
    }
    buf_add_char(out, '"');
    for (const char *c = route->verb; *c; c++)
        buf_add_char(out, (char)(*c | 0x20)); /* in lower case */
    buf_printf(out, "\":{\"operationId\":\"%s\",\"summary\":", route->method);
    buf_add_json_text(out, json_get_string(method, "summary"));
    buf_printf(out, ",\"parameters\":[%s],", buf_text(&parameters));
    if (has_body)
        buf_printf(out,
                   "\"requestBody\":{\"required\":%s,\"content\":{\"application/json\":{\"schema\":"
                   "{\"type\":\"object\",\"properties\":{%s},\"required\":[%s]}}}},",
                   required.len ? "true" : "false", buf_text(&properties), buf_text(&required));
    print_response(route, out);
    buf_add_char(out, '}');
}

static bool is_first_of_path(const struct route *route)
{
    for (const struct route *earlier = routes; earlier < route; earlier++)
        if (strcmp(earlier->pattern, route->pattern) == 0)
            return false;
    return true;
}

void openapi_print(struct json_object *document, struct buf *out)
{
    buf_add_text(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"acpd\",\"version\":"
                      "\"" ACPD_VERSION "\",\"description\":\"Hands work to profiles of AI agents "
                      "and programs, and loses none of it.\"},\"servers\":[{\"url\":\"/\"}],"
                      "\"security\":[{},{\"bearer\":[]}],\"paths\":{");
    for (const struct route *path = routes; path->verb; path++) {
        const char *separator = "";

        if (!is_first_of_path(path))
            continue;
        if (path != routes)
            buf_add_char(out, ',');
        print_path(path->pattern, out);
        buf_add_text(out, ":{");
        for (const struct route *route = path; route->verb; route++) {
            if (strcmp(route->pattern, path->pattern) != 0)
                continue;
            buf_add_text(out, separator);
            print_operation(route, route_method(document, route->method), out);
            separator = ",";
        }
        buf_add_char(out, '}');
    }
    buf_add_text(out,
                 "},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\","
                 "\"scheme\":\"bearer\"}},\"responses\":{\"Error\":{\"description\":\"What went "
                 "wrong, in words and as JSON-RPC's code.\",\"content\":{\"application/json\":"
                 "{\"schema\":{\"type\":\"object\",\"properties\":{\"error\":{\"type\":"
                 "\"string\"},\"code\":{\"type\":\"integer\"},\"data\":{\"type\":\"object\"}},"
                 "\"required\":[\"error\",\"code\"]}}}}}}}\n");
}
