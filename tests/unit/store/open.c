/* SPDX-License-Identifier: MIT */
/* Opening. */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "fixture.h"

START_TEST(open_makes_a_database)
{
    char *error = NULL;

    ck_assert_int_eq(size_of(""), -1);
    open_store();
    ck_assert_int_gt(size_of(""), 0);
    ck_assert(!store_is_writing(store));
    ck_assert_str_eq(store_error(store), "");
    check_answer("PRAGMA journal_mode", "wal\n");
    check_answer("PRAGMA integrity_check", "ok\n");
    ck_assert_int_gt(ask_number("PRAGMA user_version"), 0);
    reopen_store();
    ck_assert_ptr_null(error);
    /* A close writes the log back and removes it. */
    close_store();
    ck_assert_int_eq(size_of("-wal"), -1);
    ck_assert_int_eq(size_of("-shm"), -1);
    store_close(NULL);
}
END_TEST

/* An empty file is the remains of a database. */
START_TEST(open_refuses_an_empty_file)
{
    write_bytes("", 0);
    EXPECT(refusal_of_file("the file is empty"), -EBADMSG);
}
END_TEST

/* The third schema, with some data. */
static const char third_schema[] =
    "CREATE TABLE profile (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
    "is_active INTEGER NOT NULL DEFAULT 1, queued INTEGER NOT NULL DEFAULT 0, scheduled "
    "INTEGER NOT NULL DEFAULT 0, blocked INTEGER NOT NULL DEFAULT 0, running INTEGER NOT "
    "NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT "
    "0, cancelled INTEGER NOT NULL DEFAULT 0, last_activity INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE task (id INTEGER PRIMARY KEY, profile_id INTEGER NOT NULL, status INTEGER "
    "NOT NULL, priority INTEGER NOT NULL, place INTEGER NOT NULL, created_at INTEGER NOT "
    "NULL, started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL, run_at INTEGER NOT "
    "NULL, ready_at INTEGER NOT NULL, queued_at INTEGER NOT NULL, timeout INTEGER NOT NULL, "
    "max_attempts INTEGER NOT NULL, attempt INTEGER NOT NULL, spent INTEGER NOT NULL, "
    "retries INTEGER NOT NULL, interruptions INTEGER NOT NULL, error_class TEXT, "
    "error_message TEXT, key TEXT, result TEXT, routing TEXT, body TEXT NOT NULL);"
    "CREATE INDEX task_live ON task (status, profile_id, place) WHERE status <= 4;"
    "CREATE INDEX task_finished ON task (status) WHERE status > 4;"
    "CREATE UNIQUE INDEX task_key ON task (key) WHERE key IS NOT NULL;"
    "CREATE TABLE attempt (task_id INTEGER NOT NULL, number INTEGER NOT NULL, profile_id "
    "INTEGER NOT NULL, started_at INTEGER NOT NULL, finished_at INTEGER NOT NULL, duration "
    "INTEGER NOT NULL, error_class TEXT, error_message TEXT, counts INTEGER NOT NULL, "
    "PRIMARY KEY (task_id, number)) WITHOUT ROWID;"
    "CREATE INDEX attempt_recent ON attempt (profile_id, finished_at) WHERE counts;"
    "CREATE TABLE bucket (profile_id INTEGER NOT NULL, span INTEGER NOT NULL, at INTEGER "
    "NOT NULL, completed INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT "
    "NULL, retried INTEGER NOT NULL, successes INTEGER NOT NULL, errors INTEGER NOT NULL, "
    "duration_sum INTEGER NOT NULL, started INTEGER NOT NULL, wait_sum INTEGER NOT NULL, "
    "durations TEXT NOT NULL, PRIMARY KEY (profile_id, span, at)) WITHOUT ROWID;"
    "CREATE TABLE lease (task_id INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, token TEXT "
    "NOT NULL, length INTEGER NOT NULL, worker TEXT NOT NULL);"
    "ALTER TABLE attempt ADD COLUMN usage TEXT;"
    "ALTER TABLE attempt ADD COLUMN cost REAL;"
    "ALTER TABLE attempt ADD COLUMN currency TEXT;"
    "ALTER TABLE bucket ADD COLUMN cost REAL NOT NULL DEFAULT 0;"
    "ALTER TABLE bucket ADD COLUMN currency TEXT NOT NULL DEFAULT '';"
    "PRAGMA user_version = 3;";

static const char third_life[] =
    "INSERT INTO profile (id, name, completed) VALUES (1, 'alpha', 3);"
    /* Three minutes, two of them in one quarter-hour. */
    "INSERT INTO bucket VALUES (1, 60000, 1795356000000, 1, 0, 0, 0, 1, 0, 1000, 1, 5, '39:1', 0.5,"
    "  'USD');"
    "INSERT INTO bucket VALUES (1, 60000, 1795356060000, 2, 1, 0, 0, 2, 1, 9000, 3, 7, '39:2 53:1',"
    "  0.25, 'USD');"
    "INSERT INTO bucket VALUES (1, 60000, 1795356900000, 0, 0, 4, 0, 0, 0, 0, 0, 0, '', 0, '');";

START_TEST(open_gives_an_older_database_its_quarters)
{
    CLEANUP(listed_deinit) struct listed listed = {0};
    struct metrics_bucket expected = {
        .completed = 3,
        .failed = 1,
        .successes = 3,
        .errors = 1,
        .duration_sum_ms = 10000,
        .started = 4,
        .wait_sum_ms = 12,
        .cost = {0.75, "USD"},
    };

    expected.durations[39] = 3;
    expected.durations[53] = 1;
    run_sql(third_schema);
    run_sql(third_life);
    open_store();
    listed = list_buckets(1, METRICS_QUARTER, 0, INT64_MAX);
    EXPECT((int64_t)listed.count, 2);
    EXPECT(listed.buckets[0].at, 1795356000000);
    EXPECT(memcmp(&listed.buckets[0].sum, &expected, sizeof(expected)), 0);
    EXPECT(listed.buckets[1].at, 1795356900000);
    EXPECT(listed.buckets[1].sum.cancelled, 4);
    EXPECT(listed.buckets[1].sum.successes, 0);
}
END_TEST

START_TEST(open_refuses_a_newer_database)
{
    int64_t known;

    open_store();
    ensure("alpha");
    MUST(store_commit(store));
    close_store();
    known = ask_number("PRAGMA user_version");
    for (int64_t version = known + 1; version <= INT32_MAX; version = version * 3 + 1000) {
        CLEANUP(freep) char *sql = xasprintf("PRAGMA user_version = %lld", (long long)version);
        CLEANUP(freep)
        char *versions = xasprintf("newer acpd (schema %lld; this program knows %lld)",
                                   (long long)version, (long long)known);

        run_sql(sql);
        ck_assert_int_eq(refusal_of_file(versions), -ENOTSUP);
    }
    /* Also one that was never in WAL mode. */
    run_sql("PRAGMA journal_mode = DELETE");
    ck_assert_int_eq(refusal_of_file("newer acpd"), -ENOTSUP);
}
END_TEST

/* Any program can set the number; it must not be used as an index. */
START_TEST(open_refuses_a_senseless_version)
{
    open_store();
    close_store();
    run_sql("PRAGMA user_version = -1");
    ck_assert_int_lt(refusal_of_file("schema -1"), 0);
    run_sql("PRAGMA user_version = -2147483648");
    ck_assert_int_lt(refusal_of_file("schema -2147483648"), 0);
}
END_TEST

START_TEST(open_refuses_what_is_no_database)
{
    static char bytes[20000];
    static const size_t sizes[] = {2, 5, 100, 511, 4096, 5000, sizeof(bytes)};

    chance = 5;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)random_below(256);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        write_bytes(bytes, sizes[i]);
        ck_assert_int_eq(refusal_of_file(path), -EBADMSG);
    }
    write_bytes("{\"profiles\": []}\n", 17);
    ck_assert_int_eq(refusal_of_file(path), -EBADMSG);
}
END_TEST

START_TEST(open_refuses_a_damaged_database)
{
    CLEANUP(freep) char *bytes = NULL, *error = NULL;
    struct store *opened = NULL;
    size_t len;

    open_store();
    close_store();
    bytes = read_bytes(path, &len);
    ck_assert_uint_gt(len, 8192);
    /* The header is intact, the schema is not. */
    memset(bytes + 100, 0xee, 4096 - 100);
    write_bytes(bytes, len);
    ck_assert_int_lt(store_open(path, &opened, &error), 0);
    ck_assert_ptr_null(opened);
    ck_assert_ptr_nonnull(error);
}
END_TEST

/* Tables of another program: no part of the schema is added. */
START_TEST(open_refuses_a_foreign_database)
{
    static const char *const versions[] = {"PRAGMA user_version = 0", "PRAGMA user_version = 1"};

    run_sql("CREATE TABLE bucket (handle TEXT); INSERT INTO bucket VALUES ('red')");
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        CLEANUP(freep) char *error = NULL;
        struct store *opened = NULL;

        run_sql(versions[i]);
        ck_assert_int_lt(store_open(path, &opened, &error), 0);
        ck_assert_ptr_null(opened);
        ck_assert_ptr_nonnull(error);
        check_answer("SELECT type, name FROM sqlite_master", "table|bucket\n");
        check_answer("SELECT * FROM bucket", "red\n");
        EXPECT(ask_number("PRAGMA user_version"), (int64_t)i);
    }
}
END_TEST

static void check_open_fails(void)
{
    CLEANUP(freep) char *error = NULL;
    struct store *opened = NULL;
    int r = store_open(path, &opened, &error);

    if (r >= 0 || opened || !error || !strstr(error, path))
        ck_abort_msg("%d: %s", r, error ? error : "no message");
}

START_TEST(open_without_a_place)
{
    CLEANUP(freep) char *plain = STEAL(path);

    path = xasprintf("%s/missing/acpd.db", folder);
    check_open_fails();
    free(path);
    path = xstrdup(folder); /* a folder itself */
    check_open_fails();
    free(path);
    path = xasprintf("%s/acpd.db", plain); /* below a file */
    ck_assert_int_eq(mknod(plain, S_IFREG | 0600, 0), 0);
    check_open_fails();
    free(path);
    path = STEAL(plain);
}
END_TEST

/* Becomes a user without write permission; root may write everywhere. */
static void drop_rights(void)
{
    ck_assert_int_eq(chmod(folder, 0555), 0);
    if (geteuid() == 0)
        ck_assert_int_eq(seteuid(NOBODY), 0);
}

static void regain_rights(void)
{
    ck_assert_int_eq(seteuid(getuid()), 0);
    ck_assert_int_eq(chmod(folder, 0755), 0);
    prctl(PR_SET_DUMPABLE, 1); /* the leak checker needs it */
}

START_TEST(open_in_a_folder_that_cannot_be_written)
{
    CLEANUP(freep) char *before = NULL;

    drop_rights();
    check_open_fails();
    regain_rights();
    ck_assert_int_eq(size_of(""), -1);
    /* The same with an existing database. */
    open_store();
    ensure("alpha");
    MUST(store_commit(store));
    before = dump();
    close_store();
    ck_assert_int_eq(chmod(path, 0444), 0);
    drop_rights();
    check_open_fails();
    regain_rights();
    open_store();
    check_dump(before, "opened without rights");
}
END_TEST

void add_open_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "open", setup_folder, teardown);

    tcase_add_test(tcase, open_makes_a_database);
    tcase_add_test(tcase, open_refuses_an_empty_file);
    tcase_add_test(tcase, open_gives_an_older_database_its_quarters);
    tcase_add_test(tcase, open_refuses_a_newer_database);
    tcase_add_test(tcase, open_refuses_a_senseless_version);
    tcase_add_test(tcase, open_refuses_what_is_no_database);
    tcase_add_test(tcase, open_refuses_a_damaged_database);
    tcase_add_test(tcase, open_refuses_a_foreign_database);
    tcase_add_test(tcase, open_without_a_place);
    tcase_add_test(tcase, open_in_a_folder_that_cannot_be_written);
}
