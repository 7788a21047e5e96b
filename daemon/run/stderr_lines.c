/* SPDX-License-Identifier: MIT */
#include "run/stderr_lines.h"

#include <ctype.h>
#include <string.h>

enum { BEL = 0x07, ESC = 0x1b, DEL = 0x7f };

/* The length of the escape sequence at the start of `text`. */
static size_t stderr_lines_escape_length(const char *text, size_t len)
{
    size_t i = 1;

    if (len < 2)
        return len;
    if (text[1] == '[') { /* CSI: parameters, then one final byte */
        for (i = 2; i < len && (text[i] < 0x40 || text[i] > 0x7e);)
            i++;
    } else if (strchr("]PX^_", text[1])) { /* a string, up to BEL or ESC \ */
        for (i = 2; i < len && text[i] != BEL && text[i] != ESC;)
            i++;
        i += i < len && text[i] == ESC;
    } else { /* intermediates, then one final byte */
        while (i < len && text[i] >= 0x20 && text[i] <= 0x2f)
            i++;
    }
    return i < len ? i + 1 : len;
}

/* Adds the line as a terminal would show it: printable text after its last carriage return. */
static void stderr_lines_add_line(struct buf *out, const char *line, size_t len)
{
    size_t start = out->len;

    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)line[i];

        if (c == ESC) {
            i += stderr_lines_escape_length(line + i, len - i);
            continue;
        }
        if (c == '\r' && i + 1 < len)
            out->len = start;
        if (c == '\t' || (c >= 0x20 && c != DEL))
            buf_add_char(out, (char)c);
        i++;
    }
    while (out->len > start && isspace((unsigned char)out->data[out->len - 1]))
        out->len--;
    if (out->len > start)
        buf_add_char(out, '\n');
}

char *stderr_lines(const char *text, size_t len)
{
    CLEANUP(buf_deinit) struct buf shown = {0};
    struct buf out = {0};
    size_t from, lines = 0;

    for (const char *end; len; len -= (size_t)(end - text), text = end) {
        const char *newline = memchr(text, '\n', len);

        end = newline ? newline + 1 : text + len;
        stderr_lines_add_line(&shown, text, (size_t)((newline ? newline : end) - text));
    }
    if (!shown.len)
        return NULL;
    shown.len--; /* the last newline */
    for (from = shown.len; from && shown.len - from < STDERR_LINES_BYTES; from--)
        if (shown.data[from - 1] == '\n' && ++lines == STDERR_LINES_COUNT)
            break;
    while (from && from < shown.len && ((unsigned char)shown.data[from] & 0xc0) == 0x80)
        from++;
    buf_add(&out, shown.data + from, shown.len - from);
    return buf_take(&out);
}
