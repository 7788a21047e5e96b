/* SPDX-License-Identifier: MIT */
<<<<<<< HEAD:daemon/config/config.h
/* Reading the configuration file. Its keys are in table.c. */
=======
/* Reading the configuration file. Its keys are in config_table.c. */
>>>>>>> d844d8b (core, config: comments of headers in plain English):daemon/config.h
#pragma once

#include "core/settings.h"

/**
 * Reads the file; NULL is the built-in configuration: three profiles that run the program at
 * `demo_path`. On -EINVAL *ret_error names the line or key; the caller frees it.
 */
int config_load(const char *path, const char *demo_path, struct settings *ret_settings,
                char **ret_error);
