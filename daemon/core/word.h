/* SPDX-License-Identifier: MIT */
/* Names of profiles and words of requirements: [a-z0-9][a-z0-9._-]*, at most 64 characters. */
#pragma once

#include "common/macros.h"

#define WORD_MAX     64
#define WORD_PATTERN "[a-z0-9][a-z0-9._-]{0,63}"

bool word_is_valid(const char *text);
/** The same with `*` and `?`, as fnmatch() knows them. */
bool word_is_pattern(const char *text);
