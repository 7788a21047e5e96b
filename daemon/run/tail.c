/* SPDX-License-Identifier: MIT */
#include "run/tail.h"

#include <string.h>

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
    size_t skipped = 0, start = text->len;

    tail_trim(tail);
    if (tail->is_cut)
        while (skipped < 3 && skipped < tail->bytes.len &&
               tail_is_continuation(tail->bytes.data[skipped]))
            skipped++;
    if (tail->bytes.len)
        buf_add_utf8(text, tail->bytes.data + skipped, tail->bytes.len - skipped);
    buf_clear(&tail->bytes);
    /* Replacement characters are longer than what they replace. */
    if (text->len - start > tail->limit) {
        size_t from = text->len - tail->limit, len;

        while (from < text->len && tail_is_continuation(text->data[from]))
            from++;
        len = text->len - from;
        memmove(text->data + start, text->data + from, len);
        text->len = start + len;
    }
}
