/* SPDX-License-Identifier: MIT */
/* A configuration that is read: staged by engine_configure(), in force with the commit. */
#pragma once

#include "engine/state.h"

void reload_commit(struct engine *engine);
void reload_rollback(struct engine *engine);
