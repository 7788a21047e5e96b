/* SPDX-License-Identifier: MIT */
/* Operations on existing tasks. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "rpc/task_params.h"

#define ID                                                                                         \
    {                                                                                              \
        .name = "id", .type = PARAM_INTEGER, .is_required = true, .min = 1, .max = RPC_ID_MAX,     \
        .doc = "Id of the task."                                                                   \
    }
#define END                                                                                        \
    {                                                                                              \
        .type = PARAM_END                                                                          \
    }

static const struct param id_params[] = {ID, END};

static enum rpc_outcome methods_task_not_found(struct rpc_call *call, int64_t id)
{
    return rpc_error(call, RPC_NOT_FOUND, "task %lld not found", (long long)id);
}

static enum rpc_outcome get_task(struct rpc_call *call)
{
    int64_t id = rpc_get_int(call, "id", 0);
    CLEANUP(task_deinit) struct task task = {0};
    int r = engine_get_task(call->engine, id, &task);

    if (r == ENGINE_NOT_FOUND)
        return methods_task_not_found(call, id);
    if (r == 0)
        r = rpc_print_task(call, &task, 0);
    return r < 0 ? rpc_error_storage(call, r) : RPC_REPLY;
}

static const struct param list_params[] = {
    {.name = "profile",
     .type = PARAM_STRING,
     .max_bytes = 256,
     .doc = "List only tasks of this profile."},
    {.name = "status",
     .type = PARAM_ENUM,
     .values = task_status_names + TASK_QUEUED,
     .doc = "List only tasks with this status."},
    {.name = "limit",
     .type = PARAM_INTEGER,
     .min = 1,
     .max = 1000,
     .doc = "Maximum number of tasks, default 100. A reply holds at most 4 MiB of tasks."},
    {.name = "before",
     .type = PARAM_INTEGER,
     .min = 1,
     .max = RPC_ID_MAX,
     .doc = "`next` of the previous page."},
    END,
};

/* Prints as many tasks as fit. *ret_next is the id of the last one when there are more, else 0. */
static int methods_task_print_page(struct rpc_call *call, const struct task_list *tasks,
                                   bool has_more, int64_t *ret_next)
{
    size_t i = 0;
    int r = 0;

    for (; i < tasks->count && r >= 0 && (!i || call->out->len <= RPC_LIST_BYTES); i++)
        r = rpc_print_task(call, &tasks->tasks[i], -1);
    *ret_next = i && (has_more || i < tasks->count) ? tasks->tasks[i - 1].id : 0;
    return r;
}

static enum rpc_outcome list_tasks(struct rpc_call *call)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    struct task_filter filter = {
        .before = rpc_get_int(call, "before", 0),
        .page = {.tasks = (size_t)rpc_get_int(call, "limit", 100), .bytes = RPC_LIST_BYTES},
    };
    const char *status = json_value_get_text(call->params, "status");
    bool has_more = false;
    int64_t next = 0;
    int r;

    if (json_value_get(call->params, "profile")) {
        const char *name = json_value_get_text(call->params, "profile");
        struct profile *profile = engine_find_known_profile(call->engine, name);

        if (!profile)
            return rpc_error(call, RPC_NOT_FOUND, "profile \"%s\" not found", name);
        filter.profile_id = profile->id;
    }
    if (status)
        task_status_parse(status, &filter.status);
    json_out_object(call->out, NULL);
    json_out_array(call->out, "tasks");
    r = engine_list_tasks(call->engine, &filter, &tasks, &has_more);
    if (r >= 0)
        r = methods_task_print_page(call, &tasks, has_more, &next);
    if (r < 0)
        return rpc_error_storage(call, r);
    json_out_end_array(call->out);
    if (next)
        json_out_int(call->out, "next", next);
    else
        json_out_null(call->out, "next");
    json_out_end_object(call->out);
    return RPC_REPLY;
}

static enum rpc_outcome methods_task_no_node(struct rpc_call *call, const struct task *task)
{
    CLEANUP(freep) char *node = task_only_node(task);

    return rpc_error(call, RPC_CONFLICT,
                     "profile \"%s\" does not run on node \"%s\", the only one for task %lld",
                     json_value_get_text(call->params, "profile"), node, (long long)task->id);
}

/* Replies with the engine's outcome of a change: the task, or an error. */
static enum rpc_outcome methods_task_changed(struct rpc_call *call, int r, int64_t id,
                                             const struct task *task, const char *wish)
{
    if (r < 0)
        return rpc_error_storage(call, r);
    switch (r) {
    case 0:
        r = rpc_print_task(call, task, 0);
        return r < 0 ? rpc_error_storage(call, r) : RPC_REPLY;
    case ENGINE_NOT_FOUND:
        return methods_task_not_found(call, id);
    case ENGINE_QUEUE_FULL:
        return rpc_error_queue_full(call, rpc_get_profile(call, "profile"));
    case ENGINE_NO_NODE:
        return methods_task_no_node(call, task);
    case ENGINE_REMOVED:
        return rpc_error(call, RPC_CONFLICT, "the profile of task %lld is no longer configured",
                         (long long)id);
    case ENGINE_DEPENDENCY_FAILED:
        return rpc_error(call, RPC_CONFLICT,
                         "a task that task %lld depends on was not completed; retry that one first",
                         (long long)id);
    case ENGINE_ENDING:
        return rpc_error(call, RPC_CONFLICT,
                         "the processes of the last attempt of task %lld are still being stopped",
                         (long long)id);
    case ENGINE_STALE:
        return rpc_error(call, RPC_CONFLICT,
                         "task %lld was changed concurrently; nothing was changed", (long long)id);
    default:
        return rpc_error(call, RPC_CONFLICT, "task %lld is %s and cannot be %s", (long long)id,
                         task_status_name(task->status), wish);
    }
}

static const struct param update_params[] = {
    ID,
    {.name = "priority", .type = PARAM_ENUM, .values = task_priority_names, .doc = "New priority."},
    {.name = "runAt",
     .type = PARAM_TIME,
     .takes_null = true,
     .doc = "New earliest start; null for as soon as possible."},
    {.name = "profile",
     .type = PARAM_STRING,
     .max_bytes = 256,
     .doc = "Profile to move the task to."},
    END,
};

static enum rpc_outcome update_task(struct rpc_call *call)
{
    int64_t id = rpc_get_int(call, "id", 0);
    CLEANUP(task_deinit) struct task task = {0};
    struct engine_update update = {.priority = -1};
    const char *priority = json_value_get_text(call->params, "priority");
    const char *run_at = json_value_get_text(call->params, "runAt");
    enum task_priority parsed;
    int r;

    if (priority && task_priority_parse(priority, &parsed) == 0)
        update.priority = (int)parsed;
    update.has_run_at = json_value_find(call->params, "runAt") != NULL;
    if (run_at)
        clock_parse_iso(run_at, &update.run_at);
    if (json_value_get(call->params, "profile")) {
        update.profile = rpc_get_profile(call, "profile");
        if (!update.profile)
            return RPC_ERROR;
        if (update.profile->is_removed)
            return rpc_error(call, RPC_CONFLICT, "profile \"%s\" is no longer configured",
                             update.profile->config.name);
    }
    r = engine_update(call->engine, id, &update, &task);
    return methods_task_changed(call, r, id, &task, "changed");
}

static enum rpc_outcome cancel_task(struct rpc_call *call)
{
    int64_t id = rpc_get_int(call, "id", 0);
    CLEANUP(task_deinit) struct task task = {0};

    return methods_task_changed(call, engine_cancel(call->engine, id, &task), id, &task,
                                "cancelled");
}

static enum rpc_outcome retry_task(struct rpc_call *call)
{
    int64_t id = rpc_get_int(call, "id", 0);
    CLEANUP(task_deinit) struct task task = {0};

    return methods_task_changed(call, engine_retry(call->engine, id, &task), id, &task, "retried");
}

static const struct param log_params[] = {
    ID,
    {.name = "attempt",
     .type = PARAM_INTEGER,
     .min = 1,
     .max = RPC_ID_MAX,
     .doc = "Number of the attempt; default: the last one."},
    {.name = "after",
     .type = PARAM_INTEGER,
     .min = 0,
     .max = RPC_ID_MAX,
     .doc = "`next` of the previous page."},
    END,
};

static enum rpc_outcome get_task_log(struct rpc_call *call)
{
    int64_t id = rpc_get_int(call, "id", 0), attempt;
    CLEANUP(task_deinit) struct task task = {0};
    CLEANUP(freep) char *where = NULL;
    int r = engine_get_task(call->engine, id, &task);

    if (r < 0)
        return rpc_error_storage(call, r);
    if (r == ENGINE_NOT_FOUND)
        return methods_task_not_found(call, id);
    attempt = rpc_get_int(call, "attempt", task.attempt);
    if (attempt > task.attempt)
        return rpc_error(call, RPC_NOT_FOUND, "task %lld has no attempt %lld", (long long)id,
                         (long long)attempt);
    r = engine_log_elsewhere(call->engine, &task, attempt, &where);
    if (r < 0)
        return rpc_error_storage(call, r);
    if (where)
        return rpc_error(call, RPC_NOT_FOUND, "the log of task %lld, attempt %lld, is on %s",
                         (long long)id, (long long)attempt, where);
    r = engine_print_log(call->engine, id, attempt, rpc_get_int(call, "after", 0), call->out);
    if (r == -EINVAL)
        return rpc_error_field(call, "after", "must be `next` of an earlier page of this log");
    if (r < 0)
        return rpc_error(call, RPC_UNAVAILABLE, "cannot read the log: %s", strerror(-r));
    return RPC_REPLY;
}

const struct rpc_method rpc_task_methods[] = {
    {"get_task", "Returns a task.", id_params, &shape_task, get_task, .is_reading = true},
    {"list_tasks", "Lists tasks, newest first, one page at a time.", list_params, &shape_task_page,
     list_tasks, .is_reading = true},
    {"update_task", "Changes the priority, start time or profile of a waiting task.", update_params,
     &shape_task, update_task, .is_for_own = true},
    {"cancel_task", "Cancels an unfinished task and stops it if it is running.", id_params,
     &shape_task, cancel_task, .is_for_own = true},
    {"retry_task", "Queues a failed or cancelled task again, with a new budget of attempts.",
     id_params, &shape_task, retry_task, .is_for_own = true},
    {"get_task_log", "Returns the log of an attempt, one page at a time.", log_params,
     &shape_log_page, get_task_log, .is_reading = true},
    {0},
};
