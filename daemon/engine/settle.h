/* SPDX-License-Identifier: MIT */
/*
 * Settling records the end of an attempt in its task. The attempt's number is the fence: an end
 * changes its task only while the task is running this very attempt.
 */
#pragma once

#include "engine/attempt.h"

/** Finishes the attempt's task or requeues it, unless it was taken away meanwhile. */
MUST_CHECK int settle_attempt(struct attempt *attempt);

/* Steps of a pass: see engine/pass.c. */

/** Ends or stops attempts whose time is up. */
MUST_CHECK int settle_overdue_step(struct engine *engine);
int64_t settle_overdue_deadline(const struct engine *engine);
/** Settles ended attempts, and emits events for logs that have grown. */
MUST_CHECK int settle_step(struct engine *engine);
void settle_commit(struct engine *engine);
void settle_rollback(struct engine *engine);
int64_t settle_deadline(const struct engine *engine);
