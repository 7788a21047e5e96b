/* SPDX-License-Identifier: MIT */
/* The end of a program's stderr, as text for people. */
#pragma once

#include "common/buf.h"

#define STDERR_LINES_COUNT 20
#define STDERR_LINES_BYTES 4096

/**
 * The last lines of `text` (UTF-8), at most STDERR_LINES_COUNT and STDERR_LINES_BYTES of them,
 * separated by newlines, without terminal escape sequences (ECMA-48), control characters and blank
 * lines; of a progress bar only its last state. NULL if nothing is left; the caller frees it.
 */
char *stderr_lines(const char *text, size_t len);
