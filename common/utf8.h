/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/macros.h"

/** Bytes of the well-formed UTF-8 sequence at `text` (Unicode 15, table 3-7), or 0. */
static inline size_t utf8_width(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t width;

    if (!len)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        width = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        width = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        width = 4;
    else
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0; /* overlong */
    else if (s[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (s[0] == 0xf0)
        low = 0x90; /* overlong */
    else if (s[0] == 0xf4)
        high = 0x8f; /* beyond U+10FFFF */
    if (len < width || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < width; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return width;
}

/** Number of bytes of `text` that fit into `max` without cutting a character. */
static inline size_t utf8_cut(const char *text, size_t len, size_t max)
{
    size_t cut = max;

    if (len <= max)
        return len;
    while (cut && max - cut < 3 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}
