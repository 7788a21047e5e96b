/* SPDX-License-Identifier: MIT */
/* SQL functions of acpd. */
#pragma once

#include "store/sqlite.h"

/** Registers the SQL functions for checking rows, and metrics_blob(). */
int sqlite_row_add_functions(sqlite3 *db);
/** An SQL condition that holds for every undamaged row of `task` in a database of this schema. */
const char *sqlite_row_soundness(int64_t version);
