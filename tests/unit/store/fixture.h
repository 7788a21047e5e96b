/* SPDX-License-Identifier: MIT */
/* Shared by the SQLite tests of the store (tests/store tests the interface): a store in its own
 * folder, and its file as another program sees it. */
#pragma once

#include "common/buf.h"
#include "store/sqlite_row.h"
#include "tasks.h"

#define NOBODY 65534

/* The store, in its own folder */

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
/** All that is committed. */
char *dump(void);
void check_dump(const char *expected, const char *when);
char *read_bytes(const char *name, size_t *ret_len);
void write_bytes(const char *bytes, size_t len);
int64_t size_of(const char *suffix);
/** Expects that the file is rejected and unchanged; returns the errno. */
int refusal_of_file(const char *part_of_message);

void add_attempt(int64_t task_id, int64_t number, int64_t profile_id, int64_t finished_at,
                 enum error_class class);

/* The cases of each file. */

void add_statement_cases(Suite *suite);
void add_year_cases(Suite *suite);
void add_failure_cases(Suite *suite);
void add_open_cases(Suite *suite);
void add_disk_cases(Suite *suite);
