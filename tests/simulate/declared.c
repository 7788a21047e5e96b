/* SPDX-License-Identifier: MIT */
#include "declared.h"

#include <string.h>

#include "common/json_out.h"
#include "draw.h"
#include "rpc/method.h"
#include "setting.h"
#include "world.h"

#define HIGH 1000 /* ids of no task: so many below the highest one */

/* --- which method -------------------------------------------------------------------------------
 */

static const struct rpc_method *declared_find(uint64_t lot)
{
    size_t number = lot % rpc_method_count();

    for (size_t i = 0; rpc_method_tables[i]; i++)
        for (const struct rpc_method *method = rpc_method_tables[i]; method->name; method++)
            if (!number--)
                return method;
    return NULL;
}

/* subscribe would mix events with the replies, which watch.c is for. */
static bool declared_may_read(const struct rpc_method *method)
{
    return method->is_reading && strcmp(method->name, "subscribe") != 0 &&
           (strcmp(method->name, "rpc.discover") != 0 || world_one_in(20));
}

static bool declared_may_go_astray(const struct rpc_method *method)
{
    return !method->is_reading && method->params->type != PARAM_END;
}

static bool declared_may_be_wrong(const struct rpc_method *method UNUSED)
{
    return true;
}

static const struct rpc_method *declared_choose(bool (*may_be)(const struct rpc_method *method),
                                                struct buf *out)
{
    const struct rpc_method *method;

    do
        method = declared_find(world_below(1000));
    while (!may_be(method));
    json_out_text(out, "method", method->name);
    return method;
}

/* --- its parameters -----------------------------------------------------------------------------
 */

static uint64_t declared_lot(void)
{
    return world_below(UINT64_MAX);
}

/* Of what exists, perhaps. */
static void declared_print_plausible(const struct param *param, struct buf *out)
{
    uint64_t lot = declared_lot();

    switch (param->type) {
    case PARAM_STRING:
    case PARAM_WORD:
        json_out_text(out, NULL, setting_profiles[world_below(SETTING_PROFILES)].name);
        break;
    case PARAM_WORDS:
        json_out_raw(out, NULL, "[\"w\",\"a\"]");
        break;
    case PARAM_INTEGER:
        json_out_int(out, NULL, (int64_t)param->min + (int64_t)world_below(3));
        break;
    default:
        draw_valid(param, &lot, out);
    }
}

static void declared_print_any(const struct param *param, struct buf *out)
{
    uint64_t lot = declared_lot();

    if (world_one_in(2))
        declared_print_plausible(param, out);
    else
        draw_valid(param, &lot, out);
}

static void declared_print_unknown(const struct param *param, struct buf *out)
{
    uint64_t lot = declared_lot();

    if (param->type == PARAM_INTEGER)
        json_out_int(out, NULL, (int64_t)param->max - (int64_t)world_below(HIGH));
    else
        draw_valid(param, &lot, out);
}

/* By name, by another name, or by position. */
static void declared_print_params(const struct param *params,
                                  void (*print)(const struct param *param, struct buf *out),
                                  struct buf *out)
{
    bool is_array = world_one_in(8);

    json_out_key(out, "params");
    buf_add_char(out, is_array ? '[' : '{');
    for (const struct param *p = params; p->type != PARAM_END; p++) {
        bool is_given = p->is_required || world_one_in(2);

        if (is_given && !is_array)
            json_out_key(out, p->alias && world_one_in(4) ? p->alias : p->name);
        if (is_given)
            print(p, out);
        else if (is_array || world_one_in(8))
            json_out_null(out, is_array ? NULL : p->name);
    }
    buf_add_char(out, is_array ? ']' : '}');
}

void declared_print_reading(struct buf *out)
{
    declared_print_params(declared_choose(declared_may_read, out)->params, declared_print_any, out);
}

void declared_print_astray(struct buf *out)
{
    declared_print_params(declared_choose(declared_may_go_astray, out)->params,
                          declared_print_unknown, out);
}

void declared_print_wrong(struct buf *out)
{
    const struct param *params = declared_choose(declared_may_be_wrong, out)->params;
    uint64_t lot = declared_lot();
    size_t count = 0, wrong;

    while (params[count].type != PARAM_END)
        count++;
    wrong = world_below(count + 1); /* `count`: an unknown one */
    json_out_object(out, "params");
    for (size_t i = 0; i < count; i++) {
        bool is_missing = i == wrong && params[i].is_required && world_one_in(8);

        if (is_missing || (i != wrong && !params[i].is_required && world_one_in(2)))
            continue;
        json_out_key(out, params[i].name);
        if (i == wrong)
            draw_invalid(&params[i], &lot, out);
        else
            draw_valid(&params[i], &lot, out);
    }
    if (wrong == count)
        json_out_bool(out, "nothing of the kind", true);
    json_out_end_object(out);
}
