/* SPDX-License-Identifier: MIT */
/* The transcript of a turn: the agent's updates, described and as received, with the pieces of a
 * message joined. Also tracks its tool calls, its last message and its cost. */
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
/** Writes pieces that were held back to be joined. */
void acp_transcript_flush(struct acp_turn *turn);
/** Handles a session/update. */
void acp_transcript_update(struct acp_turn *turn, const struct acp_message *message, int64_t now);
/** The same for a session other than the turn's: only writes it, marked as such. */
void acp_transcript_other(struct acp_turn *turn, const struct acp_message *message);
/** A question about the tool call was answered: the call continues, or no longer suspends the stall
 * timer. Some agents (gemini) mention the call only in the question. */
void acp_transcript_answer_tool(struct acp_turn *turn, const char *id, bool is_allowed);
/** The agent continues after a rejection, so the rejection does not end its turn. */
void acp_transcript_forget_rejection(struct acp_turn *turn);
/** The state of the tool call, including this update; owned by the turn. */
struct json_object *acp_transcript_remember(struct acp_turn *turn, struct json_object *update);
/** A copy without its large members; owned by the caller. */
struct json_object *acp_transcript_abridge(struct json_object *update);
/** Keeps a cost that an agent reports, if it is one. */
void acp_transcript_cost(struct acp_turn *turn, struct json_object *cost);
