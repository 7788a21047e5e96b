/* SPDX-License-Identifier: MIT */
/* Whether the row of a task is as acpd wrote it. */
#pragma once

#include "store/sqlite.h"

/** The sum of the row that a task, with this lease or none (NULL), is written as. */
int64_t sqlite_row_crc(const struct task *task, const struct store_lease *lease);
/** Whether the row that a statement stands at, of TASK_COLUMNS, has the sum of its columns. */
bool sqlite_row_is_sound(sqlite3_stmt *stmt);
/** Adds the SQL functions by which statements ask the same. */
int sqlite_row_add_functions(sqlite3 *db);
/** What is true of a sound row of `task`, in SQL, in a database of this schema. */
const char *sqlite_row_soundness(int64_t version);
