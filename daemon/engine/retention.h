/* SPDX-License-Identifier: MIT */
/*
 * Finished tasks are kept for so many days, and so many bytes of them with their logs; those that
 * finished first go first.
 *
 * What a finished task weighs is noted in its row, and the sum per profile in the profile's, by the
 * transactions that change them: nothing is ever counted. Tasks go in small steps, so that no pass
 * is held up. Logs go before the commit that removes their task: a crash in between leaves a task
 * without logs to be removed again, never logs without a task.
 */
#pragma once

#include "engine/state.h"

/** Removes what is older, or more, than is to be kept; a little in each pass. */
int retention_step(struct engine *engine);
int64_t retention_deadline(const struct engine *engine);
