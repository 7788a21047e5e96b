/* SPDX-License-Identifier: MIT */
/* Judges the end of an attempt's program: class, message and result. */
#pragma once

#include "engine/attempt.h"

/** Sets the class and the message. */
void judge_end(struct attempt *attempt, const struct run_end *end);
/** The last line of the output if it is a JSON object, otherwise {"output": …}; the caller frees
 *  it. */
char *judge_result(struct attempt *attempt, struct run *run, const struct run_end *end);
/** Adds the last non-blank line of stderr to the message, if any. */
void judge_add_words(struct attempt *attempt, const char *stderr_lines);
/** Keeps the last lines of stderr of an attempt that did not complete its task. */
void judge_keep_tail(struct attempt *attempt, const char *stderr_lines);
/** "ran longer than its timeout of 30 s"; the caller frees it. */
char *judge_timeout(const struct attempt *attempt);
