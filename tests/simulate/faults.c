/* SPDX-License-Identifier: MIT */
/*
 * To add a fault, add a row and a function __wrap_X() in the place of acpd's X(), whose name goes
 * into meson.build, too. The linker replaces calls from other files only.
 */
#include "faults.h"

#include <string.h>

#include "common/alloc.h"
#include "daemon.h"
#include "engine/runner_lease.h"
#include "engine/settle.h"
#include "engine/state.h"
#include "engine/wake.h"
#include "rpc/call.h"
#include "rpc/server.h"
#include "store/store.h"
#include "world.h"

enum fault {
    FAULT_NONE,
    FAULT_COMMIT,
    FAULT_EARLY_REPLY,
    FAULT_KEPT_REPLY,
    FAULT_END,
    FAULT_RESULT,
    FAULT_CANCEL,
    FAULT_COUNT,
    FAULT_BATCH,
    FAULT_LEASES,
    FAULT_EXPIRY,
    FAULT_WAKE,
    FAULT_ATTEMPT,
    FAULT_FENCE,
};

static const char *const names[] = {
    [FAULT_NONE] = "none",
    [FAULT_COMMIT] = "a commit that is none",
    [FAULT_EARLY_REPLY] = "replies before their commit",
    [FAULT_KEPT_REPLY] = "replies that outlive a failed commit",
    [FAULT_END] = "an end that is not written",
    [FAULT_RESULT] = "a result that is lost",
    [FAULT_CANCEL] = "a cancel that is not written",
    [FAULT_COUNT] = "a counter that misses a step",
    [FAULT_BATCH] = "a batch whose replies change places",
    [FAULT_LEASES] = "leases that do not survive a restart",
    [FAULT_EXPIRY] = "leases that never end",
    [FAULT_WAKE] = "retries that never become due",
    [FAULT_ATTEMPT] = "an attempt that is not counted",
    [FAULT_FENCE] = "ends that any token brings about",
};

static enum fault fault;

const char *faults_name(size_t number)
{
    return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

void faults_put_in(size_t number)
{
    fault = (enum fault)number;
}

/* Now and then, so that a fault must be looked for. */
static bool faults_strike(enum fault which)
{
    return fault == which && world_one_in(10);
}

int __real_store_commit(struct store *store);
int __wrap_store_commit(struct store *store);
int __wrap_store_commit(struct store *store)
{
    if (!store_is_writing(store) || !faults_strike(FAULT_COMMIT))
        return __real_store_commit(store);
    store_rollback(store);
    return 0;
}

int __real_engine_commit(struct engine *engine, int r);
int __wrap_engine_commit(struct engine *engine, int r);
int __wrap_engine_commit(struct engine *engine, int r)
{
    if (fault == FAULT_EARLY_REPLY)
        daemon_release();
    r = __real_engine_commit(engine, r);
    daemon_note_commit(r);
    return r;
}

void __real_rpc_fail(struct rpc_server *server);
void __wrap_rpc_fail(struct rpc_server *server);
void __wrap_rpc_fail(struct rpc_server *server)
{
    if (fault != FAULT_KEPT_REPLY)
        __real_rpc_fail(server);
}

int __real_store_finish(struct store *store, struct task *task, const struct task_fence *fence,
                        const struct store_attempt *attempt, bool *ret_has_dependants);
int __wrap_store_finish(struct store *store, struct task *task, const struct task_fence *fence,
                        const struct store_attempt *attempt, bool *ret_has_dependants);
int __wrap_store_finish(struct store *store, struct task *task, const struct task_fence *fence,
                        const struct store_attempt *attempt, bool *ret_has_dependants)
{
    char *result = task->result;
    int r;

    if (faults_strike(FAULT_END))
        return STORE_DONE;
    if (faults_strike(FAULT_RESULT))
        task->result = NULL;
    r = __real_store_finish(store, task, fence, attempt, ret_has_dependants);
    task->result = result;
    return r;
}

int __real_store_cancel(struct store *store, struct task *task, const struct task_fence *fence,
                        bool *ret_has_dependants);
int __wrap_store_cancel(struct store *store, struct task *task, const struct task_fence *fence,
                        bool *ret_has_dependants);
int __wrap_store_cancel(struct store *store, struct task *task, const struct task_fence *fence,
                        bool *ret_has_dependants)
{
    if (faults_strike(FAULT_CANCEL))
        return STORE_DONE;
    return __real_store_cancel(store, task, fence, ret_has_dependants);
}

int __real_store_claim(struct store *store, const struct store_claim *claim,
                       struct task_list *ret_tasks);
int __wrap_store_claim(struct store *store, const struct store_claim *claim,
                       struct task_list *ret_tasks);
int __wrap_store_claim(struct store *store, const struct store_claim *claim,
                       struct task_list *ret_tasks)
{
    int r = __real_store_claim(store, claim, ret_tasks);

    for (size_t i = 0; r >= 0 && i < ret_tasks->count; i++)
        if (ret_tasks->tasks[i].attempt > 1 && faults_strike(FAULT_ATTEMPT))
            ret_tasks->tasks[i].attempt--;
    return r;
}

void __real_task_counts_step(struct task_counts *counts, enum task_status from,
                             enum task_status to);
void __wrap_task_counts_step(struct task_counts *counts, enum task_status from,
                             enum task_status to);
void __wrap_task_counts_step(struct task_counts *counts, enum task_status from, enum task_status to)
{
    if (!faults_strike(FAULT_COUNT))
        __real_task_counts_step(counts, from, to);
}

bool __real_batch_finish(struct batch *batch, struct connection *connection);
bool __wrap_batch_finish(struct batch *batch, struct connection *connection);
bool __wrap_batch_finish(struct batch *batch, struct connection *connection)
{
    struct list *first = batch->calls.next;

    if (!list_is_empty(&batch->calls) && faults_strike(FAULT_BATCH)) {
        list_remove(first);
        list_append(&batch->calls, first);
    }
    return __real_batch_finish(batch, connection);
}

int __real_lease_adopt_all(struct engine *engine);
int __wrap_lease_adopt_all(struct engine *engine);
int __wrap_lease_adopt_all(struct engine *engine)
{
    return fault == FAULT_LEASES ? 0 : __real_lease_adopt_all(engine);
}

int __real_overdue_step(struct engine *engine);
int __wrap_overdue_step(struct engine *engine);
int __wrap_overdue_step(struct engine *engine)
{
    return fault == FAULT_EXPIRY ? 0 : __real_overdue_step(engine);
}

int __real_wake_step(struct engine *engine);
int __wrap_wake_step(struct engine *engine);
int __wrap_wake_step(struct engine *engine)
{
    return fault == FAULT_WAKE ? 0 : __real_wake_step(engine);
}

int __real_engine_finish(struct engine *engine, int64_t id, const char *token,
                         enum error_class class, const char *message, const char *result,
                         struct task *ret_task);
int __wrap_engine_finish(struct engine *engine, int64_t id, const char *token,
                         enum error_class class, const char *message, const char *result,
                         struct task *ret_task);
int __wrap_engine_finish(struct engine *engine, int64_t id, const char *token,
                         enum error_class class, const char *message, const char *result,
                         struct task *ret_task)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (fault == FAULT_FENCE && attempt->task_id == id && attempt->lease)
            token = attempt->lease;
    }
    return __real_engine_finish(engine, id, token, class, message, result, ret_task);
}
