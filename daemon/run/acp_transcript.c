/* SPDX-License-Identifier: MIT */
#include "run/acp_transcript.h"

#include <string.h>

#include "common/alloc.h"

#define TOOL_CALLS_MAX 1000
#define CHUNK_MS       250 /* a piece of a message is noted this soon */

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
    json_object_object_add(content, "text", json_object_new_string(buf_text(&turn->chunk)));
    json_object_object_add(update, "content", STEAL(content));
    acp_transcript_note(turn, "agent", buf_text(&turn->chunk), "update", update);
    buf_clear(&turn->chunk);
}

static bool is_chunk(const char *kind)
{
    return strcmp(kind, "agent_message_chunk") == 0 || strcmp(kind, "agent_thought_chunk") == 0 ||
           strcmp(kind, "user_message_chunk") == 0;
}

/* Pieces of one message are joined until something else comes, or for a moment. */
static void take_chunk(struct acp_turn *turn, const char *kind, const char *text, int64_t now)
{
    size_t len = strlen(text);

    if (strcmp(kind, "agent_message_chunk") == 0) {
        if (turn->text_has_ended) {
            tail_deinit(&turn->text);
            turn->text = (struct tail){.limit = ACP_TEXT_MAX};
        }
        turn->text_has_ended = false;
        tail_add(&turn->text, text, len);
    }
    if (turn->chunk.len && strcmp(turn->chunk_kind, kind) != 0)
        acp_transcript_flush(turn);
    if (!turn->chunk.len) {
        free(turn->chunk_kind);
        turn->chunk_kind = xstrdup(kind);
        turn->chunk_deadline = now + CHUNK_MS;
    }
    buf_add(&turn->chunk, text, len);
    if (turn->chunk.len >= ACP_CHUNK_MAX)
        acp_transcript_flush(turn);
}

const char *acp_text_or(struct json_object *object, const char *key, const char *otherwise)
{
    struct json_object *value = json_get(object, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : otherwise;
}

/* What is known of the tool call, with the news of this update in it. */
struct json_object *acp_transcript_remember(struct acp_turn *turn, struct json_object *update)
{
    const char *id = acp_text_or(update, "toolCallId", "");
    struct json_object *known = json_get(turn->tool_calls, id);

    if (!known) {
        if (json_object_object_length(turn->tool_calls) >= TOOL_CALLS_MAX) {
            json_object_put(turn->tool_calls);
            turn->tool_calls = json_object_new_object();
        }
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

static void describe_plan(struct json_object *update, struct buf *text)
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

/* The update in words. */
static void describe(struct acp_turn *turn, const char *kind, struct json_object *update,
                     struct buf *text)
{
    if (strcmp(kind, "tool_call") == 0 || strcmp(kind, "tool_call_update") == 0) {
        struct json_object *known = acp_transcript_remember(turn, update);
        const char *status = acp_text_or(update, "status", "");

        buf_printf(text, "%.2000s (%.40s%s%.40s)", acp_text_or(known, "title", "tool call"),
                   acp_text_or(known, "kind", "other"), status[0] ? ", " : "", status);
        turn->text_has_ended = true;
    } else if (strcmp(kind, "plan") == 0) {
        describe_plan(update, text);
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

/* An update that would fill the transcript, without what makes it large. */
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

void acp_transcript_update(struct acp_turn *turn, const struct acp_message *message, int64_t now)
{
    CLEANUP(json_putp) struct json_object *abridged = NULL;
    CLEANUP(buf_deinit) struct buf text = {0};
    struct json_object *update = message->body;
    const char *chunk = acp_text_or(json_get(update, "content"), "text", NULL);

    if (is_chunk(message->word) && chunk) {
        take_chunk(turn, message->word, chunk, now);
        return;
    }
    acp_transcript_flush(turn);
    if (strcmp(message->word, "usage_update") == 0)
        acp_transcript_cost(turn, json_get(update, "cost"));
    describe(turn, message->word, update, &text);
    if (strlen(json_compact(update)) > ACP_UPDATE_MAX) {
        abridged = acp_transcript_abridge(update);
        update = abridged;
    }
    acp_transcript_note(turn, "agent", buf_text(&text), "update", update);
}
