/* SPDX-License-Identifier: MIT */
/* The nine commands. */
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "rpc/task_params.h"

#define NAME                                                                                       \
    {                                                                                              \
        .name = "name", .alias = "profileName", .type = PARAM_STRING, .is_required = true,         \
        .max_bytes = 256, .doc = "Name of the profile."                                            \
    }
#define RANGE                                                                                      \
    {                                                                                              \
        .name = "range", .type = PARAM_ENUM, .values = metrics_range_names,                        \
        .doc = "Period the metrics cover; default 1h."                                             \
    }
#define END                                                                                        \
    {                                                                                              \
        .type = PARAM_END                                                                          \
    }

static const struct param no_params[] = {END};
static const struct param name_params[] = {NAME, END};
static const struct param range_params[] = {RANGE, END};
static const struct param name_range_params[] = {NAME, RANGE, END};

static enum rpc_outcome methods_profile_done(struct rpc_call *call, int r)
{
    return r < 0 ? rpc_error_storage(call, r) : RPC_REPLY;
}

static enum rpc_outcome get_profile_states(struct rpc_call *call)
{
    return rpc_print_array(call, rpc_print_state);
}

static enum rpc_outcome get_profile_state(struct rpc_call *call)
{
    struct profile *profile = rpc_get_profile(call, "name");

    return profile ? methods_profile_done(call, rpc_print_state(call, profile)) : RPC_ERROR;
}

static enum rpc_outcome get_profile_metrics(struct rpc_call *call)
{
    struct profile *profile = rpc_get_profile(call, "name");

    if (!profile)
        return RPC_ERROR;
    return methods_profile_done(call, rpc_print_metrics(call, profile, rpc_get_range(call)));
}

static int methods_profile_print_named_metrics(struct rpc_call *call, struct profile *profile)
{
    json_out_key(call->out, profile->config.name);
    return rpc_print_metrics(call, profile, rpc_get_range(call));
}

static enum rpc_outcome get_all_profile_metrics(struct rpc_call *call)
{
    enum rpc_outcome outcome;

    if (!call->is_partial)
        json_out_object(call->out, NULL);
    outcome = rpc_print_profiles(call, methods_profile_print_named_metrics);
    if (outcome == RPC_REPLY)
        json_out_end_object(call->out);
    return outcome;
}

static int methods_profile_print_with_state(struct rpc_call *call, struct profile *profile)
{
    int r;

    json_out_object(call->out, NULL);
    json_out_key(call->out, "profile");
    rpc_print_profile(profile, call->out);
    json_out_key(call->out, "state");
    r = rpc_print_state(call, profile);
    if (r < 0)
        return r;
    json_out_key(call->out, "metrics");
    r = rpc_print_metrics(call, profile, rpc_get_range(call));
    json_out_end_object(call->out);
    return r;
}

static enum rpc_outcome get_profiles_with_states(struct rpc_call *call)
{
    return rpc_print_array(call, methods_profile_print_with_state);
}

static const struct param queue_params[] = {
    NAME,
    {.name = "limit",
     .type = PARAM_INTEGER,
     .min = 1,
     .max = 1000,
     .doc = "Maximum number of tasks, default 100. A reply holds at most 4 MiB of tasks."},
    {.name = "after",
     .type = PARAM_INTEGER,
     .min = 1,
     .max = RPC_ID_MAX,
     .doc = "Id of the last task of the previous page."},
    END,
};

static enum rpc_outcome get_profile_task_queue(struct rpc_call *call)
{
    struct profile *profile = rpc_get_profile(call, "name");
    int64_t after_id = rpc_get_int(call, "after", 0);
    const struct task_page page = {.tasks = (size_t)rpc_get_int(call, "limit", 100),
                                   .bytes = RPC_LIST_BYTES};
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    CLEANUP(task_deinit) struct task after = {0};
    int64_t position = 1;
    int r;

    if (!profile)
        return RPC_ERROR;
    if (after_id) {
        struct engine_pending pending;

        r = engine_get_task(call->engine, after_id, &after);
        if (r < 0)
            return rpc_error_storage(call, r);
        if (r || after.profile_id != profile->id || !task_status_is_waiting(after.status))
            return rpc_error(call, RPC_CONFLICT, "task %lld is not waiting in the queue of \"%s\"",
                             (long long)after_id, profile->config.name);
        r = engine_pending(call->engine, &after, 0, &pending);
        if (r < 0)
            return rpc_error_storage(call, r);
        position = pending.position ? pending.position + 1 : 0;
    }
    json_out_array(call->out, NULL);
    r = engine_list_queue(call->engine, profile, after_id ? &after : NULL, &page, &tasks);
    for (size_t i = 0; i < tasks.count && r >= 0 && call->out->len <= RPC_LIST_BYTES; i++) {
        r = rpc_print_task(call, &tasks.tasks[i], position ? position++ : -1);
    }
    json_out_end_array(call->out);
    return methods_profile_done(call, r < 0 ? r : 0);
}

static const struct param status_params[] = {
    NAME,
    {.name = "isActive",
     .type = PARAM_BOOLEAN,
     .is_required = true,
     .doc = "false pauses the profile: it still accepts tasks but starts none."},
    END,
};

static enum rpc_outcome update_profile_status(struct rpc_call *call)
{
    struct profile *profile = rpc_get_profile(call, "name");
    bool is_active = json_value_get(call->params, "isActive")->is_true;
    int r;

    if (!profile)
        return RPC_ERROR;
    if (profile->is_removed)
        return rpc_error(call, RPC_CONFLICT, "profile \"%s\" is no longer configured",
                         profile->config.name);
    r = engine_set_active(call->engine, profile, is_active);
    if (r < 0)
        return rpc_error_storage(call, r);
    json_out_object(call->out, NULL);
    json_out_bool(call->out, "success", true);
    json_out_key(call->out, "state");
    r = rpc_print_state(call, profile);
    json_out_end_object(call->out);
    return methods_profile_done(call, r);
}

static const struct param best_params[] = {
    {.name = "task",
     .type = PARAM_OBJECT,
     .is_required = true,
     .fields = task_query_params,
     .doc = "The task; only `type`, `capabilities`, `prefers`, `avoid` and `node` matter."},
    END,
};

static enum rpc_outcome get_best_profile_for_task(struct rpc_call *call)
{
    CLEANUP(task_deinit) struct task task = {0};
    CLEANUP(task_params_admission_deinit) struct engine_admission admission = {0};
    CLEANUP(freep) struct router_candidate *candidates = NULL;
    size_t count, fit;

    task_params_admission(json_value_get(call->params, "task"), &task, &admission);
    fit = engine_route(call->engine, &admission, &candidates, &count);
    json_out_object(call->out, NULL);
    json_out_key(call->out, "bestProfile");
    if (fit)
        rpc_print_profile(candidates[0].profile, call->out);
    else
        json_out_null(call->out, NULL);
    engine_print_decision(candidates, count, fit, NULL, call->out);
    json_out_end_object(call->out);
    return RPC_REPLY;
}

#define SHORT_QUEUE 100 /* tasks; an assignment's reply tells the place only up to here */

/* `position` as for rpc_print_task(). */
static enum rpc_outcome methods_profile_reply_assigned(struct rpc_call *call,
                                                       const struct task *task,
                                                       bool is_deduplicated, int64_t position)
{
    int r;

    json_out_object(call->out, NULL);
    json_out_bool(call->out, "success", true);
    if (is_deduplicated)
        json_out_bool(call->out, "deduplicated", true);
    json_out_key(call->out, "task");
    r = rpc_print_task(call, task, position);
    json_out_end_object(call->out);
    return methods_profile_done(call, r);
}

static enum rpc_outcome methods_profile_missing_dependency(struct rpc_call *call,
                                                           const struct engine_admission *admission)
{
    char field[48], reason[64];

    snprintf(field, sizeof(field), "task.dependsOn[%zu]", admission->missing);
    snprintf(reason, sizeof(reason), "task %lld does not exist",
             (long long)admission->depends_on[admission->missing]);
    return rpc_error_field(call, field, reason);
}

static enum rpc_outcome methods_profile_assign(struct rpc_call *call, struct profile *profile,
                                               struct engine_admission *admission)
{
    int r = engine_assign(call->engine, profile, admission);
    const struct task *task = admission->task;

    if (r < 0)
        return rpc_error_storage(call, r);
    switch (r) {
    case 0:
    case ENGINE_DEDUPLICATED:
        return methods_profile_reply_assigned(
            call, task, r == ENGINE_DEDUPLICATED,
            profile_waiting(admission->profile) > SHORT_QUEUE ? -1 : 0);
    case ENGINE_QUEUE_FULL:
        return rpc_error_queue_full(call, profile);
    case ENGINE_TOO_DEEP:
        return rpc_error(call, RPC_FORBIDDEN, "task %lld may not submit tasks: submitDepth is %lld",
                         (long long)task->submitted_by,
                         (long long)engine_settings(call->engine)->submit_depth);
    case ENGINE_NO_NODE:
        return rpc_error(call, RPC_CONFLICT, "profile \"%s\" does not run on node \"%s\"",
                         profile->config.name, admission->request.node);
    case ENGINE_NO_DEPENDENCY:
        return methods_profile_missing_dependency(call, admission);
    default:
        return rpc_error(call, RPC_CONFLICT, "profile \"%s\" has been removed",
                         admission->profile->config.name);
    }
}

static const struct param assign_params[] = {
    {.name = "profileName",
     .alias = "name",
     .type = PARAM_STRING,
     .is_required = true,
     .max_bytes = 256,
     .doc = "Name of the profile."},
    {.name = "task",
     .type = PARAM_OBJECT,
     .is_required = true,
     .fields = task_params,
     .doc = "The task."},
    END,
};

static enum rpc_outcome assign_task_to_profile(struct rpc_call *call)
{
    struct profile *profile = rpc_get_profile(call, "profileName");
    CLEANUP(task_deinit) struct task task = {0};
    CLEANUP(task_params_admission_deinit) struct engine_admission admission = {0};

    if (!profile)
        return RPC_ERROR;
    if (profile->is_removed)
        return rpc_error(call, RPC_CONFLICT, "profile \"%s\" is no longer configured",
                         profile->config.name);
    task_params_admission(json_value_get(call->params, "task"), &task, &admission);
    admission.run = call->peer->run;
    return methods_profile_assign(call, profile, &admission);
}

static const struct param submit_params[] = {
    {.name = "task",
     .type = PARAM_OBJECT,
     .is_required = true,
     .fields = task_params,
     .doc = "The task; it goes to the profile that get_best_profile_for_task would choose."},
    END,
};

static enum rpc_outcome submit_task(struct rpc_call *call)
{
    CLEANUP(task_deinit) struct task task = {0};
    CLEANUP(task_params_admission_deinit) struct engine_admission admission = {0};
    CLEANUP(freep) struct router_candidate *candidates = NULL;
    struct buf routing = {0};
    size_t count, fit;
    int r;

    task_params_admission(json_value_get(call->params, "task"), &task, &admission);
    admission.run = call->peer->run;
    if (task.key) {
        /* The first task with the key counts, wherever the router would send it now. */
        CLEANUP(task_deinit) struct task first = {0};

        r = engine_get_task_by_key(call->engine, task.key, &first);
        if (r < 0)
            return rpc_error_storage(call, r);
        if (r == 0)
            return methods_profile_reply_assigned(call, &first, true, 0);
    }
    fit = engine_route(call->engine, &admission, &candidates, &count);
    if (!fit) {
        for (size_t i = 0; i < count; i++)
            if (candidates[i].is_full)
                return rpc_error_queue_full(call, candidates[i].profile);
        return rpc_error(call, RPC_NOT_FOUND, "no profile fits the task (%s%s%s)",
                         count ? candidates[0].profile->config.name : "none is configured",
                         count ? ": " : "", count ? candidates[0].reason : "");
    }
    json_out_object(&routing, NULL);
    json_out_text(&routing, "bestProfile", candidates[0].profile->config.name);
    engine_print_decision(candidates, count, fit, NULL, &routing);
    json_out_end_object(&routing);
    task.routing = buf_take(&routing);
    return methods_profile_assign(call, candidates[0].profile, &admission);
}

const struct rpc_method rpc_profile_methods[] = {
    {"get_profile_states", "Returns the state of every profile.", no_params,
     SHAPE_ARRAY_OF(shape_profile_state), get_profile_states, .is_reading = true},
    {"get_profile_state", "Returns the state of one profile.", name_params, &shape_profile_state,
     get_profile_state, .is_reading = true},
    {"get_profile_metrics", "Returns the metrics of one profile.", name_range_params,
     &shape_profile_metrics, get_profile_metrics, .is_reading = true},
    {"get_all_profile_metrics", "Returns the metrics of every profile, by name.", range_params,
     SHAPE_MAP_OF(shape_profile_metrics), get_all_profile_metrics, .is_reading = true},
    {"get_profiles_with_states", "Returns every profile with its configuration, state and metrics.",
     range_params, SHAPE_ARRAY_OF(shape_profile_view), get_profiles_with_states,
     .is_reading = true},
    {"get_profile_task_queue",
     "Returns the waiting tasks of a profile in the order in which they will run.", queue_params,
     SHAPE_ARRAY_OF(shape_task), get_profile_task_queue, .is_reading = true},
    {"update_profile_status", "Pauses or resumes a profile.", status_params, &shape_status_change,
     update_profile_status, .is_guarded = true, .is_audited = true},
    {"get_best_profile_for_task", "Returns the best profile for a task and explains the choice.",
     best_params, &shape_best_profile, get_best_profile_for_task, .is_reading = true},
    {"assign_task_to_profile", "Assigns a task to a profile. An acknowledged task is on disk.",
     assign_params, &shape_assignment, assign_task_to_profile},
    {"submit_task", "Assigns a task to the best profile for it.", submit_params, &shape_assignment,
     submit_task},
    {0},
};
