/* SPDX-License-Identifier: MIT */
/* All the methods, and what they say of themselves. */
#include <string.h>

#include "rpc/method.h"

static enum rpc_outcome discover(struct rpc_call *call);

static const struct param no_params[] = {{.type = PARAM_END}};

static const struct rpc_method own_methods[] = {
    {"rpc.discover",
     "Returns this document: every method with its parameters and result, as OpenRPC.", no_params,
     &shape_object, discover, .is_reading = true},
    {0},
};

const struct rpc_method *const rpc_method_tables[] = {
    rpc_profile_methods, rpc_task_methods,   rpc_metrics_methods, rpc_permission_methods,
    rpc_worker_methods,  rpc_system_methods, own_methods,         NULL,
};

const struct rpc_method *rpc_method_find(const char *name)
{
    for (size_t i = 0; rpc_method_tables[i]; i++)
        for (const struct rpc_method *m = rpc_method_tables[i]; m->name; m++)
            if (strcmp(m->name, name) == 0)
                return m;
    return NULL;
}

static void print_method(const struct rpc_method *method, const struct settings *settings,
                         struct buf *out)
{
    buf_printf(out, "{\"name\":\"%s\",\"summary\":", method->name);
    buf_add_json_text(out, method->summary);
    buf_printf(out, ",\"x-role\":\"%s\",\"paramStructure\":\"either\",\"params\":[",
               role_name(method->is_reading ? ROLE_READ : ROLE_OPERATE));
    for (const struct param *p = method->params; p->type != PARAM_END; p++) {
        buf_printf(out, "%s{\"name\":\"%s\",", p == method->params ? "" : ",", p->name);
        if (p->alias)
            buf_printf(out, "\"x-alias\":\"%s\",", p->alias);
        buf_printf(out, "\"required\":%s,\"schema\":", p->is_required ? "true" : "false");
        param_print_schema(p, settings, out);
        buf_add_char(out, '}');
    }
    buf_add_text(out, "],\"result\":{\"name\":\"result\",\"schema\":");
    shape_print(method->result, out);
    buf_add_text(out, "}}");
}

void rpc_print_document(const struct settings *settings, struct buf *out)
{
    CLEANUP(shape_list_deinit) struct shape_list shapes = {0};
    const char *separator = "";

    buf_add_text(out, "{\"openrpc\":\"1.2.6\",\"info\":{\"title\":\"acpd\",\"version\":"
                      "\"" ACPD_VERSION "\"},\"methods\":[");
    for (size_t i = 0; rpc_method_tables[i]; i++) {
        for (const struct rpc_method *m = rpc_method_tables[i]; m->name; m++) {
            buf_add_text(out, separator);
            print_method(m, settings, out);
            shape_list_add(&shapes, m->result);
            separator = ",";
        }
    }
    shape_list_add(&shapes, &shape_event);
    shape_list_add(&shapes, &shape_error);
    buf_add_text(out, "],\"x-notifications\":[{\"name\":\"event\",\"params\":");
    shape_print(&shape_event, out);
    buf_add_text(out, "}],\"components\":{\"schemas\":");
    shape_list_print(&shapes, out);
    buf_add_text(out, "}}");
}

static enum rpc_outcome discover(struct rpc_call *call)
{
    rpc_print_document(engine_settings(call->engine), call->out);
    return RPC_REPLY;
}
