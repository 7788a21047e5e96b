/* SPDX-License-Identifier: MIT */
/* Gives free slots to waiting tasks, for profiles whose programs acpd runs itself. */
#pragma once

#include "engine/state.h"

/** Claims waiting tasks for free slots, a bounded number in each pass. */
MUST_CHECK int claim_step(struct engine *engine);
/** The monotonic ms at which the next cooldown ends. */
int64_t claim_deadline(const struct engine *engine);
