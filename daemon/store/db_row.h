/* SPDX-License-Identifier: MIT */
/*
 * Checksums of task rows. SQLite detects damage in its own structures but not in the contents of
 * rows. So each row carries a CRC-32C of all its columns, including the id. Every reader checks it:
 * the statements of the queue directly; --check, recover and restore through the SQL function
 * task_crc().
 *
 * The sum covers the type and value of each column: 'i' and eight bytes, little-endian; 't', the
 * length in the same form and the bytes; or 'n' for NULL. A column of the lease is included only if
 * it is not NULL, after 'c' and its number, so that a row without a lease has the same sum as
 * before those columns existed. acpd never writes other types.
 */
#pragma once

#include "store/db.h"

/* A checksum being computed; what is short is gathered first. */
struct db_row_sum {
    uint32_t crc;
    size_t len;
    unsigned char bytes[256];
};

void db_row_add_byte(struct db_row_sum *sum, char byte);
void db_row_add_number(struct db_row_sum *sum, char tag, int64_t number);
void db_row_add_text(struct db_row_sum *sum, const char *text, size_t len);
/** Begins a column that is not NULL. */
void db_row_begin_column(struct db_row_sum *sum, int column);
uint32_t db_row_finish(struct db_row_sum *sum);

/** The checksum of a task's row. `lease` NULL: none. */
int64_t db_row_crc(const struct task *task, const struct store_lease *lease);
