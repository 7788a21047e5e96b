/* SPDX-License-Identifier: MIT */
/* Vectors of strings, ended by NULL, as execve() takes them. NULL is an empty vector. */
#pragma once

#include <string.h>

#include "common/alloc.h"

static inline size_t strv_length(char *const *strv)
{
    size_t n = 0;

    while (strv && strv[n])
        n++;
    return n;
}

static inline void strv_free(char **strv)
{
    for (size_t i = 0; strv && strv[i]; i++)
        free(strv[i]);
    free(strv);
}

static inline void strv_freep(char ***strv)
{
    strv_free(*strv);
}

/** Appends a string that the vector owns from then on. */
static inline void strv_push(char ***strv, char *text)
{
    size_t n = strv_length(*strv);

    *strv = xrealloc(*strv, (n + 2) * sizeof(**strv));
    (*strv)[n] = text;
    (*strv)[n + 1] = NULL;
}

static inline bool strv_contains(char *const *strv, const char *text)
{
    for (size_t i = 0; strv && strv[i]; i++)
        if (strcmp(strv[i], text) == 0)
            return true;
    return false;
}
