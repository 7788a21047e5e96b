/* SPDX-License-Identifier: MIT */
/* The OpenAPI 3.1 document, printed from the routes and the daemon's declarations. */
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "gateway/api.h"

/* "/api/tasks/:id" is "/api/tasks/{id}" there. */
static void openapi_print_path(const char *pattern, struct buf *out)
{
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
}

/* Whether the parameter comes in the path, by its name or its alias; ret_name is that name. */
static bool openapi_is_in_path(const char *pattern, struct json_object *param,
                               const char **ret_name)
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

static void openapi_print_parameter(const char *name, bool in_path, struct json_object *param,
                                    struct buf *out)
{
    bool is_required = in_path || json_object_get_boolean(json_get(param, "required"));

    json_out_object(out, NULL);
    json_out_text(out, "name", name);
    json_out_text(out, "in", in_path ? "path" : "query");
    json_out_bool(out, "required", is_required);
    json_out_raw(out, "schema", json_compact(json_get(param, "schema")));
    json_out_end_object(out);
}

/* The schema comes next. */
static void openapi_start_content(const char *type, struct buf *out)
{
    json_out_object(out, "content");
    json_out_object(out, type);
    json_out_key(out, "schema");
}

static void openapi_end_content(struct buf *out)
{
    json_out_end_object(out);
    json_out_end_object(out);
}

static void openapi_print_content(const char *type, const char *schema, struct buf *out)
{
    openapi_start_content(type, out);
    json_out_raw(out, NULL, schema);
    openapi_end_content(out);
}

/* The result of a route: the method's, or what the gateway makes of it. */
static void openapi_print_result(const struct route *route, struct json_object *method,
                                 struct buf *out)
{
    switch (route->format) {
    case ROUTE_JSON:
        openapi_print_content("application/json",
                              json_compact(json_get(json_get(method, "result"), "schema")), out);
        break;
    case ROUTE_TEXT:
        openapi_print_content("text/plain", "{\"type\":\"string\"}", out);
        break;
    case ROUTE_OPENAPI:
        openapi_print_content("application/json", "{\"type\":\"object\"}", out);
        break;
    case ROUTE_EVENTS: /* what is in `data` of each */
        openapi_print_content("text/event-stream", "{\"$ref\":\"#/components/schemas/Event\"}",
                              out);
        break;
    }
}

static void openapi_print_responses(const struct route *route, struct json_object *method,
                                    struct buf *out)
{
    static const char error[] = "{\"$ref\":\"#/components/responses/Error\"}";
    char status[16];

    snprintf(status, sizeof(status), "%d", route->status);
    json_out_object(out, "responses");
    json_out_object(out, status);
    json_out_text(out, "description", "Success");
    openapi_print_result(route, method, out);
    json_out_end_object(out);
    json_out_raw(out, "4XX", error);
    json_out_raw(out, "5XX", error);
    json_out_end_object(out);
}

/* The members of the body, and the names of those that it must have. */
static void openapi_print_body(const struct buf *properties, const struct buf *required,
                               struct buf *out)
{
    json_out_object(out, "requestBody");
    json_out_bool(out, "required", required->len > 0);
    openapi_start_content("application/json", out);
    json_out_object(out, NULL);
    json_out_text(out, "type", "object");
    json_out_object(out, "properties");
    json_out_raw_bytes(out, NULL, properties->data, properties->len);
    json_out_end_object(out);
    json_out_array(out, "required");
    json_out_raw_bytes(out, NULL, required->data, required->len);
    json_out_end_array(out);
    json_out_end_object(out);
    openapi_end_content(out);
    json_out_end_object(out);
}

static void openapi_print_operation(const struct route *route, struct json_object *method,
                                    struct buf *out)
{
    struct json_object *params = json_get(method, "params");
    size_t count = params ? json_object_array_length(params) : 0;
    bool has_body = strcmp(route->verb, "GET") != 0;
    CLEANUP(buf_deinit) struct buf parameters = {0}, properties = {0}, required = {0}, verb = {0};

    /* The gateway's own routes take no parameters, whatever their method does. */
    if (route->format == ROUTE_OPENAPI || route->format == ROUTE_EVENTS)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        struct json_object *param = json_object_array_get_idx(params, i);
        const char *name = json_get_string(param, "name");
        bool in_path = openapi_is_in_path(route->pattern, param, &name);

        if (in_path || !has_body) {
            openapi_print_parameter(name, in_path, param, &parameters);
            continue;
        }
        json_out_raw(&properties, name, json_compact(json_get(param, "schema")));
        if (json_object_get_boolean(json_get(param, "required")))
            json_out_text(&required, NULL, name);
    }
    for (const char *c = route->verb; *c; c++)
        buf_add_char(&verb, (char)(*c | 0x20)); /* in lower case */
    json_out_object(out, buf_text(&verb));
    json_out_text(out, "operationId", route->method);
    json_out_text(out, "summary", json_get_string(method, "summary"));
    json_out_array(out, "parameters");
    json_out_raw_bytes(out, NULL, parameters.data, parameters.len);
    json_out_end_array(out);
    if (has_body)
        openapi_print_body(&properties, &required, out);
    openapi_print_responses(route, method, out);
    json_out_end_object(out);
}

static bool openapi_is_first_of_path(const struct route *route)
{
    for (const struct route *earlier = routes; earlier < route; earlier++)
        if (strcmp(earlier->pattern, route->pattern) == 0)
            return false;
    return true;
}

static void openapi_add_schema(struct json_object *schemas, const char *name,
                               struct json_object *used);

/* Adds the schemas that a part of the document refers to. */
static void openapi_add_references(struct json_object *schemas, struct json_object *part,
                                   struct json_object *used)
{
    static const char prefix[] = "#/components/schemas/";

    if (json_object_is_type(part, json_type_array))
        for (size_t i = 0; i < json_object_array_length(part); i++)
            openapi_add_references(schemas, json_object_array_get_idx(part, i), used);
    if (!json_object_is_type(part, json_type_object))
        return;
    json_object_object_foreach(part, key, value)
    {
        if (strcmp(key, "$ref") == 0)
            openapi_add_schema(schemas, json_object_get_string(value) + strlen(prefix), used);
        else
            openapi_add_references(schemas, value, used);
    }
}

static void openapi_add_schema(struct json_object *schemas, const char *name,
                               struct json_object *used)
{
    struct json_object *schema = json_get(schemas, name);

    if (!schema || json_get(used, name))
        return;
    json_object_object_add(used, name, json_object_get(schema));
    openapi_add_references(schemas, schema, used);
}

/* The error is the gateway's; its `data` is the daemon's. */
static const char error_schema[] =
    "{\"description\":\"An error.\",\"type\":\"object\",\"properties\":{"
    "\"error\":{\"description\":\"what went wrong\",\"type\":\"string\"},"
    "\"code\":{\"description\":\"JSON-RPC error code\",\"type\":\"integer\"},"
    "\"data\":{\"$ref\":\"#/components/schemas/ErrorData\"}},\"required\":[\"error\",\"code\"]}";

static void openapi_print_components(struct json_object *document, struct buf *out)
{
    struct json_object *schemas = json_get(json_get(document, "components"), "schemas");
    struct json_object *error = json_tokener_parse(error_schema);
    CLEANUP(json_putp) struct json_object *used = json_object_new_object();

    json_object_object_add(used, "Error", error);
    openapi_add_references(schemas, error, used);
    for (const struct route *route = routes; route->verb; route++) {
        struct json_object *method = route_method(document, route->method);

        if (route->format == ROUTE_JSON)
            openapi_add_references(schemas, json_get(method, "result"), used);
        else if (route->format == ROUTE_EVENTS)
            openapi_add_schema(schemas, "Event", used);
    }
    json_out_object(out, "components");
    json_out_raw(out, "securitySchemes", "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}");
    json_out_object(out, "responses");
    json_out_object(out, "Error");
    json_out_text(out, "description", "Error");
    openapi_print_content("application/json", "{\"$ref\":\"#/components/schemas/Error\"}", out);
    json_out_end_object(out);
    json_out_end_object(out);
    json_out_raw(out, "schemas", json_compact(used));
    json_out_end_object(out);
}

static void openapi_print_info(struct buf *out)
{
    json_out_object(out, "info");
    json_out_text(out, "title", "acpd");
    json_out_text(out, "version", ACPD_VERSION);
    json_out_text(out, "description",
                  "Distributes work to profiles of AI agents and programs, and loses none of it.");
    json_out_object(out, "license");
    json_out_text(out, "name", "MIT");
    json_out_text(out, "identifier", "MIT");
    json_out_end_object(out);
    json_out_end_object(out);
}

void openapi_print(struct json_object *document, struct buf *out)
{
    json_out_object(out, NULL);
    json_out_text(out, "openapi", "3.1.0");
    openapi_print_info(out);
    json_out_raw(out, "servers", "[{\"url\":\"/\"}]");
    json_out_raw(out, "security", "[{},{\"bearer\":[]}]");
    json_out_object(out, "paths");
    for (const struct route *path = routes; path->verb; path++) {
        CLEANUP(buf_deinit) struct buf name = {0};

        if (!openapi_is_first_of_path(path))
            continue;
        openapi_print_path(path->pattern, &name);
        json_out_object(out, buf_text(&name));
        for (const struct route *route = path; route->verb; route++)
            if (strcmp(route->pattern, path->pattern) == 0)
                openapi_print_operation(route, route_method(document, route->method), out);
        json_out_end_object(out);
    }
    json_out_end_object(out);
    openapi_print_components(document, out);
    json_out_end_object(out);
    buf_add_char(out, '\n');
}
