/* SPDX-License-Identifier: MIT */
#include "run/acp_turn.h"

#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "common/clock.h"
#include "common/strv.h"
#include "run/acp_end.h"
#include "run/acp_handshake.h"
#include "run/acp_question.h"
#include "run/acp_session.h"
#include "run/acp_transcript.h"

#define NOISE_MAX    1000
#define SESSIONS_MAX 16 /* ended sessions to remember */

void acp_turn_init(struct acp_turn *turn, const struct acp_script *script,
                   const struct acp_host *host)
{
    *turn = (struct acp_turn){.host = *host, .script = script, .number = 1};
    acp_codec_init(&turn->codec, &turn->out);
    list_init(&turn->questions);
    turn->tool_calls = json_object_new_object();
    turn->settings = json_tokener_parse(script->settings);
    turn->setting = turn->settings ? json_object_get_object(turn->settings)->head : NULL;
    turn->text.limit = ACP_TEXT_MAX;
    turn->failed_request = ACP_REQUEST_COUNT;
}

void acp_turn_deinit(struct acp_turn *turn)
{
    list_for_each_safe (link, &turn->questions)
        acp_question_free(list_entry(link, struct acp_question, link));
    acp_codec_deinit(&turn->codec);
    buf_deinit(&turn->out);
    buf_deinit(&turn->chunk);
    tail_deinit(&turn->text);
    strv_free(turn->ended_sessions);
    free(turn->message);
    free(turn->stop_reason);
    free(turn->session);
    free(turn->chunk_kind);
    free(turn->message_id);
    free(turn->last_piece);
    free(turn->rejected_title);
    free(turn->rejected_id);
    json_object_put(turn->failure);
    json_object_put(turn->agent);
    json_object_put(turn->session_info);
    json_object_put(turn->settings);
    json_object_put(turn->tool_calls);
    json_object_put(turn->usage);
    json_object_put(turn->cost);
    json_object_put(turn->trouble);
    json_object_put(turn->last_error);
}

void acp_turn_break(struct acp_turn *turn, enum acp_verdict verdict, char *message)
{
    acp_end_settle(turn, verdict, message);
    acp_end_now(turn, clock_mono_ms());
}

void acp_turn_abort(struct acp_turn *turn, enum acp_verdict verdict, char *message, int64_t now)
{
    if (turn->verdict != ACP_OPEN || turn->state >= ACP_LINGERING) {
        free(message);
        return;
    }
    acp_end_settle(turn, verdict, message);
    if (turn->state != ACP_PROMPTING) {
        acp_end_now(turn, now);
        return;
    }
    acp_codec_cancel(&turn->codec, turn->session);
    acp_question_cancel_all(turn, "the cancelled turn", now);
    turn->cancel_deadline = now + turn->script->grace_ms;
}

static void acp_turn_take_failure(struct acp_turn *turn, const struct acp_message *message,
                                  int64_t now)
{
    switch (message->request) {
    case ACP_CLOSE_SESSION:
        turn->must_stop = true;
        turn->state = ACP_OVER;
        return;
    case ACP_SET_OPTION:
    case ACP_SET_MODEL:
    case ACP_SET_MODE:
        acp_handshake_refuse_setting(turn, message->request, message->body);
        break;
    case ACP_NEW_SESSION:
    case ACP_PROMPT:
        if (turn->verdict == ACP_OPEN && turn->script->auth_method && !turn->has_authenticated &&
            turn->host.read_error(message->request, message->body, turn->host.data) ==
                ACP_NO_LOGIN) {
            acp_handshake_authenticate(turn, now);
            return;
        }
        __attribute__((fallthrough));
    case ACP_INITIALIZE:
    case ACP_AUTHENTICATE:
    case ACP_REQUEST_COUNT:
        if (turn->verdict == ACP_OPEN)
            acp_end_fail(turn, message->request, message->body);
        acp_end_settle(turn, ACP_FAILED, NULL);
        break;
    }
    acp_end_linger(turn, now);
}

static void acp_turn_take_stop_reason(struct acp_turn *turn, struct json_object *result,
                                      int64_t now)
{
    const char *reason = acp_text_or(result, "stopReason", NULL);
    struct json_object *usage = json_get(result, "usage");

    if (json_object_is_type(usage, json_type_object))
        turn->usage = json_object_get(usage);
    acp_transcript_cost(turn, json_get(result, "cost"));
    if (!reason) {
        acp_end_settle(turn, ACP_FAILED, xstrdup("the agent ended its turn without a stop reason"));
    } else if (strcmp(reason, "end_turn") == 0) {
        acp_end_settle(turn, ACP_COMPLETED, NULL);
    } else if (strcmp(reason, "refusal") == 0) {
        acp_end_settle(turn, ACP_REFUSED, xstrdup("the agent refused to continue"));
    } else if (strcmp(reason, "max_tokens") == 0) {
        acp_end_settle(turn, ACP_LIMITED,
                       xstrdup("the agent reached its token limit (max_tokens)"));
    } else if (strcmp(reason, "max_turn_requests") == 0) {
        acp_end_settle(
            turn, ACP_LIMITED,
            xstrdup("the agent reached its limit of requests per turn (max_turn_requests)"));
    } else if (strcmp(reason, "cancelled") == 0 && turn->rejected_title) {
        acp_end_refuse(turn); /* as Codex does */
    } else if (strcmp(reason, "cancelled") == 0) {
        acp_end_settle(turn, ACP_FAILED, xstrdup("the agent cancelled its turn by itself"));
    } else {
        acp_end_settle(turn, ACP_FAILED,
                       xasprintf("the agent ended its turn with the unknown stop reason \"%.*s\"",
                                 100, reason));
    }
    turn->stop_reason = reason ? xstrdup(reason) : NULL;
    acp_end_linger(turn, now);
}

static void acp_turn_take_answer(struct acp_turn *turn, const struct acp_message *message,
                                 int64_t now)
{
    switch (message->request) {
    case ACP_INITIALIZE:
        acp_handshake_take_agent(turn, message->body, now);
        return;
    case ACP_AUTHENTICATE:
        if (turn->session)
            acp_handshake_prompt(turn, now);
        else
            acp_handshake_open(turn);
        return;
    case ACP_NEW_SESSION:
        if (!acp_text_or(message->body, "sessionId", NULL)) {
            acp_end_settle(turn, ACP_FAILED,
                           xstrdup("the agent opened a session without a sessionId"));
            acp_end_linger(turn, now);
            return;
        }
        turn->session = xstrdup(acp_text_or(message->body, "sessionId", NULL));
        turn->session_info = json_object_get(message->body);
        acp_handshake_configure(turn, now);
        return;
    case ACP_SET_OPTION:
    case ACP_SET_MODEL:
    case ACP_SET_MODE:
        acp_handshake_take_setting(turn, message->body, now);
        return;
    case ACP_PROMPT:
        acp_turn_take_stop_reason(turn, message->body, now);
        return;
    case ACP_CLOSE_SESSION:
        turn->state = ACP_OVER;
        return;
    case ACP_REQUEST_COUNT:
        return;
    }
}

static void acp_turn_take_noise(struct acp_turn *turn, const char *line, size_t len)
{
    acp_transcript_flush(turn);
    turn->host.note(turn->host.data, "stdout", line, len, NULL, NULL);
    if (++turn->noise >= NOISE_MAX)
        acp_turn_break(turn, ACP_FAILED,
                       xasprintf("the agent wrote %d lines in a row to stdout that are not "
                                 "protocol messages; the last: %.*s",
                                 NOISE_MAX, (int)(len > 200 ? 200 : len), line));
}

static void acp_turn_take_update(struct acp_turn *turn, const struct acp_message *message,
                                 int64_t now)
{
    bool is_other = turn->session && message->session
                        ? strcmp(turn->session, message->session) != 0
                        : message->session && strv_contains(turn->ended_sessions, message->session);

    if (is_other) {
        acp_transcript_other(turn, message);
        return;
    }
    if (json_object_is_type(turn->session_info, json_type_object))
        acp_session_update(turn->session_info, message->body);
    acp_transcript_update(turn, message, now);
}

static void acp_turn_take_message(struct acp_turn *turn, struct acp_message *message,
                                  const char *line, size_t len, int64_t now)
{
    switch (message->type) {
    case ACP_NOISE:
        acp_turn_take_noise(turn, line, len);
        break;
    case ACP_ANSWER:
        acp_transcript_flush(turn);
        acp_turn_take_answer(turn, message, now);
        break;
    case ACP_FAILURE:
        acp_transcript_flush(turn);
        acp_turn_take_failure(turn, message, now);
        break;
    case ACP_UPDATE:
        acp_turn_take_update(turn, message, now);
        break;
    case ACP_PERMISSION:
        acp_question_take(turn, message, now);
        break;
    case ACP_WITHDRAWN:
        acp_question_withdraw(turn, message->id, now);
        break;
    case ACP_DECLINED: {
        CLEANUP(freep) char *words = xasprintf("declined the agent's %.100s", message->word);

        acp_transcript_flush(turn);
        acp_transcript_note(turn, "acpd", words, NULL, NULL);
        break;
    }
    case ACP_IGNORED:
        break;
    }
}

void acp_turn_start(struct acp_turn *turn, int64_t now)
{
    turn->start_deadline = now + turn->script->start_ms;
    turn->last_sign = now;
    acp_codec_initialize(&turn->codec);
}

/* The last ended sessions, including this turn's. */
static char **acp_turn_end_session(struct acp_turn *turn)
{
    char **sessions = STEAL(turn->ended_sessions);

    if (turn->session)
        strv_push(&sessions, STEAL(turn->session));
    if (strv_length(sessions) > SESSIONS_MAX) {
        free(sessions[0]);
        memmove(sessions, sessions + 1, (SESSIONS_MAX + 1) * sizeof(*sessions));
    }
    return sessions;
}

void acp_turn_again(struct acp_turn *turn, const struct acp_script *script,
                    const struct acp_host *host, int64_t now)
{
    struct json_object *agent = STEAL(turn->agent);
    char **ended_sessions = acp_turn_end_session(turn);
    int64_t last_id = turn->codec.last_id, number = turn->number + 1;

    acp_turn_deinit(turn);
    acp_turn_init(turn, script, host);
    turn->agent = agent;
    turn->ended_sessions = ended_sessions;
    turn->codec.last_id = last_id;
    turn->number = number;
    turn->start_deadline = now + turn->script->start_ms;
    turn->last_sign = now;
    acp_handshake_open(turn);
}

void acp_turn_take(struct acp_turn *turn, const char *line, size_t len, int64_t now)
{
    struct acp_message message;

    while (len && (line[len - 1] == '\r' || line[len - 1] == ' '))
        len--;
    if (!len)
        return;
    acp_codec_read(&turn->codec, line, len, &message);
    if (turn->state == ACP_OVER) {
        /* Ignore messages between two turns, but answer questions. */
        if (message.type == ACP_PERMISSION)
            acp_codec_select(&turn->codec, message.id, NULL);
    } else {
        if (message.type != ACP_NOISE) {
            turn->last_sign = now;
            turn->noise = 0;
        }
        acp_turn_take_message(turn, &message, line, len, now);
    }
    acp_message_deinit(&message);
}

void acp_turn_note_life(struct acp_turn *turn, int64_t now)
{
    turn->last_sign = now;
}

/* --- timers -------------------------------------------------------------------------------------
 */

static int64_t acp_turn_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t acp_turn_stall_deadline(const struct acp_turn *turn)
{
    return turn->open_tool_calls ? INT64_MAX : turn->last_sign + turn->script->stall_ms;
}

int64_t acp_turn_deadline(const struct acp_turn *turn)
{
    int64_t at = turn->chunk.len ? turn->chunk_deadline : INT64_MAX;

    if (turn->state == ACP_OVER)
        return at;
    if (turn->state >= ACP_LINGERING)
        return acp_turn_earlier(at, turn->linger_deadline);
    if (turn->verdict != ACP_OPEN)
        return acp_turn_earlier(at, turn->cancel_deadline);
    at = acp_turn_earlier(at, acp_question_deadline(turn));
    if (turn->state != ACP_PROMPTING)
        return acp_turn_earlier(at, turn->start_deadline);
    if (turn->paused_at)
        return at;
    return acp_turn_earlier(at,
                            acp_turn_earlier(turn->turn_deadline, acp_turn_stall_deadline(turn)));
}

static void acp_turn_abort_start(struct acp_turn *turn, int64_t now)
{
    double seconds = (double)turn->script->start_ms / 1000;

    if (turn->state == ACP_AUTHENTICATING)
        acp_turn_abort(turn, ACP_UNAUTHORIZED,
                       xasprintf("the agent did not answer authenticate (%.100s) within its "
                                 "startTimeout of %g s",
                                 turn->script->auth_method, seconds),
                       now);
    else
        acp_turn_abort(
            turn, ACP_TIMED_OUT,
            xasprintf("the agent was not ready within its startTimeout of %g s", seconds), now);
}

void acp_turn_tick(struct acp_turn *turn, int64_t now)
{
    const struct acp_script *script = turn->script;

    if (turn->chunk.len && turn->chunk_deadline <= now)
        acp_transcript_flush(turn);
    if (turn->state == ACP_OVER)
        return;
    if (turn->state >= ACP_LINGERING) {
        if (turn->linger_deadline <= now)
            acp_end_tick(turn, now);
        return;
    }
    if (turn->verdict != ACP_OPEN) {
        if (turn->cancel_deadline <= now)
            acp_end_now(turn, now);
        return;
    }
    acp_question_tick(turn, now);
    if (turn->state != ACP_PROMPTING) {
        if (turn->start_deadline <= now)
            acp_turn_abort_start(turn, now);
        return;
    }
    if (turn->paused_at)
        return;
    if (turn->turn_deadline <= now)
        acp_turn_abort(
            turn, ACP_TIMED_OUT,
            xasprintf("ran longer than its timeout of %g s", (double)script->turn_ms / 1000), now);
    else if (acp_turn_stall_deadline(turn) <= now)
        acp_turn_abort(turn, ACP_STALLED,
                       xasprintf("the agent was silent for its stallTimeout of %g s",
                                 (double)script->stall_ms / 1000),
                       now);
}

char *acp_turn_result(struct acp_turn *turn)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    struct buf out = {0};

    tail_take(&turn->text, &text);
    json_out_object(&out, NULL);
    json_out_string(&out, "text", text.data ? text.data : "", text.len);
    json_out_text(&out, "stopReason", turn->stop_reason);
    if (turn->usage)
        json_out_raw(&out, "usage", json_compact(turn->usage));
    if (turn->cost)
        json_out_raw(&out, "cost", json_compact(turn->cost));
    if (turn->last_question) {
        json_out_object(&out, "permissions");
        json_out_int(&out, "allowed", turn->allowed);
        json_out_int(&out, "rejected", turn->rejected);
        json_out_int(&out, "lapsed", turn->lapsed);
        json_out_end_object(&out);
    }
    json_out_end_object(&out);
    return buf_take(&out);
}
