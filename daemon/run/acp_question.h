/* SPDX-License-Identifier: MIT */
/* The agent's questions, as steps of a turn. */
#pragma once

#include "run/acp_turn.h"

/** Handles a question: answers it by the profile's rules, or leaves it open. */
void acp_question_take(struct acp_turn *turn, struct acp_message *message, int64_t now);
/** The agent no longer waits for the answer. */
void acp_question_withdraw(struct acp_turn *turn, const char *id, int64_t now);
/** Answers those whose deadlines have passed. */
void acp_question_tick(struct acp_turn *turn, int64_t now);
/** The earliest deadline, INT64_MAX without an open question. */
int64_t acp_question_deadline(const struct acp_turn *turn);
/** Answers all of them because the turn is cancelled. */
void acp_question_cancel_all(struct acp_turn *turn, const char *by, int64_t now);
void acp_question_free(struct acp_question *question);
