/* SPDX-License-Identifier: MIT */
#include "run/last_line.h"

void last_line_deinit(struct last_line *line)
{
    buf_deinit(&line->text);
}

static bool last_line_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void last_line_grow(struct last_line *line, const char *data, size_t len)
{
    char first = line->text.len ? line->text.data[0] : *data;

    if (first != '{' && first != '\xef')
        len = line->text.len ? 0 : 1;
    if (len > line->limit - line->text.len)
        line->is_over = true;
    else
        buf_add(&line->text, data, len);
}

void last_line_add(struct last_line *line, const char *data, size_t len)
{
    while (line->limit && len) {
        const char *newline;
        size_t taken;

        if (!line->is_open && last_line_is_blank(*data)) {
            data++;
            len--;
            continue;
        }
        newline = memchr(data, '\n', len);
        taken = newline ? (size_t)(newline - data) : len;
        if (!line->is_open) {
            buf_clear(&line->text);
            line->is_over = false;
        }
        line->is_open = !newline;
        if (!line->is_over && taken)
            last_line_grow(line, data, taken);
        taken += newline != NULL;
        data += taken;
        len -= taken;
    }
}
