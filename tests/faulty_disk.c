/* SPDX-License-Identifier: MIT */
/*
 * Preloaded by tests: a layer between SQLite and its files (https://www.sqlite.org/vfs.html) that
 * fails when it is told to, by the memory of the file $FAULTY_DISK, and writes down in the file
 * $DISK_RECORD, when there is one, what was done to the database and its log: a struct entry for
 * each call, behind that of a write its bytes. Children get a healthy disk.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OP_WRITE = 1, OP_SYNC = 2, OP_TRUNCATE = 4, OP_READ = 8 };

static struct control {
    int ops;      /* which calls fail, as bits */
    int error;    /* what they return; a write of SQLITE_FULL has written half of it */
    int after;    /* so many of them succeed first */
    int times;    /* so many fail then; -1: all */
    int injected; /* how often one has failed */
} * control;

static sqlite3_vfs layer, *real;

struct entry {
    char op;   /* OP_WRITE, OP_SYNC or OP_TRUNCATE */
    char file; /* 'd': the database, 'w': its log */
    short unused;
    int len;          /* of a write */
    sqlite3_int64 at; /* where, or the new size */
};

static int record = -1;
static const sqlite3_file *database, *its_log;

static void note(const sqlite3_file *file, int op, const void *data, int len, sqlite3_int64 at)
{
    struct entry entry = {
        .op = (char)op, .file = file == database ? 'd' : 'w', .len = data ? len : 0, .at = at};
    const struct iovec parts[] = {{&entry, sizeof(entry)}, {(void *)data, (size_t)entry.len}};

    if (record < 0 || (file != database && file != its_log))
        return;
    if (writev(record, parts, 2) != (ssize_t)sizeof(entry) + entry.len)
        abort();
}

/* SQLite has a table of methods for each kind of locking. */
static struct methods {
    sqlite3_io_methods faulty; /* first: a file's pMethods leads here */
    const sqlite3_io_methods *real;
} tables[8];

static const sqlite3_io_methods *real_of(const sqlite3_file *file)
{
    return ((const struct methods *)file->pMethods)->real;
}

static int fails(int op)
{
    if (!(__atomic_load_n(&control->ops, __ATOMIC_ACQUIRE) & op) || !control->times)
        return SQLITE_OK;
    if (control->after > 0) {
        control->after--;
        return SQLITE_OK;
    }
    if (control->times > 0)
        control->times--;
    control->injected++;
    return control->error;
}

static int on_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at)
{
    int rc = fails(OP_WRITE);

    if (rc == SQLITE_FULL)
        real_of(file)->xWrite(file, data, len / 2, at);
    if (rc)
        return rc;
    note(file, OP_WRITE, data, len, at);
    return real_of(file)->xWrite(file, data, len, at);
}

static int on_sync(sqlite3_file *file, int flags)
{
    int rc = fails(OP_SYNC);

    if (rc)
        return rc;
    rc = real_of(file)->xSync(file, flags);
    note(file, OP_SYNC, NULL, 0, 0); /* from here on it is certain */
    return rc;
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int rc = fails(OP_TRUNCATE);

    if (rc)
        return rc;
    note(file, OP_TRUNCATE, NULL, 0, size);
    return real_of(file)->xTruncate(file, size);
}

static int on_read(sqlite3_file *file, void *data, int len, sqlite3_int64 at)
{
    int rc = fails(OP_READ);

    return rc ? rc : real_of(file)->xRead(file, data, len, at);
}

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                   int *ret_flags)
{
    int rc = real->xOpen(real, name, file, flags, ret_flags);

    (void)vfs;
    if (rc != SQLITE_OK || !file->pMethods)
        return rc;
    if (flags & SQLITE_OPEN_MAIN_DB)
        database = file;
    if (flags & SQLITE_OPEN_WAL)
        its_log = file;
    for (struct methods *table = tables; table < tables + 8; table++) {
        if (!table->real) {
            table->real = file->pMethods;
            table->faulty = *file->pMethods;
            table->faulty.xWrite = on_write;
            table->faulty.xSync = on_sync;
            table->faulty.xTruncate = on_truncate;
            table->faulty.xRead = on_read;
        }
        if (table->real == file->pMethods) {
            file->pMethods = &table->faulty;
            return SQLITE_OK;
        }
    }
    abort();
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTY_DISK");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

    if (getenv("DISK_RECORD"))
        record = open(getenv("DISK_RECORD"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    unsetenv("LD_PRELOAD");
    if (fd < 0)
        return;
    control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (control == MAP_FAILED)
        abort();
    real = sqlite3_vfs_find(NULL);
    layer = *real;
    layer.zName = "faulty";
    layer.xOpen = on_open;
    sqlite3_vfs_register(&layer, 1);
}
