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
/** Makes room for `len` more bytes and returns where they go. */
char *buf_reserve(struct buf *buf, size_t len);
void buf_add(struct buf *buf, const void *data, size_t len);
/** Inline, so that the length of a literal is known when it is compiled. */
static inline void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}
void buf_add_char(struct buf *buf, char c);
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
