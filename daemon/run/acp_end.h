/* SPDX-License-Identifier: MIT */
/* How a turn ends: the verdict, what is still heard after it, and what that makes of it. */
#pragma once

#include "run/acp_turn.h"

#define ACP_QUOTE_MAX 500 /* bytes of an agent's own words in a message */

/** The verdict, unless there is one already; `message` is taken over. */
void acp_end_settle(struct acp_turn *turn, enum acp_verdict verdict, char *message);
/** The verdict of an agent that stopped because a permission was rejected: ACP_REFUSED. */
void acp_end_refuse(struct acp_turn *turn);
/** Notes an error as the reason of ACP_FAILED, with the request whose answer it was. */
void acp_end_fail(struct acp_turn *turn, enum acp_request request, struct json_object *failure);
/** The verdict stands; what the agent still says is heard for a while. */
void acp_end_linger(struct acp_turn *turn, int64_t now);
/** That while is over. */
void acp_end_tick(struct acp_turn *turn, int64_t now);
/** Nothing more is heard. */
void acp_end_now(struct acp_turn *turn, int64_t now);
