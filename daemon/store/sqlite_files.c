/* SPDX-License-Identifier: MIT */
/* Databases as files: whether one is whole, copies of it, and how a copy takes its place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "store/sqlite.h"

/* At the start a database up to this size is looked at whole: a tenth of a second. */
#define QUICK_CHECK_MAX (64 * 1024 * 1024)

static int refuse(char **ret_error, int r, const char *path, const char *what)
{
    *ret_error = xasprintf("%s: %s", path, what);
    return r;
}

int sqlite_open_file(const char *path, int flags, sqlite3 **ret_db, char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return refuse(ret_error, -EIO, path, sqlite3_errmsg(db));
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, 2000);
    *ret_db = STEAL(db);
    return 0;
}

/* Whether all is well by this pragma, which answers "ok" or says what it found. */
static int check(sqlite3 *db, const char *pragma, char **ret_error)
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
        *ret_error = xasprintf("it is damaged: %s", found ? found : "no memory");
        r = -EBADMSG;
    }
    sqlite3_finalize(stmt);
    return r;
}

int sqlite_check_damage(sqlite3 *db, const char *path, char **ret_error)
{
    int64_t pages = 0, page_size = 0;
    struct stat st;

    if (stat(path, &st) < 0 || !st.st_size) /* new, or not in a file */
        return 0;
    if (st.st_size <= QUICK_CHECK_MAX)
        return check(db, "PRAGMA quick_check(1)", ret_error);
    if (sqlite_number(db, "PRAGMA page_count", &pages) < 0 ||
        sqlite_number(db, "PRAGMA page_size", &page_size) < 0)
        return -EIO;
    /* What the log holds may not be in the file yet, so it may be shorter than its page count; but
     * then there is a log. */
    if (pages * page_size > st.st_size) {
        CLEANUP(freep) char *log = xasprintf("%s-wal", path);

        if (stat(log, &st) < 0 || !st.st_size) {
            *ret_error = xstrdup("it is damaged: its end is missing");
            return -EBADMSG;
        }
    }
    return 0;
}

static int describe(sqlite3 *db, char **ret_info)
{
    int64_t tasks = 0, version = 0;

    if (sqlite_number(db, "SELECT count(*) FROM task", &tasks) < 0 ||
        sqlite_number(db, "PRAGMA user_version", &version) < 0)
        return -EIO;
    *ret_info = xasprintf("good, schema %lld, %lld tasks", (long long)version, (long long)tasks);
    return 0;
}

static int verify(sqlite3 *db, const char *path, char **ret_info, char **ret_error)
{
    CLEANUP(freep) char *error = NULL;
    int r = sqlite_check_version(db, &error);

    if (r == 0)
        r = check(db, "PRAGMA integrity_check(1)", &error);
    if (r == 0)
        r = describe(db, ret_info);
    if (r == 0)
        return 0;
    return refuse(ret_error, r > 0 ? -ENOTSUP : r, path, error ? error : sqlite3_errmsg(db));
}

int store_verify(const char *path, char **ret_info, char **ret_error)
{
    CLEANUP(sqlite_closep) sqlite3 *db = NULL;
    int64_t tables = 0;
    int r = sqlite_open_file(path, SQLITE_OPEN_READONLY, &db, ret_error);

    if (r < 0)
        return r;
    if (sqlite_number(db, "SELECT count(*) FROM sqlite_master", &tables) < 0)
        return refuse(ret_error, -EBADMSG, path, sqlite3_errmsg(db));
    if (!tables)
        return refuse(ret_error, -ENOTSUP, path, "it is empty");
    return verify(db, path, ret_info, ret_error);
}

/* Copies what is committed, whoever else uses the database: one snapshot, read in one go. */
static int copy(const char *from, const char *to, char **ret_error)
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
        return refuse(ret_error, -EIO, to, sqlite3_errmsg(target));
    sqlite3_backup_step(backup, -1);
    if (sqlite3_backup_finish(backup) != SQLITE_OK)
        return refuse(ret_error, -EIO, to, sqlite3_errmsg(target));
    /* A copy is one file, without a log beside it. */
    if (sqlite3_exec(target, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
        return refuse(ret_error, -EIO, to, sqlite3_errmsg(target));
    return 0;
}

static int sync_folder(const char *path)
{
    CLEANUP(freep) char *folder = xstrdup(path);
    CLEANUP(closep) int fd = -1;
    char *slash = strrchr(folder, '/');

    if (slash)
        slash[slash == folder] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Makes a verified copy beside where it will stand, under a name of its own. */
static int make_copy(const char *from, const char *part, char **ret_info, char **ret_error)
{
    int r;

    unlink(part); /* what an interrupted copy left */
    r = copy(from, part, ret_error);
    if (r == 0)
        r = store_verify(part, ret_info, ret_error);
    if (r < 0)
        unlink(part);
    return r;
}

int store_backup(const char *path, const char *to, char **ret_info, char **ret_error)
{
    CLEANUP(freep) char *part = xasprintf("%s.part", to);
    struct stat st;
    int r;

    if (lstat(to, &st) == 0)
        return refuse(ret_error, -EEXIST, to, "is there already; a backup replaces nothing");
    if (stat(path, &st) < 0)
        return refuse(ret_error, -errno, path, strerror(errno));
    r = make_copy(path, part, ret_info, ret_error);
    if (r < 0)
        return r;
    /* link(), not rename(): what has appeared there meanwhile stays. */
    r = link(part, to) < 0 ? -errno : sync_folder(to);
    unlink(part);
    return r < 0 ? refuse(ret_error, r, to, strerror(-r)) : 0;
}

/* The counters that are kept beside the tasks are those of a count: a database that was put
 * together again from pieces may have lost some. */
static int recount(const char *path, char **ret_error)
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
        return refuse(ret_error, -EIO, path, sqlite3_errmsg(db));
    return 0;
}

/* The database that is there keeps its content under the name PATH.replaced, its log with it. There
 * is no moment without a database: a new one would be begun in the place of one that is missing. */
static int set_aside(const char *path)
{
    CLEANUP(freep) char *aside = xasprintf("%s.replaced", path);
    CLEANUP(freep) char *log = xasprintf("%s-wal", path), *aside_log = xasprintf("%s-wal", aside);
    CLEANUP(freep) char *index = xasprintf("%s-shm", path);

    if ((unlink(aside) < 0 && errno != ENOENT) || (unlink(aside_log) < 0 && errno != ENOENT) ||
        (link(path, aside) < 0 && errno != ENOENT) ||
        (rename(log, aside_log) < 0 && errno != ENOENT) || (unlink(index) < 0 && errno != ENOENT))
        return -errno;
    return 0;
}

int store_restore(const char *path, const char *from, char **ret_info, char **ret_error)
{
    CLEANUP(freep) char *part = xasprintf("%s.part", path), *info = NULL;
    int r = store_verify(from, ret_info, ret_error);

    if (r < 0)
        return r;
    r = make_copy(from, part, &info, ret_error);
    if (r < 0)
        return r;
    r = recount(part, ret_error);
    if (r < 0) {
        unlink(part);
        return r;
    }
    r = set_aside(path);
    if (r == 0)
        r = rename(part, path) < 0 ? -errno : sync_folder(path);
    return r < 0 ? refuse(ret_error, r, path, strerror(-r)) : 0;
}
