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

/* Room for new rows without growing the file. */
#define FREE_PAGES_KEPT 1024

#define WAL_INDEX_REGION 32768 /* bytes that SQLite maps at a time */
#define SPOIL_TRIES      8

#define X(name, sql) [STMT_##name] = sql,
static const char *const statement_texts[STATEMENT_COUNT] = {STATEMENTS(X)};
#undef X

/* *ret_error may already describe the damage. */
static int sqlite_open_failed(struct store *store, char **ret_error)
{
    int r = *ret_error ? -EBADMSG : sqlite_errno(sqlite3_extended_errcode(store->db));
    CLEANUP(freep) char *reason = *ret_error ? *ret_error : xstrdup(sqlite3_errmsg(store->db));

    *ret_error =
        xasprintf("database %s: %s%s", store->path, reason,
                  r == -EBADMSG ? "; nothing was changed: \"acpd recover\" saves what can be read, "
                                  "\"acpd restore\" puts a backup in its place"
                                : "");
    store_close(store);
    return r;
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
    struct store *store = xcalloc(1, sizeof(*store));
    CLEANUP(freep) char *log = xasprintf("%s-wal", path);
    bool has_log = access(log, F_OK) == 0;
    int64_t auto_vacuum = 0;
    int r;

    *ret_error = NULL;
    sqlite_open_configure();
    store->path = xstrdup(path);
    r = sqlite_make_if_missing(path, ret_error);
    if (r == -EBADMSG)
        return sqlite_open_failed(store, ret_error);
    if (r < 0) {
        store_close(store);
        return r;
    }
    if (sqlite3_open_v2(path, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        return sqlite_open_failed(store, ret_error);
    sqlite3_extended_result_codes(store->db, 1);
    if (sqlite_row_add_functions(store->db) < 0)
        return sqlite_open_failed(store, ret_error);
    /* Keep the log until the database is known to be undamaged and ours. */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log, NULL);
    /* Wait a little for locks, e.g. of an sqlite3 shell. */
    sqlite3_busy_timeout(store->db, 2000);
    /* Check before setting the journal mode, which would change the file. */
    r = sqlite_check_version(store->db, ret_error);
    if (r == 0)
        r = sqlite_check_damage(store->db, path, ret_error);
    if (r < 0)
        return sqlite_open_failed(store, ret_error);
    if (r > 0) {
        store_close(store);
        return -ENOTSUP;
    }
    if (sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_open_failed(store, ret_error);
    r = sqlite_migrate(store->db, SCHEMA_NEWEST, ret_error);
    if (r < 0) {
        store_close(store);
        return r;
    }
    for (int i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(store->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK)
            return sqlite_open_failed(store, ret_error);
    if (sqlite_number(store->db, "PRAGMA auto_vacuum", &auto_vacuum) < 0)
        return sqlite_open_failed(store, ret_error);
    store->can_give_back = auto_vacuum != 0;
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    *ret_store = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    sqlite_drop_changes(store);
    free(store->changes);
    free(store->path);
    free(store);
}

/* Fails if the file was removed or replaced: writes to it would be lost. */
static int sqlite_open_check_place(struct store *store)
{
    int has_moved = 0;

    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    if (!has_moved)
        return 0;
    snprintf(store->error, sizeof(store->error), "%s was removed or replaced while in use",
             store->path);
    return store->failure = -ENOENT;
}

int store_commit(struct store *store)
{
    int r;

    if (store->failure)
        return store->failure;
    if (!store->in_transaction)
        return 0;
    r = sqlite_open_check_place(store);
    if (r == 0)
        r = sqlite_flush_profiles(store);
    if (r < 0)
        return r;
    r = sqlite_run(store, sqlite_use(store, STMT_COMMIT));
    store->log_has_remains = r < 0;
    if (r < 0)
        return r;
    store->in_transaction = false;
    store->error[0] = '\0';
    /* This truncates the file now rather than when the log is full. */
    if (store->wants_checkpoint)
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    store->wants_checkpoint = false;
    return 0;
}

/* The outcome of an SQLite commit is always known. */
int store_resolve(struct store *store)
{
    return store->failure;
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
static void sqlite_open_spoil_refused_frames(struct store *store)
{
    static const char nothing[24]; /* a frame's header */
    sqlite3_file *file = NULL, *log = NULL;
    volatile void *index = NULL;
    uint16_t page_size;
    uint32_t frames;
    int64_t at;

    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
        !file->pMethods || !log->pMethods || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, WAL_INDEX_REGION, 0, &index) != SQLITE_OK || !index)
        return;
    memcpy(&page_size, (const char *)index + 14, sizeof(page_size));
    memcpy(&frames, (const char *)index + 16, sizeof(frames));
    at = 32 + (int64_t)frames * ((page_size == 1 ? 65536 : page_size) + (int64_t)sizeof(nothing));
    for (int i = 0; i < SPOIL_TRIES; i++)
        if (log->pMethods->xWrite(log, nothing, sizeof(nothing), at) == SQLITE_OK)
            return;
}

void store_rollback(struct store *store)
{
    /* After severe errors SQLite has already rolled back, and another ROLLBACK would fail. */
    if (store->in_transaction && !sqlite3_get_autocommit(store->db))
        sqlite3_step(sqlite_use(store, STMT_ROLLBACK));
    sqlite3_reset(store->statements[STMT_ROLLBACK]);
    store->in_transaction = store->wants_checkpoint = false;
    sqlite_drop_changes(store);
    store->failure = 0;
    /* The log may hold all of a commit whose sync failed; a crash now would bring the refused
     * writes back. Each rollback tries again while the disk keeps failing. Once the log is
     * truncated and synced, not even a power failure can bring them back. */
    if (!store->log_has_remains)
        return;
    sqlite_open_spoil_refused_frames(store);
    if (sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) ==
        SQLITE_OK)
        store->log_has_remains = false;
}

int store_give_back(struct store *store)
{
    sqlite3_stmt *stmt = sqlite_use(store, STMT_COUNT_FREE_PAGES);
    int64_t count;
    int r = sqlite_step(store, stmt);

    if (r < 0)
        return r;
    count = r > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    if (!store->can_give_back || count <= FREE_PAGES_KEPT)
        return 0;
    r = sqlite_use_writing(store, STMT_GIVE_BACK, &stmt);
    do
        r = r < 0 ? r : sqlite_step(store, stmt); /* one row per page */
    while (r > 0);
    if (r < 0)
        return r;
    store->wants_checkpoint = count - PAGES_PER_STEP <= FREE_PAGES_KEPT;
    return !store->wants_checkpoint;
}

int64_t store_size(const struct store *store)
{
    static const char *const suffixes[] = {"", "-wal"};
    int64_t size = 0;

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        CLEANUP(freep) char *path = xasprintf("%s%s", store->path, suffixes[i]);
        struct stat st;

        if (stat(path, &st) == 0)
            size += st.st_size;
    }
    return size;
}
