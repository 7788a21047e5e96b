/* SPDX-License-Identifier: MIT */
/*
 * Looks at what no single attempt shows: attempts that do not end, tasks that do not begin,
 * programs that are not there, workers that do not come, and a loop that is busy for too long.
 * core/health.c makes a state of it. Every healthCheckInterval; what the end of an attempt changes
 * is known at once.
 */
#pragma once

#include "engine/state.h"

/** Looks at every profile, when it is time to; see core/health.c. */
int health_step(struct engine *engine);
int64_t health_deadline(const struct engine *engine);
