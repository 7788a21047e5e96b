/* SPDX-License-Identifier: MIT */
/* Values of parameters, from the methods' own declarations. What is drawn follows from the lot. */
#pragma once

#include "rpc/param.h"

/** The next number of a lot, below `limit`. */
uint64_t draw_below(uint64_t *lot, uint64_t limit);
/** The declaration of this name. */
const struct param *draw_find(const struct param *params, const char *name);
/** A value that the declaration allows, often at a bound. No word and no text is the name of
 *  anything in the simulation. */
void draw_valid(const struct param *param, uint64_t *lot, struct buf *out);
/** One that it does not allow, often just beyond a bound. */
void draw_invalid(const struct param *param, uint64_t *lot, struct buf *out);
