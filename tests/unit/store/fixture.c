/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"

char folder[32];
char *path;

void open_store(void)
{
    char *error = NULL;
    int r = store_open(path, &store, &error);

    if (r != 0 || error)
        ck_abort_msg("%d: %s", r, error ? error : "");
}

void close_store(void)
{
    store_close(store);
    store = NULL;
}

void reopen_store(void)
{
    close_store();
    open_store();
}

void setup_folder(void)
{
    strcpy(folder, "/tmp/acpd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = xasprintf("%s/acpd.db", folder);
}

void setup(void)
{
    setup_folder();
    open_store();
    alpha = ensure("alpha");
    beta = ensure("beta");
    MUST(store_commit(store));
}

void teardown(void)
{
    CLEANUP(freep) char *command = xasprintf("rm -r '%s'", folder);

    close_store();
    ck_assert_int_eq(system(command), 0);
    free(path);
}

sqlite3 *open_file(void)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        ck_abort_msg("%s", sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, 10000);
    MUST(sqlite_row_add_functions(db));
    return db;
}

void run_sql(const char *sql)
{
    sqlite3 *db = open_file();

    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        ck_abort_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* All rows of the statement, one per line. */
static void print_rows(sqlite3 *db, const char *sql, struct buf *out)
{
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        ck_abort_msg("%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);

            buf_printf(out, "%s%s", i ? "|" : "", text ? text : "NULL");
        }
        buf_add_char(out, '\n');
    }
    if (sqlite3_finalize(stmt) != SQLITE_OK)
        ck_abort_msg("%s: %s", sql, sqlite3_errmsg(db));
}

char *ask(const char *sql)
{
    CLEANUP(buf_deinit) struct buf out = {0};
    sqlite3 *db = open_file();

    print_rows(db, sql, &out);
    sqlite3_close(db);
    return buf_take(&out);
}

int64_t ask_number(const char *sql)
{
    CLEANUP(freep) char *text = ask(sql);

    return strtoll(text, NULL, 10);
}

void check_answer(const char *sql, const char *expected)
{
    CLEANUP(freep) char *text = ask(sql);

    if (strcmp(text, expected) != 0)
        ck_abort_msg("%s:\n%s instead of\n%s", sql, text, expected);
}

char *dump(void)
{
    static const char *const tables[] = {"profile", "task", "attempt", "bucket", "uptime"};
    CLEANUP(buf_deinit) struct buf out = {0};
    sqlite3 *db = open_file();

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        CLEANUP(freep) char *sql = xasprintf("SELECT * FROM %s ORDER BY 1, 2", tables[i]);

        buf_printf(&out, "%s\n", tables[i]);
        print_rows(db, sql, &out);
    }
    sqlite3_close(db);
    return buf_take(&out);
}

void check_dump(const char *expected, const char *when)
{
    CLEANUP(freep) char *now = dump();

    if (strcmp(now, expected) != 0)
        ck_abort_msg("%s: the database changed from\n%.2000s\nto\n%.2000s", when, expected, now);
}

char *read_bytes(const char *name, size_t *ret_len)
{
    CLEANUP(buf_deinit) struct buf bytes = {0};
    FILE *in = fopen(name, "re");
    size_t n;

    ck_assert_ptr_nonnull(in);
    while ((n = fread(buf_reserve(&bytes, 65536), 1, 65536, in)) > 0)
        bytes.len += n;
    fclose(in);
    *ret_len = bytes.len;
    return buf_take(&bytes);
}

void write_bytes(const char *bytes, size_t len)
{
    FILE *out = fopen(path, "we");

    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
    ck_assert_int_eq(fclose(out), 0);
}

int64_t size_of(const char *suffix)
{
    CLEANUP(freep) char *name = xasprintf("%s%s", path, suffix);
    struct stat st;

    return stat(name, &st) == 0 ? st.st_size : -1;
}

int refusal_of_file(const char *part_of_message)
{
    CLEANUP(freep) char *before = NULL, *after = NULL, *error = NULL;
    struct store *opened = (struct store *)&chance; /* not to be touched */
    size_t len_before, len_after;
    int r;

    before = read_bytes(path, &len_before);
    r = store_open(path, &opened, &error);
    if (r >= 0 || !error)
        ck_abort_msg("%d, with%s message", r, error ? " a" : "out");
    ck_assert_ptr_eq(opened, &chance);
    ck_assert_msg(strstr(error, part_of_message) != NULL, "\"%s\"", error);
    after = read_bytes(path, &len_after);
    ck_assert_uint_eq(len_after, len_before);
    ck_assert_mem_eq(after, before, len_before);
    ck_assert_int_eq(size_of("-wal"), -1);
    ck_assert_int_eq(size_of("-shm"), -1);
    ck_assert_int_eq(size_of("-journal"), -1);
    return r;
}

void add_attempt(int64_t task_id, int64_t number, int64_t profile_id, int64_t finished_at,
                 enum error_class class)
{
    MUST(db_add_attempt(store, &(struct store_attempt){
                                   .task_id = task_id,
                                   .number = number,
                                   .profile_id = profile_id,
                                   .started_at = finished_at - 500,
                                   .finished_at = finished_at,
                                   .duration_ms = finished_at - NOW,
                                   .error_class = class,
                                   .error_message = class == ERROR_NONE ? NULL : "it failed",
                               }));
}
