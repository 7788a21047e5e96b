/* SPDX-License-Identifier: MIT */
/* Taking stock: everything that acpd tells, at a moment when nothing happens, against the model. */
#pragma once

#include "common/macros.h"

/** Waits for all replies, hangs up, and compares. */
void stock_take(void);
/** While the audit log cannot be written, acpd says so. */
void stock_check_health(void);
/** Every task comes to its end, with workers who work and agents who do what they should. */
void stock_close(void);
/** The row of this task, the first one in the worker's queue, is damaged: that shows, and is never
 * taken for something else. */
void stock_check_damage(size_t profile, int64_t task);
