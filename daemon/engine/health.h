/* SPDX-License-Identifier: MIT */
/*
 * Checks what no single attempt shows: attempts that do not end, tasks that do not start, missing
 * programs, absent workers, and a busy loop. core/health.c derives the health. Runs every
 * healthCheckInterval; the end of an attempt updates the health at once.
 */
#pragma once

#include "engine/state.h"

/** Checks every profile when it is due; see core/health.c. */
MUST_CHECK int health_step(struct engine *engine);
int64_t health_deadline(const struct engine *engine);
