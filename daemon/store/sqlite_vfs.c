/* SPDX-License-Identifier: MIT */
/*
 * The default file system of SQLite, with one difference: what is appended to a write-ahead log is
 * gathered, and goes to the system in one piece when it is synced or read. SQLite appends each page
 * of a commit in two calls, which are some forty for a busy pass.
 */
#include "store/sqlite_vfs.h"

#include <string.h>

#include "common/macros.h"

#define PIECE_MAX (96 * 1024) /* SQLite writes less than 128 KiB at once */

#define FRAME_HEADER 24 /* bytes before each page in the log */

struct log_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this structure */
    char *piece;        /* PIECE_MAX bytes */
    sqlite3_int64 at;   /* where the piece belongs in the log */
    int len;
    bool was_synced; /* by the last call */
};

static sqlite3_vfs vfs;

static struct log_file *sqlite_vfs_log_of(sqlite3_file *file)
{
    return (struct log_file *)file;
}

static int sqlite_vfs_flush(struct log_file *log)
{
    int len = log->len;

    log->len = 0;
    return len ? log->real->pMethods->xWrite(log->real, log->piece, len, log->at) : SQLITE_OK;
}

static int sqlite_vfs_log_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
    struct log_file *log = sqlite_vfs_log_of(file);
    /* On some devices the rest of the last page follows after the sync, and other connections may
     * read it at once. */
    bool may_wait = log->len || (len == FRAME_HEADER && !log->was_synced);
    bool fits = log->len && at == log->at + log->len && len <= PIECE_MAX - log->len;
    int rc = fits ? SQLITE_OK : sqlite_vfs_flush(log);

    log->was_synced = false;
    if (rc != SQLITE_OK)
        return rc;
    if (!may_wait)
        return log->real->pMethods->xWrite(log->real, bytes, len, at);
    if (!log->len)
        log->at = at;
    memcpy(log->piece + log->len, bytes, (size_t)len);
    log->len += len;
    return SQLITE_OK;
}

static int sqlite_vfs_log_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 at)
{
    struct log_file *log = sqlite_vfs_log_of(file);
    int rc = sqlite_vfs_flush(log);

    return rc == SQLITE_OK ? log->real->pMethods->xRead(log->real, bytes, len, at) : rc;
}

static int sqlite_vfs_log_sync(sqlite3_file *file, int flags)
{
    struct log_file *log = sqlite_vfs_log_of(file);
    int rc = sqlite_vfs_flush(log);

    log->was_synced = true;
    return rc == SQLITE_OK ? log->real->pMethods->xSync(log->real, flags) : rc;
}

static int sqlite_vfs_log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct log_file *log = sqlite_vfs_log_of(file);
    int rc = sqlite_vfs_flush(log);

    return rc == SQLITE_OK ? log->real->pMethods->xTruncate(log->real, size) : rc;
}

static int sqlite_vfs_log_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    struct log_file *log = sqlite_vfs_log_of(file);
    int rc = sqlite_vfs_flush(log);

    return rc == SQLITE_OK ? log->real->pMethods->xFileSize(log->real, ret_size) : rc;
}

static int sqlite_vfs_log_control(sqlite3_file *file, int what, void *argument)
{
    sqlite3_file *real = sqlite_vfs_log_of(file)->real;

    return real->pMethods->xFileControl(real, what, argument);
}

static int sqlite_vfs_log_sector_size(sqlite3_file *file)
{
    sqlite3_file *real = sqlite_vfs_log_of(file)->real;

    return real->pMethods->xSectorSize(real);
}

static int sqlite_vfs_log_characteristics(sqlite3_file *file)
{
    sqlite3_file *real = sqlite_vfs_log_of(file)->real;

    return real->pMethods->xDeviceCharacteristics(real);
}

/* SQLite locks the database, not its log. */
static int sqlite_vfs_log_lock(sqlite3_file *file UNUSED, int level UNUSED)
{
    return SQLITE_OK;
}

static int sqlite_vfs_log_is_reserved(sqlite3_file *file UNUSED, int *ret_is_reserved)
{
    *ret_is_reserved = 0;
    return SQLITE_OK;
}

/* What was not synced was not committed. */
static int sqlite_vfs_log_close(sqlite3_file *file)
{
    struct log_file *log = sqlite_vfs_log_of(file);

    sqlite3_free(log->piece);
    return log->real->pMethods->xClose(log->real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = sqlite_vfs_log_close,
    .xRead = sqlite_vfs_log_read,
    .xWrite = sqlite_vfs_log_write,
    .xTruncate = sqlite_vfs_log_truncate,
    .xSync = sqlite_vfs_log_sync,
    .xFileSize = sqlite_vfs_log_size,
    .xLock = sqlite_vfs_log_lock,
    .xUnlock = sqlite_vfs_log_lock,
    .xCheckReservedLock = sqlite_vfs_log_is_reserved,
    .xFileControl = sqlite_vfs_log_control,
    .xSectorSize = sqlite_vfs_log_sector_size,
    .xDeviceCharacteristics = sqlite_vfs_log_characteristics,
};

static int sqlite_vfs_open_file(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags,
                                int *ret_flags)
{
    sqlite3_vfs *real = self->pAppData;
    struct log_file *log = sqlite_vfs_log_of(file);
    int rc;

    if (!(flags & SQLITE_OPEN_WAL))
        return real->xOpen(real, path, file, flags, ret_flags);
    *log = (struct log_file){.real = (sqlite3_file *)(log + 1), .piece = sqlite3_malloc(PIECE_MAX)};
    if (!log->piece)
        return SQLITE_NOMEM;
    rc = real->xOpen(real, path, log->real, flags, ret_flags);
    if (rc == SQLITE_OK)
        log->base.pMethods = &log_methods;
    else
        sqlite3_free(log->piece);
    return rc;
}

static void sqlite_vfs_register(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);

    if (vfs.pAppData == real)
        return;
    if (vfs.pAppData)
        sqlite3_vfs_unregister(&vfs);
    vfs = *real;
    vfs.zName = "acpd";
    vfs.pAppData = real;
    vfs.szOsFile = real->szOsFile + (int)sizeof(struct log_file);
    vfs.xOpen = sqlite_vfs_open_file;
    sqlite3_vfs_register(&vfs, 0);
}

/* Pages that had no place in the cache went to the log. They must not follow now that others may
 * write there. */
static void sqlite_vfs_on_rollback(void *data)
{
    sqlite3_file *log = NULL;

    if (sqlite3_file_control(data, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
        log->pMethods == &log_methods)
        sqlite_vfs_log_of(log)->len = 0;
}

int sqlite_vfs_open(const char *path, int flags, sqlite3 **ret_db)
{
    int rc;

    sqlite_vfs_register();
    rc = sqlite3_open_v2(path, ret_db, flags, vfs.zName);
    if (rc == SQLITE_OK)
        sqlite3_rollback_hook(*ret_db, sqlite_vfs_on_rollback, *ret_db);
    return rc;
}
