/* SPDX-License-Identifier: MIT */
/*
 * SQLite databases as files, for acpd's commands. Not part of store.h: another engine has its own
 * tools.
 *
 * None of these needs a struct store. Unless noted otherwise, they work while an acpd uses the
 * database. On success *ret_info is a line for the user, on failure *ret_error is a message; the
 * caller frees both.
 */
#pragma once

#include "common/macros.h"

/** Whether this acpd can use the database and nothing in it is damaged. Reads all of it. */
MUST_CHECK int sqlite_files_verify(const char *path, char **ret_info, char **ret_error);
/** Copies one committed snapshot into a new file. -EEXIST: the file exists. */
MUST_CHECK int sqlite_files_backup(const char *path, const char *to, char **ret_info,
                                   char **ret_error);
/** Copies the readable rows of a damaged database into a new file, for sqlite_files_restore(). */
MUST_CHECK int sqlite_recover(const char *path, const char *to, char **ret_info, char **ret_error);
/** Replaces the database, which must not be in use, by a copy of `from`, and keeps the old one as
 *  PATH.replaced-TIME. Migrates the copy's schema and recounts its counters. */
MUST_CHECK int sqlite_files_restore(const char *path, const char *from, char **ret_info,
                                    char **ret_error);
