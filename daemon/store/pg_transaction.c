/* SPDX-License-Identifier: MIT */
/*
 * The transaction. It begins with an advisory lock that all writers of acpd's database share, and
 * counts itself in the row of its node. So a verb may read, decide and write; after a connection
 * that was lost in mid-commit the row tells whether the commit was done; and the count is the
 * node's sign of life: others remove the row of one that was silent for a lease, after which it
 * cannot write.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "store/pg.h"

/* What the server says of itself and of the tables when the transaction begins. */
static void pg_transaction_note_begin(struct store *store, struct statement *mark)
{
    pg_of(store)->clock_ahead = db_number(mark, 0) - clock_mono_ms();
    store->next_id = db_number(mark, 1);
    store->has_dependencies = db_number(mark, 2) != 0;
    db_reset(mark);
}

/* One round trip. The server ends the session, and releases its locks, soon after this end of it
 * has vanished or hangs, so that others wait no longer. */
static int pg_transaction_send_begin(struct store *store, struct statement **ret_mark)
{
    struct pg *pg = pg_of(store);
    struct statement *timeouts = db_use(store, STMT_SET_TIMEOUTS);
    int r = db_run_later(store, db_use(store, STMT_BEGIN));

    db_bind_number(timeouts, 1, pg->timeout_ms * 3 / 4);
    db_bind_number(timeouts, 2, pg->timeout_ms);
    if (r == 0)
        r = db_run_later(store, timeouts);
    if (r == 0)
        r = db_run_later(store, db_use(store, STMT_LOCK_WRITERS));
    if (r < 0)
        return r;
    *ret_mark = db_use(store, STMT_MARK_NODE);
    db_bind_number(*ret_mark, 1, pg->pass);
    return db_step(store, *ret_mark);
}

static int pg_transaction_try_to_begin(struct store *store)
{
    struct pg *pg = pg_of(store);
    struct statement *mark;
    int r = pg_connect(pg);

    if (r < 0)
        return r;
    pg->is_open = true;
    pg->marked_at = clock_boot_ms();
    r = pg_transaction_send_begin(store, &mark);
    if (r > 0)
        pg_transaction_note_begin(store, mark);
    if (r == 0)
        return pg_take_leave(pg);
    if (r == -EROFS && pg->connection) /* a standby; another one may lead to what was promoted */
        return pg_lose(pg, r, "it is read-only");
    return r < 0 ? r : 0;
}

/* A session that has ended while nothing happened is noticed now; nothing was written yet. */
int pg_begin(struct store *store)
{
    struct pg *pg = pg_of(store);
    bool was_connected = pg->connection && !pg->is_connecting;
    int r = pg_transaction_try_to_begin(store);

    if (r != -EIO || !was_connected || pg->connection)
        return r;
    pg->next_try = pg->next_wait = 0;
    return pg_transaction_try_to_begin(store);
}

/* The pass that was open is committed. */
static void pg_transaction_note_pass(struct pg *pg)
{
    pg->pass++;
    pg->valid_until = pg->marked_at + pg->validity_ms;
}

int pg_commit(struct store *store)
{
    CLEANUP(pg_clearp) PGresult *result = NULL;
    struct pg *pg = pg_of(store);
    bool was_later;
    int r;

    if (!pg->connection || !pg->is_open)
        return pg_fail(pg, -EIO, "the connection was lost");
    r = pg_batch_flush(pg);
    if (r < 0)
        return r;
    was_later = pg->later_count > 0;
    pg->is_open = false;
    r = pg_execute(pg, "COMMIT", &result);
    if (r == 0 && strcmp(PQcmdStatus(result), "COMMIT") == 0) {
        pg_transaction_note_pass(pg);
        return 0;
    }
    if (r == 0)
        return pg_fail(pg, -EIO, "it has rolled back");
    if (pg->connection) {
        pg->is_open = was_later; /* the commit was not tried */
        return r;
    }
    pg->is_unknown = true;
    return STORE_UNKNOWN;
}

/* The row of the node is locked as long as the old session may still commit. */
int pg_resolve(struct store *store)
{
    struct pg *pg = pg_of(store);
    int64_t pass = 0;
    char sql[96];
    int r;

    if (!pg->is_unknown)
        return store->failure;
    snprintf(sql, sizeof(sql), "SELECT pass FROM node WHERE id = %lld FOR UPDATE",
             (long long)pg->store.node);
    r = pg_connect(pg);
    if (r == 0)
        r = pg_ask_number(pg, sql, &pass);
    if (r == -ENOENT)
        r = pg_take_leave(pg);
    if (r < 0)
        return STORE_UNKNOWN;
    pg->is_unknown = false;
    if (pass == pg->pass + 1) {
        pg_transaction_note_pass(pg);
        store->failure = 0;
        store->error[0] = '\0';
        return 0;
    }
    return pg_fail(pg, -EIO, "the commit was lost with its connection");
}

void pg_rollback(struct store *store)
{
    struct pg *pg = pg_of(store);

    pg_abort(pg);
    pg->is_unknown = false;
}
