/* SPDX-License-Identifier: MIT */
#pragma once

#include <sqlite3.h>

/** The name of the file system for databases that are written much; it lies above the default one.
 */
const char *sqlite_vfs(void);
