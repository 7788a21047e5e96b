/* SPDX-License-Identifier: MIT */
/* What the acpds that share a store tell each other: the events of each pass, a line each. */
#pragma once

#include "engine/state.h"

/** Reads events committed by other nodes and stops attempts that they cancelled. */
MUST_CHECK int news_hear(struct engine *engine);
/** The same once a pass, in its transaction: until the commit, nobody changes what is known now. */
MUST_CHECK int news_catch_up(struct engine *engine);
/** Tells the others what the pass has done. */
MUST_CHECK int news_tell(struct engine *engine);
