/* SPDX-License-Identifier: MIT */
/* What the end of an attempt's program says: its class, a message, and a result. */
#pragma once

#include "engine/attempt.h"

/** Sets the class and the message. */
void judge_end(struct attempt *attempt, const struct run_end *end);
/** The last line of the output when it is a JSON object, else the output as {"output": …}; the
 *  caller frees it. */
char *judge_result(struct attempt *attempt, struct run *run, const struct run_end *end);
/** Adds to the message the last line of stderr that says something, if there is one. */
void judge_add_words(struct attempt *attempt, const char *stderr_lines);
/** Keeps the last lines of stderr, for an attempt that did not complete its task. */
void judge_keep_tail(struct attempt *attempt, const char *stderr_lines);
/** "ran longer than its timeout of 30 s"; the caller frees it. */
char *judge_timeout(const struct attempt *attempt);
