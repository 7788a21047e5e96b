/* SPDX-License-Identifier: MIT */
/*
 * The SQLite connection and its single transaction.
 *
 * WAL with synchronous=FULL: a commit is one fsync of the log. There is one thread, so no mutexes.
 * BEGIN IMMEDIATE takes the write lock at once, so no later statement of the pass can fail to get
 * it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "store/sqlite_row.h"
#include "store/sqlite_vfs.h"

/* Room for new rows without growing the file. */
#define FREE_PAGES_KEPT 1024

#define WAL_INDEX_REGION 32768 /* bytes that SQLite maps at a time */
#define SPOIL_TRIES      8

#define X(name, sql) [STMT_##name] = (sql),
static const char *const texts[STATEMENT_COUNT] = {STATEMENTS(X)};
#undef X
#define X(name, sql) [OWN_##name] = (sql),
static const char *const own_texts[OWN_STATEMENT_COUNT] = {OWN_STATEMENTS(X)};
#undef X

/* *ret_error may already describe the damage. */
static int sqlite_open_failed(struct sqlite *sqlite, char **ret_error)
{
    int r = *ret_error ? -EBADMSG : sqlite_errno(sqlite3_extended_errcode(sqlite->db));
    CLEANUP(freep) char *reason = *ret_error ? *ret_error : xstrdup(sqlite3_errmsg(sqlite->db));

    *ret_error =
        xasprintf("database %s: %s%s", sqlite->path, reason,
                  r == -EBADMSG ? "; nothing was changed: \"acpd recover\" saves what can be read, "
                                  "\"acpd restore\" puts a backup in its place"
                                : "");
    store_close(&sqlite->store);
    return r;
}

static void sqlite_open_close(struct store *store)
{
    struct sqlite *sqlite = sqlite_of(store);

    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize((sqlite3_stmt *)store->statements[i].prepared);
    for (int i = 0; i < OWN_STATEMENT_COUNT; i++)
        sqlite3_finalize((sqlite3_stmt *)sqlite->statements[i].prepared);
    sqlite3_close(sqlite->db);
    db_free_changes(store);
    free(sqlite->path);
    free(sqlite);
}

/* A statement of SQLite alone, reset. */
static struct statement *sqlite_open_use(struct store *store, enum own_statement name)
{
    struct statement *stmt = &sqlite_of(store)->statements[name];

    db_reset(stmt);
    return stmt;
}

static int sqlite_open_begin(struct store *store)
{
    return db_run(store, sqlite_open_use(store, OWN_BEGIN));
}

/* Fails if the file was removed or replaced: writes to it would be lost. */
static int sqlite_open_check_place(struct store *store)
{
    CLEANUP(freep) char *message = NULL;
    int has_moved = 0;

    sqlite3_file_control(sqlite_of(store)->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    if (!has_moved)
        return 0;
    message = xasprintf("%s was removed or replaced while in use", sqlite_of(store)->path);
    return db_fail(store, -ENOENT, message);
}

static int sqlite_open_commit(struct store *store)
{
    struct sqlite *sqlite = sqlite_of(store);
    int r = sqlite_open_check_place(store);

    if (r < 0)
        return r;
    r = db_run(store, sqlite_open_use(store, OWN_COMMIT));
    sqlite->log_has_remains = r < 0;
    if (r < 0)
        return r;
    /* This truncates the file now rather than when the log is full. */
    if (sqlite->wants_checkpoint)
        sqlite3_wal_checkpoint_v2(sqlite->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite->wants_checkpoint = false;
    return 0;
}

/*
 * A commit whose sync failed has already written all of its frames to the log, and a recovery of
 * the log would take them for committed. So overwrite the first one with a plain write. That is
 * enough if the process is killed, and it is the most that a disk which does not sync can do.
 *
 * The failed commit did not change the index of the log. Its header holds the size of a page, at
 * byte 14 (1 is 65,536), and the number of valid frames, at byte 16
 * (https://www.sqlite.org/walformat.html). So nothing has to be read from the disk. A disk may take
 * the write at the second try.
 */
static void sqlite_open_spoil_refused_frames(sqlite3 *db)
{
    static const char nothing[24]; /* a frame's header */
    sqlite3_file *file = NULL, *log = NULL;
    volatile void *index = NULL;
    sqlite3_int64 size;
    uint16_t page_size;
    uint32_t frames;
    int64_t at;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
        !file->pMethods || !log->pMethods || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, WAL_INDEX_REGION, 0, &index) != SQLITE_OK || !index)
        return;
    memcpy(&page_size, (const char *)index + 14, sizeof(page_size));
    memcpy(&frames, (const char *)index + 16, sizeof(frames));
    at = 32 + (int64_t)frames * ((page_size == 1 ? 65536 : page_size) + (int64_t)sizeof(nothing));
    for (int i = 0; i < SPOIL_TRIES; i++)
        if (log->pMethods->xWrite(log, nothing, sizeof(nothing), at) == SQLITE_OK &&
            log->pMethods->xFileSize(log, &size) == SQLITE_OK) /* it waits no longer */
            return;
}

static void sqlite_open_rollback(struct store *store)
{
    struct sqlite *sqlite = sqlite_of(store);

    /* After severe errors SQLite has already rolled back, and another ROLLBACK would fail. */
    if (store->in_transaction && !sqlite3_get_autocommit(sqlite->db))
        sqlite3_step((sqlite3_stmt *)sqlite_open_use(store, OWN_ROLLBACK)->prepared);
    db_reset(&sqlite->statements[OWN_ROLLBACK]);
    sqlite->wants_checkpoint = false;
    /* The log may hold all of a commit whose sync failed; a crash now would bring the refused
     * writes back. Each rollback tries again while the disk keeps failing. Once the log is
     * truncated and synced, not even a power failure can bring them back. */
    if (!sqlite->log_has_remains)
        return;
    sqlite_open_spoil_refused_frames(sqlite->db);
    if (sqlite3_wal_checkpoint_v2(sqlite->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
        SQLITE_OK)
        sqlite->log_has_remains = false;
}

static int sqlite_open_give_back(struct store *store)
{
    struct sqlite *sqlite = sqlite_of(store);
    struct statement *stmt = sqlite_open_use(store, OWN_COUNT_FREE_PAGES);
    int64_t count;
    int r = db_step(store, stmt);

    if (r < 0)
        return r;
    count = r > 0 ? db_number(stmt, 0) : 0;
    db_reset(stmt);
    if (!sqlite->can_give_back || count <= FREE_PAGES_KEPT)
        return 0;
    r = db_begin(store);
    if (r < 0)
        return r;
    store->writes++;
    stmt = sqlite_open_use(store, OWN_GIVE_BACK);
    while ((r = db_step(store, stmt)) > 0) /* a page */
        ;
    if (r < 0)
        return r;
    sqlite->wants_checkpoint = count - PAGES_PER_STEP <= FREE_PAGES_KEPT;
    return !sqlite->wants_checkpoint;
}

static int64_t sqlite_open_size(const struct store *store)
{
    static const char *const suffixes[] = {"", "-wal"};
    int64_t size = 0;

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        CLEANUP(freep) char *path = xasprintf("%s%s", sqlite_of(store)->path, suffixes[i]);
        struct stat st;

        if (stat(path, &st) == 0)
            size += st.st_size;
    }
    return size;
}

static const struct db_engine engine = {
    .type = "sqlite",
    .has_checksums = true,
    .reset = sqlite_reset,
    .clear = sqlite_clear,
    .bind_number = sqlite_bind_number,
    .bind_double = sqlite_bind_double,
    .bind_text = sqlite_bind_text,
    .bind_blob = sqlite_bind_blob,
    .step = sqlite_step,
    .value = sqlite_value,
    .blob = sqlite_blob,
    .changes = sqlite_changes,
    .begin = sqlite_open_begin,
    .commit = sqlite_open_commit,
    .rollback = sqlite_open_rollback,
    .give_back = sqlite_open_give_back,
    .size = sqlite_open_size,
    .close = sqlite_open_close,
};

static int sqlite_open_prepare(sqlite3 *db, const char *const *sql, int count,
                               struct statement *ret_statements)
{
    for (int i = 0; i < count; i++) {
        sqlite3_stmt *stmt = NULL;

        if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
            return -EIO;
        ret_statements[i] = (struct statement){&engine, (struct db_prepared *)stmt};
    }
    return 0;
}

/* acpd has one thread and counts no memory, so SQLite needs no mutexes. This is possible before the
 * first database is opened, and has no effect later. */
static void sqlite_open_configure(void)
{
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static const char pragmas[] = "PRAGMA page_size = 4096;"
                              "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL;"
                              "PRAGMA wal_autocheckpoint = 4000;"
                              /* Truncates a log that readers made grow. */
                              "PRAGMA journal_size_limit = 33554432;"
                              /* 10 MiB. More is no faster: the system caches, too. */
                              "PRAGMA cache_size = -10240;";

int store_open(const char *path, struct store **ret_store, char **ret_error)
{
    struct sqlite *sqlite = xcalloc(1, sizeof(*sqlite));
    struct store *store = &sqlite->store;
    CLEANUP(freep) char *log = xasprintf("%s-wal", path);
    bool has_log = access(log, F_OK) == 0;
    int64_t auto_vacuum = 0;
    int r;

    *ret_error = NULL;
    sqlite_open_configure();
    store->engine = &engine;
    sqlite->path = xstrdup(path);
    r = sqlite_make_if_missing(path, ret_error);
    if (r == -EBADMSG)
        return sqlite_open_failed(sqlite, ret_error);
    if (r < 0) {
        store_close(store);
        return r;
    }
    if (sqlite_vfs_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        &sqlite->db) != SQLITE_OK)
        return sqlite_open_failed(sqlite, ret_error);
    sqlite3_extended_result_codes(sqlite->db, 1);
    if (sqlite_row_add_functions(sqlite->db) < 0)
        return sqlite_open_failed(sqlite, ret_error);
    /* Keep the log until the database is known to be undamaged and ours. */
    sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log, NULL);
    /* Wait a little for locks, e.g. of an sqlite3 shell. */
    sqlite3_busy_timeout(sqlite->db, 2000);
    /* Check before setting the journal mode, which would change the file. */
    r = sqlite_check_version(sqlite->db, ret_error);
    if (r == 0)
        r = sqlite_check_damage(sqlite->db, path, ret_error);
    if (r < 0)
        return sqlite_open_failed(sqlite, ret_error);
    if (r > 0) {
        store_close(store);
        return -ENOTSUP;
    }
    if (sqlite3_exec(sqlite->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_open_failed(sqlite, ret_error);
    r = sqlite_migrate(sqlite->db, SCHEMA_NEWEST, ret_error);
    if (r < 0) {
        store_close(store);
        return r;
    }
    if (sqlite_open_prepare(sqlite->db, texts, STATEMENT_COUNT, store->statements) < 0 ||
        sqlite_open_prepare(sqlite->db, own_texts, OWN_STATEMENT_COUNT, sqlite->statements) < 0)
        return sqlite_open_failed(sqlite, ret_error);
    if (sqlite_number(sqlite->db, "PRAGMA auto_vacuum", &auto_vacuum) < 0)
        return sqlite_open_failed(sqlite, ret_error);
    sqlite->can_give_back = auto_vacuum != 0;
    sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    *ret_store = store;
    return 0;
}
