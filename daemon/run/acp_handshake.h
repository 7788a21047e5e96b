/* SPDX-License-Identifier: MIT */
/* The steps of a turn from the answer to `initialize` to the prompt. */
#pragma once

#include "run/acp_turn.h"

/** Takes the answer to `initialize`. */
void acp_handshake_take_agent(struct acp_turn *turn, struct json_object *agent, int64_t now);
void acp_handshake_open(struct acp_turn *turn);
void acp_handshake_authenticate(struct acp_turn *turn, int64_t now);
/** Sets the options of the session, one request at a time, then sends the prompt. */
void acp_handshake_configure(struct acp_turn *turn, int64_t now);
void acp_handshake_take_setting(struct acp_turn *turn, struct json_object *answer, int64_t now);
void acp_handshake_refuse_setting(struct acp_turn *turn, enum acp_request request,
                                  struct json_object *error);
void acp_handshake_prompt(struct acp_turn *turn, int64_t now);
