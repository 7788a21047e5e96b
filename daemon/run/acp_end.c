/* SPDX-License-Identifier: MIT */
#include "run/acp_end.h"

#include <string.h>

#include "common/alloc.h"
#include "run/acp_question.h"
#include "run/acp_transcript.h"

#define LINGER_MS  500  /* for the last messages of an agent that stays */
#define GOODBYE_MS 2000 /* for an agent to exit, or to close its session */

static bool acp_end_can_close(const struct acp_turn *turn)
{
    struct json_object *capabilities = json_get(turn->agent, "agentCapabilities");

    return json_get(json_get(capabilities, "sessionCapabilities"), "close");
}

bool acp_turn_is_kept(const struct acp_turn *turn)
{
    int64_t turns = turn->script->reuse;

    if (turns == ACP_REUSE_FREELY && !acp_end_can_close(turn))
        turns = ACP_REUSE_UNCLOSED;
    return turn->verdict == ACP_COMPLETED && !turn->must_stop && turn->number < turns;
}

void acp_end_settle(struct acp_turn *turn, enum acp_verdict verdict, char *message)
{
    if (turn->verdict == ACP_OPEN) {
        turn->verdict = verdict;
        turn->message = message;
    } else {
        free(message);
    }
}

void acp_end_linger(struct acp_turn *turn, int64_t now)
{
    if (turn->state >= ACP_LINGERING)
        return;
    acp_question_cancel_all(turn, "the end of the turn", now);
    acp_transcript_flush(turn);
    turn->state = ACP_LINGERING;
    turn->linger_deadline = now + (acp_turn_is_kept(turn) ? LINGER_MS : GOODBYE_MS);
}

void acp_end_refuse(struct acp_turn *turn)
{
    acp_end_settle(turn, ACP_REFUSED,
                   xasprintf("the agent stopped after a permission was rejected: %.*s",
                             ACP_QUOTE_MAX, turn->rejected_title));
}

void acp_end_fail(struct acp_turn *turn, enum acp_request request, struct json_object *failure)
{
    turn->failed_request = request;
    turn->failure = json_object_get(failure);
}

static bool acp_end_is_copilot(const struct acp_turn *turn)
{
    return strcasestr(acp_text_or(json_get(turn->agent, "agentInfo"), "name", ""), "copilot");
}

/* When their model fails, some agents end the turn normally and only say so: in a last message of
 * one paragraph that begins with "Error: ", without reporting usage. Copilot does, and does not
 * separate its messages; for other agents, only errors that mention the provider count. NULL: no
 * failure. */
static struct json_object *acp_end_hidden_failure(const struct acp_turn *turn, const char *text)
{
    static const char prefix[] = "Error: ";
    struct json_object *failure;

    if (strncmp(text, prefix, strlen(prefix)) != 0 && acp_end_is_copilot(turn) && turn->last_piece)
        text = turn->last_piece;
    if (turn->usage || strncmp(text, prefix, strlen(prefix)) != 0 || strstr(text, "\n\n"))
        return NULL;
    failure = json_object_new_object();
    json_object_object_add(failure, "message", json_object_new_string(text));
    if (acp_end_is_copilot(turn) ||
        turn->host.read_error(ACP_REQUEST_COUNT, failure, turn->host.data) != ACP_OWN_TROUBLE)
        return failure;
    json_object_put(failure);
    return NULL;
}

/* Corrects the verdict of a turn once the agent's last messages have arrived. */
static void acp_end_judge_end(struct acp_turn *turn)
{
    CLEANUP(json_putp) struct json_object *failure = NULL;
    CLEANUP(buf_deinit) struct buf text = {0};

    if (turn->verdict != ACP_COMPLETED)
        return;
    if (turn->trouble) {
        turn->verdict = ACP_FAILED;
        acp_end_fail(turn, ACP_REQUEST_COUNT, turn->trouble);
        return;
    }
    if (turn->rejected_title) {
        turn->verdict = ACP_OPEN;
        acp_end_refuse(turn);
        return;
    }
    buf_add(&text, turn->text.bytes.data, turn->text.bytes.len);
    failure = acp_end_hidden_failure(turn, buf_text(&text));
    if (!failure)
        return;
    turn->verdict = ACP_FAILED;
    acp_end_fail(turn, ACP_REQUEST_COUNT, failure);
}

void acp_turn_finish(struct acp_turn *turn)
{
    if (turn->state == ACP_LINGERING || turn->state == ACP_CLOSING) {
        acp_transcript_flush(turn);
        acp_end_judge_end(turn);
        turn->state = ACP_OVER;
    }
}

void acp_end_now(struct acp_turn *turn, int64_t now)
{
    acp_end_linger(turn, now);
    acp_turn_finish(turn);
    turn->must_stop = true;
}

void acp_end_tick(struct acp_turn *turn, int64_t now)
{
    acp_transcript_flush(turn);
    /* The agent's stdin was closed but it did not exit: stop it, and read on until it is gone. */
    if (!acp_turn_is_kept(turn)) {
        turn->must_stop = true;
        turn->linger_deadline = INT64_MAX;
        return;
    }
    acp_end_judge_end(turn);
    if (turn->state == ACP_LINGERING && acp_turn_is_kept(turn) && acp_end_can_close(turn)) {
        turn->state = ACP_CLOSING;
        turn->linger_deadline = now + GOODBYE_MS;
        acp_codec_close_session(&turn->codec, turn->session);
        return;
    }
    /* It did not close its session, or is not kept after all. */
    turn->must_stop |= turn->state == ACP_CLOSING || !acp_turn_is_kept(turn);
    turn->state = ACP_OVER;
}
