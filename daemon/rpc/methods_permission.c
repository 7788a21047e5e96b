/* SPDX-License-Identifier: MIT */
/* Agents' questions, and their answers. */
#include <stdio.h>

#include "common/json_out.h"
#include "rpc/method.h"

#define END                                                                                        \
    {                                                                                              \
        .type = PARAM_END                                                                          \
    }

static const struct param no_params[] = {END};

static enum rpc_outcome list_permissions(struct rpc_call *call)
{
    int r = engine_print_permissions(call->engine, RPC_LIST_BYTES, call->out);

    return r < 0 ? rpc_error_storage(call, r) : RPC_REPLY;
}

static const struct param answer_params[] = {
    {.name = "id",
     .type = PARAM_STRING,
     .is_required = true,
     .max_bytes = 64,
     .doc = "Id of the request."},
    {.name = "optionId",
     .type = PARAM_STRING,
     .is_required = true,
     .max_bytes = 1024,
     .doc = "One of the options offered by the agent."},
    END,
};

static enum rpc_outcome answer_permission(struct rpc_call *call)
{
    const char *id = json_value_get_text(call->params, "id");
    const char *option = json_value_get_text(call->params, "optionId");
    char by[64];
    int r;

    snprintf(by, sizeof(by), "user %u, process %d", (unsigned)call->peer->uid,
             (int)call->peer->pid);
    r = engine_answer_permission(call->engine, id, option, by);
    if (r < 0)
        return rpc_error_storage(call, r);
    if (r == ENGINE_NOT_FOUND)
        return rpc_error(call, RPC_NOT_FOUND, "permission \"%s\" not found, or no longer open", id);
    if (r == ENGINE_NO_OPTION)
        return rpc_error_field(call, "optionId", "must be one of the offered options");
    if (r)
        return rpc_error(call, RPC_CONFLICT, "permission \"%s\" has been answered", id);
    json_out_object(call->out, NULL);
    json_out_bool(call->out, "success", true);
    json_out_end_object(call->out);
    return RPC_REPLY;
}

const struct rpc_method rpc_permission_methods[] = {
    {"list_permissions", "Lists the open permission requests of agents.", no_params,
     SHAPE_ARRAY_OF(shape_permission), list_permissions, .is_reading = true},
    {"answer_permission", "Answers a permission request.", answer_params, &shape_success,
     answer_permission, .is_guarded = true, .is_audited = true},
    {0},
};
