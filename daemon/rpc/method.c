/* SPDX-License-Identifier: MIT */
/* All methods, and rpc.discover. */
#include <string.h>

#include "common/json_out.h"
#include "rpc/method.h"

#define METHODS_MAX 64

static enum rpc_outcome method_discover(struct rpc_call *call);

static const struct param no_params[] = {{.type = PARAM_END}};

static const struct rpc_method own_methods[] = {
    {"rpc.discover",
     "Returns this document: every method with its parameters and result, as OpenRPC.", no_params,
     &shape_object, method_discover, .is_reading = true},
    {0},
};

const struct rpc_method *const rpc_method_tables[] = {
    rpc_profile_methods, rpc_task_methods,   rpc_metrics_methods, rpc_permission_methods,
    rpc_worker_methods,  rpc_system_methods, own_methods,         NULL,
};

/* All of them, sorted by name; filled when it is first asked for. */
static struct {
    const struct rpc_method *methods[METHODS_MAX];
    size_t count;
} sorted;

static int method_compare(const void *a, const void *b)
{
    const struct rpc_method *const *one = a, *const *other = b;

    return strcmp((*one)->name, (*other)->name);
}

static void method_sort(void)
{
    if (sorted.count)
        return;
    for (size_t i = 0; rpc_method_tables[i]; i++) {
        for (const struct rpc_method *m = rpc_method_tables[i]; m->name; m++) {
            if (sorted.count == METHODS_MAX)
                abort();
            sorted.methods[sorted.count++] = m;
        }
    }
    qsort(sorted.methods, sorted.count, sizeof(sorted.methods[0]), method_compare);
}

static const struct rpc_method **method_search(const char *name)
{
    const struct rpc_method wanted = {.name = name}, *key = &wanted;

    method_sort();
    return bsearch(&key, sorted.methods, sorted.count, sizeof(sorted.methods[0]), method_compare);
}

const struct rpc_method *rpc_method_find(const char *name)
{
    const struct rpc_method **found = method_search(name);

    return found ? *found : NULL;
}

size_t rpc_method_number(const struct rpc_method *method)
{
    return (size_t)(method_search(method->name) - sorted.methods);
}

size_t rpc_method_count(void)
{
    method_sort();
    return sorted.count;
}

static void method_print_method(const struct rpc_method *method, const struct settings *settings,
                                struct buf *out)
{
    json_out_object(out, NULL);
    json_out_text(out, "name", method->name);
    json_out_text(out, "summary", method->summary);
    json_out_text(out, "x-role", role_name(method->is_reading ? ROLE_READ : ROLE_OPERATE));
    json_out_text(out, "paramStructure", "either");
    json_out_array(out, "params");
    for (const struct param *p = method->params; p->type != PARAM_END; p++) {
        json_out_object(out, NULL);
        json_out_text(out, "name", p->name);
        if (p->alias)
            json_out_text(out, "x-alias", p->alias);
        json_out_bool(out, "required", p->is_required);
        json_out_key(out, "schema");
        param_print_schema(p, settings, out);
        json_out_end_object(out);
    }
    json_out_end_array(out);
    json_out_object(out, "result");
    json_out_text(out, "name", "result");
    json_out_key(out, "schema");
    shape_print(method->result, out);
    json_out_end_object(out);
    json_out_end_object(out);
}

/* The methods; *ret_shapes are those of their results. */
static void method_print_methods(const struct settings *settings, struct buf *out,
                                 struct shape_list *ret_shapes)
{
    json_out_array(out, "methods");
    for (size_t i = 0; rpc_method_tables[i]; i++) {
        for (const struct rpc_method *m = rpc_method_tables[i]; m->name; m++) {
            method_print_method(m, settings, out);
            shape_list_add(ret_shapes, m->result);
        }
    }
    json_out_end_array(out);
}

void rpc_print_document(const struct settings *settings, struct buf *out)
{
    CLEANUP(shape_list_deinit) struct shape_list shapes = {0};

    json_out_object(out, NULL);
    json_out_text(out, "openrpc", "1.2.6");
    json_out_object(out, "info");
    json_out_text(out, "title", "acpd");
    json_out_text(out, "version", ACPD_VERSION);
    json_out_end_object(out);
    method_print_methods(settings, out, &shapes);
    shape_list_add(&shapes, &shape_event);
    shape_list_add(&shapes, &shape_error);
    json_out_array(out, "x-notifications");
    json_out_object(out, NULL);
    json_out_text(out, "name", "event");
    json_out_key(out, "params");
    shape_print(&shape_event, out);
    json_out_end_object(out);
    json_out_end_array(out);
    json_out_object(out, "components");
    json_out_key(out, "schemas");
    shape_list_print(&shapes, out);
    json_out_end_object(out);
    json_out_end_object(out);
}

static enum rpc_outcome method_discover(struct rpc_call *call)
{
    rpc_print_document(engine_settings(call->engine), call->out);
    return RPC_REPLY;
}
