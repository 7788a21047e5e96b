/* SPDX-License-Identifier: MIT */
#include "cover.h"

#include <string.h>

#include "common/alloc.h"
#include "rpc/method.h"
#include "world.h"

static struct cover *total;
static struct cover *calls; /* what each contains, by its id */
static int64_t call_count;

void cover_begin(struct cover *of_all_worlds)
{
    total = of_all_worlds;
}

void cover_end(void)
{
    free(STEAL(calls));
    call_count = 0;
}

static bool cover_has(const struct cover *cover, size_t number)
{
    return cover->bits[number / 64] >> number % 64 & 1;
}

/* Those of the parameters that are given; *number: of the next one of all. */
static void cover_add(const struct param *params, struct json_object *given, size_t *number,
                      struct cover *cover)
{
    for (const struct param *p = params; p->type != PARAM_END; p++) {
        size_t own = (*number)++;
        struct json_object *value = NULL;
        bool is_given = json_object_is_type(given, json_type_object) &&
                        (json_object_object_get_ex(given, p->name, &value) ||
                         (p->alias && json_object_object_get_ex(given, p->alias, &value)));

        EXPECT(own < COVER_MAX);
        cover->bits[own / 64] |= (uint64_t)(is_given && (value || p->takes_null)) << own % 64;
        if (p->type == PARAM_OBJECT)
            cover_add(p->fields, value, number, cover);
    }
}

void cover_sent(int64_t id, struct json_object *request)
{
    const char *name = json_get_string(request, "method");
    struct cover *call;
    size_t number = 0;

    if (id >= call_count) {
        calls = xrealloc(calls, ((size_t)id + 1) * sizeof(*calls));
        memset(&calls[call_count], 0, (size_t)(id + 1 - call_count) * sizeof(*calls));
        call_count = id + 1;
    }
    call = &calls[id];
    for (size_t i = 0; rpc_method_tables[i]; i++)
        for (const struct rpc_method *method = rpc_method_tables[i]; method->name; method++)
            cover_add(method->params,
                      name && strcmp(name, method->name) == 0 ? json_get(request, "params") : NULL,
                      &number, call);
}

void cover_take(int64_t id, struct json_object *reply)
{
    for (size_t i = 0; json_get(reply, "result") && id < call_count && i < COVER_MAX / 64; i++)
        total->bits[i] |= calls[id].bits[i];
}

static size_t cover_tell(const char *path, const struct param *params, size_t *number,
                         const struct cover *cover, bool is_quiet)
{
    size_t missing = 0;

    for (const struct param *p = params; p->type != PARAM_END; p++) {
        CLEANUP(freep) char *name = xasprintf("%s %s", path, p->name);
        bool is_missing = !cover_has(cover, (*number)++);

        if (is_missing && !is_quiet)
            printf("%s is never taken\n", name);
        missing += is_missing;
        if (p->type == PARAM_OBJECT)
            missing += cover_tell(name, p->fields, number, cover, is_quiet);
    }
    return missing;
}

size_t cover_missing(const struct cover *cover, bool is_quiet)
{
    size_t number = 0, missing = 0;

    for (size_t i = 0; rpc_method_tables[i]; i++)
        for (const struct rpc_method *method = rpc_method_tables[i]; method->name; method++) {
            bool is_refused = strcmp(method->name, "retire_node") == 0; /* the node is alone */
            size_t of_method =
                cover_tell(method->name, method->params, &number, cover, is_quiet || is_refused);

            missing += is_refused ? 0 : of_method;
        }
    return missing;
}
