/* SPDX-License-Identifier: MIT */
#include "common/json_out.h"

#include <endian.h>
#include <math.h>
#include <stdarg.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/utf8.h"

/* Whether a value ends here. */
static bool json_out_is_comma_due(const struct buf *out)
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

    if (json_out_is_comma_due(out))
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

#define EACH(byte) (0x0101010101010101u * (byte))

/* Of eight bytes, in the order of their addresses: how many come before the first that is a quote,
 * a backslash, a control character or not ASCII. */
static size_t json_out_count_plain(uint64_t eight)
{
    uint64_t bytes = le64toh(eight), special;

    /* A byte that is smaller than what is subtracted borrows, which sets its high bit. A borrow may
     * spill into the bytes above, behind a special one. */
    special = (bytes | (bytes - EACH(0x20)) | ((bytes ^ EACH('"')) - EACH(1)) |
               ((bytes ^ EACH('\\')) - EACH(1)) | ((bytes ^ EACH(0x7f)) - EACH(1))) &
              EACH(0x80);
    return special ? (size_t)__builtin_ctzll(special) / 8 : 8;
}

size_t json_out_plain_length(const char *text, size_t len)
{
    size_t at = 0, count = 8;
    uint64_t eight = 0;

    for (; count == 8 && len - at >= 8; at += count) {
        memcpy(&eight, text + at, 8);
        count = json_out_count_plain(eight);
    }
    if (count < 8 || at == len)
        return at;
    eight = 0; /* control characters */
    memcpy(&eight, text + at, len - at);
    return at + json_out_count_plain(eight);
}

void json_out_put_string(struct buf *out, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t i = 0, plain = 0;

    if (!text) {
        buf_add_text(out, "null");
        return;
    }
    buf_add_char(out, '"');
    while (i < len) {
        size_t width = json_out_plain_length(text + i, len - i);
        unsigned char c;

        if (width) {
            i += width;
            continue;
        }
        c = (unsigned char)text[i];
        width = c < 0x80 ? 0 : utf8_width(text + i, len - i);
        if (width) {
            i += width;
            continue;
        }
        buf_add(out, text + plain, i - plain);
        if (c >= 0x80) {
            buf_add_text(out, "\xef\xbf\xbd");
        } else {
            static const char names[] = "\b\t\n\f\r\"\\";
            static const char escapes[] = "btnfr\"\\";
            const char *at = c ? strchr(names, c) : NULL;

            buf_add_char(out, '\\');
            if (at) {
                buf_add_char(out, escapes[at - names]);
            } else {
                buf_add_text(out, "u00");
                buf_add_char(out, hex[c >> 4]);
                buf_add_char(out, hex[c & 15]);
            }
        }
        plain = ++i;
    }
    buf_add(out, text + plain, len - plain);
    buf_add_char(out, '"');
}

void json_out_put_number(struct buf *out, double value)
{
    if (isfinite(value))
        buf_add_number(out, value);
    else
        buf_add_text(out, "null");
}

void json_out_put_time(struct buf *out, int64_t wall_ms)
{
    char text[CLOCK_ISO_SIZE];

    if (!wall_ms) {
        buf_add_text(out, "null");
        return;
    }
    clock_format_iso(wall_ms, text);
    buf_add_char(out, '"');
    buf_add(out, text, strlen(text));
    buf_add_char(out, '"');
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
