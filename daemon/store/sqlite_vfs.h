/* SPDX-License-Identifier: MIT */
#pragma once

#include <sqlite3.h>

/** Opens a database that is written much. As sqlite3_open_v2(). */
int sqlite_vfs_open(const char *path, int flags, sqlite3 **ret_db);
