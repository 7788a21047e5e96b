/* SPDX-License-Identifier: MIT */
/*
 * Tasks that depend on others.
 *
 * A task with `dependsOn` is blocked until all of these are completed; if one of them fails or is
 * cancelled, it is cancelled itself. A task that finishes only leaves a row in the store (a
 * release); its dependants are processed later, a bounded number per pass. So neither ten thousand
 * dependants nor a chain of thousands of cancelled tasks delays a pass, and a crash in between
 * loses nothing.
 */
#pragma once

#include "engine/state.h"

/** Processes releases, a bounded number per pass. */
MUST_CHECK int dependency_step(struct engine *engine);
void dependency_rollback(struct engine *engine);
