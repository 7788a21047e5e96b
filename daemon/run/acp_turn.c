/* SPDX-License-Identifier: MIT */
#include "run/acp_turn.h"

#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "run/acp_transcript.h"

#define NOISE_MAX     1000
#define QUESTIONS_MAX 64
#define OPTIONS_MAX   64
#define OPTION_ID_MAX 1024
#define QUOTE_MAX     500 /* bytes of an agent's own words in a message */

void acp_turn_init(struct acp_turn *turn, const struct acp_script *script,
                   const struct acp_host *host)
{
    *turn = (struct acp_turn){.host = *host, .script = script};
    acp_codec_init(&turn->codec, &turn->out);
    list_init(&turn->questions);
    turn->tool_calls = json_object_new_object();
    turn->text.limit = ACP_TEXT_MAX;
}

static void question_free(struct acp_question *question)
{
    list_remove(&question->link);
    json_object_put(question->tool_call);
    json_object_put(question->options);
    free(question->id);
    free(question->chosen);
    free(question->chosen_by);
    free(question);
}

void acp_turn_deinit(struct acp_turn *turn)
{
    list_for_each_safe (link, &turn->questions)
        question_free(list_entry(link, struct acp_question, link));
    acp_codec_deinit(&turn->codec);
    buf_deinit(&turn->out);
    buf_deinit(&turn->chunk);
    tail_deinit(&turn->text);
    free(turn->message);
    free(turn->stop_reason);
    free(turn->session);
    free(turn->chunk_kind);
    json_object_put(turn->session_info);
    json_object_put(turn->tool_calls);
    json_object_put(turn->usage);
    json_object_put(turn->cost);
}

/* --- questions ----------------------------------------------------------------------------------
 */

const char *acp_question_kind(const struct acp_question *question)
{
    return acp_text_or(question->tool_call, "kind", "other");
}

const char *acp_question_option(const struct acp_question *question, const char *option)
{
    for (size_t i = 0; i < json_object_array_length(question->options); i++) {
        const char *id =
            acp_text_or(json_object_array_get_idx(question->options, i), "optionId", NULL);

        if (id && strcmp(id, option) == 0)
            return id;
    }
    return NULL;
}

/* The first option of one of these kinds; NULL: none is offered. */
static const char *option_of_kind(const struct acp_question *question, const char *const kinds[2])
{
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < json_object_array_length(question->options); i++) {
            struct json_object *option = json_object_array_get_idx(question->options, i);

            if (strcmp(acp_text_or(option, "kind", ""), kinds[k]) == 0)
                return acp_text_or(option, "optionId", NULL);
        }
    }
    return NULL;
}

static const char *option_of_policy(const struct acp_question *question, enum acp_policy policy)
{
    static const char *const allow[] = {"allow_once", "allow_always"};
    static const char *const reject[] = {"reject_once", "reject_always"};

    return option_of_kind(question, policy == ACP_ALLOW ? allow : reject);
}

/* The words for the transcript, and the question as programs see it. */
static void note_question(struct acp_turn *turn, const struct acp_question *question,
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

/* The timers stood still while questions were open. */
static void resume(struct acp_turn *turn, int64_t now)
{
    turn->turn_deadline += now - turn->paused_at;
    turn->last_message = now;
    turn->paused_at = 0;
}

void acp_turn_answer(struct acp_turn *turn, struct acp_question *question, const char *option,
                     const char *by, int64_t now)
{
    acp_codec_select(&turn->codec, question->id, option);
    acp_transcript_flush(turn);
    note_question(turn, question, option, by);
    turn->question_count--;
    if (turn->question_count == 0)
        resume(turn, now);
    turn->host.on_answered(question, turn->host.data);
    question_free(question);
}

static void answer_all(struct acp_turn *turn, const char *by, int64_t now)
{
    list_for_each_safe (link, &turn->questions)
        acp_turn_answer(turn, list_entry(link, struct acp_question, link), NULL, by, now);
}

static const char *fault_of_question(struct json_object *tool_call, struct json_object *options)
{
    if (!json_object_is_type(tool_call, json_type_object))
        return "toolCall must be an object";
    if (!json_object_is_type(options, json_type_array) || !json_object_array_length(options) ||
        json_object_array_length(options) > OPTIONS_MAX)
        return "options must be an array of 1 to 64 options";
    for (size_t i = 0; i < json_object_array_length(options); i++) {
        struct json_object *option = json_object_array_get_idx(options, i);
        const char *id = acp_text_or(option, "optionId", NULL);

        if (!id || strlen(id) > OPTION_ID_MAX || !acp_text_or(option, "kind", NULL))
            return "an option must have an optionId and a kind";
    }
    return NULL;
}

static void take_question(struct acp_turn *turn, struct acp_message *message, int64_t now)
{
    struct json_object *tool_call = json_get(message->body, "toolCall");
    struct json_object *options = json_get(message->body, "options");
    const char *fault = fault_of_question(tool_call, options), *option;
    struct acp_question *question;
    enum acp_policy policy;

    acp_transcript_flush(turn);
    if (fault) {
        acp_codec_refuse(&turn->codec, message->id, fault);
        acp_transcript_note(turn, "acpd", fault, NULL, NULL);
        return;
    }
    question = xcalloc(1, sizeof(*question));
    list_init(&question->link);
    question->number = ++turn->last_question;
    question->id = STEAL(message->id);
    question->tool_call = json_object_get(tool_call);
    question->options = json_object_get(options);
    question->asked_at = clock_wall_ms();
    question->deadline_at = question->asked_at + turn->script->permission_ms;
    question->deadline = now + turn->script->permission_ms;
    json_object_object_foreach(acp_transcript_remember(turn, tool_call), key, value)
        json_object_object_add(tool_call, key, json_object_get(value));
    turn->text_has_ended = true;

    policy = turn->host.on_question(question, turn->host.data);
    if (turn->verdict != ACP_OPEN || (policy == ACP_ASK && turn->question_count < QUESTIONS_MAX)) {
        list_append(&turn->questions, &question->link);
        if (turn->question_count++ == 0)
            turn->paused_at = now;
        if (turn->verdict != ACP_OPEN)
            acp_turn_answer(turn, question, NULL, "the cancelled turn", now);
        else
            note_question(turn, question, NULL, NULL);
        return;
    }
    option = option_of_policy(question, policy);
    acp_codec_select(&turn->codec, question->id, option);
    note_question(turn, question, option,
                  policy == ACP_ASK ? "the limit of open questions" : "the profile's rules");
    question_free(question);
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void settle(struct acp_turn *turn, enum acp_verdict verdict, char *message)
{
    if (turn->verdict == ACP_OPEN) {
        turn->verdict = verdict;
        turn->message = message;
    } else {
        free(message);
    }
}

static void end(struct acp_turn *turn, int64_t now)
{
    if (turn->state == ACP_OVER)
        return;
    answer_all(turn, "the end of the turn", now);
    acp_transcript_flush(turn);
    turn->state = ACP_OVER;
}

void acp_turn_break(struct acp_turn *turn, enum acp_verdict verdict, char *message)
{
    settle(turn, verdict, message);
    end(turn, clock_mono_ms());
    turn->must_stop = true;
}

void acp_turn_abort(struct acp_turn *turn, enum acp_verdict verdict, char *message, int64_t now)
{
    if (turn->verdict != ACP_OPEN || turn->state == ACP_OVER) {
        free(message);
        return;
    }
    settle(turn, verdict, message);
    if (turn->state != ACP_PROMPTING) {
        end(turn, now);
        turn->must_stop = true;
        return;
    }
    acp_codec_cancel(&turn->codec, turn->session);
    answer_all(turn, "the cancelled turn", now);
    turn->cancel_deadline = now + turn->script->grace_ms;
}

/* --- the steps ----------------------------------------------------------------------------------
 */

static bool speaks_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(text, *words))
            return true;
    return false;
}

/* What an error is about. The protocol has no code for a provider's limits, only words. */
static enum acp_verdict verdict_of_failure(const struct acp_message *message)
{
    static const char *const rate[] = {"rate limit",  "rate_limit",        "ratelimit", "429",
                                       "usage limit", "too many requests", "quota",     NULL};
    static const char *const overload[] = {"overloaded", "503", "529", "unavailable", NULL};
    const char *all = json_compact(message->body);

    if (message->code == -32000)
        return ACP_UNAUTHORIZED;
    if (message->code == 429 || speaks_of(all, rate))
        return ACP_RATE_LIMITED;
    return speaks_of(all, overload) ? ACP_OVERLOADED : ACP_FAILED;
}

static void take_failure(struct acp_turn *turn, const struct acp_message *message, int64_t now)
{
    const char *request = acp_request_name(message->request);
    char *words;

    if (message->code == -32000 && message->request == ACP_NEW_SESSION &&
        !turn->has_authenticated && turn->script->auth_method) {
        turn->has_authenticated = true;
        turn->state = ACP_AUTHENTICATING;
        acp_codec_authenticate(&turn->codec, turn->script->auth_method);
        return;
    }
    if (message->code == -32000 && !turn->script->auth_method)
        words = xasprintf("the agent wants to be logged in: log in with its own program, or set "
                          "runner.authMethod (%.*s)",
                          QUOTE_MAX, message->text);
    else
        words = xasprintf("the agent answered %s with an error: %.*s (%lld)", request, QUOTE_MAX,
                          message->text, (long long)message->code);
    settle(turn,
           message->request == ACP_AUTHENTICATE ? ACP_UNAUTHORIZED : verdict_of_failure(message),
           words);
    end(turn, now);
}

/* The option of the session that is about this, when the agent offers it as a configuration. */
static bool offers_option(struct acp_turn *turn, const char *option)
{
    struct json_object *options = json_get(turn->session_info, "configOptions");

    for (size_t i = 0;
         json_object_is_type(options, json_type_array) && i < json_object_array_length(options);
         i++)
        if (strcmp(acp_text_or(json_object_array_get_idx(options, i), "id", ""), option) == 0)
            return true;
    return false;
}

static void configure(struct acp_turn *turn, int64_t now)
{
    const struct acp_script *script = turn->script;

    turn->state = ACP_CONFIGURING;
    if (script->model && !turn->model_is_set) {
        turn->model_is_set = true;
        if (offers_option(turn, "model"))
            acp_codec_set_option(&turn->codec, turn->session, "model", script->model);
        else
            acp_codec_set_model(&turn->codec, turn->session, script->model);
        return;
    }
    if (script->mode && !turn->mode_is_set) {
        turn->mode_is_set = true;
        if (offers_option(turn, "mode"))
            acp_codec_set_option(&turn->codec, turn->session, "mode", script->mode);
        else
            acp_codec_set_mode(&turn->codec, turn->session, script->mode);
        return;
    }
    turn->state = ACP_PROMPTING;
    turn->turn_deadline = now + script->turn_ms;
    acp_codec_prompt(&turn->codec, turn->session, script->prompt);
}

static void take_stop_reason(struct acp_turn *turn, struct json_object *result, int64_t now)
{
    const char *reason = acp_text_or(result, "stopReason", NULL);
    struct json_object *usage = json_get(result, "usage");

    if (json_object_is_type(usage, json_type_object))
        turn->usage = json_object_get(usage);
    acp_transcript_cost(turn, json_get(result, "cost"));
    if (!reason) {
        settle(turn, ACP_FAILED, xstrdup("the agent ended its turn without a stop reason"));
    } else if (strcmp(reason, "end_turn") == 0) {
        settle(turn, ACP_COMPLETED, NULL);
    } else if (strcmp(reason, "refusal") == 0) {
        settle(turn, ACP_REFUSED, xstrdup("the agent refused to go on"));
    } else if (strcmp(reason, "max_tokens") == 0) {
        settle(turn, ACP_LIMITED, xstrdup("the agent reached its limit of tokens (max_tokens)"));
    } else if (strcmp(reason, "max_turn_requests") == 0) {
        settle(turn, ACP_LIMITED,
               xstrdup("the agent reached its limit of requests in a turn (max_turn_requests)"));
    } else if (strcmp(reason, "cancelled") == 0) {
        settle(turn, ACP_FAILED, xstrdup("the agent cancelled its turn by itself"));
    } else {
        settle(
            turn, ACP_FAILED,
            xasprintf("the agent ended its turn with \"%.*s\", which is not known", 100, reason));
    }
    turn->stop_reason = reason ? xstrdup(reason) : NULL;
    end(turn, now);
}

static void take_answer(struct acp_turn *turn, const struct acp_message *message, int64_t now)
{
    struct json_object *version;

    switch (message->request) {
    case ACP_INITIALIZE:
        version = json_get(message->body, "protocolVersion");
        if (!json_object_is_type(version, json_type_int) ||
            json_object_get_int64(version) != ACP_PROTOCOL_VERSION) {
            settle(turn, ACP_INCOMPATIBLE,
                   xasprintf("the agent speaks version %.20s of the Agent Client Protocol; acpd "
                             "speaks version %d",
                             version ? json_compact(version) : "(none)", ACP_PROTOCOL_VERSION));
            end(turn, now);
            return;
        }
        __attribute__((fallthrough));
    case ACP_AUTHENTICATE:
        turn->state = ACP_OPENING;
        acp_codec_new_session(&turn->codec, turn->script->cwd, turn->script->mcp_servers);
        return;
    case ACP_NEW_SESSION:
        if (!acp_text_or(message->body, "sessionId", NULL)) {
            settle(turn, ACP_FAILED, xstrdup("the agent opened a session without a sessionId"));
            end(turn, now);
            return;
        }
        turn->session = xstrdup(acp_text_or(message->body, "sessionId", NULL));
        turn->session_info = json_object_get(message->body);
        __attribute__((fallthrough));
    case ACP_SET_MODEL:
    case ACP_SET_MODE:
        configure(turn, now);
        return;
    case ACP_PROMPT:
        take_stop_reason(turn, message->body, now);
        return;
    case ACP_REQUEST_COUNT:
        return;
    }
}

static void take_noise(struct acp_turn *turn, const char *line, size_t len)
{
    acp_transcript_flush(turn);
    turn->host.note(turn->host.data, "stdout", line, len > ACP_CHUNK_MAX ? ACP_CHUNK_MAX : len,
                    NULL, NULL);
    if (++turn->noise >= NOISE_MAX)
        acp_turn_break(turn, ACP_FAILED,
                       xasprintf("the agent wrote %d lines to stdout that are no messages of the "
                                 "protocol; its last one: %.*s",
                                 NOISE_MAX, (int)(len > 200 ? 200 : len), line));
}

void acp_turn_start(struct acp_turn *turn, int64_t now)
{
    turn->start_deadline = now + turn->script->start_ms;
    turn->last_message = now;
    acp_codec_initialize(&turn->codec);
}

void acp_turn_resume(struct acp_turn *turn, int64_t last_id, int64_t now)
{
    turn->start_deadline = now + turn->script->start_ms;
    turn->last_message = now;
    turn->codec.last_id = last_id;
    turn->state = ACP_OPENING;
    acp_codec_new_session(&turn->codec, turn->script->cwd, turn->script->mcp_servers);
}

void acp_turn_take(struct acp_turn *turn, const char *line, size_t len, int64_t now)
{
    struct acp_message message;

    if (turn->state == ACP_OVER)
        return;
    while (len && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (!len)
        return;
    acp_codec_read(&turn->codec, line, len, &message);
    if (message.type != ACP_NOISE)
        turn->last_message = now;
    switch (message.type) {
    case ACP_NOISE:
        take_noise(turn, line, len);
        break;
    case ACP_ANSWER:
        acp_transcript_flush(turn);
        take_answer(turn, &message, now);
        break;
    case ACP_FAILURE:
        acp_transcript_flush(turn);
        take_failure(turn, &message, now);
        break;
    case ACP_UPDATE:
        acp_transcript_update(turn, &message, now);
        break;
    case ACP_PERMISSION:
        take_question(turn, &message, now);
        break;
    case ACP_DECLINED: {
        CLEANUP(freep) char *words = xasprintf("declined the agent's %.100s", message.word);

        acp_transcript_flush(turn);
        acp_transcript_note(turn, "acpd", words, NULL, NULL);
        break;
    }
    case ACP_IGNORED:
        break;
    }
    acp_message_deinit(&message);
}

int64_t acp_turn_deadline(const struct acp_turn *turn)
{
    int64_t at = INT64_MAX;

    if (turn->chunk.len)
        at = turn->chunk_deadline;
    if (turn->state == ACP_OVER)
        return at;
    if (turn->verdict != ACP_OPEN)
        return at < turn->cancel_deadline ? at : turn->cancel_deadline;
    list_for_each (link, &turn->questions) {
        const struct acp_question *question = list_entry(link, struct acp_question, link);

        if (!question->chosen && question->deadline < at)
            at = question->deadline;
    }
    if (turn->state != ACP_PROMPTING)
        return at < turn->start_deadline ? at : turn->start_deadline;
    if (turn->paused_at)
        return at;
    if (turn->turn_deadline < at)
        at = turn->turn_deadline;
    if (turn->last_message + turn->script->stall_ms < at)
        at = turn->last_message + turn->script->stall_ms;
    return at;
}

void acp_turn_tick(struct acp_turn *turn, int64_t now)
{
    const struct acp_script *script = turn->script;

    if (turn->chunk.len && turn->chunk_deadline <= now)
        acp_transcript_flush(turn);
    if (turn->state == ACP_OVER)
        return;
    if (turn->verdict != ACP_OPEN) {
        if (turn->cancel_deadline <= now) {
            end(turn, now);
            turn->must_stop = true;
        }
        return;
    }
    list_for_each_safe (link, &turn->questions) {
        struct acp_question *question = list_entry(link, struct acp_question, link);

        if (!question->chosen && question->deadline <= now)
            acp_turn_answer(turn, question, option_of_policy(question, ACP_REJECT), "the deadline",
                            now);
    }
    if (turn->state != ACP_PROMPTING) {
        if (turn->start_deadline <= now)
            acp_turn_abort(turn, ACP_TIMED_OUT,
                           xasprintf("the agent was not ready within its startTimeout of %g s",
                                     (double)script->start_ms / 1000),
                           now);
        return;
    }
    if (turn->paused_at)
        return;
    if (turn->turn_deadline <= now)
        acp_turn_abort(
            turn, ACP_TIMED_OUT,
            xasprintf("ran longer than its timeout of %g s", (double)script->turn_ms / 1000), now);
    else if (turn->last_message + script->stall_ms <= now)
        acp_turn_abort(turn, ACP_STALLED,
                       xasprintf("the agent said nothing for its stallTimeout of %g s",
                                 (double)script->stall_ms / 1000),
                       now);
}

char *acp_turn_result(struct acp_turn *turn)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    struct buf out = {0};

    tail_take(&turn->text, &text);
    buf_add_text(&out, "{\"text\":");
    buf_add_json_string(&out, text.data ? text.data : "", text.len);
    buf_add_text(&out, ",\"stopReason\":");
    buf_add_json_text(&out, turn->stop_reason);
    if (turn->usage) {
        buf_add_text(&out, ",\"usage\":");
        buf_add_text(&out, json_compact(turn->usage));
    }
    if (turn->cost) {
        buf_add_text(&out, ",\"cost\":");
        buf_add_text(&out, json_compact(turn->cost));
    }
    buf_add_char(&out, '}');
    return buf_take(&out);
}
