/* SPDX-License-Identifier: MIT */
/*
 * Databases of SQLite as files, for acpd's commands. No part of the interface in store.h: another
 * engine has its own tools.
 *
 * None of these needs a struct store, and they work beside an acpd that uses the database unless
 * they say otherwise. On success *ret_info is a line for people, on failure *ret_error a message;
 * both are to be freed.
 */
#pragma once

#include "common/macros.h"

/** Whether it is one of acpd's that this acpd can use, and whole: reads all of it. */
MUST_CHECK int sqlite_files_verify(const char *path, char **ret_info, char **ret_error);
/** Copies what is committed into a new file, one snapshot of it. -EEXIST: there is such a file. */
MUST_CHECK int sqlite_files_backup(const char *path, const char *to, char **ret_info,
                                   char **ret_error);
/** Saves what can be read of a damaged database into a new file, for sqlite_files_restore(). */
MUST_CHECK int sqlite_recover(const char *path, const char *to, char **ret_info, char **ret_error);
/** Puts a copy of `from` in the place of the database, which nobody may use meanwhile and which
 * stays beside it as PATH.replaced-TIME. Its schema is brought up to date, and its counters are
 * those of a count. */
MUST_CHECK int sqlite_files_restore(const char *path, const char *from, char **ret_info,
                                    char **ret_error);
