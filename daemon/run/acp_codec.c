/* SPDX-License-Identifier: MIT */
#include "run/acp_codec.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"

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
    *codec = (struct acp_codec){.out = out};
}

void acp_codec_deinit(struct acp_codec *codec)
{
    *codec = (struct acp_codec){0};
}

void acp_message_deinit(struct acp_message *message)
{
    json_object_put(message->whole);
    free(message->id);
    *message = (struct acp_message){0};
}

/* --- messages from the agent --------------------------------------------------------------------
 */

static void acp_codec_start_answer(struct acp_codec *codec, const char *id)
{
    json_out_object(codec->out, NULL);
    json_out_text(codec->out, "jsonrpc", "2.0");
    json_out_raw(codec->out, "id", id);
}

static void acp_codec_end_message(struct acp_codec *codec)
{
    json_out_end_object(codec->out);
    buf_add_char(codec->out, '\n');
}

static void acp_codec_answer_error(struct acp_codec *codec, const char *id, enum rpc_code code,
                                   const char *reason)
{
    acp_codec_start_answer(codec, id);
    json_out_object(codec->out, "error");
    json_out_int(codec->out, "code", code);
    json_out_text(codec->out, "message", reason);
    json_out_end_object(codec->out);
    acp_codec_end_message(codec);
}

const char *acp_text_or(struct json_object *object, const char *key, const char *otherwise)
{
    struct json_object *value = json_get(object, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : otherwise;
}

static void acp_codec_read_request(struct acp_codec *codec, const char *method,
                                   struct acp_message *message)
{
    struct json_object *params = json_get(message->whole, "params");

    if (strcmp(method, "session/request_permission") == 0) {
        message->type = ACP_PERMISSION;
        message->body = params;
        message->session = acp_text_or(params, "sessionId", NULL);
        return;
    }
    acp_codec_answer_error(codec, message->id, RPC_METHOD_NOT_FOUND, "method not found");
    message->type = ACP_DECLINED;
    message->word = method;
}

static void acp_codec_read_notification(const char *method, struct acp_message *message)
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
static bool acp_codec_is_awaited(const struct acp_codec *codec, struct json_object *id)
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

static void acp_codec_read_answer(struct acp_codec *codec, struct json_object *id,
                                  struct acp_message *message)
{
    struct json_object *error = json_get(message->whole, "error");

    if (!acp_codec_is_awaited(codec, id))
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
    if (json_parse(line, len, &message.whole, &reason, &offset) < 0)
        return;
    method = json_get(message.whole, "method");
    if (json_object_is_type(message.whole, json_type_object) &&
        json_object_is_type(json_get(message.whole, "jsonrpc"), json_type_string) &&
        strcmp(json_get_string(message.whole, "jsonrpc"), "2.0") == 0) {
        has_id = json_object_object_get_ex(message.whole, "id", &id);
        if (!json_object_is_type(method, json_type_string)) {
            acp_codec_read_answer(codec, id, &message);
        } else if (has_id) {
            message.id = xstrdup(json_compact(id));
            acp_codec_read_request(codec, json_object_get_string(method), &message);
        } else {
            acp_codec_read_notification(json_object_get_string(method), &message);
        }
    }
    *ret_message = message;
}

/* --- messages to the agent ----------------------------------------------------------------------
 */

/* The caller prints the members of `params` next. */
static void acp_codec_start(struct acp_codec *codec, const char *method)
{
    json_out_object(codec->out, NULL);
    json_out_text(codec->out, "jsonrpc", "2.0");
    json_out_text(codec->out, "method", method);
    json_out_object(codec->out, "params");
}

static void acp_codec_finish_request(struct acp_codec *codec, enum acp_request request)
{
    codec->request = request;
    codec->is_waiting = true;
    json_out_end_object(codec->out);
    json_out_int(codec->out, "id", ++codec->last_id);
    acp_codec_end_message(codec);
}

void acp_codec_initialize(struct acp_codec *codec)
{
    struct buf *out = codec->out;

    acp_codec_start(codec, "initialize");
    json_out_int(out, "protocolVersion", ACP_PROTOCOL_VERSION);
    json_out_object(out, "clientCapabilities");
    json_out_object(out, "fs");
    json_out_bool(out, "readTextFile", false);
    json_out_bool(out, "writeTextFile", false);
    json_out_end_object(out);
    json_out_bool(out, "terminal", false);
    json_out_end_object(out);
    json_out_object(out, "clientInfo");
    json_out_text(out, "name", "acpd");
    json_out_text(out, "title", "acpd");
    json_out_text(out, "version", ACPD_VERSION);
    json_out_end_object(out);
    acp_codec_finish_request(codec, ACP_INITIALIZE);
}

void acp_codec_authenticate(struct acp_codec *codec, const char *method)
{
    acp_codec_start(codec, "authenticate");
    json_out_text(codec->out, "methodId", method);
    acp_codec_finish_request(codec, ACP_AUTHENTICATE);
}

void acp_codec_new_session(struct acp_codec *codec, const char *cwd, const char *servers)
{
    acp_codec_start(codec, "session/new");
    json_out_text(codec->out, "cwd", cwd);
    json_out_raw(codec->out, "mcpServers", servers);
    acp_codec_finish_request(codec, ACP_NEW_SESSION);
}

void acp_codec_set_option(struct acp_codec *codec, const char *session, const char *option,
                          const char *value)
{
    acp_codec_start(codec, "session/set_config_option");
    json_out_text(codec->out, "sessionId", session);
    json_out_text(codec->out, "configId", option);
    json_out_text(codec->out, "value", value);
    acp_codec_finish_request(codec, ACP_SET_OPTION);
}

void acp_codec_set_mode(struct acp_codec *codec, const char *session, const char *mode)
{
    acp_codec_start(codec, "session/set_mode");
    json_out_text(codec->out, "sessionId", session);
    json_out_text(codec->out, "modeId", mode);
    acp_codec_finish_request(codec, ACP_SET_MODE);
}

void acp_codec_set_model(struct acp_codec *codec, const char *session, const char *model)
{
    acp_codec_start(codec, "session/set_model");
    json_out_text(codec->out, "sessionId", session);
    json_out_text(codec->out, "modelId", model);
    acp_codec_finish_request(codec, ACP_SET_MODEL);
}

void acp_codec_prompt(struct acp_codec *codec, const char *session, const char *blocks)
{
    acp_codec_start(codec, "session/prompt");
    json_out_text(codec->out, "sessionId", session);
    json_out_raw(codec->out, "prompt", blocks);
    acp_codec_finish_request(codec, ACP_PROMPT);
}

void acp_codec_close_session(struct acp_codec *codec, const char *session)
{
    acp_codec_start(codec, "session/close");
    json_out_text(codec->out, "sessionId", session);
    acp_codec_finish_request(codec, ACP_CLOSE_SESSION);
}

void acp_codec_cancel(struct acp_codec *codec, const char *session)
{
    acp_codec_start(codec, "session/cancel");
    json_out_text(codec->out, "sessionId", session);
    json_out_end_object(codec->out);
    acp_codec_end_message(codec);
}

void acp_codec_select(struct acp_codec *codec, const char *id, const char *option)
{
    acp_codec_start_answer(codec, id);
    json_out_object(codec->out, "result");
    json_out_object(codec->out, "outcome");
    json_out_text(codec->out, "outcome", option ? "selected" : "cancelled");
    if (option)
        json_out_text(codec->out, "optionId", option);
    json_out_end_object(codec->out);
    json_out_end_object(codec->out);
    acp_codec_end_message(codec);
}

void acp_codec_refuse(struct acp_codec *codec, const char *id, const char *reason)
{
    acp_codec_answer_error(codec, id, RPC_INVALID_PARAMS, reason);
}
