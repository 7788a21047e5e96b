/* SPDX-License-Identifier: MIT */
/* Crashes, full disks, and a disk that fails at a chosen moment. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "fixture.h"

/* Crashes */

/* Runs the function in a process that is then killed without closing the store. */
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
    ck_assert_int_ge(size_of("-wal"), 0); /* not cleaned up */
    open_store();
}

static struct task crash_tasks[6];

/* Starts three tasks, then makes uncommitted changes. */
static void work_and_die(void)
{
    bool ok = true;

    for (size_t i = 0; i < ARRAY_SIZE(crash_tasks); i++) {
        struct task *task = &crash_tasks[i];

        ok &= add_task(task) == 0;
        if (i < 3) {
            task->status = TASK_RUNNING;
            task->attempt = 1;
            ok &= save_task(task, TASK_QUEUED, 0) == 1;
        }
    }
    ok &= store_commit(store) == 0;
    crash_tasks[0].status = TASK_COMPLETED;
    ok &= save_task(&crash_tasks[0], TASK_RUNNING, 1) == 1;
    crash_tasks[3].status = TASK_RUNNING;
    ok &= save_task(&crash_tasks[3], TASK_QUEUED, 0) == 1;
    ok &= add_task(&(struct task){.profile_id = alpha, .body = (char *)""}) == 0;
    if (ok)
        raise(SIGKILL);
}

START_TEST(crash_leaves_what_was_committed)
{
    struct task_counts counts = {0};
    struct ids ids = {0};
    int64_t first;

    for (size_t i = 0; i < ARRAY_SIZE(crash_tasks); i++)
        crash_tasks[i] = new_task(i % 2 ? alpha : beta, TASK_QUEUED, (int64_t)i);
    crash_after(work_and_die);

    EXPECT(list_tasks(&(struct task_filter){0}, &ids), STORE_STALE);
    EXPECT((int64_t)ids.count, ARRAY_SIZE(crash_tasks));
    first = ids.ids[ids.count - 1];
    /* Each running task of any profile is found once and queued again. */
    for (unsigned found = 0; found != 7;) {
        CLEANUP(task_list_deinit) struct task_list tasks = {0};
        struct store_attempt end = {.error_class = ERROR_INTERRUPTED};
        struct store_cursor cursor = {0};
        struct task_fence fence;
        bool has_dependants = true;
        struct task *task;
        int64_t damaged;
        unsigned bit;

        EXPECT(store_take_over(store, &cursor, 1, &tasks, &damaged), STORE_DONE);
        task = &tasks.tasks[0];
        fence = task_fence(task);
        bit = 1u << (task->id - first);
        if (bit > 4 || found & bit)
            ck_abort_msg("task %lld", (long long)task->id);
        found |= bit;
        EXPECT(task->attempt, 1);
        MUST(task_transition(task, TASK_QUEUED, &counts));
        task->sort_key = task->id;
        end.task_id = task->id;
        end.number = 1;
        EXPECT(store_finish(store, task, &fence, &end, &has_dependants), STORE_DONE);
        ck_assert(!has_dependants);
    }
    EXPECT(count_abandoned(), 0);
    MUST(store_commit(store));
    EXPECT(ask_number("SELECT count(*) FROM task WHERE status = 1"), 6);
    check_answer("PRAGMA integrity_check", "ok\n");
    /* The next task gets a new id. */
    ck_assert_int_eq(add(alpha, TASK_QUEUED, 1), first + 6);
}
END_TEST

/* A full disk */

static char large[1024 * 1024 + 1];

static int add_large(int64_t *ret_id, size_t len)
{
    struct task task = new_task(alpha, TASK_QUEUED, 1);
    int r;

    memset(large, 'x', len);
    large[len] = '\0';
    task.body = large;
    r = add_task(&task);
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

/* Adds three large tasks in one pass; returns the first error, or 0. */
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
    /* Free bytes: for nothing, for a part of a page's record, for some pages. */
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
static int disk_error;  /* the resulting error */
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

/* An acknowledged write is on disk, and a pass costs one sync, however much it writes. */
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
        /* Reading and empty commits cost none. */
        before = log_syncs;
        MUST(store_commit(store));
        store_size(store);
        EXPECT(log_syncs, before);
    }
    /* Also with checkpoints in between. */
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
        r = add_large(&id, 800000); /* several writes */
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
            /* It still fails and reports it again. */
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
    r = add_large(&id, 800000); /* several writes */
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

/* Refused writes do not come back from the log. */
START_TEST(pass_that_failed_is_gone_after_a_crash)
{
    disk_error = SQLITE_IOERR_FSYNC;
    for (failing_moment = 1;; failing_moment++) {
        crash_after(fail_and_die);
        if (ask_number("SELECT count(*) FROM profile WHERE name = 'succeeded'"))
            break;
        if (ask_number("SELECT count(*) FROM task WHERE length(body) = 800000"))
            ck_abort_msg("it failed at write or sync number %d, and is there", failing_moment);
        EXPECT(ask_number("SELECT count(*) FROM task"), failing_moment);
        if (failing_moment > 100)
            ck_abort_msg("it always fails");
    }
    ck_assert_int_gt(failing_moment, 5);
}
END_TEST

void add_disk_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "crash", setup, teardown);

    tcase_add_test(tcase, crash_leaves_what_was_committed);
    tcase = add_case(suite, "disk", setup, teardown);
    tcase_add_test(tcase, full_disk_fails_the_pass);
    tcase_add_test(tcase, full_disk_keeps_what_was_acknowledged);
    tcase = add_case(suite, "failing disk", setup_failing, teardown_failing);
    tcase_add_test(tcase, commit_is_one_sync);
    tcase_add_loop_test(tcase, disk_that_fails_at_any_moment, 0, 3);
    tcase_add_test(tcase, pass_that_failed_is_gone_after_a_crash);
}
