/* SPDX-License-Identifier: MIT */
/*
 * Limits finished tasks, with their logs, by days and bytes; the oldest are removed first.
 *
 * The size of a finished task is stored in its row, and the sum per profile in the profile's, by
 * the transactions that change them, so nothing is ever counted. Tasks are removed in small steps,
 * so that no pass is delayed. Logs are removed before the commit that removes their task: a crash
 * in between leaves a task without logs, never logs without a task.
 */
#pragma once

#include "engine/state.h"

/** Removes tasks beyond the limits, a few per pass. */
MUST_CHECK int retention_step(struct engine *engine);
int64_t retention_deadline(const struct engine *engine);
