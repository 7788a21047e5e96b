/* SPDX-License-Identifier: MIT */
/* Tasks that depend on others. */
#include "common/alloc.h"
#include "store/db.h"

int store_unmet_dependency(struct store *store, int64_t task_id, int64_t *ret_id,
                           enum task_status *ret_status)
{
    struct statement *stmt = db_use(store, STMT_UNMET_DEPENDENCY);
    int r;

    db_bind_number(stmt, 1, task_id);
    r = db_step(store, stmt);
    if (r <= 0)
        return r;
    r = db_number(stmt, 1) != 0;
    if (r) {
        *ret_id = db_number(stmt, 0);
        *ret_status = (enum task_status)db_number(stmt, 1);
    }
    db_reset(stmt);
    return r;
}

void store_dependants_free(struct store_dependant *dependants, size_t count)
{
    for (size_t i = 0; i < count; i++)
        task_deinit(&dependants[i].task);
    free(dependants);
}

struct dependants {
    struct store_dependant *all;
    size_t count;
    int budget; /* number of rows to read */
};

/* A finished task whose dependants behind `*ret_after` are not released yet. 1: found. */
static int db_dependency_next_release(struct store *store, int64_t *ret_id, int64_t *ret_after)
{
    struct statement *stmt = db_use(store, STMT_NEXT_RELEASE);
    int r = db_step(store, stmt);

    if (r <= 0)
        return r;
    *ret_id = db_number(stmt, 0);
    *ret_after = db_number(stmt, 1);
    db_reset(stmt);
    return 1;
}

static int db_dependency_next_dependant(struct store *store, int64_t id, int64_t after,
                                        struct task *ret_task)
{
    struct statement *stmt = db_use(store, STMT_NEXT_DEPENDANT);

    db_bind_number(stmt, 1, id);
    db_bind_number(stmt, 2, after);
    return db_take_task(store, stmt, ret_task);
}

/* Adds the task to `dependants` and takes ownership, if it no longer has to wait. */
static int db_dependency_take_dependant(struct store *store, struct task *task,
                                        struct dependants *dependants)
{
    struct store_dependant dependant = {.status = TASK_COMPLETED};
    int r = store_unmet_dependency(store, task->id, &dependant.depends_on, &dependant.status);

    if (r < 0 || (r > 0 && !task_status_is_finished(dependant.status)))
        return r < 0 ? r : 0;
    dependant.task = *task;
    *task = (struct task){0};
    dependants->all = xrealloc(dependants->all, (dependants->count + 1) * sizeof(*dependants->all));
    dependants->all[dependants->count++] = dependant;
    return 0;
}

static bool db_dependency_is_taken(const struct dependants *dependants, int64_t id)
{
    for (size_t i = dependants->count; i--;)
        if (dependants->all[i].task.id == id)
            return true;
    return false;
}

/* Reads dependants of one task, as far as the budget allows. */
static int db_dependency_take_dependants_of(struct store *store, int64_t id, int64_t after,
                                            struct dependants *dependants)
{
    for (; dependants->budget > 0; dependants->budget--) {
        CLEANUP(task_deinit) struct task task = {0};
        int r = db_dependency_next_dependant(store, id, after, &task);

        if (r == 0) {
            dependants->budget--; /* the row costs something even without dependants */
            return db_run_for_id(store, STMT_DROP_RELEASE, id);
        }
        after = task.id;
        if (store_is_damage(store, r)) {
            after = store->damaged_id;
            continue;
        }
        if (r > 0 && !db_dependency_is_taken(dependants, task.id))
            r = db_dependency_take_dependant(store, &task, dependants);
        if (r < 0)
            return r;
    }
    return db_run_for_pair(store, STMT_MOVE_RELEASE, id, after);
}

int store_take_dependants(struct store *store, int limit, struct store_dependant **ret_dependants,
                          size_t *ret_count)
{
    struct dependants dependants = {.budget = limit};
    int r = db_begin(store);

    while (r == 0 && dependants.budget > 0) {
        int64_t id, after;

        r = db_dependency_next_release(store, &id, &after);
        if (r == 0)
            break;
        if (r > 0)
            r = db_dependency_take_dependants_of(store, id, after, &dependants);
    }
    if (r < 0) {
        store_dependants_free(dependants.all, dependants.count);
        return r;
    }
    *ret_dependants = dependants.all;
    *ret_count = dependants.count;
    return dependants.budget <= 0 ? STORE_DONE : STORE_STALE;
}
