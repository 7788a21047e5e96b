/* SPDX-License-Identifier: MIT */
/* Running statements and the transaction, whichever engine it is. */
#include "store/db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"

int db_fail(struct store *store, int r, const char *message)
{
    if (!store->is_lost) /* that is the reason for all that fails later */
        snprintf(store->error, sizeof(store->error), "%s", message);
    if (store->in_transaction)
        store->failure = r;
    return r;
}

int db_fail_damaged(struct store *store, int64_t task_id)
{
    snprintf(store->damage, sizeof(store->damage), "the row of task %lld is damaged",
             (long long)task_id);
    snprintf(store->error, sizeof(store->error), "%s", store->damage);
    store->damaged_id = task_id;
    return -EBADMSG;
}

struct statement *db_use(struct store *store, enum statement_name name)
{
    struct statement *stmt = &store->statements[name];

    db_reset(stmt);
    stmt->engine->clear(stmt->prepared);
    return stmt;
}

int db_begin(struct store *store)
{
    int r;

    if (store->failure)
        return store->failure;
    if (store->in_transaction)
        return 0;
    store->next_id = 0;
    store->has_dependencies = -1;
    r = store->engine->begin(store);
    if (r < 0)
        return store->failure = r;
    store->in_transaction = true;
    return 0;
}

int db_use_writing(struct store *store, enum statement_name name, struct statement **ret_stmt)
{
    int r = db_begin(store);

    if (r < 0)
        return r;
    store->writes++;
    *ret_stmt = db_use(store, name);
    return 0;
}

int db_step(struct store *store, struct statement *stmt)
{
    return stmt->engine->step(store, stmt->prepared);
}

int db_run(struct store *store, struct statement *stmt)
{
    int r = db_step(store, stmt);

    if (r > 0)
        db_reset(stmt);
    return r < 0 ? r : 0;
}

int db_run_later(struct store *store, struct statement *stmt)
{
    return stmt->engine->run_later ? stmt->engine->run_later(store, stmt->prepared)
                                   : db_run(store, stmt);
}

int db_run_for_id(struct store *store, enum statement_name name, int64_t id)
{
    struct statement *stmt;
    int r = db_use_writing(store, name, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, id);
    return db_run(store, stmt);
}

int db_run_for_pair(struct store *store, enum statement_name name, int64_t first, int64_t second)
{
    struct statement *stmt;
    int r = db_use_writing(store, name, &stmt);

    if (r < 0)
        return r;
    db_bind_number(stmt, 1, first);
    db_bind_number(stmt, 2, second);
    return db_run_later(store, stmt);
}

int db_take_number(struct store *store, struct statement *stmt, int64_t *ret_number)
{
    struct db_value value;
    int r = db_step(store, stmt);

    if (r <= 0)
        return r;
    value = db_value(stmt, 0);
    if (value.type != DB_NULL)
        *ret_number = value.number;
    db_reset(stmt);
    return value.type != DB_NULL;
}

int64_t db_changes(struct store *store)
{
    return store->engine->changes(store);
}

char *db_copy_text(struct statement *stmt, int column)
{
    const char *text = db_value(stmt, column).text;

    return text ? xstrdup(text) : NULL;
}
