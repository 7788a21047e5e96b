/* SPDX-License-Identifier: MIT */
#include "run/acp_question.h"

#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/strv.h"
#include "run/acp_transcript.h"

#define QUESTIONS_MAX 64
#define OPTIONS_MAX   64
#define OPTION_ID_MAX 1024

void acp_question_free(struct acp_question *question)
{
    list_remove(&question->link);
    json_object_put(question->tool_call);
    json_object_put(question->options);
    free(question->id);
    free(question->chosen);
    free(question->chosen_by);
    free(question);
}

/* --- options ------------------------------------------------------------------------------------
 */

const char *acp_question_kind(const struct acp_question *question)
{
    return acp_text_or(question->tool_call, "kind", "other");
}

static struct json_object *acp_question_find_option(const struct acp_question *question,
                                                    const char *id)
{
    for (size_t i = 0; id && i < json_object_array_length(question->options); i++) {
        struct json_object *option = json_object_array_get_idx(question->options, i);

        if (strcmp(acp_text_or(option, "optionId", ""), id) == 0)
            return option;
    }
    return NULL;
}

const char *acp_question_option(const struct acp_question *question, const char *option)
{
    return acp_text_or(acp_question_find_option(question, option), "optionId", NULL);
}

/* The first option of this kind; *ret_count is the number of them. */
static const char *acp_question_option_of_kind(const struct acp_question *question,
                                               const char *kind, size_t *ret_count)
{
    const char *first = NULL;

    *ret_count = 0;
    for (size_t i = 0; i < json_object_array_length(question->options); i++) {
        struct json_object *option = json_object_array_get_idx(question->options, i);

        if (strcmp(acp_text_or(option, "kind", ""), kind) != 0)
            continue;
        (*ret_count)++;
        if (!first)
            first = acp_text_or(option, "optionId", NULL);
    }
    return first;
}

const char *acp_question_allowing(const struct acp_question *question)
{
    size_t once, always;
    const char *allow_once = acp_question_option_of_kind(question, "allow_once", &once);
    const char *allow_always = acp_question_option_of_kind(question, "allow_always", &always);

    if (once)
        return once == 1 ? allow_once : NULL;
    return always == 1 ? allow_always : NULL;
}

static const char *acp_question_rejecting(const struct acp_question *question)
{
    size_t count;
    const char *once = acp_question_option_of_kind(question, "reject_once", &count);

    return once ? once : acp_question_option_of_kind(question, "reject_always", &count);
}

/* --- the answer ---------------------------------------------------------------------------------
 */

/* Adds the question to the transcript, as text and as JSON. */
static void acp_question_note_question(struct acp_turn *turn, const struct acp_question *question,
                                       const char *option, const char *by)
{
    CLEANUP(json_putp) struct json_object *json = json_object_new_object();
    CLEANUP(buf_deinit) struct buf text = {0};

    json_object_object_add(json, "question", json_object_new_int64(question->number));
    json_object_object_add(json, "toolCall", json_object_get(question->tool_call));
    if (strlen(json_compact(question->tool_call)) > ACP_UPDATE_MAX)
        json_object_object_add(json, "toolCall", acp_transcript_abridge(question->tool_call));
    json_object_object_add(json, "options", json_object_get(question->options));
    buf_printf(&text, "permission for %.200s (%.40s): ",
               acp_text_or(question->tool_call, "title", "a tool call"),
               acp_question_kind(question));
    if (by) {
        json_object_object_add(json, "optionId", option ? json_object_new_string(option) : NULL);
        json_object_object_add(json, "answeredBy", json_object_new_string(by));
        buf_printf(&text, "%.200s, by %.200s", option ? option : "cancelled", by);
    } else {
        buf_add_text(&text, "asked");
    }
    acp_transcript_note(turn, "permission", buf_text(&text), "permission", json);
}

static void acp_question_note_rejection(struct acp_turn *turn, const struct acp_question *question)
{
    free(turn->rejected_title);
    free(turn->rejected_id);
    turn->rejected_title = xstrdup(acp_text_or(question->tool_call, "title", "a tool call"));
    turn->rejected_id = xstrdup(acp_text_or(question->tool_call, "toolCallId", ""));
}

/* `is_no`: the answer means a rejection, even if no option is one. */
static void acp_question_answer(struct acp_turn *turn, const struct acp_question *question,
                                const char *option, bool is_no, const char *by)
{
    const char *kind = acp_text_or(acp_question_find_option(question, option), "kind", "");
    bool is_rejection = is_no || strncmp(kind, "reject", 6) == 0;

    acp_codec_select(&turn->codec, question->id, option);
    acp_transcript_flush(turn);
    acp_question_note_question(turn, question, option, by);
    turn->allowed += strncmp(kind, "allow", 5) == 0;
    turn->rejected += is_rejection;
    acp_transcript_answer_tool(turn, acp_text_or(question->tool_call, "toolCallId", ""),
                               option && !is_rejection);
    if (is_rejection)
        acp_question_note_rejection(turn, question);
    else if (option)
        acp_transcript_forget_rejection(turn); /* it continues */
}

/* Timers were suspended while questions were open. */
static void acp_question_close_question(struct acp_turn *turn, struct acp_question *question,
                                        int64_t now)
{
    if (--turn->question_count == 0) {
        turn->turn_deadline += now - turn->paused_at;
        turn->last_sign = now;
        turn->paused_at = 0;
    }
    turn->host.on_answered(question, turn->host.data);
    acp_question_free(question);
}

void acp_turn_answer(struct acp_turn *turn, struct acp_question *question, const char *option,
                     const char *by, int64_t now)
{
    acp_question_answer(turn, question, option, false, by);
    acp_question_close_question(turn, question, now);
}

void acp_question_cancel_all(struct acp_turn *turn, const char *by, int64_t now)
{
    list_for_each_safe (link, &turn->questions)
        acp_turn_answer(turn, list_entry(link, struct acp_question, link), NULL, by, now);
}

void acp_question_withdraw(struct acp_turn *turn, const char *id, int64_t now)
{
    list_for_each_safe (link, &turn->questions) {
        struct acp_question *question = list_entry(link, struct acp_question, link);

        if (strcmp(question->id, id) == 0)
            acp_turn_answer(turn, question, NULL, "the agent, which withdrew it", now);
    }
}

void acp_question_tick(struct acp_turn *turn, int64_t now)
{
    list_for_each_safe (link, &turn->questions) {
        struct acp_question *question = list_entry(link, struct acp_question, link);
        int64_t rejected = turn->rejected;

        if (question->chosen || question->deadline > now)
            continue;
        acp_question_answer(turn, question, acp_question_rejecting(question), true, "the deadline");
        acp_question_close_question(turn, question, now);
        turn->rejected = rejected;
        turn->lapsed++;
    }
}

int64_t acp_question_deadline(const struct acp_turn *turn)
{
    int64_t at = INT64_MAX;

    list_for_each (link, &turn->questions) {
        const struct acp_question *question = list_entry(link, struct acp_question, link);

        if (!question->chosen && question->deadline < at)
            at = question->deadline;
    }
    return at;
}

/* --- the question -------------------------------------------------------------------------------
 */

static const char *acp_question_fault_of_question(struct json_object *tool_call,
                                                  struct json_object *options)
{
    if (!json_object_is_type(tool_call, json_type_object))
        return "toolCall must be an object";
    if (!json_object_is_type(options, json_type_array) || !json_object_array_length(options) ||
        json_object_array_length(options) > OPTIONS_MAX)
        return "options must be an array of 1 to 64 options";
    for (size_t i = 0; i < json_object_array_length(options); i++) {
        struct json_object *option = json_object_array_get_idx(options, i);
        const char *id = acp_text_or(option, "optionId", NULL);

        if (!id || strlen(id) > OPTION_ID_MAX ||
            strlen(id) != (size_t)json_object_get_string_len(json_get(option, "optionId")) ||
            !acp_text_or(option, "kind", NULL))
            return "an option must have an optionId and a kind";
    }
    return NULL;
}

static struct acp_question *acp_question_make_question(struct acp_turn *turn,
                                                       struct acp_message *message, int64_t now)
{
    struct acp_question *question = xcalloc(1, sizeof(*question));
    struct json_object *tool_call = json_get(message->body, "toolCall");

    list_init(&question->link);
    question->number = ++turn->last_question;
    question->id = STEAL(message->id);
    question->tool_call = json_object_get(tool_call);
    question->options = json_object_get(json_get(message->body, "options"));
    question->asked_at = clock_wall_ms();
    question->deadline_at = question->asked_at + turn->script->permission_ms;
    question->deadline = now + turn->script->permission_ms;
    json_object_object_foreach(acp_transcript_remember(turn, tool_call), key,
                               value) if (strcmp(key, "status") != 0)
        json_object_object_add(tool_call, key, json_object_get(value));
    return question;
}

void acp_question_take(struct acp_turn *turn, struct acp_message *message, int64_t now)
{
    const char *fault = acp_question_fault_of_question(json_get(message->body, "toolCall"),
                                                       json_get(message->body, "options"));
    bool is_cancelled = turn->verdict != ACP_OPEN ||
                        (message->session && strv_contains(turn->ended_sessions, message->session));
    struct acp_question *question;
    enum acp_policy policy;

    acp_transcript_flush(turn);
    if (fault) {
        acp_codec_refuse(&turn->codec, message->id, fault);
        acp_transcript_note(turn, "acpd", fault, NULL, NULL);
        return;
    }
    question = acp_question_make_question(turn, message, now);
    turn->text_has_ended = true;
    if (is_cancelled) {
        acp_question_answer(turn, question, NULL, false,
                            turn->verdict != ACP_OPEN ? "the end of the turn"
                                                      : "the end of its session");
        acp_question_free(question);
        return;
    }
    policy = turn->host.on_question(question, turn->host.data);
    if (policy == ACP_ASK && turn->question_count < QUESTIONS_MAX) {
        list_append(&turn->questions, &question->link);
        if (turn->question_count++ == 0)
            turn->paused_at = now;
        acp_question_note_question(turn, question, NULL, NULL);
        return;
    }
    acp_question_answer(turn, question,
                        policy == ACP_ALLOW ? acp_question_allowing(question)
                                            : acp_question_rejecting(question),
                        policy != ACP_ALLOW,
                        policy == ACP_ASK ? "the limit of open questions" : "the profile's rules");
    acp_question_free(question);
}
