/* SPDX-License-Identifier: MIT */
#include "gateway/route.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/utf8.h"

const struct route routes[] = {
    {"GET", "/api/profiles/with-states", "get_profiles_with_states", 200, ROUTE_JSON},
    {"GET", "/api/profiles/states", "get_profile_states", 200, ROUTE_JSON},
    {"GET", "/api/profiles/metrics", "get_all_profile_metrics", 200, ROUTE_JSON},
    {"POST", "/api/profiles/best-for-task", "get_best_profile_for_task", 200, ROUTE_JSON},
    {"GET", "/api/profiles/:name/state", "get_profile_state", 200, ROUTE_JSON},
    {"GET", "/api/profiles/:name/metrics", "get_profile_metrics", 200, ROUTE_JSON},
    {"GET", "/api/profiles/:name/queue", "get_profile_task_queue", 200, ROUTE_JSON},
    {"PUT", "/api/profiles/:name/status", "update_profile_status", 200, ROUTE_JSON, true},
    {"POST", "/api/profiles/:name/assign-task", "assign_task_to_profile", 201, ROUTE_JSON, true},
    {"GET", "/api/tasks", "list_tasks", 200, ROUTE_JSON},
    {"POST", "/api/tasks", "submit_task", 201, ROUTE_JSON, true},
    {"GET", "/api/tasks/:id", "get_task", 200, ROUTE_JSON},
    {"PATCH", "/api/tasks/:id", "update_task", 200, ROUTE_JSON, true},
    {"POST", "/api/tasks/:id/cancel", "cancel_task", 200, ROUTE_JSON, true},
    {"POST", "/api/tasks/:id/retry", "retry_task", 200, ROUTE_JSON, true},
    {"GET", "/api/tasks/:id/log", "get_task_log", 200, ROUTE_JSON},
    {"GET", "/api/metrics/history", "get_metrics_history", 200, ROUTE_JSON},
    {"GET", "/api/capacity", "get_capacity", 200, ROUTE_JSON},
    {"GET", "/api/permissions", "list_permissions", 200, ROUTE_JSON},
    {"POST", "/api/permissions/:id/answer", "answer_permission", 200, ROUTE_JSON, true},
    {"GET", "/api/health", "get_health", 200, ROUTE_JSON},
    {"POST", "/api/nodes/:name/retire", "retire_node", 200, ROUTE_JSON, true},
    {"GET", "/api/events", "subscribe", 200, ROUTE_EVENTS},
    {"GET", "/api/openapi.json", "rpc.discover", 200, ROUTE_OPENAPI},
    {"GET", "/metrics", "get_metrics_export", 200, ROUTE_TEXT},
    {0},
};

static int route_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *route_decode(const char *text, size_t len, bool is_query)
{
    CLEANUP(freep) char *decoded = xmalloc(len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < len ? route_hex(text[i + 1]) : -1;
            int low = high >= 0 ? route_hex(text[i + 2]) : -1;

            if (low < 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if (c == '\0')
            return NULL;
        decoded[n++] = c;
    }
    decoded[n] = '\0';
    for (size_t i = 0, width; i < n; i += width) {
        width = utf8_width(decoded + i, n - i);
        if (!width)
            return NULL;
    }
    return STEAL(decoded);
}

static const char *route_segment_end(const char *segment)
{
    return segment + strcspn(segment, "/");
}

/* Whether the path has the pattern's segments; variables are added to `params` unless it is NULL.
 */
static bool route_matches(const char *pattern, const char *path, struct json_object *params)
{
    while (*pattern == '/' && *path == '/') {
        const char *wanted = pattern + 1, *given = path + 1;
        CLEANUP(freep) char *segment = NULL;

        pattern = route_segment_end(wanted);
        path = route_segment_end(given);
        segment = route_decode(given, (size_t)(path - given), false);
        if (!segment)
            return false;
        if (*wanted == ':') {
            CLEANUP(freep) char *name = xstrndup(wanted + 1, (size_t)(pattern - wanted - 1));

            if (!*segment)
                return false;
            if (params)
                json_object_object_add(params, name, json_object_new_string(segment));
        } else if (strlen(segment) != (size_t)(pattern - wanted) ||
                   memcmp(segment, wanted, strlen(segment)) != 0) {
            return false;
        }
    }
    return !*pattern && !*path;
}

/* Dot segments, escaped or not, and escapes that do not decode. */
static bool route_is_bad_path(const char *path)
{
    if (*path != '/')
        return true;
    while (*path == '/') {
        const char *segment = path + 1;
        CLEANUP(freep) char *decoded = NULL;

        path = route_segment_end(segment);
        decoded = route_decode(segment, (size_t)(path - segment), false);
        if (!decoded || strcmp(decoded, ".") == 0 || strcmp(decoded, "..") == 0)
            return true;
    }
    return false;
}

static bool route_verb_fits(const char *verb, const struct route *route)
{
    return strcmp(verb, route->verb) == 0 ||
           (strcmp(verb, "HEAD") == 0 && strcmp(route->verb, "GET") == 0);
}

enum route_outcome route_find(const char *verb, const char *path, struct json_object *params,
                              const struct route **ret_route, char ret_allow[64])
{
    CLEANUP(buf_deinit) struct buf allow = {0};

    if (route_is_bad_path(path))
        return ROUTE_BAD_PATH;
    for (const struct route *route = routes; route->verb; route++) {
        if (!route_matches(route->pattern, path, NULL))
            continue;
        if (route_verb_fits(verb, route)) {
            route_matches(route->pattern, path, params);
            *ret_route = route;
            return ROUTE_FOUND;
        }
        buf_printf(&allow, "%s, %s", route->verb, strcmp(route->verb, "GET") == 0 ? "HEAD, " : "");
    }
    if (!allow.len)
        return ROUTE_UNKNOWN;
    buf_add_text(&allow, "OPTIONS");
    memcpy(ret_allow, buf_text(&allow), allow.len + 1);
    return ROUTE_BAD_VERB;
}

/* Takes the value over. */
static int route_add(struct json_object *params, const char *name, struct json_object *value,
                     char **ret_message)
{
    struct json_object *known;

    if (json_object_object_get_ex(params, name, &known) && !json_object_equal(known, value)) {
        json_object_put(value);
        *ret_message = xasprintf("\"%s\" is given twice, with different values", name);
        return -EINVAL;
    }
    json_object_object_add(params, name, value);
    return 0;
}

int route_add_query(struct json_object *params, const char *query, char **ret_message)
{
    while (query && *query) {
        size_t len = strcspn(query, "&"), name_len = strcspn(query, "=&");
        CLEANUP(freep) char *name = route_decode(query, name_len, true), *value = NULL;
        int r;

        value = name_len < len ? route_decode(query + name_len + 1, len - name_len - 1, true)
                               : xstrdup("");
        if (!name || !value) {
            *ret_message = xstrdup("the query has a malformed escape");
            return -EINVAL;
        }
        if (len) {
            r = route_add(params, name, json_object_new_string(value), ret_message);
            if (r < 0)
                return r;
        }
        query += len + (query[len] == '&');
    }
    return 0;
}

int route_add_body(struct json_object *params, struct json_object *body, char **ret_message)
{
    json_object_object_foreach(body, name, value)
    {
        int r = route_add(params, name, json_object_get(value), ret_message);

        if (r < 0)
            return r;
    }
    return 0;
}

struct json_object *route_method(struct json_object *document, const char *method)
{
    struct json_object *methods = json_get(document, "methods");
    size_t count = methods ? json_object_array_length(methods) : 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *entry = json_object_array_get_idx(methods, i);

        if (strcmp(json_get_string(entry, "name"), method) == 0)
            return entry;
    }
    return NULL;
}

struct json_object *route_param(struct json_object *method, const char *name)
{
    struct json_object *params = json_get(method, "params");
    size_t count = params ? json_object_array_length(params) : 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *param = json_object_array_get_idx(params, i);
        const char *alias = json_get_string(param, "x-alias");

        if (strcmp(json_get_string(param, "name"), name) == 0 ||
            (alias && strcmp(alias, name) == 0))
            return param;
    }
    return NULL;
}

/* The text as a value of the schema's type, or NULL when it is none: the daemon then says what it
 * expected. */
static struct json_object *route_typed(struct json_object *schema, const char *text)
{
    const char *type = json_get_string(schema, "type");
    struct json_object *value = NULL;
    const char *reason;
    size_t offset;

    if (!type || strcmp(type, "string") == 0)
        return NULL;
    json_parse(text, strlen(text), &value, &reason, &offset);
    return value;
}

void route_type_params(struct json_object *document, const char *method, struct json_object *params)
{
    struct json_object *entry = route_method(document, method);

    json_object_object_foreach(params, name, value)
    {
        struct json_object *param = route_param(entry, name), *better;

        if (!param || !json_object_is_type(value, json_type_string))
            continue;
        better = route_typed(json_get(param, "schema"), json_object_get_string(value));
        if (better)
            json_object_object_add(params, name, better);
    }
}
