/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/list.h"
#include "world.h"

#define SLOW_MS         1000
#define READS_PER_ERROR 8
#define WRITE_MAX       (128 * 1024) /* bytes at once, of SQLite */
#define PATH_MAX_BYTES  128          /* of a file of acpd's, with what malloc() adds */
#define SECTOR          512          /* bytes: what a disk writes as a whole */

struct file {
    sqlite3_file base;
    char *path;          /* NULL: a temporary file, which no crash outlives */
    bool syncs_folder;   /* with its next sync: a journal, once each time that it is opened */
    sqlite3_file *inner; /* the system's, behind this struct */
};

/* What is not synced, and how it was before. */
enum undo_kind {
    UNDO_WRITE,  /* of a sector */
    UNDO_SIZE,   /* of the file */
    UNDO_CREATE, /* the file's entry in its directory, as is */
    UNDO_DELETE, /* which is kept under another name */
};

struct undo {
    struct list link; /* undos, the latest last */
    enum undo_kind kind;
    char *path, *kept;
    int64_t offset, old_size; /* of a write; of the file */
    size_t width, len;        /* that were written, and that were there before */
    unsigned char bytes[SECTOR];
};

static sqlite3_vfs disk_vfs;
static sqlite3_io_methods disk_methods;
static struct list undos = LIST_INIT(undos);
static size_t undo_count;
static enum disk_state disk;
static uint64_t failures, kept_count;
static bool owes_sync;

void disk_set(enum disk_state state)
{
    static const char *const names[] = {"good", "full", "failing", "not syncing", "slow", "gone"};

    disk = state;
    world_note("disk:", names[state], strlen(names[state]));
}

enum disk_state disk_get(void)
{
    return disk;
}

bool disk_owes_sync(void)
{
    return owes_sync;
}

uint64_t disk_failures(void)
{
    return failures;
}

size_t disk_memory(void)
{
    return undo_count * (sizeof(struct undo) + PATH_MAX_BYTES);
}

static struct file *disk_file(sqlite3_file *file)
{
    return (struct file *)file;
}

static void disk_dawdle(void)
{
    int64_t ms;

    if (disk != DISK_SLOW || world_noise_below(8))
        return;
    ms = (int64_t)world_noise_below(SLOW_MS);
    world_wait(ms);
}

/* SQLITE_OK, or how the operation fails. */
static int disk_fail(bool needs_room, int error)
{
    bool fails = disk == DISK_GONE || (disk == DISK_FULL && needs_room) ||
                 (disk == DISK_FAILING && !world_noise_below(3)) ||
                 (disk == DISK_NOT_SYNCING && error == SQLITE_IOERR_FSYNC);

    disk_dawdle();
    if (!fails)
        return SQLITE_OK;
    failures += disk != DISK_GONE;
    return disk == DISK_FULL ? SQLITE_FULL : error;
}

static struct undo *disk_new_undo(enum undo_kind kind, const char *path)
{
    struct undo *undo = xcalloc(1, sizeof(*undo));

    undo->kind = kind;
    undo->path = xstrdup(path);
    list_append(&undos, &undo->link);
    undo_count++;
    return undo;
}

static int64_t disk_size(const struct file *file)
{
    sqlite3_int64 size = 0;

    file->inner->pMethods->xFileSize(file->inner, &size);
    return size;
}

/* Remembers each sector, as it is before a write. */
static void disk_remember(const struct file *file, int64_t offset, size_t len)
{
    static unsigned char before[WRITE_MAX];
    int64_t old_size = disk_size(file);
    size_t old_len = 0;

    EXPECT(len <= sizeof(before));
    if (offset < old_size) {
        old_len = old_size - offset < (int64_t)len ? (size_t)(old_size - offset) : len;
        file->inner->pMethods->xRead(file->inner, before, (int)old_len, offset);
    }
    for (size_t at = 0, width; at < len; at += width) {
        struct undo *undo = disk_new_undo(UNDO_WRITE, file->path);

        width = SECTOR - (size_t)((uint64_t)offset + at) % SECTOR;
        width = width < len - at ? width : len - at;
        undo->offset = offset + (int64_t)at;
        undo->width = width;
        undo->len = old_len <= at ? 0 : old_len - at < width ? old_len - at : width;
        memcpy(undo->bytes, before + at, undo->len);
    }
}

static void disk_forget(struct undo *undo)
{
    list_remove(&undo->link);
    undo_count--;
    if (undo->kept)
        unlink(undo->kept); /* unless the power cut brought it back */
    free(undo->path);
    free(undo->kept);
    free(undo);
}

/* The contents of a file were synced, or the entries of the directory. */
static void disk_forget_all(const char *path, bool are_entries)
{
    list_for_each_safe (link, &undos) {
        struct undo *undo = list_entry(link, struct undo, link);
        bool is_entry = undo->kind >= UNDO_CREATE;

        if (is_entry == are_entries && (is_entry || strcmp(undo->path, path) == 0))
            disk_forget(undo);
    }
}

/* What was not there before is zeros now, or is missing if it was the end of the file. */
static void disk_undo_write(const struct undo *undo, int fd)
{
    struct stat file;

    EXPECT(fstat(fd, &file) == 0 && pwrite(fd, undo->bytes, undo->width, undo->offset) >= 0);
    if (undo->len < undo->width && file.st_size <= undo->offset + (int64_t)undo->width &&
        !world_noise_below(2))
        EXPECT(ftruncate(fd, undo->offset + (int64_t)undo->len) == 0);
}

static void disk_undo(const struct undo *undo)
{
    CLEANUP(closep) int fd = -1;

    if (undo->kind == UNDO_CREATE) {
        unlink(undo->path);
        return;
    }
    if (undo->kind == UNDO_DELETE) {
        rename(undo->kept, undo->path);
        return;
    }
    fd = open(undo->path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (undo->kind == UNDO_SIZE)
        EXPECT(ftruncate(fd, undo->old_size) == 0);
    else
        disk_undo_write(undo, fd);
}

void disk_cut_power(void)
{
    world_note("disk:", "power cut", 9);
    while (!list_is_empty(&undos)) {
        struct undo *undo = list_entry(undos.prev, struct undo, link);

        if (!world_noise_below(2))
            disk_undo(undo);
        disk_forget(undo);
    }
}

static int disk_close(sqlite3_file *base)
{
    struct file *file = disk_file(base);
    int r = file->inner->pMethods ? file->inner->pMethods->xClose(file->inner) : SQLITE_OK;

    free(file->path);
    file->path = NULL;
    return r;
}

static int disk_read(sqlite3_file *base, void *bytes, int len, sqlite3_int64 offset)
{
    sqlite3_file *inner = disk_file(base)->inner;

    disk_dawdle();
    if (disk == DISK_FAILING && !world_noise_below(READS_PER_ERROR)) {
        failures++;
        return SQLITE_IOERR_READ;
    }
    return inner->pMethods->xRead(inner, bytes, len, offset);
}

/* Writes what the disk takes of it. */
static int disk_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 offset)
{
    struct file *file = disk_file(base);
    int r = disk_fail(true, SQLITE_IOERR_WRITE);

    if (r != SQLITE_OK && (disk == DISK_GONE || !world_noise_below(2)))
        return r;
    if (r != SQLITE_OK)
        len = (int)world_noise_below((uint64_t)len + 1); /* a short write */
    if (!len)
        return r;
    if (file->path)
        disk_remember(file, offset, (size_t)len);
    EXPECT(file->inner->pMethods->xWrite(file->inner, bytes, len, offset) == SQLITE_OK);
    return r;
}

static int disk_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = disk_file(base);
    int r = disk_fail(false, SQLITE_IOERR_TRUNCATE);

    if (r != SQLITE_OK)
        return r;
    if (file->path)
        disk_new_undo(UNDO_SIZE, file->path)->old_size = disk_size(file);
    return file->inner->pMethods->xTruncate(file->inner, size);
}

/* What was written is now safe; the real disk's sync is not needed for that. With a journal
 * SQLite's usual VFS also syncs the folder. */
static int disk_sync(sqlite3_file *base, int flags UNUSED)
{
    struct file *file = disk_file(base);
    int r = disk_fail(false, SQLITE_IOERR_FSYNC);

    if (disk != DISK_GONE)
        owes_sync = r != SQLITE_OK;
    if (r != SQLITE_OK || !file->path)
        return r;
    disk_forget_all(file->path, false);
    if (file->syncs_folder)
        disk_forget_all(file->path, true);
    file->syncs_folder = false;
    return r;
}

static int disk_file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xFileSize(inner, size);
}

static int disk_lock(sqlite3_file *base, int level)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xLock(inner, level);
}

static int disk_unlock(sqlite3_file *base, int level)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xUnlock(inner, level);
}

static int disk_is_reserved(sqlite3_file *base, int *out)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xCheckReservedLock(inner, out);
}

static int disk_control(sqlite3_file *base, int op, void *data)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xFileControl(inner, op, data);
}

static int disk_sector_size(sqlite3_file *base UNUSED)
{
    return SECTOR;
}

/* Nothing is promised beyond a sector. */
static int disk_characteristics(sqlite3_file *base UNUSED)
{
    return 0;
}

static int disk_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xShmMap(inner, region, size, extend, out);
}

static int disk_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xShmLock(inner, offset, n, flags);
}

static void disk_shm_barrier(sqlite3_file *base)
{
    sqlite3_file *inner = disk_file(base)->inner;

    inner->pMethods->xShmBarrier(inner);
}

static int disk_shm_unmap(sqlite3_file *base, int is_delete)
{
    sqlite3_file *inner = disk_file(base)->inner;

    return inner->pMethods->xShmUnmap(inner, is_delete);
}

static int disk_open(sqlite3_vfs *vfs UNUSED, const char *path, sqlite3_file *base, int flags,
                     int *ret_flags)
{
    struct file *file = disk_file(base);
    sqlite3_vfs *real = disk_vfs.pAppData;
    bool is_new = path && access(path, F_OK) < 0;
    int r;

    memset(file, 0, sizeof(*file));
    file->inner = (sqlite3_file *)(file + 1);
    r = real->xOpen(real, path, file->inner, flags, ret_flags);
    if (r != SQLITE_OK)
        return r;
    file->base.pMethods = &disk_methods;
    file->path = path ? xstrdup(path) : NULL;
    file->syncs_folder =
        flags & SQLITE_OPEN_CREATE && flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL);
    if (is_new)
        disk_new_undo(UNDO_CREATE, path);
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *vfs UNUSED, const char *path, int sync)
{
    sqlite3_vfs *real = disk_vfs.pAppData;
    int r = disk_fail(false, SQLITE_IOERR_DELETE);
    struct undo *undo;

    if (r != SQLITE_OK)
        return r;
    disk_forget_all(path, false);
    if (sync)
        disk_forget_all(path, true);
    if (sync || access(path, F_OK) < 0)
        return real->xDelete(real, path, sync);
    undo = disk_new_undo(UNDO_DELETE, path);
    undo->kept = xasprintf("%s-kept-%llu", path, (unsigned long long)++kept_count);
    return rename(path, undo->kept) == 0 ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int disk_randomness(sqlite3_vfs *vfs UNUSED, int len, char *bytes)
{
    for (int i = 0; i < len; i++)
        bytes[i] = (char)world_noise();
    return len;
}

void disk_install(void)
{
    static const sqlite3_io_methods methods = {
        .iVersion = 2,
        .xClose = disk_close,
        .xRead = disk_read,
        .xWrite = disk_write,
        .xTruncate = disk_truncate,
        .xSync = disk_sync,
        .xFileSize = disk_file_size,
        .xLock = disk_lock,
        .xUnlock = disk_unlock,
        .xCheckReservedLock = disk_is_reserved,
        .xFileControl = disk_control,
        .xSectorSize = disk_sector_size,
        .xDeviceCharacteristics = disk_characteristics,
        .xShmMap = disk_shm_map,
        .xShmLock = disk_shm_lock,
        .xShmBarrier = disk_shm_barrier,
        .xShmUnmap = disk_shm_unmap,
    };
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);

    disk_methods = methods;
    disk_vfs = *real;
    disk_vfs.zName = "simulated";
    disk_vfs.pAppData = real;
    disk_vfs.szOsFile = (int)sizeof(struct file) + real->szOsFile;
    disk_vfs.xOpen = disk_open;
    disk_vfs.xDelete = disk_delete;
    disk_vfs.xRandomness = disk_randomness;
    sqlite3_vfs_register(&disk_vfs, 1);
}
