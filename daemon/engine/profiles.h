/* SPDX-License-Identifier: MIT */
/* The profiles: those of the configuration, and removed ones whose tasks remain. */
#pragma once

#include "engine/state.h"

/** Removes the row of a profile that is no longer configured, if nothing is left of it: no task, no
 *  attempt and no history. */
MUST_CHECK int profiles_forget_if_spent(struct engine *engine, struct profile *profile);

/* Writes the profiles changed by the pass in the same transaction; see engine/pass.c. */
MUST_CHECK int profiles_step(struct engine *engine);
void profiles_commit(struct engine *engine);
void profiles_rollback(struct engine *engine);
