/* SPDX-License-Identifier: MIT */
/* Agents kept idle after a turn, for another one. */
#pragma once

#include "engine/state.h"

/** Stops all of them, and the working ones once their turn has ended. */
void runner_acp_dismiss_idle(struct engine *engine);
/** Forgets them; the supervisor ends their processes. */
void runner_acp_free_idle(struct engine *engine);
