/* SPDX-License-Identifier: MIT */
/* Checksums of task rows. */
#pragma once

#include "store/sqlite.h"

/** The checksum of the row of a task with this lease (NULL: none). */
int64_t sqlite_row_crc(const struct task *task, const struct store_lease *lease);
/** Registers the SQL functions for checking rows, and metrics_blob(). */
int sqlite_row_add_functions(sqlite3 *db);
/** An SQL condition that holds for every undamaged row of `task` in a database of this schema. */
const char *sqlite_row_soundness(int64_t version);
