/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "core/task.h"
#include "store/sqlite_row.h"
#include "store/store.h"

#define NOW      INT64_C(1795357930125) /* 2026-11-22T14:32:10.125Z */
#define MINUTE   INT64_C(60000)
#define HOUR     (60 * MINUTE)
#define INTERVAL HOUR /* of aging */
#define IDS_MAX  1024
#define NOBODY   65534

/* xorshift64*; a seed makes a run of its own, the same each time. */
static uint64_t chance;

static uint64_t random_below(uint64_t limit)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (chance * UINT64_C(2685821657736338717) >> 16) % limit;
}

/* The store, in a folder of its own */

static char folder[32];
static char *path;
static struct store *store;
static int64_t alpha, beta; /* profiles */

static void expect(int64_t got, int64_t expected, const char *what)
{
    if (got != expected)
        ck_abort_msg("%s: %lld, not %lld (%s)", what, (long long)got, (long long)expected,
                     store ? store_error(store) : "");
}

/* Check writes every assertion to a file; these do not. */
#define EXPECT(call, value) expect((call), (value), #call)
#define MUST(call)          EXPECT(call, 0)

static void open_store(void)
{
    char *error = NULL;
    int r = store_open(path, &store, &error);

    if (r != 0 || error)
        ck_abort_msg("%d: %s", r, error ? error : "");
}

static void close_store(void)
{
    store_close(store);
    store = NULL;
}

static void reopen_store(void)
{
    close_store();
    open_store();
}

static int64_t ensure(const char *name)
{
    CLEANUP(store_profile_deinit) struct store_profile profile = {0};

    MUST(store_ensure_profile(store, name, &profile));
    return profile.id;
}

static void setup_folder(void)
{
    strcpy(folder, "/tmp/acpd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    path = xasprintf("%s/acpd.db", folder);
}

static void setup(void)
{
    setup_folder();
    open_store();
    alpha = ensure("alpha");
    beta = ensure("beta");
    MUST(store_commit(store));
}

static void teardown(void)
{
    CLEANUP(freep) char *command = xasprintf("rm -r '%s'", folder);

    close_store();
    ck_assert_int_eq(system(command), 0);
    free(path);
}

/* The file, as another program sees it */

static sqlite3 *open_file(void)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        ck_abort_msg("%s", sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, 10000);
    MUST(sqlite_row_add_functions(db));
    return db;
}

static void run_sql(const char *sql)
{
    sqlite3 *db = open_file();

    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        ck_abort_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* Every row of the statement, a line each. */
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

static char *ask(const char *sql)
{
    CLEANUP(buf_deinit) struct buf out = {0};
    sqlite3 *db = open_file();

    print_rows(db, sql, &out);
    sqlite3_close(db);
    return buf_take(&out);
}

static int64_t ask_number(const char *sql)
{
    CLEANUP(freep) char *text = ask(sql);

    return strtoll(text, NULL, 10);
}

static void check_answer(const char *sql, const char *expected)
{
    CLEANUP(freep) char *text = ask(sql);

    if (strcmp(text, expected) != 0)
        ck_abort_msg("%s:\n%s instead of\n%s", sql, text, expected);
}

/* All that has been committed. */
static char *dump(void)
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

static void check_dump(const char *expected, const char *when)
{
    CLEANUP(freep) char *now = dump();

    if (strcmp(now, expected) != 0)
        ck_abort_msg("%s: the database changed from\n%.2000s\nto\n%.2000s", when, expected, now);
}

static char *read_bytes(const char *name, size_t *ret_len)
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

static void write_bytes(const char *bytes, size_t len)
{
    FILE *out = fopen(path, "we");

    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
    ck_assert_int_eq(fclose(out), 0);
}

static int64_t size_of(const char *suffix)
{
    CLEANUP(freep) char *name = xasprintf("%s%s", path, suffix);
    struct stat st;

    return stat(name, &st) == 0 ? st.st_size : -1;
}

/* Expects that the file is refused and left as it is; returns the errno. */
static int refusal_of_file(const char *part_of_message)
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

/* Tasks */

#define NUMBERS(X)                                                                                 \
    X(id)                                                                                          \
    X(profile_id)                                                                                  \
    X(status)                                                                                      \
    X(priority)                                                                                    \
    X(place)                                                                                       \
    X(created_at)                                                                                  \
    X(started_at)                                                                                  \
    X(finished_at)                                                                                 \
    X(run_at)                                                                                      \
    X(ready_at)                                                                                    \
    X(queued_at)                                                                                   \
    X(timeout_ms)                                                                                  \
    X(max_attempts)                                                                                \
    X(attempt)                                                                                     \
    X(spent)                                                                                       \
    X(retries)                                                                                     \
    X(interruptions)                                                                               \
    X(error_class)

#define TEXTS(X)                                                                                   \
    X(error_message)                                                                               \
    X(key)                                                                                         \
    X(result)                                                                                      \
    X(routing)                                                                                     \
    X(body)

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_task(const struct task *got, const struct task *expected)
{
#define X(field)                                                                                   \
    if (got->field != expected->field)                                                             \
        ck_abort_msg("task %lld: " #field " is %lld, not %lld", (long long)expected->id,           \
                     (long long)got->field, (long long)expected->field);
    NUMBERS(X)
#undef X
#define X(field)                                                                                   \
    if (!same_text(got->field, expected->field))                                                   \
        ck_abort_msg("task %lld: " #field " is %.200s, not %.200s", (long long)expected->id,       \
                     got->field ? got->field : "NULL",                                             \
                     expected->field ? expected->field : "NULL");
    TEXTS(X)
#undef X
}

/* What the store has under the task's id is this task. */
static void check_stored(const struct task *expected)
{
    CLEANUP(task_deinit) struct task got = {0};

    EXPECT(store_get_task(store, expected->id, &got), 1);
    check_task(&got, expected);
}

/* Texts in the tasks of these tests are constants: they are never freed. */
static struct task new_task(int64_t profile_id, enum task_status status, int64_t place)
{
    return (struct task){
        .profile_id = profile_id,
        .status = status,
        .priority = PRIORITY_MEDIUM,
        .place = place,
        .created_at = NOW,
        .body = (char *)"\"title\":\"t\"",
    };
}

static int64_t add(int64_t profile_id, enum task_status status, int64_t place)
{
    struct task task = new_task(profile_id, status, place);

    MUST(store_add_task(store, &task));
    return task.id;
}

static struct task full_task(void)
{
    return (struct task){
        .profile_id = alpha,
        .status = TASK_FAILED,
        .priority = PRIORITY_HIGH,
        .place = -3,
        .created_at = NOW + 4,
        .started_at = NOW + 5,
        .finished_at = NOW + 6,
        .run_at = NOW + 7,
        .ready_at = NOW + 8,
        .queued_at = NOW + 9,
        .timeout_ms = 10,
        .max_attempts = 11,
        .attempt = 12,
        .spent = 13,
        .retries = 14,
        .interruptions = 15,
        .error_class = ERROR_RATE_LIMIT,
        .error_message = (char *)"told to \"wait\" — ', \\, %s, \n",
        .key = (char *)"key-é",
        .result = (char *)"{\"result\":true}",
        .routing = (char *)"{\"routing\":[]}",
        .body = (char *)"\"title\":\"\\u0000 and 💻\"",
    };
}

START_TEST(task_is_stored_as_it_is)
{
    struct task task = full_task();

    MUST(store_add_task(store, &task));
    ck_assert_int_gt(task.id, 0);
    check_stored(&task); /* before the commit too */
    MUST(store_commit(store));
    check_stored(&task);
    reopen_store();
    check_stored(&task);
}
END_TEST

START_TEST(task_with_the_least)
{
    struct task task = {.profile_id = beta, .status = TASK_QUEUED, .body = (char *)""};

    MUST(store_add_task(store, &task));
    MUST(store_commit(store));
    check_stored(&task);
}
END_TEST

START_TEST(task_with_the_most)
{
    static char texts[4][1024 * 1024 + 1];
    struct task task = full_task();

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        for (size_t k = 0; k < sizeof(texts[i]) - 1; k++)
            texts[i][k] = (char)(' ' + (i + k * 7) % 95);
    task.error_message = texts[0];
    task.result = texts[1];
    task.routing = texts[2];
    task.body = texts[3];
#define X(field)                                                                                   \
    if (sizeof(task.field) == sizeof(int64_t))                                                     \
        task.field = (__typeof__(task.field))INT64_MAX;
    NUMBERS(X)
#undef X
    task.id = 0;
    task.place = INT64_MIN;
    MUST(store_add_task(store, &task));
    MUST(store_commit(store));
    reopen_store();
    check_stored(&task);
}
END_TEST

START_TEST(task_of_every_kind)
{
    struct task tasks[3 * ERROR_CLASS_COUNT];
    size_t count = 0;

    for (int error = 0; error < ERROR_CLASS_COUNT; error++) {
        for (int priority = 0; priority < PRIORITY_COUNT; priority++) {
            struct task *task = &tasks[count];

            *task = new_task(count % 2 ? alpha : beta, (enum task_status)(TASK_QUEUED + count % 7),
                             (int64_t)count);
            task->priority = (enum task_priority)priority;
            task->error_class = (enum error_class)error;
            MUST(store_add_task(store, task));
            if (count)
                ck_assert_int_gt(task->id, tasks[count - 1].id);
            count++;
        }
    }
    MUST(store_commit(store));
    reopen_store();
    for (size_t i = 0; i < count; i++)
        check_stored(&tasks[i]);
}
END_TEST

START_TEST(task_that_is_not_there)
{
    struct task task = {.id = 77};
    int64_t last = add(alpha, TASK_QUEUED, 1);

    EXPECT(store_get_task(store, last + 1, &task), 0);
    EXPECT(store_get_task(store, 0, &task), 0);
    EXPECT(store_get_task(store, -1, &task), 0);
    EXPECT(store_get_task(store, INT64_MAX, &task), 0);
    EXPECT(store_get_task_by_key(store, "none", &task), 0);
    ck_assert_int_eq(task.id, 77);
    ck_assert_ptr_null(task.body);
    task = new_task(alpha, TASK_RUNNING, 1);
    task.id = last + 1;
    EXPECT(store_save_task(store, &task, TASK_QUEUED, 0), 0);
    EXPECT(store_get_task(store, last + 1, &task), 0);
}
END_TEST

START_TEST(task_is_saved)
{
    struct task other = new_task(alpha, TASK_RUNNING, 5), task = new_task(alpha, TASK_RUNNING, 6);
    struct task saved = full_task();

    other.attempt = task.attempt = 3;
    task.key = (char *)"first";
    task.routing = (char *)"{}";
    task.timeout_ms = 21;
    task.max_attempts = 22;
    task.run_at = 23;
    MUST(store_add_task(store, &other));
    MUST(store_add_task(store, &task));
    MUST(store_commit(store));

    saved.id = task.id;
    saved.profile_id = beta;
    /* What a task is given at its start is as it was read. */
    saved.created_at = task.created_at;
    saved.timeout_ms = task.timeout_ms;
    saved.max_attempts = task.max_attempts;
    saved.key = task.key;
    saved.routing = task.routing;
    saved.body = task.body;
    EXPECT(store_save_task(store, &saved, TASK_RUNNING, 3), 1);
    check_stored(&saved);
    check_stored(&other);
    MUST(store_commit(store));
    reopen_store();
    check_stored(&saved);
    check_stored(&other);

    /* Texts can be taken away again. */
    task = saved;
    task.error_class = ERROR_NONE;
    task.error_message = task.result = NULL;
    EXPECT(store_save_task(store, &task, TASK_FAILED, 12), 1);
    check_stored(&task);
}
END_TEST

/* Each verb that changes a task comes down to this: it holds only for what was looked at. */
START_TEST(task_that_moved_on_is_not_saved)
{
    struct task tasks[TASK_STATUS_COUNT];

    for (int now = TASK_QUEUED; now < TASK_STATUS_COUNT; now++) {
        tasks[now] = full_task();
        tasks[now].key = NULL;
        tasks[now].status = (enum task_status)now;
        MUST(store_add_task(store, &tasks[now]));
    }
    MUST(store_commit(store));
    for (int now = TASK_QUEUED; now < TASK_STATUS_COUNT; now++) {
        for (int was = TASK_QUEUED; was < TASK_STATUS_COUNT; was++) {
            for (int64_t attempt = 11; attempt <= 13; attempt++) {
                struct task change = new_task(beta, TASK_SCHEDULED, 99);
                bool holds = now == was && attempt == tasks[now].attempt;

                change.id = tasks[now].id;
                change.attempt = 20;
                EXPECT(store_save_task(store, &change, (enum task_status)was, attempt), holds);
                if (!holds)
                    check_stored(&tasks[now]);
                store_rollback(store);
                check_stored(&tasks[now]);
            }
        }
    }
}
END_TEST

/* The transitions of a task's life, each told twice: the second one comes too late. */
START_TEST(transitions_happen_once)
{
    static const struct {
        enum task_status from, to;
        int attempts; /* that it adds */
    } steps[] = {
        {TASK_BLOCKED, TASK_SCHEDULED, 0}, {TASK_SCHEDULED, TASK_QUEUED, 0},
        {TASK_QUEUED, TASK_RUNNING, 1},    {TASK_RUNNING, TASK_SCHEDULED, 0}, /* a retry */
        {TASK_SCHEDULED, TASK_QUEUED, 0},  {TASK_QUEUED, TASK_RUNNING, 1},
        {TASK_RUNNING, TASK_QUEUED, 0}, /* interrupted */
        {TASK_QUEUED, TASK_RUNNING, 1},    {TASK_RUNNING, TASK_FAILED, 0},
        {TASK_FAILED, TASK_QUEUED, 0},     {TASK_QUEUED, TASK_CANCELLED, 0},
        {TASK_CANCELLED, TASK_QUEUED, 0},  {TASK_QUEUED, TASK_RUNNING, 1},
        {TASK_RUNNING, TASK_COMPLETED, 0},
    };
    struct task task = new_task(alpha, TASK_BLOCKED, 1);
    struct task_counts counts = {0};

    MUST(store_add_task(store, &task));
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int64_t was = task.attempt;
        struct task late;

        MUST(task_transition(&task, steps[i].to, &counts));
        task.attempt += steps[i].attempts;
        task.place = (int64_t)i;
        EXPECT(store_save_task(store, &task, steps[i].from, was), 1);
        check_stored(&task);
        late = task;
        late.place = 1000;
        EXPECT(store_save_task(store, &late, steps[i].from, was), 0);
        check_stored(&task);
        if (i % 2)
            MUST(store_commit(store));
    }
    ck_assert_int_eq(task.attempt, 4);
}
END_TEST

/* An end of an older attempt must not end a younger one. */
START_TEST(attempt_is_the_fence)
{
    struct task task = new_task(alpha, TASK_RUNNING, 1), end;

    task.attempt = 1;
    MUST(store_add_task(store, &task));
    end = task;
    task.attempt = 2; /* interrupted and claimed again meanwhile */
    EXPECT(store_save_task(store, &task, TASK_RUNNING, 1), 1);
    end.status = TASK_COMPLETED;
    EXPECT(store_save_task(store, &end, TASK_RUNNING, 1), 0);
    check_stored(&task);
}
END_TEST

/* Keys */

START_TEST(key_finds_the_first)
{
    struct task task = full_task(), other = new_task(beta, TASK_QUEUED, 1);

    MUST(store_add_task(store, &task));
    other.key = (char *)"KEY-é"; /* not the same */
    MUST(store_add_task(store, &other));
    MUST(store_commit(store));
    for (int status = TASK_QUEUED; status < TASK_STATUS_COUNT; status++) {
        CLEANUP(task_deinit) struct task found = {0}, other_found = {0};
        enum task_status was = task.status;

        /* As long as the task lives, however it ended, and in the pass that added it. */
        task.status = (enum task_status)status;
        EXPECT(store_save_task(store, &task, was, task.attempt), 1);
        EXPECT(store_get_task_by_key(store, "key-é", &found), 1);
        check_task(&found, &task);
        EXPECT(store_get_task_by_key(store, "KEY-é", &other_found), 1);
        check_task(&other_found, &other);
    }
    MUST(store_commit(store));
    reopen_store();
    EXPECT(store_get_task_by_key(store, "key-é", &other), 1);
    check_task(&other, &task);
    task_deinit(&other);
}
END_TEST

START_TEST(key_is_unique)
{
    struct task task = full_task(), second = new_task(beta, TASK_QUEUED, 1);
    CLEANUP(freep) char *before = NULL;

    /* Any number without one. */
    for (int i = 0; i < 3; i++)
        add(alpha, TASK_QUEUED, i);
    MUST(store_add_task(store, &task));
    MUST(store_commit(store));
    before = dump();
    second.key = task.key;
    ck_assert_int_lt(store_add_task(store, &second), 0);
    ck_assert_int_eq(second.id, 0);
    store_rollback(store);
    check_dump(before, "a second task of the key");
    check_stored(&task);
}
END_TEST

/* A key that was given in a pass which failed is free. */
START_TEST(key_is_free_after_rollback)
{
    struct task task = full_task(), found = {0};

    MUST(store_add_task(store, &task));
    EXPECT(store_get_task_by_key(store, task.key, &found), 1);
    task_deinit(&found);
    store_rollback(store);
    EXPECT(store_get_task_by_key(store, task.key, &found), 0);
    MUST(store_add_task(store, &task));
    MUST(store_commit(store));
    check_stored(&task);
}
END_TEST

/* The queue */

struct ids {
    int64_t ids[IDS_MAX];
    size_t count, limit; /* 0: none */
};

static int collect(struct task *task, void *data)
{
    struct ids *ids = data;

    if (ids->count == IDS_MAX)
        ck_abort_msg("too many rows");
    ids->ids[ids->count++] = task->id;
    return ids->count == ids->limit;
}

static void check_ids(const struct ids *got, const int64_t *expected, size_t count)
{
    for (size_t i = 0; i < got->count && i < count; i++)
        if (got->ids[i] != expected[i])
            ck_abort_msg("number %zu is task %lld, not %lld", i, (long long)got->ids[i],
                         (long long)expected[i]);
    if (got->count != count)
        ck_abort_msg("%zu tasks, not %zu", got->count, count);
}

/* Claims as the engine does; 0: nothing is queued. */
static int64_t claim(int64_t profile_id)
{
    CLEANUP(task_deinit) struct task task = {0};
    struct task_counts counts = {0};
    int r = store_next_queued(store, profile_id, 0, &task);

    if (r == 0)
        return 0;
    EXPECT(r, 1);
    EXPECT(task.profile_id, profile_id);
    MUST(task_transition(&task, TASK_RUNNING, &counts));
    task.attempt++;
    task.place = task.id;
    EXPECT(store_save_task(store, &task, TASK_QUEUED, task.attempt - 1), 1);
    return task.id;
}

static int64_t add_ranked(int64_t profile_id, enum task_priority priority, int64_t ready_at)
{
    struct task task = new_task(profile_id, TASK_QUEUED, 0);

    task.priority = priority;
    task.ready_at = task.queued_at = ready_at;
    task.place = task_rank(&task, INTERVAL);
    MUST(store_add_task(store, &task));
    return task.id;
}

START_TEST(claim_order_ages)
{
    const int64_t high = add_ranked(alpha, PRIORITY_HIGH, NOW);
    const int64_t medium = add_ranked(alpha, PRIORITY_MEDIUM, NOW);
    const int64_t low = add_ranked(alpha, PRIORITY_LOW, NOW);
    const int64_t high_again = add_ranked(alpha, PRIORITY_HIGH, NOW);
    const int64_t old_medium = add_ranked(alpha, PRIORITY_MEDIUM, NOW - INTERVAL - 1);
    const int64_t tied_medium = add_ranked(alpha, PRIORITY_MEDIUM, NOW - INTERVAL);
    const int64_t old_low = add_ranked(alpha, PRIORITY_LOW, NOW - 2 * INTERVAL - 2);
    const int64_t later_high = add_ranked(alpha, PRIORITY_HIGH, NOW + 1);
    const int64_t expected[] = {old_low,     old_medium, high,   high_again,
                                tied_medium, later_high, medium, low};

    MUST(store_commit(store));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        EXPECT(claim(alpha), expected[i]);
    EXPECT(claim(alpha), 0);
    MUST(store_commit(store));
    EXPECT(claim(alpha), 0);
}
END_TEST

START_TEST(claim_is_per_profile)
{
    const int64_t b2 = add(beta, TASK_QUEUED, 1), a1 = add(alpha, TASK_QUEUED, 30);
    const int64_t b1 = add(beta, TASK_QUEUED, -5), a2 = add(alpha, TASK_QUEUED, 30);

    add(alpha, TASK_SCHEDULED, 0);
    add(alpha, TASK_BLOCKED, 0);
    add(alpha, TASK_RUNNING, 0);
    add(alpha, TASK_FAILED, 0);
    EXPECT(claim(alpha), a1);
    EXPECT(claim(beta), b1);
    EXPECT(claim(alpha), a2);
    EXPECT(claim(alpha), 0);
    MUST(store_commit(store));
    reopen_store();
    EXPECT(claim(alpha), 0);
    EXPECT(claim(beta), b2);
    EXPECT(claim(beta), 0);
    EXPECT(claim(alpha + beta), 0); /* a profile that is not there */
}
END_TEST

/* What a pass that failed had claimed is claimed again, in the same order. */
START_TEST(claim_is_undone)
{
    const int64_t first = add(alpha, TASK_QUEUED, 1), second = add(alpha, TASK_QUEUED, 2);

    MUST(store_commit(store));
    EXPECT(claim(alpha), first);
    EXPECT(claim(alpha), second);
    store_rollback(store);
    EXPECT(claim(alpha), first);
    MUST(store_commit(store));
    EXPECT(claim(alpha), second);
}
END_TEST

START_TEST(scheduled_by_time)
{
    struct task task = {.id = 77};
    int64_t last, first, tied, expected[3];

    EXPECT(store_next_scheduled(store, alpha, &task), 0);
    ck_assert_int_eq(task.id, 77);
    last = add(alpha, TASK_SCHEDULED, NOW + 3000);
    first = add(alpha, TASK_SCHEDULED, NOW + 1000);
    tied = add(alpha, TASK_SCHEDULED, NOW + 1000);
    add(beta, TASK_SCHEDULED, NOW);
    add(alpha, TASK_QUEUED, 0);
    add(alpha, TASK_BLOCKED, 0);
    memcpy(expected, (int64_t[]){first, tied, last}, sizeof(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        EXPECT(store_next_scheduled(store, alpha, &task), 1);
        EXPECT(task.id, expected[i]);
        task.status = TASK_QUEUED;
        EXPECT(store_save_task(store, &task, TASK_SCHEDULED, 0), 1);
        task_deinit(&task);
    }
    EXPECT(store_next_scheduled(store, alpha, &task), 0);
    EXPECT(store_next_scheduled(store, beta, &task), 1);
    task_deinit(&task);
}
END_TEST

/* A queue with every status in it, and its order. */
static void add_queue(int64_t *expected)
{
    /* The order of adding, and where each one of alpha's stands. */
    static const struct {
        enum task_status status;
        int64_t place;
        size_t at;
    } rows[] = {
        {TASK_BLOCKED, 3, 10},       {TASK_SCHEDULED, NOW + 9, 7}, {TASK_QUEUED, NOW, 2},
        {TASK_QUEUED, NOW - 1, 1},   {TASK_QUEUED, NOW, 3},        {TASK_QUEUED, -NOW, 0},
        {TASK_SCHEDULED, NOW, 5},    {TASK_BLOCKED, 1, 8},         {TASK_SCHEDULED, NOW, 6},
        {TASK_QUEUED, NOW + 100, 4}, {TASK_BLOCKED, 2, 9},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        add(beta, rows[i].status, rows[i].place);
        expected[rows[i].at] = add(alpha, rows[i].status, rows[i].place);
        add(alpha, (enum task_status)(TASK_RUNNING + i % 4), NOW);
    }
}

#define QUEUE 11

START_TEST(queue_is_listed_in_order)
{
    int64_t expected[QUEUE];
    struct ids ids = {0};

    EXPECT(store_list_queue(store, alpha, NULL, collect, &ids), 0);
    check_ids(&ids, NULL, 0);
    add_queue(expected);
    MUST(store_commit(store));
    EXPECT(store_list_queue(store, alpha, NULL, collect, &ids), 0);
    check_ids(&ids, expected, QUEUE);
    ids.count = 0;
    EXPECT(store_list_queue(store, alpha + beta, NULL, collect, &ids), 0);
    check_ids(&ids, NULL, 0);
    for (size_t i = 0; i < 5; i++)
        EXPECT(claim(alpha), expected[i]);
}
END_TEST

START_TEST(queue_is_listed_in_pages)
{
    int64_t expected[QUEUE];

    add_queue(expected);
    for (size_t limit = 1; limit <= QUEUE + 1; limit++) {
        CLEANUP(task_deinit) struct task after = {0};
        struct ids all = {0};

        for (size_t pages = 0;; pages++) {
            struct ids page = {.limit = limit};

            if (pages > QUEUE)
                ck_abort_msg("pages of %zu have no end", limit);
            EXPECT(store_list_queue(store, alpha, pages ? &after : NULL, collect, &page), 0);
            for (size_t i = 0; i < page.count; i++)
                all.ids[all.count++] = page.ids[i];
            if (page.count < limit)
                break;
            task_deinit(&after);
            EXPECT(store_get_task(store, page.ids[page.count - 1], &after), 1);
        }
        check_ids(&all, expected, QUEUE);
    }
    /* From behind each one. */
    for (size_t i = 0; i < QUEUE; i++) {
        CLEANUP(task_deinit) struct task after = {0};
        struct ids ids = {0};

        EXPECT(store_get_task(store, expected[i], &after), 1);
        EXPECT(store_list_queue(store, alpha, &after, collect, &ids), 0);
        check_ids(&ids, expected + i + 1, QUEUE - i - 1);
    }
}
END_TEST

START_TEST(queue_is_listed_from_behind_one_that_left)
{
    CLEANUP(task_deinit) struct task after = {0};
    int64_t expected[QUEUE];
    struct ids ids = {0};

    add_queue(expected);
    EXPECT(store_get_task(store, expected[1], &after), 1);
    EXPECT(claim(alpha), expected[0]);
    EXPECT(claim(alpha), expected[1]);
    EXPECT(store_list_queue(store, alpha, &after, collect, &ids), 0);
    check_ids(&ids, expected + 2, QUEUE - 2);
}
END_TEST

START_TEST(queue_positions)
{
    /* How many of the same status come before each in add_queue(). */
    static const int64_t before[QUEUE] = {0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2};
    int64_t expected[QUEUE];

    add_queue(expected);
    for (size_t i = 0; i < QUEUE; i++) {
        CLEANUP(task_deinit) struct task task = {0};

        EXPECT(store_get_task(store, expected[i], &task), 1);
        for (int64_t limit = 0; limit < 7; limit++) {
            int64_t count = -1;

            MUST(store_count_before(store, &task, limit, &count));
            EXPECT(count, before[i] < limit ? before[i] : limit);
        }
    }
}
END_TEST

START_TEST(queue_oldest)
{
    int64_t at = -1;

    EXPECT(store_oldest_queued(store, alpha, 1000, &at), 0);
    ck_assert_int_eq(at, -1);
    add_ranked(alpha, PRIORITY_HIGH, NOW + 5);
    add_ranked(alpha, PRIORITY_MEDIUM, NOW + 3);
    add_ranked(alpha, PRIORITY_LOW, NOW);
    add_ranked(beta, PRIORITY_LOW, NOW - 9);
    add(alpha, TASK_SCHEDULED, 1);
    add(alpha, TASK_RUNNING, 1);
    EXPECT(store_oldest_queued(store, alpha, 1000, &at), 1);
    EXPECT(at, NOW);
    EXPECT(store_oldest_queued(store, alpha, 3, &at), 1);
    EXPECT(at, NOW);
    /* Only the first so many are looked at. */
    EXPECT(store_oldest_queued(store, alpha, 2, &at), 1);
    EXPECT(at, NOW + 3);
    EXPECT(store_oldest_queued(store, alpha, 1, &at), 1);
    EXPECT(at, NOW + 5);
}
END_TEST

START_TEST(queue_clock)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1);
    int64_t at = -1;

    MUST(store_last_clock(store, &at));
    EXPECT(at, 0);
    add(alpha, TASK_SCHEDULED, NOW + 1000000); /* not yet ready: of the wall's clock */
    MUST(store_last_clock(store, &at));
    EXPECT(at, 0);
    task.ready_at = NOW + 1;
    task.queued_at = NOW + 7;
    MUST(store_add_task(store, &task));
    add_ranked(beta, PRIORITY_LOW, NOW + 3);
    MUST(store_last_clock(store, &at));
    EXPECT(at, NOW + 7);
    task.ready_at = NOW + 9; /* whatever became of it since */
    task.queued_at = NOW + 8;
    task.status = TASK_COMPLETED;
    EXPECT(store_save_task(store, &task, TASK_QUEUED, 0), 1);
    MUST(store_last_clock(store, &at));
    EXPECT(at, NOW + 9);
}
END_TEST

/* Lists of tasks */

START_TEST(tasks_are_listed)
{
    struct {
        int64_t id, profile_id;
        enum task_status status;
    } tasks[60];

    for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
        tasks[i].profile_id = i % 3 ? alpha : beta;
        tasks[i].status = (enum task_status)(TASK_QUEUED + i * 5 % 7);
        tasks[i].id = add(tasks[i].profile_id, tasks[i].status, (int64_t)(i * 17 % 60));
    }
    MUST(store_commit(store));
    for (int status = TASK_NEW; status < TASK_STATUS_COUNT; status++) {
        for (int profile = 0; profile < 3; profile++) {
            for (size_t before = 0; before < ARRAY_SIZE(tasks); before += 7) {
                struct store_filter filter = {
                    .profile_id = profile == 0   ? 0
                                  : profile == 1 ? alpha
                                                 : beta,
                    .status = (enum task_status)status,
                    .before = before ? tasks[before].id : 0,
                    .scan_limit = 1000,
                };
                struct ids ids = {0}, expected = {0};
                int64_t next = -1;

                for (size_t i = before ? before : ARRAY_SIZE(tasks); i-- > 0;)
                    if ((!status || tasks[i].status == (enum task_status)status) &&
                        (!profile || tasks[i].profile_id == filter.profile_id))
                        expected.ids[expected.count++] = tasks[i].id;
                EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 0);
                EXPECT(next, 0);
                check_ids(&ids, expected.ids, expected.count);
                /* A page that is full. */
                if (expected.count < 2)
                    continue;
                ids = (struct ids){.limit = 2};
                EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 1);
                check_ids(&ids, expected.ids, 2);
            }
        }
    }
}
END_TEST

/* Few matches among many: the list gives up after a while, and goes on from there. */
START_TEST(tasks_are_listed_with_bounded_work)
{
    struct store_filter filter = {.profile_id = beta, .scan_limit = 10};
    struct ids ids = {0};
    int64_t first, second, next = -1;
    int calls = 0;

    first = add(beta, TASK_QUEUED, 1);
    for (int i = 0; i < 95; i++)
        add(alpha, TASK_QUEUED, 1);
    second = add(beta, TASK_RUNNING, 1);
    for (int i = 0; i < 10; i++)
        add(alpha, TASK_QUEUED, 1);
    EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 0);
    check_ids(&ids, NULL, 0);
    EXPECT(next, second + 1);
    while (next) {
        filter.before = next;
        EXPECT(store_list_tasks(store, &filter, collect, &ids, &next), 0);
        if (++calls > 20)
            ck_abort_msg("no end");
    }
    check_ids(&ids, (int64_t[]){second, first}, 2);
    ck_assert_int_ge(calls, 10);
}
END_TEST

/* Profiles */

struct profile_rows {
    struct store_profile rows[8];
    size_t count;
};

static void keep_profile(struct store_profile *profile, void *data)
{
    struct profile_rows *rows = data;

    rows->rows[rows->count++] = *profile;
    *profile = (struct store_profile){0};
}

static void profile_rows_deinit(struct profile_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        store_profile_deinit(&rows->rows[i]);
    rows->count = 0;
}

static void look_at_profile(struct store_profile *profile, void *data)
{
    EXPECT(profile->id > 0, true);
    ++*(int *)data;
}

START_TEST(profiles_are_added_once)
{
    CLEANUP(profile_rows_deinit) struct profile_rows rows = {0};
    static const char *const names[] = {"alpha", "alpha.2", "beta", "zeta"};
    int64_t zeta = ensure("zeta"), second = ensure("alpha.2");
    int looked = 0;

    EXPECT(ensure("alpha"), alpha);
    EXPECT(ensure("zeta"), zeta);
    MUST(store_commit(store));
    reopen_store();
    EXPECT(ensure("zeta"), zeta);
    EXPECT(ensure("beta"), beta);
    EXPECT(ensure("alpha.2"), second);
    MUST(store_list_profiles(store, keep_profile, &rows));
    ck_assert_uint_eq(rows.count, ARRAY_SIZE(names));
    for (size_t i = 0; i < rows.count; i++) {
        const struct store_profile *row = &rows.rows[i];

        ck_assert_str_eq(row->name, names[i]);
        ck_assert(row->is_active);
        ck_assert_int_eq(row->last_activity, 0);
        for (int status = 0; status < TASK_STATUS_COUNT; status++)
            EXPECT(row->counts.by_status[status], 0);
    }
    /* What is not kept is freed. */
    MUST(store_list_profiles(store, look_at_profile, &looked));
    ck_assert_int_eq(looked, (int)ARRAY_SIZE(names));
}
END_TEST

static void check_profile(const char *name, const struct store_profile *expected)
{
    CLEANUP(store_profile_deinit) struct store_profile got = {0};

    MUST(store_ensure_profile(store, name, &got));
    EXPECT(got.id, expected->id);
    ck_assert_str_eq(got.name, name);
    EXPECT(got.is_active, expected->is_active);
    EXPECT(got.last_activity, expected->last_activity);
    for (int i = 0; i < TASK_STATUS_COUNT; i++)
        EXPECT(got.counts.by_status[i], expected->counts.by_status[i]);
}

START_TEST(profiles_are_updated)
{
    struct task_counts change = {.by_status = {0, 10, 20, 30, 40, 50, 60, 70}};
    struct store_profile expected = {.id = alpha, .is_active = true, .last_activity = NOW};
    const struct store_profile untouched = {.id = beta, .is_active = true};

    MUST(store_update_profile(store, alpha, &change, -1, NOW));
    expected.counts = change;
    check_profile("alpha", &expected);
    change = (struct task_counts){.by_status = {0, -1, 2, -3, 4, 5, 6, 7}};
    for (int i = 1; i < TASK_STATUS_COUNT; i++)
        expected.counts.by_status[i] += change.by_status[i];
    expected.is_active = false;
    MUST(store_update_profile(store, alpha, &change, 0, 0));
    check_profile("alpha", &expected);
    MUST(store_commit(store));
    reopen_store();
    check_profile("alpha", &expected);

    expected.last_activity = NOW + 1;
    MUST(store_update_profile(store, alpha, &(struct task_counts){0}, -1, NOW + 1));
    check_profile("alpha", &expected); /* paused as before */
    expected.is_active = true;
    MUST(store_update_profile(store, alpha, &(struct task_counts){0}, 1, 0));
    check_profile("alpha", &expected);
    check_profile("beta", &untouched);
}
END_TEST

/* Attempts */

static void add_attempt(int64_t task_id, int64_t number, int64_t profile_id, int64_t finished_at,
                        enum error_class class)
{
    MUST(store_add_attempt(store, &(struct store_attempt){
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

START_TEST(attempts_are_kept)
{
    CLEANUP(freep)
    char *expected =
        xasprintf("7|1|%lld|1795357929725|1795357930225|100|rate_limit|it failed|0\n"
                  "7|2|%lld|1795357929825|1795357930325|200|exit|it failed|1\n"
                  "7|3|%lld|1795357929925|1795357930425|300|NULL|NULL|1\n"
                  "8|1|%lld|1795357929725|1795357930225|100|cancelled|it failed|0\n",
                  (long long)beta, (long long)beta, (long long)alpha, (long long)alpha);

    add_attempt(7, 1, beta, NOW + 100, ERROR_RATE_LIMIT);
    add_attempt(7, 2, beta, NOW + 200, ERROR_EXIT);
    add_attempt(7, 3, alpha, NOW + 300, ERROR_NONE);
    add_attempt(8, 1, alpha, NOW + 100, ERROR_CANCELLED);
    MUST(store_commit(store));
    check_answer("SELECT task_id, number, profile_id, started_at, finished_at, duration, "
                 "error_class, error_message, counts FROM attempt ORDER BY 1, 2",
                 expected);
    /* A number is never used again. */
    ck_assert_int_lt(store_add_attempt(store, &(struct store_attempt){.task_id = 7, .number = 2}),
                     0);
}
END_TEST

static void check_window(int64_t profile_id, size_t capacity, const char *expected)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};

    metrics_window_resize(&window, capacity);
    MUST(store_fill_window(store, profile_id, &window));
    EXPECT((int64_t)window.count, (int64_t)strlen(expected));
    for (size_t i = 0; i < window.count; i++) {
        const struct metrics_sample *sample = &window.samples[i];

        /* Letters in the order of time; the duration says which it is. */
        if ((sample->success ? 'S' : 'F') != expected[i])
            ck_abort_msg("number %zu of %s", i, expected);
        if (i && sample->duration_ms <= sample[-1].duration_ms)
            ck_abort_msg("number %zu is older than the one before it", i);
    }
}

START_TEST(attempts_fill_the_window)
{
    static const enum error_class classes[] = {
        ERROR_NONE, ERROR_EXIT,        ERROR_RATE_LIMIT, ERROR_SIGNAL,
        ERROR_NONE, ERROR_AUTH,        ERROR_TIMEOUT,    ERROR_NONE,
        ERROR_NONE, ERROR_INTERRUPTED, ERROR_CANCELLED,  ERROR_LOST_LEASE};

    check_window(alpha, 5, "");
    /* In another order than that of time. */
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
        size_t k = i * 5 % ARRAY_SIZE(classes);

        add_attempt(100 - (int64_t)k, 1, alpha, NOW + 1 + (int64_t)k, classes[k]);
        add_attempt(1000 + (int64_t)k, 1, beta, NOW + 1 + (int64_t)k, ERROR_NONE);
    }
    check_window(alpha, 100, "SFFSFSSF");
    check_window(alpha, 8, "SFFSFSSF");
    check_window(alpha, 3, "SSF");
    check_window(alpha, 1, "F");
    MUST(store_commit(store));
    reopen_store();
    check_window(alpha, 4, "FSSF");
    check_window(beta, 2, "SS");
}
END_TEST

/* Metrics */

#define MINUTES 400 /* of the test */

static const int64_t origin = NOW - NOW % HOUR - HOUR;

static struct metrics_bucket random_bucket(void)
{
    struct metrics_bucket bucket = {
        .completed = (int64_t)random_below(5),
        .failed = (int64_t)random_below(5),
        .cancelled = (int64_t)random_below(5),
        .retried = (int64_t)random_below(5),
        .started = (int64_t)random_below(5),
        .wait_sum_ms = (int64_t)random_below(INT64_C(1) << 40),
    };

    for (uint64_t n = random_below(6); n > 0; n--)
        metrics_bucket_add_attempt(&bucket, random_below(2),
                                   (int64_t)random_below(UINT64_C(1) << random_below(35)));
    return bucket;
}

static void check_sum(int64_t profile_id, const struct metrics_bucket *minutes, int64_t from,
                      int64_t to)
{
    struct metrics_bucket sum, expected = {0};

    memset(&sum, 0xa5, sizeof(sum));
    for (int64_t i = from; i < to; i++)
        metrics_bucket_add(&expected, &minutes[i]);
    MUST(store_sum_metrics(store, profile_id, origin + from * MINUTE, origin + to * MINUTE, &sum));
    if (memcmp(&sum, &expected, sizeof(sum)) != 0)
        ck_abort_msg("minutes %lld to %lld: %lld completed and %lld ms, not %lld and %lld",
                     (long long)from, (long long)to, (long long)sum.completed,
                     (long long)sum.duration_sum_ms, (long long)expected.completed,
                     (long long)expected.duration_sum_ms);
}

START_TEST(metrics_add_up)
{
    static struct metrics_bucket minutes[2][MINUTES];
    const int64_t profiles[] = {alpha, beta};

    chance = 1;
    for (int i = 0; i < 600; i++) {
        struct metrics_bucket bucket = random_bucket();
        size_t profile = random_below(2);
        int64_t ms = (int64_t)random_below(MINUTES * (uint64_t)MINUTE);

        metrics_bucket_add(&minutes[profile][ms / MINUTE], &bucket);
        MUST(store_add_metrics(store, profiles[profile], origin + ms, &bucket));
        if (i % 50 == 0)
            MUST(store_commit(store));
    }
    MUST(store_commit(store));
    reopen_store();
    for (size_t profile = 0; profile < 2; profile++) {
        static const int64_t ranges[][2] = {
            {0, MINUTES}, {0, 60}, {60, 120}, {59, 61}, {60, 60}, {61, 62}, {0, 1},
            {1, 360},     {0, 59}, {1, 120},  {1, 119}, {30, 90}, {90, 30},
        };

        for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
            check_sum(profiles[profile], minutes[profile], ranges[i][0], ranges[i][1]);
        for (int i = 0; i < 200; i++) {
            int64_t from = (int64_t)random_below(MINUTES);

            check_sum(profiles[profile], minutes[profile], from,
                      from + (int64_t)random_below((uint64_t)(MINUTES - from) + 1));
        }
    }
}
END_TEST

START_TEST(metrics_know_the_minute)
{
    static struct metrics_bucket minutes[MINUTES];
    const struct metrics_bucket one = {.completed = 1};

    /* The first and the last moment of minute 61, and its neighbours. */
    MUST(store_add_metrics(store, alpha, origin + 61 * MINUTE - 1, &one));
    MUST(store_add_metrics(store, alpha, origin + 61 * MINUTE, &one));
    MUST(store_add_metrics(store, alpha, origin + 62 * MINUTE - 1, &one));
    MUST(store_add_metrics(store, alpha, origin + 62 * MINUTE, &one));
    minutes[60].completed = minutes[62].completed = 1;
    minutes[61].completed = 2;
    for (int64_t from = 58; from < 64; from++)
        for (int64_t to = from; to < 64; to++)
            check_sum(alpha, minutes, from, to);
    check_sum(alpha, minutes, 0, 240);
}
END_TEST

/* A day is read by the quarter of an hour, a week by the hour. */
START_TEST(metrics_have_quarters_and_hours)
{
    const struct metrics_bucket one = {.completed = 1};

    for (int64_t minute = 0; minute < 180; minute++)
        MUST(store_add_metrics(store, alpha, origin + minute * MINUTE, &one));
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM bucket WHERE span = 3600000"), 3);
    EXPECT(ask_number("SELECT min(completed) FROM bucket WHERE span = 3600000"), 60);
    EXPECT(ask_number("SELECT max(completed) FROM bucket WHERE span = 3600000"), 60);
    EXPECT(ask_number("SELECT count(*) FROM bucket WHERE span = 60000"), 180);
    EXPECT(ask_number("SELECT count(*) FROM bucket WHERE span = 900000"), 12);
    EXPECT(ask_number("SELECT sum(completed = 15) FROM bucket WHERE span = 900000"), 12);
}
END_TEST

START_TEST(metrics_are_pruned)
{
    static struct metrics_bucket minutes[MINUTES], all[MINUTES];
    const struct metrics_bucket one = {.completed = 1, .started = 2};

    for (int64_t i = 0; i < 300; i++) {
        MUST(store_add_metrics(store, alpha, origin + i * MINUTE, &one));
        MUST(store_add_metrics(store, beta, origin + i * MINUTE, &one));
        all[i] = one;
        if (i >= 150)
            minutes[i] = one;
    }
    /* In the middle of an hour: what is younger is still whole. */
    MUST(store_prune_metrics(store, alpha, MINUTE, origin + 150 * MINUTE));
    MUST(store_prune_metrics(store, alpha, HOUR, origin + 150 * MINUTE));
    MUST(store_commit(store));
    check_sum(alpha, minutes, 0, 120);
    check_sum(alpha, minutes, 150, 300);
    check_sum(alpha, minutes, 150, 180);
    check_sum(alpha, minutes, 160, 250);
    check_sum(beta, all, 0, 300);
    EXPECT(ask_number("SELECT count(*) FROM bucket WHERE span = 60000"), 450);
}
END_TEST

struct listed {
    int64_t at[64];
    struct metrics_bucket buckets[64];
    size_t count;
};

static void list_bucket(int64_t at, const struct metrics_bucket *bucket, void *data)
{
    struct listed *listed = data;

    ck_assert_uint_lt(listed->count, ARRAY_SIZE(listed->at));
    listed->at[listed->count] = at;
    listed->buckets[listed->count++] = *bucket;
}

/* What the queue adds, and what attempts add, stand in one row. */
START_TEST(metrics_of_the_queue_leave_the_rest_alone)
{
    static struct listed listed;
    struct metrics_bucket attempts = {.completed = 1, .queue_max = 4, .cost = {0.5, "USD"}};
    const struct metrics_bucket queue = {.arrived = 2, .queue_max = 3};
    const struct metrics_bucket longer = {.arrived = 1, .queue_max = 9};
    struct metrics_bucket expected;

    metrics_bucket_add_attempt(&attempts, true, 1000);
    metrics_bucket_add_start(&attempts, 20);
    MUST(store_add_metrics(store, alpha, NOW, &queue));
    MUST(store_add_metrics(store, alpha, NOW, &attempts));
    MUST(store_add_metrics(store, alpha, NOW, &queue));
    MUST(store_add_metrics(store, alpha, NOW, &longer));
    expected = attempts;
    expected.arrived = 5;
    expected.queue_max = 9;
    for (size_t i = 0; i < 3; i++) {
        static const int64_t spans[] = {METRICS_MINUTE, METRICS_QUARTER, METRICS_HOUR};
        int64_t at = NOW - NOW % spans[i];

        listed.count = 0;
        MUST(store_list_metrics(store, alpha, spans[i], at, at + 1, list_bucket, &listed));
        EXPECT((int64_t)listed.count, 1);
        EXPECT(listed.at[0], at);
        EXPECT(memcmp(&listed.buckets[0], &expected, sizeof(expected)), 0);
        MUST(store_list_metrics(store, alpha, spans[i], at - spans[i], at, list_bucket, &listed));
        MUST(store_list_metrics(store, alpha, spans[i], at + 1, at + 9 * spans[i], list_bucket,
                                &listed));
        MUST(store_list_metrics(store, beta, spans[i], 0, INT64_MAX, list_bucket, &listed));
        EXPECT((int64_t)listed.count, 1);
    }
}
END_TEST

START_TEST(metrics_are_pruned_in_small_steps)
{
    const struct metrics_bucket one = {.arrived = 1};

    for (int64_t i = 0; i < 1100; i++)
        MUST(store_add_metrics(store, alpha, origin + i * MINUTE, &one));
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 1);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 1);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 0);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, origin + 1050 * MINUTE), 0);
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM bucket WHERE span = 60000"), 50);
    EXPECT(ask_number("SELECT min(at) FROM bucket WHERE span = 60000"), origin + 1050 * MINUTE);
    EXPECT(ask_number("SELECT sum(arrived) FROM bucket WHERE span = 3600000"), 1100);
}
END_TEST

static void print_span(int64_t started_at, int64_t seen_at, void *data)
{
    buf_printf(data, "%lld-%lld ", (long long)started_at, (long long)seen_at);
}

static void check_spans(int64_t from, int64_t to, const char *expected)
{
    CLEANUP(buf_deinit) struct buf spans = {0};

    MUST(store_list_uptime(store, from, to, print_span, &spans));
    ck_assert_str_eq(buf_text(&spans), expected);
}

START_TEST(uptime_is_a_row_a_span)
{
    MUST(store_put_uptime(store, 500, 500));
    MUST(store_put_uptime(store, 100, 150));
    MUST(store_put_uptime(store, 200, 200));
    MUST(store_put_uptime(store, 200, 260));
    MUST(store_put_uptime(store, 200, 240)); /* it was seen longer before */
    check_spans(0, 1000, "100-150 200-260 500-500 ");
    check_spans(150, 200, "100-150 ");
    check_spans(151, 201, "200-260 ");
    check_spans(261, 500, "");
    check_spans(500, 501, "500-500 ");
    /* What still ran then stays, whenever it began. */
    MUST(store_put_uptime(store, 50, 900));
    EXPECT(store_prune_uptime(store, 260), 0);
    check_spans(0, 1000, "50-900 200-260 500-500 ");
    for (int64_t i = 1000; i < 2200; i++)
        MUST(store_put_uptime(store, i, i));
    EXPECT(store_prune_uptime(store, 2100), 1);
    EXPECT(store_prune_uptime(store, 2100), 1);
    EXPECT(store_prune_uptime(store, 2100), 0);
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM uptime"), 100);
}
END_TEST

/* A year */

static int64_t rows_seen;

static void count_bucket(int64_t at UNUSED, const struct metrics_bucket *bucket UNUSED,
                         void *data UNUSED)
{
    rows_seen++;
}

static void count_span(int64_t started_at UNUSED, int64_t seen_at UNUSED, void *data UNUSED)
{
    rows_seen++;
}

static void count_profile(struct store_profile *profile UNUSED, void *data UNUSED)
{
    rows_seen++;
}

/* How many instructions of SQLite's machine ran since the last call: some twenty for each row that
 * is looked at, and the same on every machine. */
static int64_t take_steps(void)
{
    int64_t steps = 0;

    for (int i = 0; i < STATEMENT_COUNT; i++)
        steps += sqlite3_stmt_status(store->statements[i], SQLITE_STMTSTATUS_VM_STEP, true);
    return steps;
}

static void check_steps(const char *what, int64_t most)
{
    int64_t steps = take_steps();

    if (steps > most)
        ck_abort_msg("%s: %lld steps, more than %lld", what, (long long)steps, (long long)most);
}

#define YEAR_TASKS "200000"

/* 200,000 finished tasks, an attempt each, a bucket for every hour, and minutes and quarters for as
 * long as they are kept; a start a day. */
static void fill_year(void)
{
    CLEANUP(freep)
    char *sql = xasprintf(
        "BEGIN;"
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " YEAR_TASKS ")"
        "INSERT INTO task (id, profile_id, status, priority, place, created_at, started_at,"
        "  finished_at, run_at, ready_at, queued_at, timeout, max_attempts, attempt, spent,"
        "  retries, interruptions, body, bytes)"
        "SELECT i, 1 + i %% 2, 5 + i %% 2, 1, i, %2$lld + i * 157000, %2$lld + i * 157000,"
        "  %2$lld + i * 157000, 0, %2$lld + i * 157000, %2$lld + i * 157000, 0, 0, 1, 1, 0, 0,"
        "  '\"title\":\"t\"', 11 FROM n;"
        "INSERT INTO attempt (task_id, number, profile_id, started_at, finished_at, duration,"
        "  error_class, counts)"
        "SELECT id, 1, profile_id, started_at, finished_at, 1000,"
        "  CASE status WHEN 6 THEN 'exit' END, 1 FROM task;"
        "WITH spans (span, length) AS (VALUES (60000, 11520), (900000, 768), (3600000, 8760)),"
        "  n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 11519)"
        "INSERT INTO bucket (profile_id, span, at, completed, failed, cancelled, retried, "
        "successes,"
        "  errors, duration_sum, started, wait_sum, durations, waits)"
        "SELECT p.id, span, (%1$lld / span - i) * span, 1, 0, 0, 0, 1, 0, 1000, 1, 5, '39:1',"
        "  '9:1' FROM profile p, spans, n WHERE i < length;"
        "WITH n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 364)"
        "INSERT INTO uptime SELECT %1$lld - i * 86400000 - 80000000, %1$lld - i * 86400000 FROM n;"
        "COMMIT",
        (long long)NOW, (long long)(NOW - 365 * 24 * HOUR));

    run_sql(sql);
}

/* What is read at a start and for the pages takes as many steps after a year as after a week. */
START_TEST(a_year_costs_no_more_than_a_week)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};
    struct task task = {0};
    struct metrics_bucket sum;
    int64_t last;

    close_store();
    open_store();
    fill_year();
    EXPECT(ask_number("SELECT count(*) FROM task"), strtoll(YEAR_TASKS, NULL, 10));
    take_steps();

    metrics_window_resize(&window, 100);
    ensure("alpha");
    MUST(store_list_profiles(store, count_profile, NULL));
    MUST(store_fill_window(store, alpha, &window));
    EXPECT((int64_t)window.count, 100);
    MUST(store_last_clock(store, &last));
    EXPECT(store_next_running(store, 0, &task), 0);
    rows_seen = 0;
    MUST(store_list_metrics(store, alpha, MINUTE, NOW - 4 * HOUR, NOW, count_bucket, NULL));
    MUST(store_list_uptime(store, NOW - 7 * 24 * HOUR, NOW, count_span, NULL));
    EXPECT(rows_seen, 240 + 8);
    check_steps("a start", 20000);

    rows_seen = 0;
    MUST(store_list_metrics(store, alpha, HOUR, NOW - 2 * 168 * HOUR, NOW, count_bucket, NULL));
    EXPECT(rows_seen, 2 * 168);
    MUST(store_list_metrics(store, alpha, METRICS_QUARTER, NOW - 192 * METRICS_QUARTER, NOW,
                            count_bucket, NULL));
    EXPECT(rows_seen, 2 * 168 + 192);
    check_steps("a history", 20000);

    MUST(store_sum_metrics(store, alpha, NOW - 7 * 24 * HOUR - NOW % MINUTE, NOW - NOW % MINUTE,
                           &sum));
    check_steps("the figures of a week", 10000);

    EXPECT(store_prune_metrics(store, alpha, HOUR, NOW - 15 * 24 * HOUR), 1);
    EXPECT(store_prune_uptime(store, NOW - 15 * 24 * HOUR), 0);
    check_steps("a step of forgetting", 40000);
}
END_TEST

/* Passes */

/* Some of everything. */
static void write_everything(void)
{
    const struct metrics_bucket one = {.completed = 1};
    struct task task = new_task(alpha, TASK_QUEUED, 3);

    ensure("new");
    MUST(store_add_task(store, &task));
    EXPECT(claim(alpha) > 0, true);
    add_attempt(task.id, 1, alpha, NOW, ERROR_EXIT);
    MUST(store_add_metrics(store, alpha, NOW, &one));
    MUST(store_prune_metrics(store, beta, MINUTE, NOW));
    MUST(store_update_profile(store, alpha, &(struct task_counts){.by_status = {0, 1}}, 0, NOW));
}

START_TEST(pass_commits_as_one)
{
    CLEANUP(freep) char *before = dump();

    ck_assert(!store_is_writing(store));
    MUST(store_commit(store)); /* harmless */
    write_everything();
    ck_assert(store_is_writing(store));
    check_dump(before, "not committed");
    MUST(store_commit(store));
    ck_assert(!store_is_writing(store));
    ck_assert_str_eq(store_error(store), "");
    free(before);
    before = dump();
    ck_assert_ptr_nonnull(strstr(before, "|new|"));
    reopen_store();
    check_dump(before, "reopened");
}
END_TEST

START_TEST(pass_rolls_back)
{
    CLEANUP(freep) char *before = NULL;
    struct task task = {0};

    store_rollback(store); /* harmless */
    add(beta, TASK_QUEUED, 1);
    MUST(store_add_metrics(store, beta, NOW - HOUR, &(struct metrics_bucket){.completed = 1}));
    MUST(store_commit(store));
    before = dump();
    for (int i = 0; i < 3; i++) {
        write_everything();
        store_rollback(store);
        ck_assert(!store_is_writing(store));
        ck_assert(!store_has_failed(store));
        check_dump(before, "rolled back");
        EXPECT(store_next_queued(store, alpha, 0, &task), 0);
        EXPECT(store_next_running(store, 0, &task), 0);
        MUST(store_commit(store)); /* of nothing */
        check_dump(before, "committed afterwards");
    }
    write_everything();
    reopen_store(); /* closed without a commit */
    check_dump(before, "reopened");
}
END_TEST

START_TEST(pass_reads_what_it_wrote)
{
    struct task task = {0};
    struct ids ids = {0};
    int64_t id, next;

    ck_assert(!store_is_writing(store));
    EXPECT(store_next_queued(store, alpha, 0, &task), 0);
    ck_assert(!store_is_writing(store)); /* reading opens no transaction */
    id = add(alpha, TASK_QUEUED, 1);
    EXPECT(store_list_queue(store, alpha, NULL, collect, &ids), 0);
    EXPECT(store_list_tasks(store, &(struct store_filter){.scan_limit = 9}, collect, &ids, &next),
           0);
    check_ids(&ids, (int64_t[]){id, id}, 2);
}
END_TEST

START_TEST(pass_that_failed_can_only_be_rolled_back)
{
    CLEANUP(freep) char *before = NULL;
    struct task task = full_task(), second = full_task(), got = {0};
    struct store_profile profile = {.id = 77};
    const struct metrics_bucket one = {.completed = 1};
    int r;

    MUST(store_add_task(store, &task));
    MUST(store_commit(store));
    before = dump();
    add(alpha, TASK_QUEUED, 1); /* what came before the failure goes too */
    ck_assert(!store_has_failed(store));
    r = store_add_task(store, &second); /* its key is taken */
    ck_assert_int_lt(r, 0);
    ck_assert(store_has_failed(store));
    ck_assert(store_is_writing(store));
    ck_assert_str_ne(store_error(store), "");
    second.key = NULL;
    EXPECT(store_add_task(store, &second), r);
    EXPECT(store_save_task(store, &task, TASK_FAILED, 12), r);
    EXPECT(store_ensure_profile(store, "alpha", &profile), r);
    EXPECT(profile.id, 77);
    EXPECT(store_update_profile(store, alpha, &(struct task_counts){0}, 0, 1), r);
    EXPECT(store_add_attempt(store, &(struct store_attempt){.task_id = 1}), r);
    EXPECT(store_add_metrics(store, alpha, NOW, &one), r);
    EXPECT(store_prune_metrics(store, alpha, MINUTE, NOW), r);
    EXPECT(store_commit(store), r);
    EXPECT(store_commit(store), r);
    EXPECT(store_get_task(store, task.id, &got), 1); /* reads go on */
    task_deinit(&got);
    store_rollback(store);
    ck_assert(!store_has_failed(store));
    ck_assert(!store_is_writing(store));
    check_dump(before, "rolled back");
    ck_assert_str_ne(store_error(store), ""); /* said until a commit works */
    add(alpha, TASK_QUEUED, 1);
    MUST(store_commit(store));
    ck_assert_str_eq(store_error(store), "");
}
END_TEST

/* Someone else holds the write lock for longer than acpd waits. */
START_TEST(pass_that_finds_the_database_locked)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1), got = {0};
    sqlite3 *other = open_file();
    int64_t id = add(alpha, TASK_QUEUED, 1);

    MUST(store_commit(store));
    ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    EXPECT(store_add_task(store, &task), -EBUSY);
    ck_assert(store_has_failed(store));
    EXPECT(store_add_task(store, &task), -EBUSY);
    EXPECT(store_commit(store), -EBUSY);
    ck_assert_str_ne(store_error(store), "");
    EXPECT(store_get_task(store, id, &got), 1);
    task_deinit(&got);
    store_rollback(store);
    sqlite3_close(other);
    MUST(store_add_task(store, &task));
    MUST(store_commit(store));
    check_stored(&task);
}
END_TEST

START_TEST(size_is_that_of_the_files)
{
    static char body[100001];
    struct task task = new_task(alpha, TASK_QUEUED, 1);
    int64_t before = store_size(store);

    memset(body, 'x', sizeof(body) - 1);
    task.body = body;
    MUST(store_add_task(store, &task));
    MUST(store_commit(store));
    ck_assert_int_ge(store_size(store), before + 100000); /* in the log as yet */
    EXPECT(store_size(store), size_of("") + size_of("-wal"));
}
END_TEST

/* The long run: verbs at random, against a model in memory */

#define TASKS_MAX 400
#define PROFILES  3

static struct model {
    struct task tasks[TASKS_MAX];
    size_t count;
    struct task_counts counts[PROFILES];
    int64_t clock;
} model, committed;

static int64_t model_profiles[PROFILES];

static size_t profile_index(int64_t id)
{
    for (size_t i = 0; i < PROFILES; i++)
        if (model_profiles[i] == id)
            return i;
    ck_abort_msg("no profile %lld", (long long)id);
}

static struct task_counts *counts_of(const struct task *task)
{
    return &model.counts[profile_index(task->profile_id)];
}

/* A task in one of the statuses (a set of bits), or NULL. */
static struct task *pick(unsigned statuses)
{
    size_t start = model.count ? random_below(model.count) : 0;

    for (size_t i = 0; i < model.count; i++) {
        struct task *task = &model.tasks[(start + i) % model.count];

        if (statuses & 1u << task->status)
            return task;
    }
    return NULL;
}

static int by_queue(const void *a, const void *b)
{
    const struct task *x = *(const struct task *const *)a, *y = *(const struct task *const *)b;

    /* queued, scheduled, blocked have growing numbers */
    if (x->status != y->status)
        return x->status < y->status ? -1 : 1;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* The waiting tasks of the profile in their order. */
static size_t model_queue(int64_t profile_id, struct task **ret_tasks)
{
    size_t n = 0;

    for (size_t i = 0; i < model.count; i++)
        if (model.tasks[i].profile_id == profile_id &&
            task_status_is_waiting(model.tasks[i].status))
            ret_tasks[n++] = &model.tasks[i];
    qsort(ret_tasks, n, sizeof(struct task *), by_queue);
    return n;
}

static struct task *model_first(int64_t profile_id, enum task_status status)
{
    struct task *queue[TASKS_MAX];
    size_t n = model_queue(profile_id, queue);

    for (size_t i = 0; i < n; i++)
        if (queue[i]->status == status)
            return queue[i];
    return NULL;
}

/* Changes the status in the model and in the store; a late second try changes nothing. */
static void step_task(struct task *task, enum task_status to)
{
    enum task_status was = task->status;
    int64_t was_attempt = task->attempt;

    MUST(task_transition(task, to, counts_of(task)));
    task->place = task->id;
    if (to == TASK_QUEUED) {
        if (!task->ready_at || task_status_is_finished(was))
            task->ready_at = model.clock;
        task->queued_at = model.clock;
        task->place = task_rank(task, INTERVAL);
    } else if (to == TASK_SCHEDULED) {
        task->place = model.clock + (int64_t)random_below(1000);
    } else if (to == TASK_RUNNING) {
        task->attempt++;
        task->started_at = model.clock;
    } else if (task_status_is_finished(to)) {
        task->finished_at = model.clock;
        task->error_class = to == TASK_COMPLETED ? ERROR_NONE : ERROR_EXIT;
    }
    EXPECT(store_save_task(store, task, was, was_attempt), 1);
    if (was != to)
        EXPECT(store_save_task(store, task, was, was_attempt), 0);
}

static void random_verb(void)
{
    const unsigned waiting = 1u << TASK_QUEUED | 1u << TASK_SCHEDULED | 1u << TASK_BLOCKED;
    const int64_t profile = model_profiles[random_below(PROFILES)];
    CLEANUP(task_deinit) struct task got = {0};
    struct task *task = NULL;

    model.clock += (int64_t)random_below(INTERVAL / 10);
    switch (random_below(9)) {
    case 0:
    case 1:
    case 2: /* a new one */
        if (model.count == TASKS_MAX)
            break;
        task = &model.tasks[model.count++];
        *task = new_task(profile, TASK_NEW, 0);
        MUST(task_transition(task, (enum task_status)(TASK_QUEUED + random_below(3)),
                             counts_of(task)));
        task->priority = (enum task_priority)random_below(PRIORITY_COUNT);
        task->place = model.clock;
        if (task->status == TASK_QUEUED) {
            task->ready_at = task->queued_at = model.clock;
            task->place = task_rank(task, INTERVAL);
        }
        MUST(store_add_task(store, task));
        break;
    case 3:
    case 4: /* claim */
        task = model_first(profile, TASK_QUEUED);
        EXPECT(store_next_queued(store, profile, 0, &got), task ? 1 : 0);
        if (!task)
            break;
        check_task(&got, task);
        step_task(task, TASK_RUNNING);
        break;
    case 5: /* an attempt ends */
        task = pick(1u << TASK_RUNNING);
        if (!task)
            break;
        step_task(task, (enum task_status[]){TASK_COMPLETED, TASK_FAILED, TASK_CANCELLED,
                                             TASK_QUEUED, TASK_SCHEDULED}[random_below(5)]);
        add_attempt(task->id, task->attempt, task->profile_id, model.clock, task->error_class);
        break;
    case 6: /* wake */
        task = model_first(profile, TASK_SCHEDULED);
        EXPECT(store_next_scheduled(store, profile, &got), task ? 1 : 0);
        if (!task)
            break;
        check_task(&got, task);
        step_task(task, TASK_QUEUED);
        break;
    case 7: /* cancel, or a second life */
        task = pick(waiting | 1u << TASK_FAILED | 1u << TASK_CANCELLED);
        if (task)
            step_task(task, task_status_is_finished(task->status) ? TASK_QUEUED : TASK_CANCELLED);
        break;
    case 8: /* to another profile */
        task = pick(waiting);
        if (!task)
            break;
        task_move(task, profile, counts_of(task), &model.counts[profile_index(profile)]);
        EXPECT(store_save_task(store, task, task->status, task->attempt), 1);
        break;
    }
}

/* Writes what the pass changed of the counters, as the engine does before a commit. */
static void save_counts(void)
{
    for (size_t i = 0; i < PROFILES; i++) {
        struct task_counts change;

        for (int status = 0; status < TASK_STATUS_COUNT; status++)
            change.by_status[status] =
                model.counts[i].by_status[status] - committed.counts[i].by_status[status];
        MUST(store_update_profile(store, model_profiles[i], &change, -1, model.clock));
    }
}

static void check_counts(void)
{
    CLEANUP(profile_rows_deinit) struct profile_rows rows = {0};
    CLEANUP(buf_deinit) struct buf expected = {0};

    MUST(store_list_profiles(store, keep_profile, &rows));
    for (size_t i = 0; i < rows.count; i++)
        for (size_t k = 0; k < PROFILES; k++)
            for (int status = 0; rows.rows[i].id == model_profiles[k] && status < TASK_STATUS_COUNT;
                 status++)
                EXPECT(rows.rows[i].counts.by_status[status], model.counts[k].by_status[status]);
    /* The rows themselves, counted by someone else. */
    for (size_t k = 0; k < PROFILES; k++)
        for (int status = 1; status < TASK_STATUS_COUNT; status++)
            if (model.counts[k].by_status[status])
                buf_printf(&expected, "%lld|%d|%lld\n", (long long)model_profiles[k], status,
                           (long long)model.counts[k].by_status[status]);
    check_answer("SELECT profile_id, status, count(*) FROM task GROUP BY 1, 2 ORDER BY 1, 2",
                 buf_text(&expected));
}

static void check_model(void)
{
    for (size_t i = 0; i < model.count; i++)
        check_stored(&model.tasks[i]);
    for (size_t i = 0; i < PROFILES; i++) {
        struct task *queue[TASKS_MAX];
        size_t n = model_queue(model_profiles[i], queue);
        struct ids ids = {0}, expected = {.count = n};

        for (size_t k = 0; k < n; k++)
            expected.ids[k] = queue[k]->id;
        EXPECT(store_list_queue(store, model_profiles[i], NULL, collect, &ids), 0);
        check_ids(&ids, expected.ids, expected.count);
        if (n) {
            size_t k = random_below(n), before = 0;
            int64_t count = -1;

            for (size_t j = 0; j < k; j++)
                before += queue[j]->status == queue[k]->status;
            MUST(store_count_before(store, queue[k], TASKS_MAX, &count));
            EXPECT(count, (int64_t)before);
        }
    }
}

START_TEST(counters_follow_a_long_run)
{
    const int passes = 250;

    chance = (uint64_t)_i + 1;
    model = (struct model){.clock = NOW};
    model_profiles[0] = alpha;
    model_profiles[1] = beta;
    model_profiles[2] = ensure("gamma");
    MUST(store_commit(store));
    committed = model;
    for (int pass = 0; pass < passes; pass++) {
        for (uint64_t n = random_below(20); n > 0; n--)
            random_verb();
        if (random_below(5) == 0) {
            if (random_below(2))
                save_counts();
            store_rollback(store);
            model = committed;
        } else {
            save_counts();
            MUST(store_commit(store));
            committed = model;
        }
        if (pass % 10 == 9)
            reopen_store();
        if (pass % 10 == 5 || pass == passes - 1) {
            check_counts();
            check_model();
        }
    }
    ck_assert_uint_gt(model.count, TASKS_MAX / 2); /* it did something */
    check_answer("PRAGMA integrity_check", "ok\n");
}
END_TEST

/* Plans */

#define X(name, sql) [STMT_##name] = sql,
static const char *const statement_texts[] = {STATEMENTS(X)};
#undef X

static char *plan_of(enum statement statement)
{
    CLEANUP(freep) char *sql = xasprintf("EXPLAIN QUERY PLAN %s", statement_texts[statement]);

    return ask(sql);
}

START_TEST(plans_use_the_indexes)
{
    static const struct {
        enum statement statement;
        const char *part;
    } rows[] = {
        {STMT_NEXT_OF_STATUS, "SEARCH task USING INDEX task_live (status=? AND profile_id=?)"},
        {STMT_LIST_STATUS, "SEARCH task USING INDEX task_live (status=? AND profile_id=? AND "},
        {STMT_COUNT_BEFORE,
         "SEARCH task USING COVERING INDEX task_live (status=? AND profile_id=? AND "},
        {STMT_OLDEST_QUEUED, "SEARCH task USING INDEX task_live (status=? AND profile_id=?)"},
        {STMT_NEXT_RUNNING, "SEARCH task USING INDEX task_live (status=?)"},
        {STMT_GET_TASK, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
        {STMT_SAVE_TASK, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
        {STMT_GET_TASK_BY_KEY, "SEARCH task USING INDEX task_key (key=?)"},
        {STMT_LIST_TASKS, "SEARCH task USING INTEGER PRIMARY KEY (rowid<?)"},
        {STMT_LIST_FINISHED, "SEARCH task USING INDEX task_finished (status=? AND rowid<?)"},
        {STMT_RECENT_ATTEMPTS, "SEARCH attempt USING INDEX attempt_recent (profile_id=?)"},
        {STMT_GET_BUCKET, "SEARCH bucket USING PRIMARY KEY (profile_id=? AND span=? AND at=?)"},
        {STMT_LIST_BUCKETS,
         "SEARCH bucket USING PRIMARY KEY (profile_id=? AND span=? AND at>? AND at<?)"},
        {STMT_PRUNE_BUCKETS, "SEARCH bucket USING PRIMARY KEY (profile_id=? AND span=? AND at<?)"},
        {STMT_LIST_UPTIME, "SEARCH uptime USING INTEGER PRIMARY KEY (rowid<?)"},
        {STMT_PRUNE_UPTIME, "SEARCH uptime USING INTEGER PRIMARY KEY (rowid<?)"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(freep) char *plan = plan_of(rows[i].statement);

        if (!strstr(plan, rows[i].part))
            ck_abort_msg("%s:\n%s", statement_texts[rows[i].statement], plan);
    }
}
END_TEST

/* No statement sorts, or reads a table from end to end, but where it is short by itself. */
START_TEST(plans_sort_nothing)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        CLEANUP(freep) char *plan = NULL;

        if (i == STMT_BEGIN || i == STMT_COMMIT || i == STMT_ROLLBACK)
            continue;
        plan = plan_of((enum statement)i);
        if (strstr(plan, "TEMP B-TREE") && i != STMT_LIST_RUNNING) /* as many as there are slots */
            ck_abort_msg("%s:\n%s", statement_texts[i], plan);
        if ((strstr(plan, "SCAN task") && i != STMT_LAST_CLOCK && /* the newest hundred */
             i != STMT_OLDEST_FINISHED) || /* the first, or second, of an index */
            strstr(plan, "SCAN attempt") ||
            strstr(plan, "SCAN bucket") || strstr(plan, "SCAN uptime"))
            ck_abort_msg("%s:\n%s", statement_texts[i], plan);
    }
}
END_TEST

/* Dependencies */

static void expect_unmet(int64_t task_id, int64_t id, enum task_status status)
{
    enum task_status got = TASK_NEW;
    int64_t got_id = 0;

    EXPECT(store_unmet_dependency(store, task_id, &got_id, &got), id != 0);
    expect(got_id, id, "the dependency that decides");
    expect(got, status, "its status");
}

static void depend(int64_t task_id, int64_t on)
{
    MUST(store_add_dependency(store, task_id, on));
}

START_TEST(dependencies_decide)
{
    const int64_t completed = add(alpha, TASK_COMPLETED, 1), running = add(beta, TASK_RUNNING, 2);
    const int64_t queued = add(beta, TASK_QUEUED, 3), failed = add(alpha, TASK_FAILED, 4);
    const int64_t cancelled = add(alpha, TASK_CANCELLED, 5), task = add(alpha, TASK_BLOCKED, 0);

    expect_unmet(task, 0, TASK_NEW);
    depend(task, completed);
    expect_unmet(task, 0, TASK_NEW);
    depend(task, queued);
    expect_unmet(task, queued, TASK_QUEUED);
    depend(task, running);
    expect_unmet(task, running, TASK_RUNNING);
    depend(task, failed); /* that decides, whatever else there is */
    expect_unmet(task, failed, TASK_FAILED);
    depend(task, cancelled);
    expect_unmet(task, cancelled, TASK_CANCELLED);
    depend(task, cancelled);                                  /* once is enough */
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 0); /* not committed yet */
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 5);
    expect_unmet(completed, 0, TASK_NEW);
}
END_TEST

START_TEST(dependants_are_told_one_after_the_other)
{
    const int64_t first = add(alpha, TASK_COMPLETED, 1), lone = add(alpha, TASK_COMPLETED, 1);
    const int64_t a = add(alpha, TASK_BLOCKED, 0), b = add(beta, TASK_QUEUED, 0);
    const int64_t c = add(beta, TASK_BLOCKED, 0);
    struct task task = {0};
    int64_t id = 0, after = -1;

    EXPECT(store_next_release(store, &id, &after), 0);
    depend(a, first);
    depend(b, first);
    depend(c, first);
    EXPECT(store_add_release(store, lone), 0); /* nobody waits for it */
    EXPECT(store_next_release(store, &id, &after), 0);
    EXPECT(store_add_release(store, first), 1);
    EXPECT(store_next_release(store, &id, &after), 1);
    expect(id, first, "the release");
    expect(after, 0, "from the start");
    EXPECT(store_next_dependant(store, first, after, &task), 1);
    expect(task.id, a, "the first");
    task_deinit(&task);
    MUST(store_move_release(store, first, a));
    MUST(store_commit(store));
    reopen_store();
    EXPECT(store_next_release(store, &id, &after), 1);
    expect(after, a, "where it had come to");
    EXPECT(store_next_dependant(store, first, after, &task), 1);
    expect(task.id, c, "only those that are blocked");
    task_deinit(&task);
    EXPECT(store_next_dependant(store, first, c, &task), 0);
    MUST(store_drop_release(store, first));
    EXPECT(store_next_release(store, &id, &after), 0);
}
END_TEST

/* Removal */

START_TEST(oldest_finished_goes_first)
{
    static const int64_t finished_at[] = {NOW, NOW - 2, NOW - 1, 0, NOW - 9};
    int64_t ids[ARRAY_SIZE(finished_at)];
    struct task task = {0};

    EXPECT(store_oldest_finished(store, &task), 0);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct task one = new_task(alpha, finished_at[i] ? TASK_FAILED : TASK_QUEUED, 1);

        one.finished_at = finished_at[i];
        MUST(store_add_task(store, &one));
        ids[i] = one.id;
    }
    add_attempt(ids[1], 1, alpha, NOW, ERROR_EXIT);
    add_attempt(ids[2], 1, alpha, NOW, ERROR_EXIT);
    depend(ids[3], ids[1]);
    depend(ids[1], ids[0]);
    depend(ids[3], ids[2]);
    /* The newest, though it finished first, stays: its id must not be used again. */
    EXPECT(store_oldest_finished(store, &task), 1);
    expect(task.id, ids[1], "the oldest");
    task_deinit(&task);
    MUST(store_remove_task(store, ids[1]));
    MUST(store_commit(store));
    EXPECT(store_get_task(store, ids[1], &task), 0);
    EXPECT(ask_number("SELECT count(*) FROM attempt"), 1);
    EXPECT(ask_number("SELECT count(*) FROM dependency"), 1);
    EXPECT(store_oldest_finished(store, &task), 1);
    expect(task.id, ids[2], "the next");
    task_deinit(&task);
    MUST(store_remove_task(store, ids[3])); /* not finished: it stays */
    MUST(store_remove_task(store, ids[2]));
    MUST(store_remove_task(store, ids[0]));
    EXPECT(store_oldest_finished(store, &task), 0);
    EXPECT(store_get_task(store, ids[3], &task), 1);
    task_deinit(&task);
    expect(add(alpha, TASK_QUEUED, 1), ids[4] + 1, "the next id");
}
END_TEST

START_TEST(last_queued_and_statuses)
{
    enum task_status status;
    struct task task = {0};
    int64_t last;

    EXPECT(store_last_queued(store, alpha, &task), 0);
    add(alpha, TASK_QUEUED, 5);
    add(alpha, TASK_QUEUED, 7);
    last = add(alpha, TASK_QUEUED, 7); /* of equals the newest */
    add(alpha, TASK_QUEUED, 6);
    add(alpha, TASK_SCHEDULED, 99);
    add(beta, TASK_QUEUED, 99);
    EXPECT(store_last_queued(store, alpha, &task), 1);
    expect(task.id, last, "the last");
    task_deinit(&task);
    EXPECT(store_get_status(store, last, &status), 1);
    expect(status, TASK_QUEUED, "its status");
    EXPECT(store_get_status(store, last + 100, &status), 0);
}
END_TEST

/* Opening */

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
    /* Nothing of it is left open: the log is written back and gone. */
    close_store();
    ck_assert_int_eq(size_of("-wal"), -1);
    ck_assert_int_eq(size_of("-shm"), -1);
    store_close(NULL);
}
END_TEST

/* They are what is left of one. */
START_TEST(open_refuses_an_empty_file)
{
    write_bytes("", 0);
    EXPECT(refusal_of_file("it is empty"), -EBADMSG);
}
END_TEST

/* The third schema, and some of a life under it. */
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
    /* Three minutes, two of them in one quarter of an hour. */
    "INSERT INTO bucket VALUES (1, 60000, 1795356000000, 1, 0, 0, 0, 1, 0, 1000, 1, 5, '39:1', 0.5,"
    "  'USD');"
    "INSERT INTO bucket VALUES (1, 60000, 1795356060000, 2, 1, 0, 0, 2, 1, 9000, 3, 7, '39:2 53:1',"
    "  0.25, 'USD');"
    "INSERT INTO bucket VALUES (1, 60000, 1795356900000, 0, 0, 4, 0, 0, 0, 0, 0, 0, '', 0, '');";

START_TEST(open_gives_an_older_database_its_quarters)
{
    static struct listed listed;
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
    listed.count = 0;
    MUST(store_list_metrics(store, 1, METRICS_QUARTER, 0, INT64_MAX, list_bucket, &listed));
    EXPECT((int64_t)listed.count, 2);
    EXPECT(listed.at[0], 1795356000000);
    EXPECT(memcmp(&listed.buckets[0], &expected, sizeof(expected)), 0);
    EXPECT(listed.at[1], 1795356900000);
    EXPECT(listed.buckets[1].cancelled, 4);
    EXPECT(listed.buckets[1].successes, 0);
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
    /* The header is whole, the schema is not. */
    memset(bytes + 100, 0xee, 4096 - 100);
    write_bytes(bytes, len);
    ck_assert_int_lt(store_open(path, &opened, &error), 0);
    ck_assert_ptr_null(opened);
    ck_assert_ptr_nonnull(error);
}
END_TEST

/* Another program's tables stand in the way: nothing of the schema is left there. */
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

/* As somebody who may not write there; root may write everywhere. */
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
    /* The same with a database there. */
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

/* Crashes */

/* Runs the function in a process that is killed after it, the store as it was. */
static void crash_after(void (*function)(void))
{
    int status;
    pid_t pid;

    close_store(); /* a connection must not cross a fork */
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char *error = NULL;

        if (store_open(path, &store, &error) == 0)
            function();
        _exit(1);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %d", status);
    ck_assert_int_ge(size_of("-wal"), 0); /* nobody tidied up */
    open_store();
}

static struct task crash_tasks[6];

/* Three tasks run, and more is under way that is not committed. */
static void work_and_die(void)
{
    bool ok = true;

    for (size_t i = 0; i < ARRAY_SIZE(crash_tasks); i++) {
        struct task *task = &crash_tasks[i];

        ok &= store_add_task(store, task) == 0;
        if (i < 3) {
            task->status = TASK_RUNNING;
            task->attempt = 1;
            ok &= store_save_task(store, task, TASK_QUEUED, 0) == 1;
        }
    }
    ok &= store_commit(store) == 0;
    crash_tasks[0].status = TASK_COMPLETED;
    ok &= store_save_task(store, &crash_tasks[0], TASK_RUNNING, 1) == 1;
    crash_tasks[3].status = TASK_RUNNING;
    ok &= store_save_task(store, &crash_tasks[3], TASK_QUEUED, 0) == 1;
    ok &= store_add_task(store, &(struct task){.profile_id = alpha, .body = (char *)""}) == 0;
    if (ok)
        raise(SIGKILL);
}

START_TEST(crash_leaves_what_was_committed)
{
    struct task_counts counts = {0};
    struct ids ids = {0};
    int64_t next, first;

    for (size_t i = 0; i < ARRAY_SIZE(crash_tasks); i++)
        crash_tasks[i] = new_task(i % 2 ? alpha : beta, TASK_QUEUED, (int64_t)i);
    crash_after(work_and_die);

    EXPECT(store_list_tasks(store, &(struct store_filter){.scan_limit = 9}, collect, &ids, &next),
           0);
    EXPECT((int64_t)ids.count, ARRAY_SIZE(crash_tasks));
    first = ids.ids[ids.count - 1];
    /* Each that ran is found once, whatever profile it is of, and queued again. */
    for (unsigned found = 0; found != 7;) {
        CLEANUP(task_deinit) struct task task = {0};
        unsigned bit;

        EXPECT(store_next_running(store, 0, &task), 1);
        bit = 1u << (task.id - first);
        if (bit > 4 || found & bit)
            ck_abort_msg("task %lld", (long long)task.id);
        found |= bit;
        EXPECT(task.attempt, 1);
        MUST(task_transition(&task, TASK_QUEUED, &counts));
        task.place = task.id;
        EXPECT(store_save_task(store, &task, TASK_RUNNING, 1), 1);
    }
    EXPECT(store_next_running(store, 0, &crash_tasks[0]), 0);
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM task WHERE status = 1"), 6);
    check_answer("PRAGMA integrity_check", "ok\n");
    /* The next one gets a number of its own. */
    ck_assert_int_eq(add(alpha, TASK_QUEUED, 1), first + 6);
}
END_TEST

/* A full disk */

static char large[256 * 1024 + 1];

static int add_large(int64_t *ret_id, size_t len)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1);
    int r;

    memset(large, 'x', len);
    large[len] = '\0';
    task.body = large;
    r = store_add_task(store, &task);
    *ret_id = task.id;
    return r;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Adds three large tasks in one pass; the first thing that fails, or 0. */
static int add_three(size_t len)
{
    int64_t id;
    int r = 0;

    for (int i = 0; i < 3 && r == 0; i++)
        r = add_large(&id, len);
    return r == 0 ? store_commit(store) : r;
}

START_TEST(full_disk_fails_the_pass)
{
    /* How much of the pass still finds room: none, a part of a page's record, some pages. */
    static const int64_t rooms[] = {0, 1, 100, 4119, 4120, 5000, 50000, 100000};
    CLEANUP(freep) char *before = NULL;
    int64_t kept = add(alpha, TASK_QUEUED, 1);

    signal(SIGXFSZ, SIG_IGN);
    MUST(add_three(40000));
    before = dump();
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        CLEANUP(task_deinit) struct task got = {0};
        int r;

        limit_files((rlim_t)(size_of("-wal") + rooms[i]));
        r = add_three(40000);
        limit_files(RLIM_INFINITY);
        ck_assert_msg(r == -ENOSPC || r == -EIO, "room for %lld: %d", (long long)rooms[i], r);
        ck_assert(store_has_failed(store));
        ck_assert_str_ne(store_error(store), "");
        EXPECT(store_commit(store), r);
        store_rollback(store);
        EXPECT(store_get_task(store, kept, &got), 1);
        check_dump(before, "after a failure");
        if (i % 2)
            reopen_store();
        check_dump(before, "reopened");
        kept = add(beta, TASK_QUEUED, 1);
        MUST(store_commit(store));
        ck_assert_str_eq(store_error(store), "");
        free(before);
        before = dump();
    }
    reopen_store();
    check_dump(before, "at last");
    EXPECT(ask_number("SELECT count(*) FROM task"), 4 + (int64_t)ARRAY_SIZE(rooms));
    check_answer("PRAGMA integrity_check", "ok\n");
}
END_TEST

/* The log and the database both grow into the limit; checkpoints fail before commits do. */
START_TEST(full_disk_keeps_what_was_acknowledged)
{
    CLEANUP(freep) char *before = NULL;
    int64_t last = 0, id = 0;
    int count = 0, r;

    signal(SIGXFSZ, SIG_IGN);
    limit_files(20 * 1024 * 1024); /* more than the log has before a checkpoint */
    for (;;) {
        r = add_large(&id, 100000);
        if (r == 0)
            r = store_commit(store);
        if (r < 0)
            break;
        last = id;
        if (++count > 1000)
            ck_abort_msg("the disk is never full");
    }
    ck_assert_msg(r == -ENOSPC || r == -EIO, "%d", r);
    ck_assert_int_gt(count, 50);
    for (int i = 0; i < 3; i++) { /* it stays full for a while */
        CLEANUP(task_deinit) struct task got = {0};

        store_rollback(store);
        EXPECT(store_get_task(store, last, &got), 1);
        EXPECT((int64_t)strlen(got.body), 100000);
        r = add_three(250000);
        ck_assert_msg(r == -ENOSPC || r == -EIO, "%d", r);
    }
    store_rollback(store);
    limit_files(RLIM_INFINITY);
    EXPECT(ask_number("SELECT count(*) FROM task"), count);
    MUST(add_three(1000));
    before = dump();
    reopen_store();
    check_dump(before, "reopened");
    EXPECT(ask_number("SELECT count(*) FROM task"), count + 3);
    check_answer("PRAGMA integrity_check", "ok\n");
}
END_TEST

/* A disk that fails at a chosen moment: SQLite's own file layer with a budget */

static sqlite3_vfs *real_vfs, failing_vfs;
static const sqlite3_io_methods *real_log, *real_database;
static sqlite3_io_methods failing_log, failing_database;
static int budget = -1; /* writes and syncs until the disk fails; -1: it does not */
static int disk_error;  /* what it fails with */
static int log_syncs;
static bool log_is_dirty; /* written since its last sync */

static bool disk_fails(void)
{
    if (budget > 0)
        budget--;
    return budget == 0;
}

static int database_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    return disk_fails() ? disk_error : real_database->xWrite(file, data, len, at);
}

static int database_sync(sqlite3_file *file, int flags)
{
    return disk_fails() ? disk_error : real_database->xSync(file, flags);
}

static int log_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    log_is_dirty = true;
    return disk_fails() ? disk_error : real_log->xWrite(file, data, len, at);
}

static int log_sync(sqlite3_file *file, int flags)
{
    int rc = disk_fails() ? disk_error : real_log->xSync(file, flags);

    if (rc == SQLITE_OK) {
        log_syncs++;
        log_is_dirty = false;
    }
    return rc;
}

static int failing_open(sqlite3_vfs *vfs UNUSED, const char *name, sqlite3_file *file, int flags,
                        int *ret_flags)
{
    int rc = real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);

    if (rc == SQLITE_OK && flags & SQLITE_OPEN_WAL) {
        real_log = file->pMethods;
        failing_log = *real_log;
        failing_log.xWrite = log_write;
        failing_log.xSync = log_sync;
        file->pMethods = &failing_log;
    } else if (rc == SQLITE_OK && flags & SQLITE_OPEN_MAIN_DB) {
        real_database = file->pMethods;
        failing_database = *real_database;
        failing_database.xWrite = database_write;
        failing_database.xSync = database_sync;
        file->pMethods = &failing_database;
    }
    return rc;
}

static void setup_failing(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    failing_vfs = *real_vfs;
    failing_vfs.zName = "failing";
    failing_vfs.xOpen = failing_open;
    ck_assert_int_eq(sqlite3_vfs_register(&failing_vfs, 1), SQLITE_OK);
    budget = -1;
    setup();
}

static void teardown_failing(void)
{
    budget = -1;
    teardown();
    sqlite3_vfs_unregister(&failing_vfs);
}

/* An acknowledged write is on disk, and a pass costs one sync however much it writes. */
START_TEST(commit_is_one_sync)
{
    for (int i = 1; i <= 20; i++) {
        int before;

        for (int k = 0; k < i; k++)
            add(alpha, TASK_QUEUED, k);
        before = log_syncs;
        MUST(store_commit(store));
        ck_assert(!log_is_dirty);
        EXPECT(log_syncs - before, 1);
        /* Reading, and a commit of nothing, cost none. */
        before = log_syncs;
        MUST(store_commit(store));
        store_size(store);
        EXPECT(log_syncs, before);
    }
    /* With checkpoints between, too. */
    for (int i = 0; i < 60; i++) {
        MUST(add_three(30000));
        if (log_is_dirty)
            ck_abort_msg("commit %d is not on disk", i);
    }
}
END_TEST

START_TEST(disk_that_fails_at_any_moment)
{
    static const int errors[] = {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC};
    CLEANUP(freep) char *before = dump();
    bool succeeded = false;
    int failures = 0;

    disk_error = errors[_i];
    for (int moment = 1; !succeeded; moment++) {
        int64_t id;
        int r;

        budget = moment;
        r = add_large(&id, 20000);
        if (r == 0)
            r = claim(alpha)
                    ? store_add_metrics(store, alpha, NOW, &(struct metrics_bucket){.completed = 1})
                    : -ENOENT;
        if (r == 0)
            r = store_commit(store);
        succeeded = r == 0;
        if (!succeeded) {
            failures++;
            EXPECT(r, disk_error == SQLITE_FULL ? -ENOSPC : -EIO);
            EXPECT(store_commit(store), r);
            ck_assert(store_has_failed(store));
            store_rollback(store);
            /* It still fails, and says so again. */
            if (moment % 3 == 0) {
                EXPECT(add_three(1000), r);
                store_rollback(store);
            }
            budget = -1;
            check_dump(before, "rolled back");
            add(beta, TASK_QUEUED, moment);
            MUST(store_commit(store));
        }
        budget = -1;
        if (moment % 4 == 0)
            reopen_store();
        free(before);
        before = dump();
        if (moment > 200)
            ck_abort_msg("it always fails");
    }
    ck_assert_int_gt(failures, 5);
    reopen_store();
    check_dump(before, "at last");
    EXPECT(ask_number("SELECT count(*) FROM task WHERE status = 1"), failures);
    EXPECT(ask_number("SELECT count(*) FROM task WHERE status = 4"), 1);
    check_answer("PRAGMA integrity_check", "ok\n");
}
END_TEST

static int failing_moment;

/* A pass fails, is rolled back, and acpd dies before another one has been committed. */
static void fail_and_die(void)
{
    int64_t id;
    int r;

    add(beta, TASK_QUEUED, 1);
    MUST(store_commit(store));
    budget = failing_moment;
    r = add_large(&id, 20000);
    if (r == 0)
        r = store_commit(store);
    budget = -1;
    if (r == 0) {
        ensure("succeeded");
        MUST(store_commit(store));
    } else {
        store_rollback(store);
    }
    raise(SIGKILL);
}

/* What was refused does not come back from the log. */
START_TEST(pass_that_failed_is_gone_after_a_crash)
{
    disk_error = SQLITE_IOERR_FSYNC;
    for (failing_moment = 1;; failing_moment++) {
        crash_after(fail_and_die);
        if (ask_number("SELECT count(*) FROM profile WHERE name = 'succeeded'"))
            break;
        if (ask_number("SELECT count(*) FROM task WHERE length(body) = 20000"))
            ck_abort_msg("it failed at write or sync number %d, and is there", failing_moment);
        EXPECT(ask_number("SELECT count(*) FROM task"), failing_moment);
        if (failing_moment > 100)
            ck_abort_msg("it always fails");
    }
    ck_assert_int_gt(failing_moment, 5);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, SFun before, SFun after)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, before, after);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("store");
    SRunner *runner = srunner_create(suite);
    TCase *tcase;
    int failed;

    tcase = add_case(suite, "task", setup, teardown);
    tcase_add_test(tcase, task_is_stored_as_it_is);
    tcase_add_test(tcase, task_with_the_least);
    tcase_add_test(tcase, task_with_the_most);
    tcase_add_test(tcase, task_of_every_kind);
    tcase_add_test(tcase, task_that_is_not_there);
    tcase_add_test(tcase, task_is_saved);
    tcase_add_test(tcase, task_that_moved_on_is_not_saved);
    tcase_add_test(tcase, transitions_happen_once);
    tcase_add_test(tcase, attempt_is_the_fence);
    tcase = add_case(suite, "key", setup, teardown);
    tcase_add_test(tcase, key_finds_the_first);
    tcase_add_test(tcase, key_is_unique);
    tcase_add_test(tcase, key_is_free_after_rollback);
    tcase = add_case(suite, "queue", setup, teardown);
    tcase_add_test(tcase, claim_order_ages);
    tcase_add_test(tcase, claim_is_per_profile);
    tcase_add_test(tcase, claim_is_undone);
    tcase_add_test(tcase, scheduled_by_time);
    tcase_add_test(tcase, queue_is_listed_in_order);
    tcase_add_test(tcase, queue_is_listed_in_pages);
    tcase_add_test(tcase, queue_is_listed_from_behind_one_that_left);
    tcase_add_test(tcase, queue_positions);
    tcase_add_test(tcase, queue_oldest);
    tcase_add_test(tcase, queue_clock);
    tcase_add_test(tcase, tasks_are_listed);
    tcase_add_test(tcase, tasks_are_listed_with_bounded_work);
    tcase = add_case(suite, "profile", setup, teardown);
    tcase_add_test(tcase, profiles_are_added_once);
    tcase_add_test(tcase, profiles_are_updated);
    tcase_add_test(tcase, attempts_are_kept);
    tcase_add_test(tcase, attempts_fill_the_window);
    tcase = add_case(suite, "metrics", setup, teardown);
    tcase_add_test(tcase, metrics_add_up);
    tcase_add_test(tcase, metrics_know_the_minute);
    tcase_add_test(tcase, metrics_have_quarters_and_hours);
    tcase_add_test(tcase, metrics_are_pruned);
    tcase_add_test(tcase, metrics_of_the_queue_leave_the_rest_alone);
    tcase_add_test(tcase, metrics_are_pruned_in_small_steps);
    tcase_add_test(tcase, uptime_is_a_row_a_span);
    tcase = add_case(suite, "year", setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_year_costs_no_more_than_a_week);
    tcase = add_case(suite, "pass", setup, teardown);
    tcase_add_test(tcase, pass_commits_as_one);
    tcase_add_test(tcase, pass_rolls_back);
    tcase_add_test(tcase, pass_reads_what_it_wrote);
    tcase_add_test(tcase, pass_that_failed_can_only_be_rolled_back);
    tcase_add_test(tcase, pass_that_finds_the_database_locked);
    tcase_add_test(tcase, size_is_that_of_the_files);
    tcase = add_case(suite, "model", setup, teardown);
    tcase_add_loop_test(tcase, counters_follow_a_long_run, 0, 3);
    tcase = add_case(suite, "dependencies", setup, teardown);
    tcase_add_test(tcase, dependencies_decide);
    tcase_add_test(tcase, dependants_are_told_one_after_the_other);
    tcase = add_case(suite, "removal", setup, teardown);
    tcase_add_test(tcase, oldest_finished_goes_first);
    tcase_add_test(tcase, last_queued_and_statuses);
    tcase = add_case(suite, "plans", setup, teardown);
    tcase_add_test(tcase, plans_use_the_indexes);
    tcase_add_test(tcase, plans_sort_nothing);
    tcase = add_case(suite, "open", setup_folder, teardown);
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
    tcase = add_case(suite, "crash", setup, teardown);
    tcase_add_test(tcase, crash_leaves_what_was_committed);
    tcase = add_case(suite, "disk", setup, teardown);
    tcase_add_test(tcase, full_disk_fails_the_pass);
    tcase_add_test(tcase, full_disk_keeps_what_was_acknowledged);
    tcase = add_case(suite, "failing disk", setup_failing, teardown_failing);
    tcase_add_test(tcase, commit_is_one_sync);
    tcase_add_loop_test(tcase, disk_that_fails_at_any_moment, 0, 3);
    tcase_add_test(tcase, pass_that_failed_is_gone_after_a_crash);

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
