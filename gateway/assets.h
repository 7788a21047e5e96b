/* SPDX-License-Identifier: MIT */
/* The dashboard's files, read into memory at the start. */
#pragma once

#include "gateway/http.h"

struct assets;

/** Reads every file below the folder. -errno with a message, which the caller frees, if that fails
 *  or there is no index.html. */
int assets_load(const char *folder, struct assets **ret_assets, char **ret_error);
void assets_free(struct assets *assets);

/** Answers a request for a page or a file; returns the status. */
int assets_handle(struct mg_connection *connection, const struct assets *assets, const char *path);
