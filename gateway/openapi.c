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

/* What a route returns: the method's result, or what the gateway makes of it. */
static void print_result(const struct route *route, struct json_object *method, struct buf *out)
{
    switch (route->format) {
    case ROUTE_JSON:
        buf_printf(out, "{\"application/json\":{\"schema\":%s}}",
                   json_compact(json_get(json_get(method, "result"), "schema")));
        break;
    case ROUTE_TEXT:
        buf_add_text(out, "{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}");
        break;
    case ROUTE_OPENAPI:
        buf_add_text(out, "{\"application/json\":{\"schema\":{\"type\":\"object\"}}}");
        break;
    case ROUTE_EVENTS: /* what is in `data` of each */
        buf_add_text(out, "{\"text/event-stream\":{\"schema\":"
                          "{\"$ref\":\"#/components/schemas/Event\"}}}");
        break;
    }
}

static void print_responses(const struct route *route, struct json_object *method, struct buf *out)
{
    buf_printf(out,
               "\"responses\":{\"%d\":{\"description\":\"Success\",\"content\":", route->status);
    print_result(route, method, out);
    buf_add_text(out, "},\"4XX\":{\"$ref\":\"#/components/responses/Error\"},"
                      "\"5XX\":{\"$ref\":\"#/components/responses/Error\"}}");
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
    print_responses(route, method, out);
    buf_add_char(out, '}');
}

static bool is_first_of_path(const struct route *route)
{
    for (const struct route *earlier = routes; earlier < route; earlier++)
        if (strcmp(earlier->pattern, route->pattern) == 0)
            return false;
    return true;
}

static void add_schema(struct json_object *schemas, const char *name, struct json_object *used);

/* Adds the schemas that a part of the document refers to. */
static void add_references(struct json_object *schemas, struct json_object *part,
                           struct json_object *used)
{
    static const char prefix[] = "#/components/schemas/";

    if (json_object_is_type(part, json_type_array))
        for (size_t i = 0; i < json_object_array_length(part); i++)
            add_references(schemas, json_object_array_get_idx(part, i), used);
    if (!json_object_is_type(part, json_type_object))
        return;
    json_object_object_foreach(part, key, value)
    {
        if (strcmp(key, "$ref") == 0)
            add_schema(schemas, json_object_get_string(value) + strlen(prefix), used);
        else
            add_references(schemas, value, used);
    }
}

static void add_schema(struct json_object *schemas, const char *name, struct json_object *used)
{
    struct json_object *schema = json_get(schemas, name);

    if (!schema || json_get(used, name))
        return;
    json_object_object_add(used, name, json_object_get(schema));
    add_references(schemas, schema, used);
}

/* What goes wrong is the gateway's to say; `data` is the daemon's. */
static const char error_schema[] =
    "{\"description\":\"An error.\",\"type\":\"object\",\"properties\":{"
    "\"error\":{\"description\":\"what went wrong\",\"type\":\"string\"},"
    "\"code\":{\"description\":\"JSON-RPC error code\",\"type\":\"integer\"},"
    "\"data\":{\"$ref\":\"#/components/schemas/ErrorData\"}},\"required\":[\"error\",\"code\"]}";

static void print_components(struct json_object *document, struct buf *out)
{
    struct json_object *schemas = json_get(json_get(document, "components"), "schemas");
    struct json_object *error = json_tokener_parse(error_schema);
    CLEANUP(json_putp) struct json_object *used = json_object_new_object();

    json_object_object_add(used, "Error", error);
    add_references(schemas, error, used);
    for (const struct route *route = routes; route->verb; route++) {
        struct json_object *method = route_method(document, route->method);

        if (route->format == ROUTE_JSON)
            add_references(schemas, json_get(method, "result"), used);
        else if (route->format == ROUTE_EVENTS)
            add_schema(schemas, "Event", used);
    }
    buf_printf(out,
               "{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}},"
               "\"responses\":{\"Error\":{\"description\":\"Error\",\"content\":"
               "{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}}},"
               "\"schemas\":%s}",
               json_compact(used));
}

void openapi_print(struct json_object *document, struct buf *out)
{
    buf_add_text(
        out,
        "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"acpd\",\"version\":"
        "\"" ACPD_VERSION
        "\",\"description\":\"Distributes work to profiles of AI agents and programs, and loses "
        "none of it.\",\"license\":{\"name\":\"MIT\",\"identifier\":\"MIT\"}},\"servers\":[{"
        "\"url\":\"/\"}],"
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
    buf_add_text(out, "},\"components\":");
    print_components(document, out);
    buf_add_text(out, "}\n");
}
