/* SPDX-License-Identifier: MIT */
/*
 * Allocation that does not fail.
 *
 * A setting limits every size that a user controls, so running out of memory means that the machine
 * is out of memory. acpd then aborts, as in a power cut: everything acknowledged is on disk, its
 * children die with it, and the next start recovers. That path is tested; a thousand error paths
 * would not be.
 */
#pragma once

#include <stdarg.h>

#include "common/macros.h"

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *pointer, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull, nonnull));
char *xstrndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull, nonnull));
/** A formatted string; the caller frees it. */
char *xasprintf(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((malloc, returns_nonnull));
char *xvasprintf(const char *format, va_list args) PRINTF_LIKE(1, 0)
    __attribute__((malloc, returns_nonnull));
