/* SPDX-License-Identifier: MIT */
#pragma once

#include "engine/state.h"

/** Tells other nodes of the questions that agents ask here, and agents what others have answered.
 */
MUST_CHECK int permission_step(struct engine *engine);
