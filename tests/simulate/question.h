/* SPDX-License-Identifier: MIT */
/* The questions of agents: a part of the model; see model.h. A question's id is
 * TASK-ATTEMPT-NUMBER. */
#pragma once

#include "request.h"
#include "common/json.h"

void question_end(void);
/** The one that was heard of last, while it is open; false if there is none. */
bool question_pick(char ret_id[TOKEN_SIZE]);
/** A client's answer is sent. */
void question_sent(const char *id, bool is_yes);
/** It is put to people, or is not any more. */
void question_note(const char *id, bool is_open);
/** All that are open, as listed; NULL: the call was refused. */
void question_take_all(struct json_object *questions);
/** Its agent is told the answer. */
void question_note_answer(const char *id, const char *profile, bool is_yes);
