/* SPDX-License-Identifier: MIT */
/* The end of what a program wrote to stderr, as text for people. */
#pragma once

#include "common/buf.h"

#define STDERR_LINES_COUNT 20
#define STDERR_LINES_BYTES 4096

/**
 * The last lines of `text` (UTF-8), at most STDERR_LINES_COUNT and STDERR_LINES_BYTES of them,
 * parted by newlines: without terminal escape sequences (ECMA-48) and control characters, of a
 * progress bar what a terminal would show last, without lines that show nothing. NULL when nothing
 * is left; the caller frees it.
 */
char *stderr_lines(const char *text, size_t len);
