/* SPDX-License-Identifier: MIT */
/* What a profile's configuration is, in short, so that acpds can compare theirs. */
#pragma once

#include "core/settings.h"

/** Each setting that is not at its default, as `KEY=HASH `; equal values have equal hashes. Leaves
 *  out `runner.env` and `runner.mcpServers`, which may hold secrets. The caller frees it. */
char *config_digest(const struct profile_config *profile);
