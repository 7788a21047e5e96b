/* SPDX-License-Identifier: MIT */
/* Reading the configuration file. Its keys are in table.c. */
#pragma once

#include "core/settings.h"

/**
 * Reads the file; NULL is the built-in configuration: three profiles that run the program at
 * `demo_path`. On -EINVAL *ret_error names the line or key; the caller frees it.
 */
MUST_CHECK int config_load(const char *path, const char *demo_path, struct settings *ret_settings,
                           char **ret_error);
