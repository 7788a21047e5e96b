/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the migration: its tables, and rows in transit.
 *
 * A row is what PostgreSQL's binary COPY has for it: the number of columns, and of each one the
 * length, or -1 for NULL, and the bytes, numbers as big-endian ones. So rows that are the same are
 * the same bytes.
 */
#pragma once

#include "common/buf.h"
#include "store/migrate.h"
#include "store/pg.h"
#include "store/sqlite.h"

#define MIGRATE_COLUMNS_MAX 100

/* A table of both databases. */
struct migrate_table {
    char *name;
    char *columns; /* those of the primary key first; without the checksum, since some rows
                      have another one in PostgreSQL */
    char *key;     /* the columns of the primary key */
    bool has_sum;  /* the column `crc` */
    int column_count, key_count;
    Oid types[MIGRATE_COLUMNS_MAX]; /* in PostgreSQL, with the checksum's as the last one */
    int64_t rows;                   /* that were read last */
    int64_t mended;                 /* texts among them that were not UTF-8 */
};

struct migrate {
    const struct migrate_options *options;
    sqlite3 *db;
    struct pg *pg;
    struct migrate_table *tables;
    size_t table_count;
    char *aside; /* where the target's file is, if it had one */
    char *error; /* for the user */
};

struct migrate_field {
    const char *bytes; /* NULL: NULL */
    size_t len;
};

/** Sets the message, unless there is one, and returns `r`. */
int migrate_row_fail(struct migrate *m, int r, const char *format, ...) PRINTF_LIKE(3, 4);

void migrate_row_begin(struct buf *row, int columns);
void migrate_row_add(struct buf *row, const void *bytes, size_t len);
void migrate_row_add_null(struct buf *row);
void migrate_row_add_number(struct buf *row, int64_t number);
void migrate_row_add_double(struct buf *row, double number);
/** Reads the field at *at, an offset in the row (0: the first one), which moves behind it. */
struct migrate_field migrate_row_take(const struct buf *row, size_t *at);
int64_t migrate_row_number(struct migrate_field field);
double migrate_row_double(struct migrate_field field);

/* One database */

/** Lists the tables and their columns. */
int migrate_sqlite_list_tables(struct migrate *m);
/** Opens the existing database; read-only. */
int migrate_sqlite_open(struct migrate *m);
/** Creates one under another name, *ret_part, and begins the transaction that fills it. */
int migrate_sqlite_create(struct migrate *m, char **ret_part);
/** Prepares to read all rows in the order of their keys. */
int migrate_sqlite_begin_reading(struct migrate *m, struct migrate_table *table, bool with_sum,
                                 sqlite3_stmt **ret_stmt);
/** 1: a row. */
int migrate_sqlite_read(struct migrate *m, struct migrate_table *table, sqlite3_stmt *stmt,
                        struct buf *row);
/** Prepares to write rows. Checksums are computed. */
int migrate_sqlite_begin_writing(struct migrate *m, const struct migrate_table *table,
                                 sqlite3_stmt **ret_stmt);
int migrate_sqlite_write(struct migrate *m, const struct migrate_table *table, sqlite3_stmt *stmt,
                         const struct buf *row);
int migrate_sqlite_execute(struct migrate *m, const char *sql);
int migrate_sqlite_number(struct migrate *m, const char *sql, int64_t *ret_number);
/** The last id that was given to a row of the table, 0: none. */
int migrate_sqlite_last_id(struct migrate *m, const struct migrate_table *table, int64_t *ret_id);
int migrate_sqlite_set_last_id(struct migrate *m, const struct migrate_table *table, int64_t id);
/** CLEANUP(migrate_sqlite_finalizep) */
void migrate_sqlite_finalizep(sqlite3_stmt **stmt);

/** Connects, as the only acpd that does; makes the target's tables if there are none. */
int migrate_pg_open(struct migrate *m);
/** The types of a table's columns. Fails unless it has the same columns in both databases. */
int migrate_pg_describe(struct migrate *m, struct migrate_table *table);
int migrate_pg_begin_reading(struct migrate *m, const struct migrate_table *table);
/** 1: a row. All have to be read before anything else is asked. */
int migrate_pg_read(struct migrate *m, struct buf *row);
int migrate_pg_begin_writing(struct migrate *m, const struct migrate_table *table);
/** Sends rows; the buffer is empty afterwards. */
int migrate_pg_write(struct migrate *m, struct buf *rows);
int migrate_pg_end_writing(struct migrate *m);
/** Puts what came with the rows where PostgreSQL has it: the profiles' minutes, and the only node
 * of a task. */
int migrate_pg_arrange(struct migrate *m);
int migrate_pg_execute(struct migrate *m, const char *sql);
int migrate_pg_number(struct migrate *m, const char *sql, int64_t *ret_number);
int migrate_pg_last_id(struct migrate *m, const struct migrate_table *table, int64_t *ret_id);
int migrate_pg_set_last_id(struct migrate *m, const struct migrate_table *table, int64_t id);
