/* SPDX-License-Identifier: MIT */
/* What a turn writes down: the agent's updates, in words and as received, pieces of a message
 * joined; and what they tell of its tools, its last message and its cost. */
#pragma once

#include "run/acp_turn.h"
#include "run/run_log.h"

#define ACP_CHUNK_MAX  8192          /* bytes of a message in one entry at most */
#define ACP_UPDATE_MAX RUN_LOG_ENTRY /* bytes of an update in the transcript */
#define ACP_PIECE_MAX  4096          /* bytes of a message's last piece */
#define ACP_TEXT_MAX   (64 * 1024)   /* bytes of the result */

/** Adds an entry; `member` NULL: only the text. */
void acp_transcript_note(struct acp_turn *turn, const char *stream, const char *text,
                         const char *member, struct json_object *json);
/** Notes what was kept back so that it could be joined. */
void acp_transcript_flush(struct acp_turn *turn);
/** Takes a session/update. */
void acp_transcript_update(struct acp_turn *turn, const struct acp_message *message, int64_t now);
/** The same of another session than the turn's: it is noted as such, and nothing else. */
void acp_transcript_other(struct acp_turn *turn, const struct acp_message *message);
/** A question about the tool call was answered: it goes on, or it does not keep the turn waiting
 * any more. Some agents (gemini) speak of it by the question alone. */
void acp_transcript_answer_tool(struct acp_turn *turn, const char *id, bool is_allowed);
/** The agent goes on in spite of a rejection: that is not how its turn ends. */
void acp_transcript_forget_rejection(struct acp_turn *turn);
/** What is known of the tool call, with the news of this update in it; the turn's. */
struct json_object *acp_transcript_remember(struct acp_turn *turn, struct json_object *update);
/** A copy without what makes it large; the caller's. */
struct json_object *acp_transcript_abridge(struct json_object *update);
/** Keeps a cost that an agent reports, if it is one. */
void acp_transcript_cost(struct acp_turn *turn, struct json_object *cost);
