/* SPDX-License-Identifier: MIT */
/* Calls that are drawn from the methods' own declarations. */
#pragma once

#include "common/buf.h"

/** `method` and `params` of a call that only reads, with any valid parameters. */
void declared_print_reading(struct buf *out);
/** Of one that writes, with any valid parameters, about what does not exist. */
void declared_print_astray(struct buf *out);
/** Of any call with a parameter that is not valid. */
void declared_print_wrong(struct buf *out);
