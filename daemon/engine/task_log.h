/* SPDX-License-Identifier: MIT */
/* The log of an attempt, a file written by run/run_log.c. */
#pragma once

#include "engine/state.h"

/** The path of the attempt's log; the caller frees it. */
char *task_log_path(const struct engine *engine, int64_t task_id, int64_t attempt);
