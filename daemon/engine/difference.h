/* SPDX-License-Identifier: MIT */
/* How the configurations of two nodes differ. Each tells the others a line per profile, its name
 * and its digest (config/digest.h), sorted by name. */
#pragma once

#include "core/profile.h"

/** The lines of these profiles, except removed ones. The caller frees them. */
char *difference_describe(struct profile *const *profiles, size_t count);
/** What differs: `PROFILE.SETTING`, or `PROFILE` if only one of them has the profile; at most a
 *  hundred. The caller frees the array with strv_free(). */
char **difference_list(const char *ours, const char *theirs);
