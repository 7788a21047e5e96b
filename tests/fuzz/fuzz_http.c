/* SPDX-License-Identifier: MIT */
/*
 * The gateway between civetweb and the daemon: guards, routes, bodies and answers, with stand-ins
 * for both sides. test_requests.py uses the real ones.
 *
 * An input is one byte, then a request as it comes over the wire. The bits of the byte choose
 * whether a token is required, and how the daemon answers.
 */
#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "fuzz.h"
#include "engine/state.h"
#include "gateway/api.h"
#include "gateway/body.h"
#include "rpc/method.h"

enum { HAS_TOKEN = 4, OUTCOMES = 3 };

static char token[] = "0123456789abcdef", other_host[] = "box.example";
static char listen_host[] = "127.0.0.1", *allow_hosts[] = {other_host, NULL};

/* --- civetweb ------------------------------------------------------------------------------------
 */

struct mg_connection {
    struct mg_request_info info;
    const char *body;
    size_t body_left;
    struct buf out;
    bool is_closed;
};

const struct mg_request_info *mg_get_request_info(const struct mg_connection *connection)
{
    return &connection->info;
}

int mg_write(struct mg_connection *connection, const void *data, size_t len)
{
    PROMISE(!connection->is_closed);
    buf_add(&connection->out, data, len);
    return (int)len;
}

int mg_printf(struct mg_connection *connection, const char *format, ...)
{
    PROMISE(strcmp(format, "HTTP/1.1 100 Continue\r\n\r\n") == 0 && !connection->out.len);
    return (int)strlen(format);
}

int mg_read(struct mg_connection *connection, void *data, size_t len)
{
    if (len > connection->body_left)
        len = connection->body_left;
    memcpy(data, connection->body, len);
    connection->body += len;
    connection->body_left -= len;
    return (int)len;
}

void mg_close_connection(struct mg_connection *connection)
{
    connection->is_closed = true;
}

const char *mg_get_header(const struct mg_connection *connection, const char *name)
{
    for (int i = 0; i < connection->info.num_headers; i++)
        if (strcasecmp(connection->info.http_headers[i].name, name) == 0)
            return connection->info.http_headers[i].value;
    return NULL;
}

/* Parses a header at *at as civetweb does: NULs replace what ends the name and the value. Returns
 * false if civetweb would refuse the request. */
static bool read_header(char **at, struct mg_header *header)
{
    char *c = *at;

    header->name = c;
    while (isgraph((unsigned char)*c) && *c != ':')
        c++;
    while (*c == ' ')
        *c++ = '\0';
    if (*c != ':' || c == header->name)
        return false;
    *c++ = '\0';
    c += strspn(c, " \t");
    header->value = c;
    c += strcspn(c, "\r\n");
    if (*c == '\r')
        *c++ = '\0';
    if (*c != '\n')
        return false;
    *c++ = '\0';
    *at = c;
    return true;
}

static bool read_headers(char *at, struct mg_request_info *info)
{
    while (isgraph((unsigned char)*at) && info->num_headers < MG_MAX_HEADERS)
        if (!read_header(&at, &info->http_headers[info->num_headers++]))
            return false;
    return true;
}

static const char *header(const struct mg_request_info *info, const char *name, int *ret_count)
{
    const char *value = NULL;

    *ret_count = 0;
    for (int i = 0; i < info->num_headers; i++) {
        if (strcasecmp(info->http_headers[i].name, name) != 0)
            continue;
        value = info->http_headers[i].value;
        (*ret_count)++;
    }
    return value;
}

static bool is_verb(const char *word)
{
    static const char *const verbs[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(word, verbs[i]) == 0)
            return true;
    return false;
}

/* "VERB URI HTTP/1.1" */
static bool read_request_line(char *line, struct mg_request_info *info)
{
    char *uri = strchr(line, ' '), *version = uri ? strchr(uri + 1, ' ') : NULL, *query;

    if (!version || uri == line || uri[1] != '/')
        return false;
    *uri++ = *version++ = '\0';
    info->request_method = line;
    info->request_uri = uri;
    query = strchr(uri, '?');
    if (query)
        *query++ = '\0';
    info->query_string = query;
    return is_verb(line) && strncmp(version, "HTTP/1.", 7) == 0;
}

/* Returns false if civetweb would refuse the request. */
static bool read_request(char *text, struct mg_connection *connection)
{
    struct mg_request_info *info = &connection->info;
    char *line_end = strstr(text, "\r\n"), *head_end = strstr(text, "\r\n\r\n");
    const char *length;
    int count;

    if (!head_end || line_end == head_end)
        return false;
    connection->body = head_end + 4;
    connection->body_left = strlen(connection->body);
    *line_end = '\0';
    if (!read_request_line(text, info) || !read_headers(line_end + 2, info))
        return false;
    length = header(info, "Content-Length", &count);
    info->content_length = length ? strtoll(length, NULL, 10) : -1;
    if (info->content_length >= 0 && (size_t)info->content_length < connection->body_left)
        connection->body_left = (size_t)info->content_length;
    return info->content_length >= -1;
}

/* --- the daemon ----------------------------------------------------------------------------------
 */

static int outcome;
static size_t calls;
static const struct mg_request_info *current;
static const struct http_policy *policy;

/* The result of rpc.discover. */
static struct json_object *document(void)
{
    static struct json_object *document;
    static struct engine engine;
    struct buf out = {0};
    struct rpc_call call = {.engine = &engine, .out = &out};

    if (document)
        return document;
    PROMISE(rpc_method_find("rpc.discover")->handler(&call) == RPC_REPLY);
    document = fuzz_must_parse(out.data, out.len);
    buf_deinit(&out);
    return document;
}

bool upstream_discover(struct upstream *upstream UNUSED,
                       void (*look)(struct json_object *document, void *data), void *data)
{
    look(document(), data);
    return true;
}

static bool is_known_host(const char *host)
{
    static const char *const known[] = {"localhost", "127.0.0.1", "[::1]", other_host};

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        size_t len = strlen(known[i]);

        if (strncasecmp(host, known[i], len) == 0 && (host[len] == ':' || !host[len]))
            return true;
    }
    return false;
}

/* Requests of another site's page, or of a client without the token, never get this far. */
static void check_guards(bool is_write)
{
    int hosts, origins, lengths, encodings, count;
    const char *host = header(current, "Host", &hosts),
               *origin = header(current, "Origin", &origins);
    const char *site = header(current, "Sec-Fetch-Site", &count);
    const char *given = header(current, "Authorization", &count);

    header(current, "Content-Length", &lengths);
    header(current, "Transfer-Encoding", &encodings);
    PROMISE(hosts == 1 && lengths + encodings < 2);
    PROMISE(is_known_host(host), "%s", host);
    PROMISE(!policy->tokens || (given && strstr(given, token)));
    if (!is_write)
        return;
    PROMISE(!origin || (origins == 1 && strstr(origin, "://") &&
                        strcasecmp(strstr(origin, "://") + 3, host) == 0));
    PROMISE(!site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0);
}

static struct json_object *some_error(void)
{
    static const int codes[] = {-32700, -32600, -32601, -32602, -32603, -32001, -32003, -32004, 7};
    struct json_object *error = json_object_new_object(), *data = json_object_new_object();
    size_t chosen = strlen(current->request_uri) % ARRAY_SIZE(codes);

    json_object_object_add(error, "code", json_object_new_int(codes[chosen]));
    json_object_object_add(error, "message", json_object_new_string("because of \"x\""));
    json_object_object_add(data, "retryAfter", json_object_new_int(5));
    json_object_object_add(error, "data", data);
    return error;
}

int upstream_call(struct upstream *upstream UNUSED, const char *method, const char *actor,
                  struct json_object *params, struct upstream_reply *ret_reply)
{
    const char *verb = current->request_method;

    calls++;
    check_guards(strcmp(verb, "GET") != 0 && strcmp(verb, "HEAD") != 0);
    PROMISE(rpc_method_find(method));
    PROMISE(!policy->tokens == !actor);
    json_object_put(fuzz_must_parse(json_compact(params), strlen(json_compact(params))));
    ret_reply->result =
        strcmp(method, "get_metrics_export") == 0 ? "\"# HELP x\\n\"" : "{\"x\":[null]}";
    ret_reply->result_len = strlen(ret_reply->result);
    if (outcome == UPSTREAM_REFUSED)
        ret_reply->error = some_error();
    return outcome;
}

void upstream_reply_deinit(struct upstream_reply *reply)
{
    json_object_put(reply->error);
}

int events_handle(struct mg_connection *connection, struct events *events UNUSED)
{
    http_stream(connection, "text/event-stream");
    return 200;
}

/* --- routes --------------------------------------------------------------------------------------
 */

static void add_escaped(struct buf *out, const char *text)
{
    for (; *text; text++)
        buf_printf(out, "%%%02X", (unsigned char)*text);
}

/* The pattern, with the variables of the path filled in, must be parsed as the same path. */
static void check_path(const char *verb, const char *path)
{
    CLEANUP(json_putp) struct json_object *params = json_object_new_object();
    CLEANUP(json_putp) struct json_object *again = json_object_new_object();
    CLEANUP(buf_deinit) struct buf rebuilt = {0};
    const struct route *route = NULL, *same = NULL;
    char allow[64] = "";

    switch (route_find(verb, path, params, &route, allow)) {
    case ROUTE_BAD_VERB:
        PROMISE(strstr(allow, "OPTIONS") && !strstr(allow, verb) == (strcmp(verb, "OPTIONS") != 0));
        return;
    case ROUTE_UNKNOWN:
    case ROUTE_BAD_PATH:
        PROMISE(!route);
        return;
    case ROUTE_FOUND:
        break;
    }
    for (const char *at = route->pattern; *at;) {
        size_t len = strcspn(at + 1, "/");
        CLEANUP(freep) char *segment = xstrndup(at + 1, len);

        buf_add_char(&rebuilt, '/');
        add_escaped(&rebuilt, *segment == ':' ? json_get_string(params, segment + 1) : segment);
        at += len + 1;
    }
    PROMISE(route_find(verb, buf_text(&rebuilt), again, &same, allow) == ROUTE_FOUND);
    PROMISE(same == route && json_object_equal(params, again), "%s", buf_text(&rebuilt));
}

/* A query must mean the same with everything in it escaped. */
static void check_query(const char *query)
{
    CLEANUP(json_putp) struct json_object *params = json_object_new_object();
    CLEANUP(json_putp) struct json_object *again = json_object_new_object();
    CLEANUP(buf_deinit) struct buf rebuilt = {0};
    CLEANUP(freep) char *message = NULL;

    if (route_add_query(params, query, &message) < 0) {
        PROMISE(message);
        return;
    }
    json_object_object_foreach(params, name, value)
    {
        if (rebuilt.len)
            buf_add_char(&rebuilt, '&');
        add_escaped(&rebuilt, name);
        buf_add_char(&rebuilt, '=');
        add_escaped(&rebuilt, json_object_get_string(value));
    }
    PROMISE(route_add_query(again, buf_text(&rebuilt), &message) == 0, "%s", message);
    PROMISE(json_object_equal(params, again), "%s", buf_text(&rebuilt));
}

/* --- answers -------------------------------------------------------------------------------------
 */

/* Checks lines of "Name: value" up to an empty one; returns where the body starts. *ret_length is
 * -1 without a Content-Length. */
static const char *check_head(const char *at, long *ret_length, bool *ret_is_json)
{
    bool is_guarded = false;

    *ret_length = -1;
    *ret_is_json = false;
    while (strncmp(at, "\r\n", 2) != 0) {
        const char *end = strstr(at, "\r\n"), *colon = strstr(at, ": ");

        PROMISE(end && colon && colon < end && !memchr(at, '\n', (size_t)(end - at)), "%s", at);
        if (strncmp(at, "Content-Length: ", 16) == 0)
            *ret_length = atol(at + 16);
        is_guarded |= strncmp(at, "X-Content-Type-Options: nosniff", 31) == 0;
        *ret_is_json |= strncmp(at, "Content-Type: application/json\r", 31) == 0;
        at = end + 2;
    }
    PROMISE(is_guarded);
    return at + 2;
}

static void check_answer(struct mg_connection *connection)
{
    const char *text = buf_text(&connection->out), *body;
    bool is_head = strcmp(connection->info.request_method, "HEAD") == 0, is_json;
    long length;
    int status;

    PROMISE(strlen(text) == connection->out.len, "a NUL in the answer");
    PROMISE(sscanf(text, "HTTP/1.1 %3d ", &status) == 1 && status >= 200 && status < 600, "%s",
            text);
    PROMISE(strstr(text, "\r\n"));
    body = check_head(strstr(text, "\r\n") + 2, &length, &is_json);
    if (length >= 0 && !is_head)
        PROMISE((size_t)length == strlen(body), "%s", text);
    if (is_json && !is_head) {
        struct json_object *value = fuzz_must_parse(body, strlen(body));

        PROMISE(status < 400 || (json_get(value, "error") && json_get(value, "code")), "%s", body);
        json_object_put(value);
    }
    PROMISE(calls < 2 && (!calls || status != 403 || outcome == UPSTREAM_REFUSED));
}

/* As in main.c. */
static void handle(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);

    body_begin(connection);
    if (http_admit(connection, policy))
        api_handle(connection, policy, NULL, NULL, info->request_uri);
    body_end(connection);
    check_answer(connection);
}

/* A single token, which permits everything. */
static struct tokens *known_tokens(void)
{
    static struct tokens *tokens;
    char *error = NULL;

    if (!tokens) {
        int fd = memfd_create("tokens", MFD_CLOEXEC);
        CLEANUP(freep) char *path = xasprintf("/proc/self/fd/%d", fd);

        PROMISE(fchmod(fd, 0600) == 0 && write(fd, token, strlen(token)) > 0);
        PROMISE(tokens_new(path, &tokens, &error) == 0, "%s", error);
        close(fd);
    }
    return tokens;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_policy chosen = {.listen_host = listen_host, .allow_hosts = allow_hosts};
    CLEANUP(freep) char *text = xmalloc(size + 1);
    struct mg_connection connection = {0};

    if (!size)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    chosen.tokens = *text & HAS_TOKEN ? known_tokens() : NULL;
    policy = &chosen;
    outcome = *text & OUTCOMES;
    calls = 0;
    if (read_request(text + 1, &connection)) {
        current = &connection.info;
        check_path(current->request_method, current->request_uri);
        check_query(current->query_string);
        handle(&connection);
    }
    buf_deinit(&connection.out);
    return 0;
}
