/* SPDX-License-Identifier: MIT */
/*
 * The parameters of every method, through the real socket, dispatcher and handlers, into the store.
 *
 * An input is a list of calls, one per line, in a form that is hard to break, so that mutations
 * reach the handlers and not only the parser:
 *
 *   assign_task_to_profile name=work task.title=x task.runAt="2030-01-01T00:00:00Z"
 *   update_task ["$id", "high"]
 *
 * If a line begins with "!", its commit fails. An unknown method stands for some known one. A value
 * that is not valid JSON is taken as a string. $id is the last task in a reply, $lease the last
 * token.
 */
#include <string.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "common/utf8.h"
#include "daemon.h"
#include "fuzz.h"
#include "rpc/method.h"

static int fd = -1;
static long long last_id;
static char last_lease[64];

/* --- from the line to the call -------------------------------------------------------------------
 */

static const struct rpc_method *some_method(size_t number)
{
    for (;;)
        for (size_t i = 0; rpc_method_tables[i]; i++)
            for (const struct rpc_method *method = rpc_method_tables[i]; method->name; method++)
                if (!number--)
                    return method;
}

static const struct rpc_method *choose_method(const char *word, size_t len)
{
    CLEANUP(freep) char *name = xstrndup(word, len);
    const struct rpc_method *method = rpc_method_find(name);

    return method ? method : some_method((unsigned char)name[0] % 64);
}

static struct json_object *value_of(const char *text, size_t len)
{
    bool is_json;
    struct json_object *value = fuzz_parse(text, len, &is_json);

    if (len == 3 && memcmp(text, "$id", 3) == 0)
        return json_object_new_int64(last_id);
    if (len == 6 && memcmp(text, "$lease", 6) == 0)
        return json_object_new_string(last_lease);
    return is_json ? value : json_object_new_string_len(text, (int)len);
}

/* Follows the dots in *name, creating objects; *name becomes its last part. */
static struct json_object *descend(struct json_object *object, char **name)
{
    char *dot;

    while ((dot = strchr(*name, '.'))) {
        struct json_object *inner;

        *dot = '\0';
        inner = json_get(object, *name);
        if (!json_object_is_type(inner, json_type_object)) {
            inner = json_object_new_object();
            json_object_object_add(object, *name, inner);
        }
        object = inner;
        *name = dot + 1;
    }
    return object;
}

static void add_member(struct json_object *params, const char *word, size_t len)
{
    CLEANUP(freep) char *copy = xstrndup(word, len);
    char *name = copy, *equals = strchr(copy, '=');
    const char *value = equals ? equals + 1 : "true";

    if (equals)
        *equals = '\0';
    params = descend(params, &name);
    json_object_object_add(params, name, value_of(value, strlen(value)));
}

static struct json_object *params_of(const char *text, size_t len)
{
    struct json_object *params;

    if (len && (text[0] == '{' || text[0] == '['))
        return value_of(text, len);
    params = json_object_new_object();
    while (len) {
        const char *space = memchr(text, ' ', len);
        size_t width = space ? (size_t)(space - text) : len;

        if (width)
            add_member(params, text, width);
        width += space != NULL;
        text += width;
        len -= width;
    }
    return params;
}

/* --- the call and its reply ----------------------------------------------------------------------
 */

static bool is_expected(int code, bool is_failing)
{
    switch (code) {
    case RPC_UNAVAILABLE:
        return is_failing;
    case RPC_INVALID_REQUEST:
    case RPC_INVALID_PARAMS:
    case RPC_NOT_FOUND:
    case RPC_CONFLICT:
    case RPC_QUEUE_FULL:
        return true;
    default:
        return false;
    }
}

static void check_error(struct json_object *error, bool is_failing)
{
    int code = json_object_get_int(json_get(error, "code"));
    struct json_object *data = json_get(error, "data");

    PROMISE(is_expected(code, is_failing), "%s", json_compact(error));
    PROMISE(json_object_get_string_len(json_get(error, "message")) > 5);
    if (code == RPC_QUEUE_FULL)
        PROMISE(json_object_get_int(json_get(data, "retryAfter")) > 0);
}

static void check_task(struct json_object *task)
{
    enum task_status status;
    bool is_waiting;

    PROMISE(json_object_get_int64(json_get(task, "id")) > 0, "%s", json_compact(task));
    PROMISE(task_status_parse(json_get_string(task, "status"), &status) == 0);
    is_waiting = task_status_is_waiting(status);
    PROMISE(is_waiting || !json_get(task, "pending"), "%s", json_compact(task));
    PROMISE(!json_get(task, "finishedAt") == (status < TASK_COMPLETED), "%s", json_compact(task));
    PROMISE(!json_get(task, "error") || status != TASK_COMPLETED, "%s", json_compact(task));
    last_id = json_object_get_int64(json_get(task, "id"));
}

static void take_result(struct json_object *result)
{
    struct json_object *task = json_get(result, "task");

    if (json_get(result, "status") && json_get(result, "title"))
        task = result;
    if (json_object_is_type(task, json_type_object))
        check_task(task);
    if (json_object_is_type(json_get(result, "lease"), json_type_string))
        snprintf(last_lease, sizeof(last_lease), "%s", json_get_string(result, "lease"));
}

/* Skips events, which follow once a call has subscribed. */
static struct json_object *next_reply(const struct buf *received)
{
    const char *at = received->data, *newline;
    struct json_object *reply = NULL;

    for (size_t left = received->len; left; at = newline + 1) {
        CLEANUP(json_putp) struct json_object *line = NULL;

        newline = memchr(at, '\n', left);
        PROMISE(newline);
        line = fuzz_must_parse(at, (size_t)(newline - at));
        left -= (size_t)(newline - at) + 1;
        if (!json_object_is_type(line, json_type_array))
            continue;
        PROMISE(!reply, "two replies");
        PROMISE(json_object_array_length(line) == 1);
        reply = json_object_get(json_object_array_get_idx(line, 0));
    }
    return reply;
}

static struct json_object *call(const struct buf *request)
{
    CLEANUP(buf_deinit) struct buf received = {0};
    struct json_object *reply = NULL;

    PROMISE(send(fd, request->data, request->len, MSG_NOSIGNAL) == (ssize_t)request->len);
    for (int passes = 0; !reply; passes++) {
        PROMISE(passes < 10, "no reply to %.*s", (int)request->len, request->data);
        daemon_pass();
        if (!daemon_receive(fd, &received)) {
            /* It followed events and lost some. */
            close(fd);
            fd = daemon_connect();
            return NULL;
        }
        reply = next_reply(&received);
    }
    return reply;
}

/* Whether the dispatcher gets it: it is neither too long nor too deep. */
static bool is_taken(const struct buf *request)
{
    bool is_json;

    json_object_put(fuzz_parse(request->data, request->len, &is_json));
    return is_json && request->len <= (size_t)daemon_settings()->line_limit;
}

/* Replaces invalid UTF-8: the parser would refuse it, which the socket target tests. */
static void play_call(char *line, size_t len, bool is_failing)
{
    const char *space = memchr(line, ' ', len);
    size_t width = space ? (size_t)(space - line) : len;
    const struct rpc_method *method = choose_method(line, width);
    CLEANUP(json_putp) struct json_object *reply = NULL, *params = NULL;
    CLEANUP(buf_deinit) struct buf request = {0};

    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = utf8_width(line + i, len - i);
        if (!n)
            line[i] = '?';
    }
    width += space != NULL;
    params = params_of(line + width, len - width);
    /* In a batch, because claims do not wait there. */
    buf_printf(&request,
               "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":", method->name);
    buf_add_text(&request, json_compact(params));
    buf_add_text(&request, "}]\n");
    if (!is_taken(&request))
        return;
    reply = call(&request);
    if (json_get(reply, "error"))
        check_error(json_get(reply, "error"), is_failing);
    else
        take_result(json_get(reply, "result"));
}

static void play_line(char *line, size_t len)
{
    bool is_failing = *line == '!';

    daemon_set_failing(is_failing);
    play_call(line + is_failing, len - is_failing, is_failing);
    daemon_set_failing(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *copy = xmalloc(size + 1);
    char *text = memcpy(copy, data, size);

    if (daemon_prepare()) {
        if (fd >= 0)
            close(fd);
        fd = daemon_connect();
    }
    while (size) {
        const char *newline = memchr(text, '\n', size);
        size_t len = newline ? (size_t)(newline - text) : size;

        if (len)
            play_line(text, len);
        len += newline != NULL;
        text += len;
        size -= len;
    }
    return 0;
}
