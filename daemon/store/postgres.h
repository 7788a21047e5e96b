/* SPDX-License-Identifier: MIT */
/* A store in a PostgreSQL server. */
#pragma once

#include "store/store.h"

struct store_postgres {
    const char *url;    /* any connection string or URI of libpq */
    int64_t timeout_ms; /* of one answer of the server */
    bool is_sole;       /* fail if another acpd uses the database */
};

/** Connects to the database, and makes or migrates acpd's tables in it. On failure *ret_error is a
 *  message for the user, which the caller frees. */
MUST_CHECK int store_open_postgres(const struct store_postgres *options, struct store **ret_store,
                                   char **ret_error);
/** Whether the database can be used, without changing anything. *ret_info is a line for the user,
 *  *ret_error a message; the caller frees both. */
MUST_CHECK int store_check_postgres(const struct store_postgres *options, char **ret_info,
                                    char **ret_error);
