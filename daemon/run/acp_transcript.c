/* SPDX-License-Identifier: MIT */
#include "run/acp_transcript.h"

#include <string.h>

#include "common/alloc.h"
#include "common/utf8.h"

#define TOOL_CALLS_MAX 1000
#define CHUNK_MS       250 /* the delay of a piece of a message */

void acp_transcript_note(struct acp_turn *turn, const char *stream, const char *text,
                         const char *member, struct json_object *json)
{
    turn->host.note(turn->host.data, stream, text, strlen(text), member,
                    member ? json_compact(json) : NULL);
}

void acp_transcript_flush(struct acp_turn *turn)
{
    CLEANUP(json_putp) struct json_object *update = NULL, *content = NULL;

    if (!turn->chunk.len)
        return;
    update = json_object_new_object();
    content = json_object_new_object();
    json_object_object_add(update, "sessionUpdate", json_object_new_string(turn->chunk_kind));
    json_object_object_add(content, "type", json_object_new_string("text"));
    json_object_object_add(content, "text",
                           json_object_new_string_len(turn->chunk.data, (int)turn->chunk.len));
    json_object_object_add(update, "content", STEAL(content));
    turn->host.note(turn->host.data, "agent", turn->chunk.data, turn->chunk.len, "update",
                    json_compact(update));
    buf_clear(&turn->chunk);
}

static bool acp_transcript_is_blank(const char *text, size_t len)
{
    return strspn(text, " \t\r\n") == len;
}

void acp_transcript_forget_rejection(struct acp_turn *turn)
{
    free(STEAL(turn->rejected_title));
    free(STEAL(turn->rejected_id));
}

static bool acp_transcript_is_chunk(const char *kind)
{
    return strcmp(kind, "agent_message_chunk") == 0 || strcmp(kind, "agent_thought_chunk") == 0 ||
           strcmp(kind, "user_message_chunk") == 0;
}

/* Whether a piece with this id (or NULL) begins a new message. Without ids, a tool call or a
 * question ends the previous one. */
static bool acp_transcript_begins_message(const struct acp_turn *turn, const char *id)
{
    if (!id)
        return turn->text_has_ended;
    return !turn->message_id || strcmp(id, turn->message_id) != 0;
}

/* A blank piece does not begin a message: some agents end a turn with one. */
static void acp_transcript_follow_message(struct acp_turn *turn, const char *text, size_t len,
                                          const char *id)
{
    bool is_blank_piece = acp_transcript_is_blank(text, len),
         is_other = acp_transcript_begins_message(turn, id);

    if (is_other)
        acp_transcript_flush(turn);
    if (is_other && is_blank_piece)
        return;
    if (is_other) {
        tail_deinit(&turn->text);
        turn->text = (struct tail){.limit = ACP_TEXT_MAX};
        free(STEAL(turn->message_id));
        turn->message_id = id ? xstrdup(id) : NULL;
        turn->text_has_ended = false;
    }
    if (!is_blank_piece) {
        acp_transcript_forget_rejection(turn);
        free(turn->last_piece);
        turn->last_piece = xstrndup(text, len < ACP_PIECE_MAX ? len : ACP_PIECE_MAX);
    }
    tail_add(&turn->text, text, len);
}

/* Joins pieces of a message until something else arrives or CHUNK_MS pass. */
static void acp_transcript_take_chunk(struct acp_turn *turn, struct json_object *update,
                                      const char *kind, int64_t now)
{
    struct json_object *content = json_get(json_get(update, "content"), "text");
    const char *text = json_object_get_string(content);
    size_t len = (size_t)json_object_get_string_len(content);

    if (!len)
        return;
    if (strcmp(kind, "agent_message_chunk") == 0)
        acp_transcript_follow_message(turn, text, len, acp_text_or(update, "messageId", NULL));
    if (turn->chunk.len && strcmp(turn->chunk_kind, kind) != 0)
        acp_transcript_flush(turn);
    if (!turn->chunk.len) {
        free(turn->chunk_kind);
        turn->chunk_kind = xstrdup(kind);
        turn->chunk_deadline = now + CHUNK_MS;
    }
    for (size_t piece; len; text += piece, len -= piece) {
        piece = utf8_cut(text, len, ACP_CHUNK_MAX);
        buf_add(&turn->chunk, text, piece);
        if (turn->chunk.len >= ACP_CHUNK_MAX || piece < len)
            acp_transcript_flush(turn);
    }
}

static bool acp_transcript_is_open(struct json_object *tool_call)
{
    const char *status = acp_text_or(tool_call, "status", "");

    return strcmp(status, "pending") == 0 || strcmp(status, "in_progress") == 0;
}

/* Too many tool calls: drops the ended ones, or all if none has ended. */
static void acp_transcript_forget_tools(struct acp_turn *turn)
{
    struct json_object *open = json_object_new_object();

    json_object_object_foreach(turn->tool_calls, id,
                               tool_call) if (turn->open_tool_calls < TOOL_CALLS_MAX &&
                                              acp_transcript_is_open(tool_call))
        json_object_object_add(open, id, json_object_get(tool_call));
    json_object_put(turn->tool_calls);
    turn->tool_calls = open;
    turn->open_tool_calls = json_object_object_length(open);
}

struct json_object *acp_transcript_remember(struct acp_turn *turn, struct json_object *update)
{
    const char *id = acp_text_or(update, "toolCallId", "");
    struct json_object *known = json_get(turn->tool_calls, id);

    if (!known) {
        if (json_object_object_length(turn->tool_calls) >= TOOL_CALLS_MAX)
            acp_transcript_forget_tools(turn);
        known = json_object_new_object();
        json_object_object_add(turn->tool_calls, id, known);
    }
    for (size_t i = 0; i < 2; i++) {
        const char *key = i ? "kind" : "title", *value = acp_text_or(update, key, NULL);

        if (value && strlen(value) < 4096)
            json_object_object_add(known, key, json_object_new_string(value));
    }
    return known;
}

static void acp_transcript_set_status(struct acp_turn *turn, struct json_object *known,
                                      const char *status)
{
    turn->open_tool_calls -= acp_transcript_is_open(known);
    json_object_object_add(known, "status", json_object_new_string(status));
    turn->open_tool_calls += acp_transcript_is_open(known);
}

void acp_transcript_answer_tool(struct acp_turn *turn, const char *id, bool is_allowed)
{
    struct json_object *known = json_get(turn->tool_calls, id);

    if (known)
        acp_transcript_set_status(turn, known, is_allowed ? "in_progress" : "");
}

/* An open tool call is a reason for the agent to be silent. */
static void acp_transcript_follow_tool(struct acp_turn *turn, const char *kind,
                                       struct json_object *update)
{
    bool is_new = strcmp(kind, "tool_call") == 0;
    const char *status = acp_text_or(update, "status", is_new ? "pending" : NULL);

    if (status && strlen(status) < 64)
        acp_transcript_set_status(turn, acp_transcript_remember(turn, update), status);
    if ((is_new || (status && strcmp(status, "completed") == 0)) && turn->rejected_id &&
        strcmp(acp_text_or(update, "toolCallId", ""), turn->rejected_id) != 0)
        acp_transcript_forget_rejection(turn);
}

static bool acp_transcript_is_tool(const char *kind)
{
    return strcmp(kind, "tool_call") == 0 || strcmp(kind, "tool_call_update") == 0;
}

static void acp_transcript_describe_plan(struct json_object *update, struct buf *text)
{
    struct json_object *entries = json_get(update, "entries");

    buf_add_text(text, "plan:");
    if (!json_object_is_type(entries, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(entries) && i < 100; i++) {
        struct json_object *entry = json_object_array_get_idx(entries, i);

        buf_printf(text, "%s %.200s (%.20s)", i ? ";" : "", acp_text_or(entry, "content", ""),
                   acp_text_or(entry, "status", "pending"));
    }
}

/* Describes the update as text. */
static void acp_transcript_describe(struct acp_turn *turn, const char *kind,
                                    struct json_object *update, struct buf *text)
{
    if (acp_transcript_is_tool(kind)) {
        struct json_object *known = acp_transcript_remember(turn, update);
        const char *status = acp_text_or(update, "status", "");

        buf_printf(text, "%.2000s (%.40s%s%.40s)", acp_text_or(known, "title", "tool call"),
                   acp_text_or(known, "kind", "other"), status[0] ? ", " : "", status);
    } else if (strcmp(kind, "plan") == 0) {
        acp_transcript_describe_plan(update, text);
    } else if (strcmp(kind, "usage_update") == 0) {
        buf_printf(text, "context: %lld of %lld tokens",
                   (long long)json_object_get_int64(json_get(update, "used")),
                   (long long)json_object_get_int64(json_get(update, "size")));
        if (turn->cost)
            buf_printf(text, ", cost so far %g %.10s",
                       json_object_get_double(json_get(turn->cost, "amount")),
                       acp_text_or(turn->cost, "currency", ""));
    } else {
        buf_printf(text, "%.200s", kind);
    }
}

struct json_object *acp_transcript_abridge(struct json_object *update)
{
    struct json_object *abridged = json_object_new_object();
    static const char *const keys[] = {"sessionUpdate", "toolCallId", "title", "kind", "status"};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *value = acp_text_or(update, keys[i], NULL);

        if (value && strlen(value) < 4096)
            json_object_object_add(abridged, keys[i], json_object_new_string(value));
    }
    json_object_object_add(abridged, "truncated", json_object_new_boolean(true));
    return abridged;
}

void acp_transcript_cost(struct acp_turn *turn, struct json_object *cost)
{
    struct json_object *amount = json_get(cost, "amount");

    if (!json_object_is_type(amount, json_type_double) &&
        !json_object_is_type(amount, json_type_int))
        return;
    json_object_put(turn->cost);
    turn->cost = json_object_get(cost);
}

/* Codex (codex-acp 2.6) reports failures of its model, and the resulting state of its thread, in
 * the metadata of updates. */
static void acp_transcript_follow_trouble(struct acp_turn *turn, struct json_object *meta)
{
    struct json_object *codex = json_get(meta, "codex"), *error = json_get(codex, "error");
    const char *state = acp_text_or(json_get(codex, "threadStatus"), "type", NULL);

    if (error) {
        json_object_put(turn->last_error);
        turn->last_error = json_object_get(error);
    }
    if (!state)
        return;
    json_object_put(STEAL(turn->trouble));
    if (strcmp(state, "systemError") == 0)
        turn->trouble =
            turn->last_error ? json_object_get(turn->last_error) : json_object_get(codex);
}

void acp_transcript_other(struct acp_turn *turn, const struct acp_message *message)
{
    CLEANUP(json_putp) struct json_object *abridged = NULL;
    CLEANUP(buf_deinit) struct buf text = {0};
    struct json_object *update = message->body;

    acp_transcript_flush(turn);
    buf_printf(&text, "session %.100s: %.200s %.2000s", message->session, message->word,
               acp_text_or(json_get(update, "content"), "text", acp_text_or(update, "title", "")));
    if (strlen(json_compact(update)) > ACP_UPDATE_MAX) {
        abridged = acp_transcript_abridge(update);
        update = abridged;
    }
    acp_transcript_note(turn, "other-session", buf_text(&text), "update", update);
}

void acp_transcript_update(struct acp_turn *turn, const struct acp_message *message, int64_t now)
{
    CLEANUP(json_putp) struct json_object *abridged = NULL;
    CLEANUP(buf_deinit) struct buf text = {0};
    struct json_object *update = message->body;

    acp_transcript_follow_trouble(turn, json_get(update, "_meta"));
    acp_transcript_follow_trouble(turn, json_get(json_get(message->whole, "params"), "_meta"));
    if (acp_transcript_is_chunk(message->word) &&
        acp_text_or(json_get(update, "content"), "text", NULL)) {
        acp_transcript_take_chunk(turn, update, message->word, now);
        return;
    }
    acp_transcript_flush(turn);
    if (strcmp(message->word, "usage_update") == 0)
        acp_transcript_cost(turn, json_get(update, "cost"));
    if (acp_transcript_is_tool(message->word))
        acp_transcript_follow_tool(turn, message->word, update);
    if (strcmp(message->word, "tool_call") == 0)
        turn->text_has_ended = true;
    acp_transcript_describe(turn, message->word, update, &text);
    if (strlen(json_compact(update)) > ACP_UPDATE_MAX) {
        abridged = acp_transcript_abridge(update);
        update = abridged;
    }
    acp_transcript_note(turn, "agent", buf_text(&text), "update", update);
}
