/* SPDX-License-Identifier: MIT */
/* A new configuration: staged by engine_configure(), in effect with the commit. */
#pragma once

#include "engine/state.h"

/** A profile of the store that another node has added: its tasks have a name here, too. Between
 *  passes. */
MUST_CHECK int reload_adopt(struct engine *engine, struct store_profile *row);
void reload_commit(struct engine *engine);
void reload_rollback(struct engine *engine);
