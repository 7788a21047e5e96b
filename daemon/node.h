/* SPDX-License-Identifier: MIT */
/* Who this acpd is among those that share a store. */
#pragma once

#include "core/settings.h"

/** Its name: as configured, or the host's, as far as that is a word. The caller frees it. */
char *node_name(const struct settings *settings);
/** Identifies this state directory, by a number that it keeps, on this machine. A previous node
 *  with the same value is dead, because this acpd holds the lock. The caller frees it; NULL: see
 *  errno. */
char *node_place(const char *state_dir);
