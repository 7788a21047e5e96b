/* SPDX-License-Identifier: MIT */
#include "core/word.h"

#include <string.h>

bool word_is_valid(const char *text)
{
    size_t len = strlen(text);

    return len >= 1 && len <= WORD_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") > 0 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

bool word_is_pattern(const char *text)
{
    size_t len = strlen(text);

    return len >= 1 && len <= WORD_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-*?") == len;
}
