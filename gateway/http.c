/* SPDX-License-Identifier: MIT */
#include "gateway/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "common/strv.h"
#include "gateway/body.h"
#include "gateway/kept.h"

static const char common_headers[] =
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'\r\n";

#define CLOSE "Connection: close\r\n"

static const char tls_headers[] = "Strict-Transport-Security: max-age=31536000\r\n";

void http_policy_deinit(struct http_policy *policy)
{
    free(policy->listen_host);
    strv_free(policy->allow_hosts);
    tokens_free(policy->tokens);
    *policy = (struct http_policy){0};
}

static const char *http_reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {204, "No Content"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return status < 400 ? "OK" : "Error";
}

static bool http_is_head(struct mg_connection *connection)
{
    const char *verb = mg_get_request_info(connection)->request_method;

    return verb && strcmp(verb, "HEAD") == 0;
}

/* RFC 9110, section 5.6.7; not strftime(), which uses the locale. */
static void http_add_date(struct buf *answer)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm;

    if (!gmtime_r(&now, &tm))
        return;
    buf_printf(answer, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
               months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void http_add_common(struct buf *answer, struct mg_connection *connection)
{
    http_add_date(answer);
    buf_add_text(answer, common_headers);
    if (mg_get_request_info(connection)->is_ssl)
        buf_add_text(answer, tls_headers);
}

/* The value of a header; NULL: none. *ret_count is how often it occurs. */
static const char *http_find_header(const struct mg_request_info *info, const char *name,
                                    int *ret_count)
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

static const char *http_header(const struct mg_request_info *info, const char *name)
{
    int count;

    return http_find_header(info, name, &count);
}

/* Whether civetweb will wait for another request. */
static bool http_is_kept(const struct mg_request_info *info)
{
    const char *wish = http_header(info, "Connection");

    if (wish)
        return strcasestr(wish, "keep-alive") != NULL;
    return info->http_version && strcmp(info->http_version, "1.1") == 0;
}

int http_reply(struct mg_connection *connection, int status, const char *content_type,
               const char *headers, const void *body, size_t len)
{
    CLEANUP(buf_deinit) struct buf answer = {0};
    bool is_closing = headers && strstr(headers, CLOSE);

    buf_printf(&answer, "HTTP/1.1 %d %s\r\n", status, http_reason_of(status));
    http_add_common(&answer, connection);
    if (content_type)
        buf_printf(&answer, "Content-Type: %s\r\n", content_type);
    if (status != 204 && status != 304)
        buf_printf(&answer, "Content-Length: %zu\r\n", len);
    if (headers)
        buf_add_text(&answer, headers);
    if (!is_closing && !body_settle(connection))
        buf_add_text(&answer, CLOSE);
    else if (!is_closing && http_is_kept(mg_get_request_info(connection)))
        buf_printf(&answer, "Connection: keep-alive\r\nKeep-Alive: timeout=%d\r\n", KEPT_SECONDS);
    buf_add_text(&answer, "\r\n");
    if (!http_is_head(connection) && status != 304)
        buf_add(&answer, body, len);
    mg_write(connection, answer.data, answer.len);
    return status;
}

void http_stream(struct mg_connection *connection, const char *content_type)
{
    CLEANUP(buf_deinit) struct buf head = {0};

    buf_add_text(&head, "HTTP/1.1 200 OK\r\n");
    http_add_common(&head, connection);
    buf_printf(&head,
               "Content-Type: %s\r\nCache-Control: no-store\r\nConnection: close\r\n"
               "X-Accel-Buffering: no\r\n\r\n",
               content_type);
    mg_write(connection, head.data, head.len);
}

static void http_print_error(struct buf *body, int code, const char *data, const char *message)
{
    json_out_object(body, NULL);
    json_out_text(body, "error", message);
    json_out_int(body, "code", code);
    if (data)
        json_out_raw(body, "data", data);
    json_out_end_object(body);
    buf_add_char(body, '\n');
}

int http_error(struct mg_connection *connection, int status, int code, const char *headers,
               const char *data, const char *format, ...)
{
    CLEANUP(buf_deinit) struct buf body = {0}, all = {0};
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    http_print_error(&body, code, data, message);
    buf_add_text(&all, "Cache-Control: no-store\r\n");
    if (headers)
        buf_add_text(&all, headers);
    return http_reply(connection, status, "application/json", buf_text(&all), body.data, body.len);
}

int http_on_error(struct mg_connection *connection, int status, const char *message)
{
    http_error(connection, status, RPC_INVALID_REQUEST, CLOSE, NULL, "%s",
               message && *message ? message : http_reason_of(status));
    return 0;
}

/* Checks what civetweb accepts: white space before a header's colon. It also silently stops at the
 * 64th header and at a folded line, so later headers would be missed. It replaces colon and line
 * end by NUL, and rejects requests that contain one. */
static const char *http_header_fault(const struct mg_request_info *info)
{
    const char *end = "\r";

    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *header = &info->http_headers[i];
        const char *after = header->name + strlen(header->name) + 1;

        if (after < header->value && !*after)
            return "a header has white space before its colon";
        end = header->value + strlen(header->value) + 1;
        end += !*end;
    }
    if (*end != '\r' && *end != '\n')
        return "a request must have at most 63 headers, none of them folded";
    return NULL;
}

/* The end of the body must be unambiguous: two servers that read it differently would see different
 * requests (request smuggling, RFC 9112 section 11.2). */
static const char *http_framing_fault(const struct mg_request_info *info)
{
    static const char *const singles[] = {"Origin", "Sec-Fetch-Site", "Content-Type",
                                          "Authorization"};
    int lengths, encodings, count;
    const char *length = http_find_header(info, "Content-Length", &lengths);
    const char *encoding = http_find_header(info, "Transfer-Encoding", &encodings);
    const char *fault = http_header_fault(info);

    if (fault)
        return fault;
    for (size_t i = 0; i < ARRAY_SIZE(singles); i++) {
        http_find_header(info, singles[i], &count);
        if (count > 1)
            return "a header that decides about access is duplicated";
    }
    http_find_header(info, "Host", &count);
    if (count != 1)
        return "a request must have exactly one Host";
    if (lengths > 1 || encodings > 1 || (lengths && encodings))
        return "a request must have only one Content-Length or Transfer-Encoding";
    if (length && (!*length || length[strspn(length, "0123456789")] || strlen(length) > 18))
        return "Content-Length must be a number";
    if (encoding && strcasecmp(encoding, "chunked") != 0)
        return "Transfer-Encoding must be chunked";
    return NULL;
}

/* The host without its port; IPv6 addresses keep their brackets. */
static size_t http_host_length(const char *host)
{
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    if (len > strlen(host))
        return 0;
    if (host[len] == ':' && host[len + 1 + strspn(host + len + 1, "0123456789")] == '\0')
        return len;
    return host[len] ? 0 : len;
}

static bool http_is_host(const char *host, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(host, name, len) == 0;
}

/* A page of another site can make its own name point here (DNS rebinding); its requests then carry
 * that name. */
static bool http_may_be_host(const struct http_policy *policy, const char *host)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    size_t len = http_host_length(host);

    for (size_t i = 0; i < ARRAY_SIZE(loopback); i++)
        if (http_is_host(host, len, loopback[i]))
            return true;
    for (size_t i = 0; policy->allow_hosts && policy->allow_hosts[i]; i++)
        if (http_is_host(host, len, policy->allow_hosts[i]))
            return true;
    return http_is_host(host, len, policy->listen_host);
}

/* Whether the Origin is that of this very Host. What arrives without TLS may have been sent with
 * it, to a reverse proxy. */
static bool http_is_own_origin(const char *origin, const char *host, bool is_tls)
{
    const char *at = strstr(origin, "://");

    return at && strcasecmp(at + 3, host) == 0 &&
           (strncmp(origin, "https://", 8) == 0 || (!is_tls && strncmp(origin, "http://", 7) == 0));
}

static bool http_is_media_type(const char *content_type, const char *wanted)
{
    size_t len = strcspn(content_type, "; \t");

    return strlen(wanted) == len && strncasecmp(content_type, wanted, len) == 0;
}

bool http_admit_write(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *host = http_header(info, "Host"), *origin = http_header(info, "Origin");
    const char *site = http_header(info, "Sec-Fetch-Site"),
               *type = http_header(info, "Content-Type");
    bool is_own = (origin && http_is_own_origin(origin, host, info->is_ssl)) ||
                  (!origin && site && strcmp(site, "same-origin") == 0);
    bool is_foreign = (origin && !is_own) ||
                      (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0);

    if (is_foreign) {
        http_error(connection, 403, RPC_FORBIDDEN, NULL, NULL,
                   "writes from a page of another origin are not allowed");
        return false;
    }
    if (type && http_is_media_type(type, "application/json"))
        return true;
    /* fetch()'s default for a string, or for no body. */
    if (is_own && (!type || http_is_media_type(type, "text/plain")))
        return true;
    http_error(connection, 415, RPC_INVALID_REQUEST, NULL, NULL,
               "Content-Type must be application/json");
    return false;
}

bool http_admit(struct mg_connection *connection, const struct http_policy *policy)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *fault = http_framing_fault(info);

    if (fault) {
        body_distrust();
        http_error(connection, 400, RPC_INVALID_REQUEST, NULL, NULL, "%s", fault);
        return false;
    }
    if (!http_may_be_host(policy, http_header(info, "Host"))) {
        http_error(connection, 403, RPC_FORBIDDEN, NULL, NULL,
                   "this host name is not allowed; see --allow-host");
        return false;
    }
    return true;
}

/* The token of "Bearer TOKEN"; NULL: none. */
static const char *http_bearer(const char *authorization)
{
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return NULL;
    return authorization + 7 + strspn(authorization + 7, " ");
}

bool http_authorize(struct mg_connection *connection, const struct http_policy *policy,
                    struct token_holder *ret_holder)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *given = http_bearer(http_header(info, "Authorization"));
    char headers[48];
    int wait;

    if (!policy->tokens) {
        *ret_holder = (struct token_holder){.may_write = true};
        return true;
    }
    switch (tokens_check(policy->tokens, given, info->remote_addr, ret_holder, &wait)) {
    case TOKEN_REFUSED:
        http_error(connection, 401, RPC_FORBIDDEN, "WWW-Authenticate: Bearer\r\n", NULL,
                   "a bearer token is required; see the file given by --token-file");
        return false;
    case TOKEN_THROTTLED:
        snprintf(headers, sizeof(headers), "Retry-After: %d\r\n", wait);
        http_error(connection, 429, RPC_FORBIDDEN, headers, NULL,
                   "too many wrong tokens; a valid one is still accepted");
        return false;
    default:
        return true;
    }
}

/* Answers for a body that was not read to its end. */
static void http_refuse_body(struct mg_connection *connection, enum body_outcome outcome)
{
    static const char retry[] = "Retry-After: 1\r\n";

    switch (outcome) {
    case BODY_TOO_LARGE:
        http_error(connection, 413, RPC_INVALID_REQUEST, NULL, NULL,
                   "the body is larger than 16 MiB");
        return;
    case BODY_TOO_MANY:
        http_error(connection, 503, RPC_UNAVAILABLE, retry, NULL,
                   "too many large bodies are in flight");
        return;
    case BODY_GIVES_WAY:
        http_error(connection, 503, RPC_UNAVAILABLE, retry, NULL,
                   "too many slow bodies are in flight");
        return;
    case BODY_TOO_SLOW:
        http_error(connection, 408, RPC_INVALID_REQUEST, NULL, NULL,
                   "the body did not arrive within %d seconds", BODY_SECONDS);
        return;
    case BODY_ENDED_EARLY:
        http_error(connection, 400, RPC_INVALID_REQUEST, NULL, NULL, "the body ended early");
        return;
    }
}

bool http_read_body(struct mg_connection *connection, bool is_stranger, struct buf *ret_body)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    const char *expected = http_header(info, "Expect");
    int outcome;

    /* The client waits for this before it sends the body (RFC 9110, section 10.1.1). */
    if (expected && strcasecmp(expected, "100-continue") == 0 && info->content_length <= BODY_MAX)
        mg_printf(connection, "HTTP/1.1 100 Continue\r\n\r\n");
    outcome = body_read(connection, is_stranger, ret_body);
    if (outcome)
        http_refuse_body(connection, (enum body_outcome)outcome);
    return !outcome;
}
