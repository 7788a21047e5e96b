/* SPDX-License-Identifier: MIT */
#pragma once

#include <sqlite3.h>

/** As sqlite3_open_v2(), but the pages of a commit go to the log in one write. */
int sqlite_vfs_open(const char *path, int flags, sqlite3 **ret_db);
