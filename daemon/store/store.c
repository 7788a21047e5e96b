/* SPDX-License-Identifier: MIT */
/* The store as a whole: its transaction and its state. */
#include "store/db.h"

#include <errno.h>

#include "common/clock.h"

void store_close(struct store *store)
{
    if (store)
        store->engine->close(store);
}

const char *store_type(const struct store *store)
{
    return store->engine->type;
}

bool store_is_writing(const struct store *store)
{
    return store->in_transaction || store->failure;
}

uint64_t store_writes(const struct store *store)
{
    return store->writes;
}

const char *store_damage(const struct store *store)
{
    return store->damage;
}

bool store_has_failed(const struct store *store)
{
    return store->failure != 0;
}

bool store_is_damage(const struct store *store, int r)
{
    return r == -EBADMSG && !store->failure;
}

bool store_is_lost(const struct store *store)
{
    return store->is_lost;
}

const char *store_error(const struct store *store)
{
    return store->error;
}

int64_t store_wall_ms(const struct store *store)
{
    return store->engine->wall_ms ? store->engine->wall_ms(store) : clock_wall_ms();
}

int64_t store_node(const struct store *store)
{
    return store->node;
}

int64_t store_valid_until(const struct store *store)
{
    return store->engine->valid_until ? store->engine->valid_until(store) : INT64_MAX;
}

int store_commit(struct store *store)
{
    int r;

    if (store->failure)
        return store->failure;
    if (!store->in_transaction)
        return 0;
    r = db_flush_profiles(store);
    if (r == 0)
        r = store->engine->commit(store);
    if (r)
        return r;
    store->in_transaction = false;
    store->error[0] = '\0';
    return 0;
}

int store_resolve(struct store *store)
{
    int r = store->engine->resolve ? store->engine->resolve(store) : store->failure;

    store->in_transaction &= r != 0;
    return r;
}

void store_rollback(struct store *store)
{
    store->engine->rollback(store);
    store->in_transaction = false;
    db_drop_changes(store);
    store->failure = 0;
}

int store_give_back(struct store *store)
{
    return store->engine->give_back(store);
}

int64_t store_size(const struct store *store)
{
    return store->engine->size(store);
}
