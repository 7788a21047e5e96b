/* SPDX-License-Identifier: MIT */
#include "run/acp_handshake.h"

#include <string.h>

#include "common/alloc.h"
#include "run/acp_end.h"
#include "run/acp_session.h"
#include "run/acp_transcript.h"

void acp_handshake_open(struct acp_turn *turn)
{
    turn->state = ACP_OPENING;
    acp_codec_new_session(&turn->codec, turn->script->cwd, turn->script->mcp_servers);
}

static void acp_handshake_note_mode(struct acp_turn *turn)
{
    const char *mode = acp_session_mode(turn->session_info);
    CLEANUP(freep) char *words = NULL;

    if (!mode || !acp_session_does_not_ask(turn->agent, mode))
        return;
    words = xasprintf("the session mode is \"%.100s\", in which agents act without asking; set "
                      "runner.mode to change it",
                      mode);
    acp_transcript_note(turn, "acpd", words, NULL, NULL);
}

/* Text sent before the prompt is not part of the result. */
void acp_handshake_prompt(struct acp_turn *turn, int64_t now)
{
    acp_transcript_flush(turn);
    tail_deinit(&turn->text);
    turn->text = (struct tail){.limit = ACP_TEXT_MAX};
    if (turn->state == ACP_CONFIGURING) {
        acp_handshake_note_mode(turn);
        turn->turn_deadline = now + turn->script->turn_ms;
    }
    turn->state = ACP_PROMPTING;
    acp_codec_prompt(&turn->codec, turn->session, turn->script->prompt);
}

void acp_handshake_configure(struct acp_turn *turn, int64_t now)
{
    const char *name, *value, *option;

    turn->state = ACP_CONFIGURING;
    if (!turn->setting) {
        acp_handshake_prompt(turn, now);
        return;
    }
    name = lh_entry_k(turn->setting);
    value = json_object_get_string((struct json_object *)lh_entry_v(turn->setting));
    option = acp_session_option(turn->session_info, name);
    if (option) {
        acp_codec_set_option(&turn->codec, turn->session, option, value);
    } else if (strcmp(name, "model") == 0) {
        acp_codec_set_model(&turn->codec, turn->session, value);
    } else if (strcmp(name, "mode") == 0) {
        acp_codec_set_mode(&turn->codec, turn->session, value);
    } else {
        CLEANUP(buf_deinit) struct buf names = {0};

        acp_session_print_names(turn->session_info, &names);
        acp_end_settle(turn, ACP_MISCONFIGURED,
                       xasprintf("the agent has no option \"%.100s\"; it offers: %s", name,
                                 names.len ? buf_text(&names) : "none"));
        acp_end_linger(turn, now);
    }
}

void acp_handshake_take_setting(struct acp_turn *turn, struct json_object *answer, int64_t now)
{
    const char *name = lh_entry_k(turn->setting);
    struct json_object *modes = json_get(turn->session_info, "modes");

    acp_session_update(turn->session_info, answer);
    if (strcmp(name, "mode") == 0 && json_object_is_type(modes, json_type_object))
        json_object_object_add(modes, "currentModeId",
                               json_object_get((struct json_object *)lh_entry_v(turn->setting)));
    turn->setting = turn->setting->next;
    acp_handshake_configure(turn, now);
}

void acp_handshake_authenticate(struct acp_turn *turn, int64_t now)
{
    turn->has_authenticated = true;
    if (turn->state == ACP_PROMPTING)
        turn->start_deadline = now + turn->script->start_ms;
    turn->state = ACP_AUTHENTICATING;
    acp_codec_authenticate(&turn->codec, turn->script->auth_method);
}

void acp_handshake_refuse_setting(struct acp_turn *turn, enum acp_request request,
                                  struct json_object *error)
{
    const char *name = lh_entry_k(turn->setting);
    CLEANUP(buf_deinit) struct buf values = {0};

    acp_session_print_values(turn->session_info, name, &values);
    acp_end_settle(
        turn, ACP_MISCONFIGURED,
        xasprintf("the agent rejected %s with %.100s \"%.200s\" (%.*s); it offers: %s",
                  acp_request_name(request), name,
                  json_object_get_string((struct json_object *)lh_entry_v(turn->setting)),
                  ACP_QUOTE_MAX, acp_text_or(error, "message", "no reason given"),
                  values.len ? buf_text(&values) : "it does not list them"));
}

/* The transport of an MCP server that the agent does not support, or NULL. */
static const char *acp_handshake_unsupported_transport(const struct acp_turn *turn)
{
    CLEANUP(json_putp)
    struct json_object *servers = json_tokener_parse(turn->script->mcp_servers);
    struct json_object *known =
        json_get(json_get(turn->agent, "agentCapabilities"), "mcpCapabilities");

    for (size_t i = 0; i < json_object_array_length(servers); i++) {
        const char *type = acp_text_or(json_object_array_get_idx(servers, i), "type", "stdio");

        if (strcmp(type, "http") == 0 && !json_object_get_boolean(json_get(known, "http")))
            return "http";
        if (strcmp(type, "sse") == 0 && !json_object_get_boolean(json_get(known, "sse")))
            return "sse";
    }
    return NULL;
}

void acp_handshake_take_agent(struct acp_turn *turn, struct json_object *agent, int64_t now)
{
    struct json_object *version = json_get(agent, "protocolVersion");
    const char *transport;

    turn->agent = json_object_get(agent);
    transport = acp_handshake_unsupported_transport(turn);
    if (!json_object_is_type(version, json_type_int) ||
        json_object_get_int64(version) != ACP_PROTOCOL_VERSION)
        acp_end_settle(
            turn, ACP_INCOMPATIBLE,
            xasprintf("the agent speaks version %.20s of the Agent Client Protocol; acpd "
                      "speaks version %d",
                      version ? json_compact(version) : "(none)", ACP_PROTOCOL_VERSION));
    else if (transport)
        acp_end_settle(
            turn, ACP_MISCONFIGURED,
            xasprintf("the agent does not support MCP servers of type \"%s\"", transport));
    if (turn->verdict == ACP_OPEN)
        acp_handshake_open(turn);
    else
        acp_end_linger(turn, now);
}
