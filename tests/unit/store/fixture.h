/* SPDX-License-Identifier: MIT */
/* What the tests of the store that are about SQLite share (tests/store has the interface): a store
 * in a folder of its own, its file as another program sees it, tasks to put there, and lists of
 * what came out. */
#pragma once

#include "common/buf.h"
#include "store/sqlite_row.h"
#include "tasks.h"

#define NOBODY 65534

/* The store, in a folder of its own */

extern char folder[32];
extern char *path;

void open_store(void);
void close_store(void);
void reopen_store(void);
void setup_folder(void);
void setup(void);
void teardown(void);

/* The file, as another program sees it */

sqlite3 *open_file(void);
void run_sql(const char *sql);
char *ask(const char *sql);
int64_t ask_number(const char *sql);
void check_answer(const char *sql, const char *expected);
/** All that has been committed. */
char *dump(void);
void check_dump(const char *expected, const char *when);
char *read_bytes(const char *name, size_t *ret_len);
void write_bytes(const char *bytes, size_t len);
int64_t size_of(const char *suffix);
/** Expects that the file is refused and left as it is; returns the errno. */
int refusal_of_file(const char *part_of_message);

void add_attempt(int64_t task_id, int64_t number, int64_t profile_id, int64_t finished_at,
                 enum error_class class);

/* The cases of each file. */

void add_statement_cases(Suite *suite);
void add_year_cases(Suite *suite);
void add_failure_cases(Suite *suite);
void add_open_cases(Suite *suite);
void add_disk_cases(Suite *suite);
