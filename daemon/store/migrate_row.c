/* SPDX-License-Identifier: MIT */
/* Rows in transit. */
#include "store/migrate_row.h"

#include <endian.h>

#include "common/alloc.h"

int migrate_row_fail(struct migrate *m, int r, const char *format, ...)
{
    va_list arguments;

    if (m->error)
        return r;
    va_start(arguments, format);
    m->error = xvasprintf(format, arguments);
    va_end(arguments);
    return r;
}

void migrate_row_begin(struct buf *row, int columns)
{
    uint16_t count = htobe16((uint16_t)columns);

    buf_add(row, &count, sizeof(count));
}

static void migrate_row_add_length(struct buf *row, int32_t len)
{
    uint32_t big = htobe32((uint32_t)len);

    buf_add(row, &big, sizeof(big));
}

void migrate_row_add(struct buf *row, const void *bytes, size_t len)
{
    migrate_row_add_length(row, (int32_t)len);
    buf_add(row, bytes, len);
}

void migrate_row_add_null(struct buf *row)
{
    migrate_row_add_length(row, -1);
}

void migrate_row_add_number(struct buf *row, int64_t number)
{
    uint64_t big = htobe64((uint64_t)number);

    migrate_row_add(row, &big, sizeof(big));
}

void migrate_row_add_double(struct buf *row, double number)
{
    int64_t bits;

    memcpy(&bits, &number, sizeof(bits));
    migrate_row_add_number(row, bits);
}

struct migrate_field migrate_row_take(const struct buf *row, size_t *at)
{
    uint32_t big;
    int32_t len;
    const char *bytes;

    *at += *at ? 0 : sizeof(uint16_t);
    memcpy(&big, row->data + *at, sizeof(big));
    len = (int32_t)be32toh(big);
    bytes = row->data + *at + sizeof(big);
    *at += sizeof(big) + (len < 0 ? 0 : (size_t)len);
    return len < 0 ? (struct migrate_field){0} : (struct migrate_field){bytes, (size_t)len};
}

int64_t migrate_row_number(struct migrate_field field)
{
    uint64_t big;

    if (field.len != sizeof(big)) /* a boolean */
        return field.bytes[0];
    memcpy(&big, field.bytes, sizeof(big));
    return (int64_t)be64toh(big);
}

double migrate_row_double(struct migrate_field field)
{
    int64_t bits = migrate_row_number(field);
    double number;

    memcpy(&number, &bits, sizeof(number));
    return number;
}
