/* SPDX-License-Identifier: MIT */
#include "common/buf.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/utf8.h"

#define PRINTF_USUAL 64 /* bytes */

void buf_deinit(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

void buf_grow(struct buf *buf, size_t len)
{
    size_t capacity = buf->capacity ? buf->capacity : 256;

    while (capacity - buf->len < len)
        capacity *= 2;
    buf->data = xrealloc(buf->data, capacity);
    buf->capacity = capacity;
}

void buf_add_utf8(struct buf *buf, const char *text, size_t len)
{
    size_t i = 0, plain = 0; /* what begins there is added later */

    while (i < len) {
        size_t width = utf8_width(text + i, len - i);

        if (width) {
            i += width;
            continue;
        }
        buf_add(buf, text + plain, i - plain);
        buf_add_text(buf, "\xef\xbf\xbd");
        plain = ++i;
    }
    buf_add(buf, text + plain, len - plain);
}

void buf_add_int(struct buf *buf, int64_t value)
{
    char digits[24];
    char *at = digits + sizeof(digits);
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    buf_add(buf, at, (size_t)(digits + sizeof(digits) - at));
}

/* Numbers of up to six decimals, as most are. A quotient is the number nearest to it, and so is
 * what its digits read back as: when the two are the same number, the digits are the number. */
static bool buf_add_decimal(struct buf *buf, double value)
{
    double millionths = round(value * 1e6);
    char digits[6];
    int64_t rest;
    size_t len = sizeof(digits);

    if (fabs(value) >= 1e9 || millionths / 1e6 != value)
        return false;
    rest = (int64_t)fabs(millionths);
    if (value < 0)
        buf_add_char(buf, '-');
    buf_add_int(buf, rest / 1000000);
    for (size_t i = len; i--; rest /= 10)
        digits[i] = (char)('0' + rest % 10);
    while (digits[len - 1] == '0')
        len--;
    buf_add_char(buf, '.');
    buf_add(buf, digits, len);
    return true;
}

void buf_add_number(struct buf *buf, double value)
{
    if (value == floor(value) && fabs(value) < 1e15) {
        buf_add_int(buf, (int64_t)value);
        return;
    }
    if (buf_add_decimal(buf, value))
        return;
    /* The shortest of the two usual precisions that reads back as the same number. */
    char digits[40];

    snprintf(digits, sizeof(digits), "%.15g", value);
    if (strtod(digits, NULL) != value)
        snprintf(digits, sizeof(digits), "%.17g", value);
    buf_add_text(buf, digits);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    size_t room = PRINTF_USUAL;
    va_list args;
    int n;

    do {
        buf_reserve(buf, room);
        room = buf->capacity - buf->len;
        va_start(args, format);
        n = vsnprintf(buf->data + buf->len, room, format, args);
        va_end(args);
        if (n < 0)
            return;
    } while ((size_t)n >= room && (room = (size_t)n + 1));
    buf->len += (size_t)n;
}

void buf_consume(struct buf *buf, size_t len)
{
    buf->len -= len;
    if (buf->len)
        memmove(buf->data, buf->data + len, buf->len);
}

const char *buf_text(struct buf *buf)
{
    *buf_reserve(buf, 1) = '\0';
    return buf->data;
}

char *buf_take(struct buf *buf)
{
    char *text;

    buf_text(buf);
    text = STEAL(buf->data);
    *buf = (struct buf){0};
    return text;
}
