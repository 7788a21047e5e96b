/* SPDX-License-Identifier: MIT */
/*
 * Tasks that wait for others.
 *
 * A task with `dependsOn` is blocked until all of these are completed; once one of them has failed
 * or was cancelled it is cancelled itself. Whoever finishes only leaves a row in the store (a
 * release); its dependants are told afterwards, a bounded number in each pass. So neither ten
 * thousand dependants of one task nor a chain of thousands of tasks that falls hold up a pass, and
 * a crash in between forgets nobody.
 */
#pragma once

#include "engine/state.h"

/** Tells those whose tasks have finished, as many as a pass may. */
int dependency_step(struct engine *engine);
void dependency_rollback(struct engine *engine);
