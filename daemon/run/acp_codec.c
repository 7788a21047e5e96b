/* SPDX-License-Identifier: MIT */
#include "run/acp_codec.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"

static const char *const names[ACP_REQUEST_COUNT] = {
    [ACP_INITIALIZE] = "initialize",       [ACP_AUTHENTICATE] = "authenticate",
    [ACP_NEW_SESSION] = "session/new",     [ACP_SET_OPTION] = "session/set_config_option",
    [ACP_SET_MODEL] = "session/set_model", [ACP_SET_MODE] = "session/set_mode",
    [ACP_PROMPT] = "session/prompt",       [ACP_CLOSE_SESSION] = "session/close",
};

const char *acp_request_name(enum acp_request request)
{
    return names[request];
}

void acp_codec_init(struct acp_codec *codec, struct buf *out)
{
    *codec = (struct acp_codec){.reader = json_reader_new(), .out = out};
}

void acp_codec_deinit(struct acp_codec *codec)
{
    json_reader_free(codec->reader);
    *codec = (struct acp_codec){0};
}

void acp_message_deinit(struct acp_message *message)
{
    json_object_put(message->whole);
    free(message->id);
    *message = (struct acp_message){0};
}

/* --- what the agent says ------------------------------------------------------------------------
 */

static void answer_error(struct acp_codec *codec, const char *id, enum rpc_code code,
                         const char *reason)
{
    buf_add_text(codec->out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_text(codec->out, id);
    buf_add_text(codec->out, ",\"error\":{\"code\":");
    buf_add_int(codec->out, code);
    buf_add_text(codec->out, ",\"message\":");
    buf_add_json_text(codec->out, reason);
    buf_add_text(codec->out, "}}\n");
}

const char *acp_text_or(struct json_object *object, const char *key, const char *otherwise)
{
    struct json_object *value = json_get(object, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : otherwise;
}

static void read_request(struct acp_codec *codec, const char *method, struct acp_message *message)
{
    struct json_object *params = json_get(message->whole, "params");

    if (strcmp(method, "session/request_permission") == 0) {
        message->type = ACP_PERMISSION;
        message->body = params;
        message->session = acp_text_or(params, "sessionId", NULL);
        return;
    }
    answer_error(codec, message->id, RPC_METHOD_NOT_FOUND, "method not found");
    message->type = ACP_DECLINED;
    message->word = method;
}

static void read_notification(const char *method, struct acp_message *message)
{
    struct json_object *params = json_get(message->whole, "params"), *id;
    struct json_object *update = json_get(params, "update");

    message->type = ACP_IGNORED;
    if (strcmp(method, "$/cancel_request") == 0) {
        id = json_get(params, "requestId");
        id = id ? id : json_get(params, "id"); /* as in the Language Server Protocol */
        if (!id)
            return;
        message->type = ACP_WITHDRAWN;
        message->id = xstrdup(json_compact(id));
        return;
    }
    if (strcmp(method, "session/update") != 0)
        return;
    message->word = acp_text_or(update, "sessionUpdate", NULL);
    if (!message->word)
        return;
    message->type = ACP_UPDATE;
    message->body = update;
    message->session = acp_text_or(params, "sessionId", NULL);
}

/* Whether this is the id of the open request; some agents answer with it as a string. */
static bool is_awaited(const struct acp_codec *codec, struct json_object *id)
{
    char text[24];

    if (!codec->is_waiting)
        return false;
    if (json_object_is_type(id, json_type_int))
        return json_object_get_int64(id) == codec->last_id;
    snprintf(text, sizeof(text), "%lld", (long long)codec->last_id);
    return json_object_is_type(id, json_type_string) &&
           strcmp(json_object_get_string(id), text) == 0;
}

static void read_answer(struct acp_codec *codec, struct json_object *id,
                        struct acp_message *message)
{
    struct json_object *error = json_get(message->whole, "error");

    if (!is_awaited(codec, id))
        return;
    codec->is_waiting = false;
    message->request = codec->request;
    message->type = ACP_ANSWER;
    message->body = json_get(message->whole, "result");
    if (!error)
        return;
    message->type = ACP_FAILURE;
    message->body = error;
}

void acp_codec_read(struct acp_codec *codec, const char *line, size_t len,
                    struct acp_message *ret_message)
{
    struct acp_message message = {.type = ACP_NOISE};
    struct json_object *id = NULL, *method;
    const char *reason;
    bool has_id;
    size_t offset;

    *ret_message = message;
    if (json_reader_parse_leniently(codec->reader, line, len, &message.whole, &reason, &offset) < 0)
        return;
    method = json_get(message.whole, "method");
    if (json_object_is_type(message.whole, json_type_object) &&
        json_object_is_type(json_get(message.whole, "jsonrpc"), json_type_string) &&
        strcmp(json_get_string(message.whole, "jsonrpc"), "2.0") == 0) {
        has_id = json_object_object_get_ex(message.whole, "id", &id);
        if (!json_object_is_type(method, json_type_string)) {
            read_answer(codec, id, &message);
        } else if (has_id) {
            message.id = xstrdup(json_compact(id));
            read_request(codec, json_object_get_string(method), &message);
        } else {
            read_notification(json_object_get_string(method), &message);
        }
    }
    *ret_message = message;
}

/* --- what is said to it -------------------------------------------------------------------------
 */

static void start(struct acp_codec *codec, const char *method)
{
    buf_add_text(codec->out, "{\"jsonrpc\":\"2.0\",\"method\":\"");
    buf_add_text(codec->out, method);
    buf_add_text(codec->out, "\",\"params\":{");
}

static void member(struct acp_codec *codec, const char *name, const char *text)
{
    buf_add_char(codec->out, '"');
    buf_add_text(codec->out, name);
    buf_add_text(codec->out, "\":");
    buf_add_json_text(codec->out, text);
}

static void finish_request(struct acp_codec *codec, enum acp_request request)
{
    codec->request = request;
    codec->is_waiting = true;
    buf_add_text(codec->out, "},\"id\":");
    buf_add_int(codec->out, ++codec->last_id);
    buf_add_text(codec->out, "}\n");
}

void acp_codec_initialize(struct acp_codec *codec)
{
    start(codec, "initialize");
    buf_printf(codec->out, "\"protocolVersion\":%d,", ACP_PROTOCOL_VERSION);
    buf_add_text(codec->out,
                 "\"clientCapabilities\":{\"fs\":{\"readTextFile\":false,\"writeTextFile\":false},"
                 "\"terminal\":false},\"clientInfo\":{\"name\":\"acpd\",\"title\":\"acpd\","
                 "\"version\":\"" ACPD_VERSION "\"}");
    finish_request(codec, ACP_INITIALIZE);
}

void acp_codec_authenticate(struct acp_codec *codec, const char *method)
{
    start(codec, "authenticate");
    member(codec, "methodId", method);
    finish_request(codec, ACP_AUTHENTICATE);
}

void acp_codec_new_session(struct acp_codec *codec, const char *cwd, const char *servers)
{
    start(codec, "session/new");
    member(codec, "cwd", cwd);
    buf_add_text(codec->out, ",\"mcpServers\":");
    buf_add_text(codec->out, servers);
    finish_request(codec, ACP_NEW_SESSION);
}

static void set(struct acp_codec *codec, const char *method, const char *session, const char *name,
                const char *value, enum acp_request request)
{
    start(codec, method);
    member(codec, "sessionId", session);
    buf_add_char(codec->out, ',');
    member(codec, name, value);
    finish_request(codec, request);
}

void acp_codec_set_option(struct acp_codec *codec, const char *session, const char *option,
                          const char *value)
{
    start(codec, "session/set_config_option");
    member(codec, "sessionId", session);
    buf_add_char(codec->out, ',');
    member(codec, "configId", option);
    buf_add_char(codec->out, ',');
    member(codec, "value", value);
    finish_request(codec, ACP_SET_OPTION);
}

void acp_codec_set_mode(struct acp_codec *codec, const char *session, const char *mode)
{
    set(codec, "session/set_mode", session, "modeId", mode, ACP_SET_MODE);
}

void acp_codec_set_model(struct acp_codec *codec, const char *session, const char *model)
{
    set(codec, "session/set_model", session, "modelId", model, ACP_SET_MODEL);
}

void acp_codec_prompt(struct acp_codec *codec, const char *session, const char *blocks)
{
    start(codec, "session/prompt");
    member(codec, "sessionId", session);
    buf_add_text(codec->out, ",\"prompt\":");
    buf_add_text(codec->out, blocks);
    finish_request(codec, ACP_PROMPT);
}

void acp_codec_close_session(struct acp_codec *codec, const char *session)
{
    start(codec, "session/close");
    member(codec, "sessionId", session);
    finish_request(codec, ACP_CLOSE_SESSION);
}

void acp_codec_cancel(struct acp_codec *codec, const char *session)
{
    start(codec, "session/cancel");
    member(codec, "sessionId", session);
    buf_add_text(codec->out, "}}\n");
}

void acp_codec_select(struct acp_codec *codec, const char *id, const char *option)
{
    buf_add_text(codec->out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_text(codec->out, id);
    buf_add_text(codec->out, ",\"result\":{\"outcome\":{\"outcome\":");
    buf_add_text(codec->out, option ? "\"selected\"," : "\"cancelled\"");
    if (option)
        member(codec, "optionId", option);
    buf_add_text(codec->out, "}}}\n");
}

void acp_codec_refuse(struct acp_codec *codec, const char *id, const char *reason)
{
    answer_error(codec, id, RPC_INVALID_PARAMS, reason);
}
