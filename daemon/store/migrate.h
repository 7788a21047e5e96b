/* SPDX-License-Identifier: MIT */
/* Moves everything from one kind of store to the other, for acpd's command. */
#pragma once

#include "common/macros.h"

struct migrate_options {
    const char *path;    /* of SQLite's database; nobody else may use its folder meanwhile */
    const char *url;     /* of PostgreSQL's */
    bool is_to_postgres; /* or from there */
};

/**
 * Copies all rows, except those of nodes, compares them, and makes the copy durable as a whole; the
 * source is not changed. Where the target has these very rows already, only compares.
 *
 * *ret_report has a line for each table. On failure the target is as before, except for tables
 * without rows, and *ret_error is a message; the caller frees both. -EBUSY: an acpd uses the
 * server's database. -EEXIST: the target has tasks.
 */
MUST_CHECK int migrate_run(const struct migrate_options *options, char **ret_report,
                           char **ret_error);
