/* SPDX-License-Identifier: MIT */
/* PostgreSQL as a store. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "store/pg.h"
#include "store/postgres.h"

#define SIZE_MS 10000 /* how long the size of the database counts */

static int pg_open_give_back(struct store *store UNUSED)
{
    return 0; /* autovacuum's business */
}

/* Says nothing about the storage if it cannot be asked. */
static int64_t pg_open_size(const struct store *store)
{
    struct pg *pg = pg_of(store);
    int64_t now = clock_mono_ms();
    char error[sizeof(store->error)];

    if (store->in_transaction || !pg->connection || pg->is_connecting ||
        (pg->size_at && now - pg->size_at < SIZE_MS))
        return pg->size;
    pg->size_at = now;
    memcpy(error, store->error, sizeof(error));
    (void)pg_ask_number(pg, "SELECT pg_database_size(current_database())", &pg->size);
    memcpy(pg->store.error, error, sizeof(error));
    return pg->size;
}

static int64_t pg_open_changes(struct store *store)
{
    return pg_of(store)->changes;
}

static int64_t pg_open_wall_ms(const struct store *store)
{
    return clock_mono_ms() + pg_of(store)->clock_ahead;
}

static int64_t pg_open_valid_until(const struct store *store)
{
    const struct pg *pg = pg_of(store);

    return pg->validity_ms ? pg->valid_until : INT64_MAX;
}

static void pg_open_close(struct store *store)
{
    struct pg *pg = pg_of(store);

    pg_abort(pg);
    pg_node_leave(pg);
    PQfinish(pg->connection);
    pg_statement_deinit(pg);
    db_free_changes(store);
    free(pg->url);
    free(pg);
}

static const struct db_engine engine = {
    .type = "postgres",
    .reset = pg_reset,
    .clear = pg_clear,
    .bind_number = pg_bind_number,
    .bind_double = pg_bind_double,
    .bind_text = pg_bind_text,
    .bind_blob = pg_bind_blob,
    .step = pg_step,
    .run_later = pg_run_later,
    .value = pg_value,
    .blob = pg_blob,
    .changes = pg_open_changes,
    .begin = pg_begin,
    .commit = pg_commit,
    .resolve = pg_resolve,
    .rollback = pg_rollback,
    .wall_ms = pg_open_wall_ms,
    .valid_until = pg_open_valid_until,
    .give_back = pg_open_give_back,
    .size = pg_open_size,
    .close = pg_open_close,
};

static struct pg *pg_open_new(const struct store_postgres *options)
{
    struct pg *pg = xcalloc(1, sizeof(*pg));

    pg->store.engine = &engine;
    pg->url = xstrdup(options->url);
    pg->timeout_ms = options->timeout_ms;
    pg->session = 1;
    pg->is_pooled = options->is_pooled;
    pg_statement_init(pg);
    for (int i = 0; i < ALL_STATEMENT_COUNT; i++)
        pg->store.statements[i] =
            (struct statement){&engine, (struct db_prepared *)&pg->statements[i]};
    pg_begin_connecting(pg, clock_mono_ms());
    return pg;
}

/* What libpq cannot read may contain a password, which its messages repeat. */
static int pg_open_check_url(const char *url, char **ret_error)
{
    bool is_known = strchr(url, '=') || strncmp(url, "postgresql://", 13) == 0 ||
                    strncmp(url, "postgres://", 11) == 0;
    PQconninfoOption *options = is_known ? PQconninfoParse(url, NULL) : NULL;

    if (!options) {
        *ret_error = xstrdup("store.url is neither a connection string nor a URI of libpq");
        return -EINVAL;
    }
    PQconninfoFree(options);
    return 0;
}

/* Closes the store and says why. */
static int pg_open_failed(struct pg *pg, int r, char **ret_error)
{
    *ret_error = xstrdup(pg->store.error);
    store_close(&pg->store);
    return r;
}

int pg_open(const struct store_postgres *options, struct pg **ret_pg, char **ret_error)
{
    struct pg *pg;
    int r = pg_open_check_url(options->url, ret_error);

    if (r < 0)
        return r;
    pg = pg_open_new(options);
    r = pg_go_on_connecting(pg, pg->give_up); /* at the start there is time */
    if (r < 0)
        return pg_open_failed(pg, r, ret_error);
    *ret_pg = pg;
    return 0;
}

int store_open_postgres(const struct store_postgres *options, struct store **ret_store,
                        char **ret_error)
{
    struct pg *pg;
    int r = pg_open(options, &pg, ret_error);

    if (r < 0)
        return r;
    r = pg_schema_migrate(pg);
    if (r == 0)
        r = pg_node_join(pg, options);
    if (r < 0)
        return pg_open_failed(pg, r, ret_error);
    *ret_store = &pg->store;
    return 0;
}

int store_check_postgres(const struct store_postgres *options, char **ret_info, char **ret_error)
{
    int64_t version = 0;
    struct pg *pg;
    int r = pg_open(options, &pg, ret_error);

    if (r < 0)
        return r;
    r = pg_schema_look(pg, &version);
    if (r < 0)
        return pg_open_failed(pg, r, ret_error);
    *ret_info = version ? xasprintf("the database has schema %lld", (long long)version)
                        : xstrdup("the database has no acpd tables yet");
    store_close(&pg->store);
    return 0;
}
