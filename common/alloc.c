/* SPDX-License-Identifier: MIT */
#include "common/alloc.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"

static void *alloc_checked(void *pointer)
{
    if (pointer)
        return pointer;
    log_error("out of memory; aborting");
    abort();
}

void *xmalloc(size_t size)
{
    return alloc_checked(malloc(size ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
    return alloc_checked(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *pointer, size_t size)
{
    return alloc_checked(realloc(pointer, size ? size : 1));
}

char *xstrdup(const char *text)
{
    return alloc_checked(strdup(text));
}

char *xstrndup(const char *text, size_t len)
{
    return alloc_checked(strndup(text, len));
}

char *xvasprintf(const char *format, va_list args)
{
    char *text = NULL;
    int n = vasprintf(&text, format, args);

    return alloc_checked(n < 0 ? NULL : text);
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    return text;
}
