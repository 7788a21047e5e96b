/* SPDX-License-Identifier: MIT */
/* A new configuration: staged by engine_configure(), in effect with the commit. */
#pragma once

#include "engine/state.h"

void reload_commit(struct engine *engine);
void reload_rollback(struct engine *engine);
