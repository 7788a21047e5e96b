/* SPDX-License-Identifier: MIT */
/*
 * Agents put details anywhere below their error: a status in its code or in a member of `data`, the
 * provider's answer as JSON text, words. So all of it is searched, and structured members take
 * precedence over words; core/agent_error.c interprets each.
 */
#include "engine/agent_failure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/strv.h"
#include "core/agent_error.h"

#define CODE_AUTH_REQUIRED (-32000)
#define DEPTH_MAX          8
#define QUOTE_MAX          500     /* bytes of each of the agent's texts in a message */
#define RETRY_MAX_S        31536e3 /* a year */

struct reading {
    bool is_about_login;
    enum error_class by_structure, by_words;
    double retry_after_s;
    char *message, *detail; /* the error's message, and the details below it */
    int detail_rank;        /* the smaller, the better; see agent_failure_rank_of() */
};

static bool agent_failure_is_one_of(const char *key, const char *const *keys)
{
    for (; *keys; keys++)
        if (strcasecmp(key, *keys) == 0)
            return true;
    return false;
}

/* Seconds: a number, a text such as "30" or "30s", or a date of HTTP (RFC 9110, section 10.2.3); 0:
 * none of these. */
static double agent_failure_seconds_of(struct json_object *value)
{
    struct tm date = {0};
    const char *text, *rest;
    char *end;
    double seconds;

    if (json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_double))
        return json_object_get_double(value);
    if (!json_object_is_type(value, json_type_string))
        return 0;
    text = json_object_get_string(value);
    rest = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (rest && !*rest)
        return (double)timegm(&date) - (double)clock_wall_ms() / 1000;
    seconds = strtod(text, &end);
    return *end == '\0' || strcmp(end, "s") == 0 ? seconds : 0;
}

static const char *const delays_in_seconds[] = {
    "retry-after",       "retryAfter",          "retry_after",
    "retryAfterSeconds", "retry_after_seconds", "resets_in_seconds",
    "resetsInSeconds",   "retryDelay",          NULL};
static const char *const delays_in_ms[] = {"retry-after-ms", "retryAfterMs", "retry_after_ms",
                                           NULL};

/* If there are several, the longest counts. */
static void agent_failure_read_delay(struct reading *reading, const char *key,
                                     struct json_object *value)
{
    double seconds =
        agent_failure_is_one_of(key, delays_in_seconds) ? agent_failure_seconds_of(value)
        : agent_failure_is_one_of(key, delays_in_ms)    ? agent_failure_seconds_of(value) / 1000
                                                        : 0;

    if (seconds > reading->retry_after_s && isfinite(seconds))
        reading->retry_after_s = fmin(seconds, RETRY_MAX_S);
}

/* A status is a number, or a string that is only a number. */
static enum error_class agent_failure_class_of_status(struct json_object *value)
{
    const char *text = json_object_get_string(value);

    if (json_object_is_type(value, json_type_string) && strspn(text, "0123456789") != strlen(text))
        return agent_error_of_name(text);
    return agent_error_of_status(json_object_get_int64(value));
}

/* A member that says by its name that it is a status, or the name of an error. `is_error`: the
 * object is an error, or part of one, and not something that the error is about. */
static void agent_failure_read_member(struct reading *reading, const char *key, bool is_error,
                                      struct json_object *value)
{
    static const char *const statuses[] = {"statusCode", "httpStatusCode", "status_code",
                                           "httpStatus", NULL};
    static const char *const of_errors[] = {"status", "code", NULL};
    static const char *const names[] = {"type",      "name",           "error",
                                        "errorType", "codexErrorInfo", NULL};
    bool is_scalar =
        json_object_is_type(value, json_type_int) || json_object_is_type(value, json_type_string);
    enum error_class class = ERROR_NONE;

    if (is_scalar && (agent_failure_is_one_of(key, statuses) ||
                      (is_error && agent_failure_is_one_of(key, of_errors))))
        class = agent_failure_class_of_status(value);
    else if (is_error && json_object_is_type(value, json_type_string) &&
             agent_failure_is_one_of(key, names))
        class = agent_error_of_name(json_object_get_string(value));
    if (reading->by_structure == ERROR_NONE)
        reading->by_structure = class;
    agent_failure_read_delay(reading, key, value);
}

/* How well a text explains an error, by the name of its member; a word alone explains nothing. */
static int agent_failure_rank_of(const char *key, const char *text)
{
    static const char *const keys[] = {"details", "message", "detail", "error_description",
                                       "reason",  "error",   NULL};
    int rank = 0;

    while (keys[rank] && strcmp(key, keys[rank]) != 0)
        rank++;
    return keys[rank] || strchr(text, ' ') ? rank : INT32_MAX;
}

static void agent_failure_read_value(struct reading *reading, const char *key, bool is_error,
                                     struct json_object *value, int depth);

static void agent_failure_read_text(struct reading *reading, const char *key,
                                    struct json_object *value, int depth)
{
    const char *text = json_object_get_string(value), *reason;
    CLEANUP(json_putp) struct json_object *inner = NULL;
    size_t len = (size_t)json_object_get_string_len(value), start = strcspn(text, "{["), offset;
    int rank = agent_failure_rank_of(key, text);

    /* A provider's answer, alone or after a few words. */
    if (start < 100 && start < len &&
        json_parse(text + start, len - start, &inner, &reason, &offset) == 0)
        agent_failure_read_value(reading, key, true, inner, depth + 1);
    if (inner && !start)
        return;
    if (reading->by_words == ERROR_NONE)
        reading->by_words = agent_error_of_words(text, reading->is_about_login);
    if (rank >= reading->detail_rank || strcmp(text, reading->message) == 0 ||
        agent_failure_is_one_of(key, delays_in_seconds))
        return;
    reading->detail_rank = rank;
    free(reading->detail);
    reading->detail = xstrndup(text, QUOTE_MAX);
}

static void agent_failure_read_value(struct reading *reading, const char *key, bool is_error,
                                     struct json_object *value, int depth)
{
    /* Of an error, those that are errors in turn. */
    static const char *const parts[] = {"data",     "error",   "errors",         "cause",
                                        "response", "details", "body",           "headers",
                                        "_meta",    "codex",   "codexErrorInfo", NULL};

    if (depth > DEPTH_MAX)
        return;
    if (json_object_is_type(value, json_type_string)) {
        agent_failure_read_text(reading, key, value, depth);
    } else if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            agent_failure_read_delay(reading, key, json_object_array_get_idx(value, i));
            agent_failure_read_value(reading, key, is_error, json_object_array_get_idx(value, i),
                                     depth + 1);
        }
    } else if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, member)
        {
            if (strcmp(name, "authMethods") == 0) /* is no reason */
                continue;
            agent_failure_read_member(reading, name, is_error, member);
            agent_failure_read_value(
                reading, name, is_error && agent_failure_is_one_of(name, parts), member, depth + 1);
        }
    }
}

/* The message, and the reason where it is not in it; of a message that is JSON the reason alone. */
static char *agent_failure_words_of(const struct reading *reading, struct json_object *error)
{
    struct json_object *code = json_get(error, "code");
    bool is_for_people = !reading->detail || !strchr("{[", reading->message[0]);
    struct buf words = {0};

    if (is_for_people)
        buf_printf(&words, "%.*s", QUOTE_MAX, reading->message);
    if (reading->detail && (!is_for_people || !strstr(reading->message, reading->detail)))
        buf_printf(&words, "%s%s", words.len ? ": " : "", reading->detail);
    if (!words.len)
        buf_printf(&words, "%.*s", QUOTE_MAX, error ? json_compact(error) : "no reason given");
    if (json_object_is_type(code, json_type_int))
        buf_printf(&words, " (%lld)", (long long)json_object_get_int64(code));
    return buf_take(&words);
}

/* Only these two involve the model; words in other answers are about the agent itself. */
static bool agent_failure_is_of_the_model(enum acp_request request)
{
    return request == ACP_NEW_SESSION || request == ACP_PROMPT || request == ACP_REQUEST_COUNT;
}

void agent_failure_read(enum acp_request request, struct json_object *error,
                        struct agent_failure *ret_failure)
{
    bool is_about_login = json_object_get_int64(json_get(error, "code")) == CODE_AUTH_REQUIRED;
    CLEANUP(freep) char *message = xstrdup(acp_text_or(error, "message", ""));
    struct reading reading = {
        .is_about_login = is_about_login,
        .message = message,
        .detail_rank = INT32_MAX,
    };

    agent_failure_read_value(&reading, "", true, error, 0);
    *ret_failure = (struct agent_failure){
        .class = ERROR_EXIT,
        .words = agent_failure_words_of(&reading, error),
        .retry_after_ms = (int64_t)(1000 * reading.retry_after_s),
    };
    free(reading.detail);
    if (request == ACP_AUTHENTICATE)
        reading.by_structure = ERROR_AUTH;
    if (reading.by_words == ERROR_NONE && request == ACP_NEW_SESSION && is_about_login)
        reading.by_words = ERROR_AUTH;
    if (reading.by_structure != ERROR_NONE)
        ret_failure->class = reading.by_structure;
    else if (agent_failure_is_of_the_model(request) && reading.by_words != ERROR_NONE)
        ret_failure->class = reading.by_words;
}

static bool agent_failure_has_any(const char *line, size_t len, const char *const *words)
{
    CLEANUP(freep) char *copy = xstrndup(line, len);

    for (; *words; words++)
        if (strcasestr(copy, *words))
            return true;
    return false;
}

/* The line that speaks of logging in, best with an address to open; else one with an address. */
static char *agent_failure_login_line(const char *stderr_lines)
{
    static const char *const logins[] = {"login", "log in", "sign in", "authoriz", "device", NULL};
    static const char *const addresses[] = {"http://", "https://", NULL};
    const char *best = NULL;
    int best_worth = 0;

    for (const char *line = stderr_lines, *next; line && *line; line = next) {
        size_t len = strcspn(line, "\n");
        int worth = 2 * agent_failure_has_any(line, len, logins) +
                    agent_failure_has_any(line, len, addresses);

        next = line + len + (line[len] == '\n');
        if (worth <= best_worth)
            continue;
        best_worth = worth;
        best = line;
    }
    return best ? xstrndup(best, strcspn(best, "\n")) : NULL;
}

/* Methods of type `terminal` are not to be passed to `authenticate`: they are for people. */
static void agent_failure_print_methods(struct json_object *methods, bool is_terminal,
                                        const char *before, const char *after, struct buf *out)
{
    const char *separator = before;

    for (size_t i = 0;
         json_object_is_type(methods, json_type_array) && i < json_object_array_length(methods);
         i++) {
        struct json_object *method = json_object_array_get_idx(methods, i);
        const char *description = acp_text_or(method, "description", "");

        if ((strcmp(acp_text_or(method, "type", ""), "terminal") == 0) != is_terminal)
            continue;
        buf_add_text(out, separator);
        if (!is_terminal)
            buf_printf(out, "%.100s, ", acp_text_or(method, "id", ""));
        buf_printf(out, "%.100s%s%.200s", acp_text_or(method, "name", ""),
                   description[0] ? ": " : "", description);
        separator = "; ";
    }
    if (separator != before)
        buf_add_text(out, after);
}

void agent_failure_print_login(struct json_object *agent, struct json_object *error,
                               const char *auth_method, const char *stderr_lines, struct buf *out)
{
    struct json_object *methods = json_get(agent, "authMethods");
    CLEANUP(freep) char *line = agent_failure_login_line(stderr_lines);
    size_t before;

    if (!json_object_is_type(methods, json_type_array) || !json_object_array_length(methods))
        methods = json_get(json_get(error, "data"), "authMethods");
    buf_add_text(out, "log in with the agent's own program");
    agent_failure_print_methods(methods, true, " (", ")", out);
    if (auth_method)
        buf_printf(out, "; runner.authMethod \"%.100s\" did not succeed", auth_method);
    before = out->len;
    agent_failure_print_methods(methods, false, ", or set runner.authMethod to one of (", ")", out);
    if (out->len == before && !methods && !auth_method)
        buf_add_text(out, ", or set runner.authMethod if it has one");
    if (line)
        buf_printf(out, "; it wrote: %.*s", QUOTE_MAX, line);
}
