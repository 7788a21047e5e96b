/* SPDX-License-Identifier: MIT */
#include "common/json_out.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/alloc.h"

/* Whether a value ends here. */
static bool is_comma_due(const struct buf *out)
{
    if (!out->len)
        return false;
    switch (out->data[out->len - 1]) {
    case '{':
    case '[':
    case ':':
    case ',':
    case '\n':
        return false;
    default:
        return true;
    }
}

void json_out_begin(struct buf *out, const char *name, size_t len)
{
    char *start = buf_reserve(out, len + strlen(",\"\":")), *end = start;

    if (is_comma_due(out))
        *end++ = ',';
    if (name) {
        *end++ = '"';
        memcpy(end, name, len);
        end += len;
        *end++ = '"';
        *end++ = ':';
    }
    out->len += (size_t)(end - start);
}

void json_out_printf(struct buf *out, const char *name, const char *format, ...)
{
    CLEANUP(freep) char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    json_out_text(out, name, text);
}
