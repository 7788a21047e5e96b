/* SPDX-License-Identifier: MIT */
/* The end of a turn: the verdict, and what the agent sends after it. */
#pragma once

#include "run/acp_turn.h"

#define ACP_QUOTE_MAX 500 /* bytes of an agent's text quoted in a message */

/** Sets the verdict, unless there is one already; takes ownership of `message`. */
void acp_end_settle(struct acp_turn *turn, enum acp_verdict verdict, char *message);
/** The verdict of an agent that stopped because a permission was rejected: ACP_REFUSED. */
void acp_end_refuse(struct acp_turn *turn);
/** Records an error as the reason of ACP_FAILED, with the request that it answered. */
void acp_end_fail(struct acp_turn *turn, enum acp_request request, struct json_object *failure);
/** Keeps the verdict and listens to the agent for a while. */
void acp_end_linger(struct acp_turn *turn, int64_t now);
/** That while is over. */
void acp_end_tick(struct acp_turn *turn, int64_t now);
/** Nothing more is heard. */
void acp_end_now(struct acp_turn *turn, int64_t now);
