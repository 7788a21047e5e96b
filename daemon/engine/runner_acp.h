/* SPDX-License-Identifier: MIT */
/* Agents that have ended their turn and are kept for another one. */
#pragma once

#include "engine/state.h"

/** Lets all of them go, and those that work once their turn has ended. */
void idle_agents_dismiss(struct engine *engine);
/** Forgets them; their processes are the supervisor's to end. */
void idle_agents_free(struct engine *engine);
