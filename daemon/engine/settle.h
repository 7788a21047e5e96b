/* SPDX-License-Identifier: MIT */
/*
 * Settling: the task learns how its attempt ended. The attempt's number is the fence: an end
 * changes its task only while the task still runs this very attempt.
 */
#pragma once

#include "engine/attempt.h"

/** Ends the attempt's task, or gives it another attempt, unless it was taken away meanwhile. */
MUST_CHECK int attempt_settle(struct attempt *attempt);

/* Steps of a pass: see engine/pass.c. */

/** Ends, or stops, attempts whose time is up. */
int overdue_step(struct engine *engine);
int64_t overdue_deadline(const struct engine *engine);
/** Settles attempts that have ended, and tells of logs that have grown. */
int settle_step(struct engine *engine);
void settle_commit(struct engine *engine);
void settle_rollback(struct engine *engine);
int64_t settle_deadline(const struct engine *engine);
