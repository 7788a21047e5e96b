/* SPDX-License-Identifier: MIT */
/* A store in a PostgreSQL server. */
#pragma once

#include "store/store.h"

struct store_postgres {
    const char *url;    /* any connection string or URI of libpq */
    int64_t timeout_ms; /* of one answer of the server */
    bool is_pooled;     /* a session lasts no longer than a transaction */

    /* The node that this handle becomes. */
    const char *name;     /* no other living one has it; NULL: none, as in tests */
    const char *place;    /* one acpd at a time runs there, so a new one knows its predecessor dead;
                             NULL: unknown */
    const char *node_url; /* where others find its gateway, or NULL */
    int64_t lease_ms;     /* a node silent for this long is dead; 0: never */
};

/** Connects to the database, makes or migrates acpd's tables in it, and becomes one of the nodes
 *  that share it. Waits for up to a lease for another node of its name to show that it lives. On
 *  failure *ret_error is a message for the user, which the caller frees. */
MUST_CHECK int store_open_postgres(const struct store_postgres *options, struct store **ret_store,
                                   char **ret_error);
/** Whether the database can be used, without changing anything. *ret_info is a line for the user,
 *  *ret_error a message; the caller frees both. */
MUST_CHECK int store_check_postgres(const struct store_postgres *options, char **ret_info,
                                    char **ret_error);
