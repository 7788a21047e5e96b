/* SPDX-License-Identifier: MIT */
/* Scheduled tasks, whose time comes by a wall clock that may be set. */
#pragma once

#include "engine/state.h"

/* From here on a clock that leaps ahead may be a wrong one: what seems old is not removed at once.
 */
#define WAKE_FAR_STEP_MS (INT64_C(3600) * 1000)

/** Follows a wall clock that was set, and queues what is due. */
int wake_step(struct engine *engine);
void wake_commit(struct engine *engine);
int64_t wake_deadline(const struct engine *engine);
