/* SPDX-License-Identifier: MIT */
/* A growing buffer of bytes. */
#pragma once

#include <string.h>

#include "common/macros.h"

struct buf {
    char *data; /* not terminated; see buf_text */
    size_t len, capacity;
};

void buf_deinit(struct buf *buf);
/** Empties the buffer and keeps its memory. */
void buf_clear(struct buf *buf);
/** Makes the capacity exceed the length by at least `len`. */
void buf_grow(struct buf *buf, size_t len);

/* Inline, since replies are printed by many small additions, most of a known length. */

/** Makes room for `len` more bytes and returns where they go. */
static inline char *buf_reserve(struct buf *buf, size_t len)
{
    if (buf->capacity - buf->len < len)
        buf_grow(buf, len);
    return buf->data + buf->len;
}

static inline void buf_add(struct buf *buf, const void *data, size_t len)
{
    if (!len)
        return;
    memcpy(buf_reserve(buf, len), data, len);
    buf->len += len;
}

static inline void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

static inline void buf_add_char(struct buf *buf, char c)
{
    *buf_reserve(buf, 1) = c;
    buf->len++;
}

/** Adds text in which bytes that are not UTF-8 become U+FFFD. */
void buf_add_utf8(struct buf *buf, const char *text, size_t len);
void buf_add_int(struct buf *buf, int64_t value);
/** As many digits as it needs to be read back as the same number, integers without a point. */
void buf_add_number(struct buf *buf, double value);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3)
    __attribute__((nonnull(2)));
/** Removes the first `len` bytes. */
void buf_consume(struct buf *buf, size_t len);
/** The bytes as a C string, valid until the next change. */
const char *buf_text(struct buf *buf);
/** Returns the bytes as a C string that the caller frees, and empties the buffer. */
char *buf_take(struct buf *buf);
