/* SPDX-License-Identifier: MIT */
/* Scheduled tasks, which become due by a wall clock that may be set. */
#pragma once

#include "engine/state.h"

/* A clock that jumps further ahead than this may be wrong: tasks that seem old are not removed at
 * once. */
#define WAKE_FAR_STEP_MS (INT64_C(3600) * 1000)

/** Adjusts to a wall clock that was set, and queues due tasks. */
MUST_CHECK int wake_step(struct engine *engine);
void wake_commit(struct engine *engine);
int64_t wake_deadline(const struct engine *engine);
