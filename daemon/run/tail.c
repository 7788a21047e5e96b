/* SPDX-License-Identifier: MIT */
#include "run/tail.h"

#include <string.h>

#include "common/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"

void tail_deinit(struct tail *tail)
{
    buf_deinit(&tail->bytes);
}

static void tail_trim(struct tail *tail)
{
    if (tail->bytes.len <= tail->limit)
        return;
    buf_consume(&tail->bytes, tail->bytes.len - tail->limit);
    tail->is_cut = true;
}

void tail_add(struct tail *tail, const char *data, size_t len)
{
    if (len >= tail->limit) {
        tail->is_cut |= len > tail->limit || tail->bytes.len;
        buf_clear(&tail->bytes);
        data += len - tail->limit;
        len = tail->limit;
    } else if (tail->bytes.len + len > 2 * tail->limit) {
        tail_trim(tail);
    }
    buf_add(&tail->bytes, data, len);
}

static bool tail_is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

void tail_take(struct tail *tail, struct buf *text)
{
    const char *data;
    size_t len, i = 0, plain = 0, start = text->len;

    tail_trim(tail);
    data = tail->bytes.data;
    len = tail->bytes.len;
    if (tail->is_cut)
        while (i < 3 && i < len && tail_is_continuation(data[i]))
            plain = ++i;
    while (i < len) {
        size_t width = utf8_width(data + i, len - i);

        if (width) {
            i += width;
            continue;
        }
        buf_add(text, data + plain, i - plain);
        buf_add_text(text, REPLACEMENT);
        plain = ++i;
    }
    if (len)
        buf_add(text, data + plain, len - plain);
    buf_clear(&tail->bytes);
    /* Replacement characters are longer than what they replace. */
    if (text->len - start > tail->limit) {
        size_t from = text->len - tail->limit;

        while (from < text->len && tail_is_continuation(text->data[from]))
            from++;
        len = text->len - from;
        memmove(text->data + start, text->data + from, len);
        text->len = start + len;
    }
}
