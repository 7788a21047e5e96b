/* SPDX-License-Identifier: MIT */
/* Databases as files: checking, copying and replacing them. */
#include "store/sqlite_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "store/sqlite_row.h"

/* At startup, databases up to this size are checked completely, in about 0.1 s. */
#define QUICK_CHECK_MAX (64 * 1024 * 1024)

#define IDS_NAMED 10 /* of damaged tasks */

/* Returns `r`, or -EIO for an errno that was not set. */
static int sqlite_files_refuse(char **ret_error, int r, const char *path, const char *what)
{
    *ret_error = xasprintf("%s: %s", path, what);
    return r < 0 ? r : -EIO;
}

int sqlite_open_file(const char *path, int flags, sqlite3 **ret_db, char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return sqlite_files_refuse(ret_error, -EIO, path, sqlite3_errmsg(db));
    sqlite3_extended_result_codes(db, 1);
    if (sqlite_row_add_functions(db) < 0)
        return sqlite_files_refuse(ret_error, -ENOMEM, path, sqlite3_errmsg(db));
    sqlite3_busy_timeout(db, 2000);
    *ret_db = STEAL(db);
    return 0;
}

/* Runs a pragma that returns "ok" or describes the damage. */
static int sqlite_files_check(sqlite3 *db, const char *pragma, char **ret_error)
{
    sqlite3_stmt *stmt = NULL;
    const char *found = NULL;
    int r = 0;

    if (sqlite3_prepare_v2(db, pragma, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        found = sqlite3_errmsg(db);
    else
        found = (const char *)sqlite3_column_text(stmt, 0);
    if (!found || strcmp(found, "ok") != 0) {
        *ret_error = xasprintf("damaged: %s", found ? found : "no memory");
        r = -EBADMSG;
    }
    sqlite3_finalize(stmt);
    return r;
}

int sqlite_check_damage(sqlite3 *db, const char *path, char **ret_error)
{
    int64_t pages = 0, page_size = 0;
    struct stat st;

    if (stat(path, &st) < 0) /* not a file */
        return 0;
    if (st.st_size <= QUICK_CHECK_MAX)
        return sqlite_files_check(db, "PRAGMA quick_check(1)", ret_error);
    if (sqlite_number(db, "PRAGMA page_count", &pages) < 0 ||
        sqlite_number(db, "PRAGMA page_size", &page_size) < 0)
        return -EIO;
    /* The file may be shorter than its page count while its last pages are only in the log.
     * Without a log, it is truncated. */
    if (pages * page_size > st.st_size) {
        CLEANUP(freep) char *log = xasprintf("%s-wal", path);

        if (stat(log, &st) < 0 || !st.st_size) {
            *ret_error = xstrdup("damaged: the end of the file is missing");
            return -EBADMSG;
        }
    }
    return 0;
}

int sqlite_check_tasks(sqlite3 *db, const char *condition, char **ret_error)
{
    CLEANUP(freep)
    char *sql = xasprintf("SELECT id FROM task WHERE (%s) IS NOT TRUE", condition);
    CLEANUP(buf_deinit) struct buf ids = {0};
    sqlite3_stmt *stmt = NULL;
    int64_t count = 0;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return -EIO;
    while (sqlite3_step(stmt) == SQLITE_ROW)
        if (++count <= IDS_NAMED)
            buf_printf(&ids, "%s%lld", count > 1 ? ", " : "",
                       (long long)sqlite3_column_int64(stmt, 0));
    if (sqlite3_finalize(stmt) != SQLITE_OK)
        return -EIO;
    if (!count)
        return 0;
    if (count > IDS_NAMED)
        buf_printf(&ids, " and %lld more", (long long)(count - IDS_NAMED));
    *ret_error =
        xasprintf("damaged: the row%s of task%s %s", PLURAL(count), PLURAL(count), buf_text(&ids));
    return -EBADMSG;
}

static int sqlite_files_check_rows(sqlite3 *db, char **ret_error)
{
    int64_t version = 0;

    if (sqlite_number(db, "PRAGMA user_version", &version) < 0)
        return -EIO;
    return sqlite_check_tasks(db, sqlite_row_soundness(version), ret_error);
}

static int sqlite_files_describe(sqlite3 *db, char **ret_info)
{
    int64_t tasks = 0, version = 0;

    if (sqlite_number(db, "SELECT count(*) FROM task", &tasks) < 0 ||
        sqlite_number(db, "PRAGMA user_version", &version) < 0)
        return -EIO;
    *ret_info = xasprintf("ok, schema %lld, %lld task%s", (long long)version, (long long)tasks,
                          PLURAL(tasks));
    return 0;
}

static int sqlite_files_verify_open(sqlite3 *db, const char *path, char **ret_info,
                                    char **ret_error)
{
    CLEANUP(freep) char *error = NULL;
    int r = sqlite_check_version(db, &error);

    if (r == 0)
        r = sqlite_files_check(db, "PRAGMA integrity_check(1)", &error);
    if (r == 0)
        r = sqlite_files_check_rows(db, &error);
    if (r == 0)
        r = sqlite_files_describe(db, ret_info);
    if (r == 0)
        return 0;
    return sqlite_files_refuse(ret_error, r > 0 ? -ENOTSUP : r, path,
                               error ? error : sqlite3_errmsg(db));
}

/* `shown` is the name in messages: the file itself, or the original of a copy. */
static int sqlite_files_verify_as(const char *path, const char *shown, char **ret_info,
                                  char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *db = NULL;
    int64_t tables = 0;
    int r = sqlite_open_file(path, SQLITE_OPEN_READONLY, &db, ret_error);

    if (r < 0)
        return r;
    if (sqlite_number(db, "SELECT count(*) FROM sqlite_master", &tables) < 0)
        return sqlite_files_refuse(ret_error, -EBADMSG, shown, sqlite3_errmsg(db));
    if (!tables)
        return sqlite_files_refuse(ret_error, -ENOTSUP, shown, "the file is empty");
    return sqlite_files_verify_open(db, shown, ret_info, ret_error);
}

int sqlite_files_verify(const char *path, char **ret_info, char **ret_error)
{
    return sqlite_files_verify_as(path, path, ret_info, ret_error);
}

/* Copies one committed snapshot; the database may be in use. */
static int sqlite_files_copy(const char *from, const char *to, char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *source = NULL, *target = NULL;
    sqlite3_backup *backup;
    int r = sqlite_open_file(from, SQLITE_OPEN_READONLY, &source, ret_error);

    if (r == 0)
        r = sqlite_open_file(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &target, ret_error);
    if (r < 0)
        return r;
    backup = sqlite3_backup_init(target, "main", source, "main");
    if (!backup)
        return sqlite_files_refuse(ret_error, -EIO, to, sqlite3_errmsg(target));
    sqlite3_backup_step(backup, -1);
    if (sqlite3_backup_finish(backup) != SQLITE_OK)
        return sqlite_files_refuse(ret_error, -EIO, to, sqlite3_errmsg(target));
    /* Make the copy a single file without a log. */
    if (sqlite3_exec(target, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_files_refuse(ret_error, -EIO, to, sqlite3_errmsg(target));
    return 0;
}

/* The same without free pages. The copy can return free space to the system, even if the original,
 * made by an older acpd, cannot. */
static int sqlite_files_copy_compact(const char *from, const char *to, char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *source = NULL;
    sqlite3_stmt *stmt = NULL;
    int r = sqlite_open_file(from, SQLITE_OPEN_READONLY, &source, ret_error);

    if (r < 0)
        return r;
    /* This applies to the copy. It may fail for the source, which is read-only. */
    sqlite3_exec(source, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL);
    r = sqlite3_prepare_v2(source, "VACUUM INTO ?1", -1, &stmt, NULL);
    if (r == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, to, -1, SQLITE_STATIC);
        sqlite3_step(stmt);
        r = sqlite3_finalize(stmt);
    }
    return r == SQLITE_OK ? 0 : sqlite_files_refuse(ret_error, -EIO, to, sqlite3_errmsg(source));
}

static int sqlite_files_sync_folder(const char *path)
{
    CLEANUP(freep) char *folder = xstrdup(path);
    CLEANUP(closep) int fd = -1;
    char *slash = strrchr(folder, '/');

    if (slash)
        slash[slash == folder] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int sqlite_begin_part(const char *path, char **ret_part, char **ret_error)
{
    CLEANUP(freep) char *part = xasprintf("%s.XXXXXX", path);
    int fd = mkstemp(part); /* 0600 */

    if (fd < 0)
        return sqlite_files_refuse(ret_error, -errno, path, strerror(errno));
    close(fd);
    *ret_part = STEAL(part);
    return 0;
}

/* link() rather than rename(): never overwrites a file that has appeared meanwhile. */
int sqlite_publish_part(const char *part, const char *to, char **ret_error)
{
    int r = link(part, to) < 0 ? -errno : sqlite_files_sync_folder(to);

    unlink(part);
    return r < 0 ? sqlite_files_refuse(ret_error, r, to, strerror(-r)) : 0;
}

/* Removes the temporary file after an error. */
static int sqlite_files_end_part(const char *part, int r)
{
    if (r < 0)
        unlink(part);
    return r;
}

static int sqlite_files_refuse_existing(const char *to, char **ret_error)
{
    struct stat st;

    return lstat(to, &st) == 0
               ? sqlite_files_refuse(ret_error, -EEXIST, to, "already exists; not replaced")
               : 0;
}

int sqlite_files_backup(const char *path, const char *to, char **ret_info, char **ret_error)
{
    CLEANUP(freep) char *part = NULL, *info = NULL;
    int r = sqlite_files_refuse_existing(to, ret_error);

    if (r == 0 && access(path, F_OK) < 0)
        r = sqlite_files_refuse(ret_error, -errno, path, strerror(errno));
    if (r == 0)
        r = sqlite_begin_part(to, &part, ret_error);
    if (r < 0)
        return r;
    r = sqlite_files_copy(path, part, ret_error);
    if (r == 0)
        r = sqlite_files_verify_as(part, path, &info, ret_error);
    if (sqlite_files_end_part(part, r) < 0)
        return r;
    r = sqlite_publish_part(part, to, ret_error);
    if (r == 0)
        *ret_info = STEAL(info);
    return r;
}

/* Recounts the counters of the profiles: a recovered database may lack some tasks or profiles. */
static int sqlite_files_recount(const char *path, char **ret_error)
{
    static const char sql[] =
        "BEGIN;"
        "INSERT OR IGNORE INTO profile (id, name)"
        "  SELECT DISTINCT profile_id, 'lost-' || profile_id FROM task;"
        "UPDATE profile SET "
        "  queued = (SELECT count(*) FROM task WHERE profile_id = profile.id AND status = 1),"
        "  scheduled = (SELECT count(*) FROM task WHERE profile_id = profile.id AND status = 2),"
        "  blocked = (SELECT count(*) FROM task WHERE profile_id = profile.id AND status = 3),"
        "  running = (SELECT count(*) FROM task WHERE profile_id = profile.id AND status = 4),"
        "  completed = max(completed,"
        "    (SELECT count(*) FROM task WHERE profile_id = profile.id AND status = 5)),"
        "  failed = max(failed,"
        "    (SELECT count(*) FROM task WHERE profile_id = profile.id AND status = 6)),"
        "  cancelled = max(cancelled,"
        "    (SELECT count(*) FROM task WHERE profile_id = profile.id AND status = 7)),"
        "  finished_bytes ="
        "    (SELECT ifnull(sum(bytes), 0) FROM task WHERE profile_id = profile.id);"
        "COMMIT;";
    CLEANUP(sqlite_closep) sqlite3 *db = NULL;
    int r = sqlite_open_file(path, SQLITE_OPEN_READWRITE, &db, ret_error);

    if (r < 0)
        return r;
    r = sqlite_migrate(db, SCHEMA_NEWEST, ret_error);
    if (r < 0)
        return r;
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_files_refuse(ret_error, -EIO, path, sqlite3_errmsg(db));
    return 0;
}

static bool sqlite_files_is_there(const char *path, const char *suffix)
{
    CLEANUP(freep) char *file = xasprintf("%s%s", path, suffix);

    return access(file, F_OK) == 0;
}

/* Writes the log or journal of a database back into its file and removes it. False if the database
 * is too damaged. */
static bool sqlite_files_settle(const char *path)
{
    CLEANUP(freep) char *error = NULL;
    sqlite3 *db = NULL;
    bool is_settled =
        sqlite_open_file(path, SQLITE_OPEN_READWRITE, &db, &error) == 0 &&
        sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) == SQLITE_OK;

    sqlite3_close(db);
    return is_settled && !sqlite_files_is_there(path, "-wal") &&
           !sqlite_files_is_there(path, "-journal");
}

static int sqlite_files_set_aside_file(const char *path, const char *aside, const char *suffix)
{
    CLEANUP(freep) char *from = xasprintf("%s%s", path, suffix);
    CLEANUP(freep) char *to = xasprintf("%s%s", aside, suffix);

    return link(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

/* Keeps the old database under another name. The path never lacks a database, so acpd cannot
 * create a new one there. An undamaged database is complete at every moment, because it was first
 * settled into one file. */
int sqlite_replace(const char *part, const char *path, char **ret_aside)
{
    static const char *const suffixes[] = {"-wal", "-journal", "-shm"};
    char at[CLOCK_ISO_SIZE];
    int r = 0;

    clock_format_iso(clock_wall_ms(), at);
    *ret_aside = xasprintf("%s.replaced-%s", path, at);
    if (!sqlite_files_settle(path)) {
        for (size_t i = 0; i < ARRAY_SIZE(suffixes) && r == 0; i++)
            r = sqlite_files_set_aside_file(path, *ret_aside, suffixes[i]);
        for (size_t i = 0; i < ARRAY_SIZE(suffixes) && r == 0; i++) {
            CLEANUP(freep) char *file = xasprintf("%s%s", path, suffixes[i]);

            r = unlink(file) < 0 && errno != ENOENT ? -errno : 0;
        }
    }
    if (r == 0)
        r = sqlite_files_set_aside_file(path, *ret_aside, "");
    if (r == 0)
        r = rename(part, path) < 0 ? -errno : sqlite_files_sync_folder(path);
    return r;
}

int sqlite_files_restore(const char *path, const char *from, char **ret_info, char **ret_error)
{
    CLEANUP(freep) char *part = NULL, *aside = NULL, *info = NULL;
    int r = sqlite_files_verify(from, &info, ret_error);

    if (r == 0)
        r = sqlite_begin_part(path, &part, ret_error);
    if (r < 0)
        return r;
    r = sqlite_files_copy_compact(from, part, ret_error);
    if (r == 0)
        r = sqlite_files_recount(part, ret_error);
    free(STEAL(info));
    if (r == 0)
        r = sqlite_files_verify(part, &info, ret_error);
    if (r == 0) {
        r = sqlite_replace(part, path, &aside);
        if (r < 0)
            sqlite_files_refuse(ret_error, r, path, strerror(-r));
    }
    if (sqlite_files_end_part(part, r) < 0)
        return r;
    *ret_info = sqlite_files_is_there(aside, "")
                    ? xasprintf("%s; the previous database is %s", info, aside)
                    : STEAL(info);
    return 0;
}

/* Creates it under another name, so that a crash leaves nothing that looks like a database. */
static int sqlite_files_make_new(const char *path, char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *db = NULL;
    CLEANUP(freep) char *part = NULL;
    int r = sqlite_begin_part(path, &part, ret_error);

    if (r < 0)
        return r;
    r = sqlite_open_file(part, SQLITE_OPEN_READWRITE, &db, ret_error);
    if (r == 0)
        r = sqlite_migrate(db, SCHEMA_NEWEST, ret_error);
    sqlite3_close(STEAL(db));
    return sqlite_files_end_part(part, r) < 0 ? r : sqlite_publish_part(part, path, ret_error);
}

int sqlite_make_if_missing(const char *path, char **ret_error)
{
    CLEANUP(freep) char *log = xasprintf("%s-wal", path);
    struct stat st;

    if (strcmp(path, ":memory:") == 0)
        return 0;
    if (stat(path, &st) == 0 && st.st_size)
        return 0;
    if (stat(path, &st) == 0)
        return sqlite_files_refuse(ret_error, -EBADMSG, path, "the file is empty");
    if (errno != ENOENT)
        return sqlite_files_refuse(ret_error, -errno, path, strerror(errno));
    if (stat(log, &st) == 0 && st.st_size)
        return sqlite_files_refuse(ret_error, -EBADMSG, log,
                                   "write-ahead log without its database");
    return sqlite_files_make_new(path, ret_error);
}
