/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <string.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "model.h"
#include "question.h"
#include "rpc/method.h"
#include "setting.h"
#include "spec.h"
#include "world.h"

#define SOON_MS       60000
#define NOTIFICATIONS 60 /* one request in as many */

/* --- what a call is about -----------------------------------------------------------------------
 */

static bool request_choose_task(struct request *request)
{
    request->task_id = model_pick();
    return request->task_id != 0;
}

static bool request_choose_lease(struct request *request)
{
    request->task_id = model_pick_held(request->token);
    return request->task_id != 0;
}

/* Often what a worker has. */
static bool request_choose_cancel(struct request *request)
{
    char token[TOKEN_SIZE];

    request->task_id = world_one_in(2) ? model_pick_held(token) : 0;
    return request->task_id || request_choose_task(request);
}

static bool request_choose_retry(struct request *request)
{
    request->task_id = world_one_in(3) ? 0 : model_pick_failed();
    return request->task_id || request_choose_task(request);
}

/* A new task, or an old one's key again. */
static bool request_choose_key(struct request *request)
{
    request->key = world_one_in(10) ? 1 + (int64_t)world_below((uint64_t)request->id) : request->id;
    for (size_t i = 0; i < DEPENDS_ON; i++)
        request->depends_on[i] = world_one_in(8) ? model_pick() : 0;
    if (request->depends_on[1] == request->depends_on[0])
        request->depends_on[1] = 0;
    if (world_one_in(8))
        request->run_at = world_wall_ms() + (int64_t)world_below(SOON_MS);
    return true;
}

static bool request_choose_failure(struct request *request)
{
    static const enum error_class classes[] = {ERROR_EXIT,       ERROR_EXIT,    ERROR_RATE_LIMIT,
                                               ERROR_REFUSAL,    ERROR_INVALID, ERROR_LIMIT,
                                               ERROR_UNAVAILABLE};

    request->class = classes[world_below(ARRAY_SIZE(classes))];
    return request_choose_lease(request);
}

static bool request_choose_change(struct request *request)
{
    request->change = (enum change)world_below(CHANGE_COUNT);
    switch (request->change) {
    case CHANGE_PRIORITY:
        request->value = (int64_t)world_below(PRIORITY_COUNT);
        break;
    case CHANGE_PROFILE:
        request->value = (int64_t)request->profile;
        break;
    case CHANGE_RUN_AT:
    case CHANGE_COUNT:
        request->value =
            world_one_in(3) ? 0 : world_wall_ms() + (int64_t)world_below(SOON_MS) - SOON_MS / 10;
    }
    return request_choose_task(request);
}

static bool request_choose_lease_length(struct request *request)
{
    static const int64_t lengths[] = {0, 0, 0, 10000, 60000};

    request->lease_ms = lengths[world_below(ARRAY_SIZE(lengths))];
    return true;
}

static bool request_choose_status(struct request *request)
{
    request->is_active = !world_one_in(4);
    return true;
}

static bool request_choose_question(struct request *request)
{
    request->is_yes = world_one_in(2);
    return question_pick(request->token);
}

/* --- its parameters -----------------------------------------------------------------------------
 */

static void request_print_id(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"id\":%lld}", (long long)request->task_id);
}

static void request_print_time(const char *name, int64_t wall_ms, struct buf *out)
{
    char at[CLOCK_ISO_SIZE];

    clock_format_iso(wall_ms, at);
    buf_printf(out, "\"%s\":\"%s\"", name, at);
}

static void request_print_task(const struct request *request, struct buf *out)
{
    const char *comma = "";

    buf_add_char(out, '{');
    spec_print(request->key, out);
    if (request->run_at) {
        buf_add_char(out, ',');
        request_print_time("runAt", request->run_at, out);
    }
    buf_add_text(out, ",\"dependsOn\":[");
    for (size_t i = 0; i < DEPENDS_ON; i++) {
        if (!request->depends_on[i])
            continue;
        buf_printf(out, "%s%lld", comma, (long long)request->depends_on[i]);
        comma = ",";
    }
    buf_add_text(out, "]}");
}

static void request_print_assign(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"name\":\"%s\",\"task\":", setting_profiles[request->profile].name);
    request_print_task(request, out);
    buf_add_char(out, '}');
}

static void request_print_submit(const struct request *request, struct buf *out)
{
    buf_add_text(out, "{\"task\":");
    request_print_task(request, out);
    buf_add_char(out, '}');
}

static void request_print_claim(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"profiles\":[%s],\"worker\":\"x\",\"wait\":%d",
               request->id % 2 ? "\"w\",\"v\"" : "\"w\"", request->may_wait ? 5 : 0);
    if (request->lease_ms)
        buf_printf(out, ",\"lease\":%lld", (long long)request->lease_ms / 1000);
    buf_add_char(out, '}');
}

static void request_print_complete(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"id\":%lld,\"lease\":\"%s\",\"result\":%lld}", (long long)request->task_id,
               request->token, (long long)request->task_id);
}

static void request_print_fail(const struct request *request, struct buf *out)
{
    buf_printf(out,
               "{\"id\":%lld,\"lease\":\"%s\",\"error\":{\"message\":\"no\",\"class\":\"%s\"}}",
               (long long)request->task_id, request->token, error_class_info(request->class)->name);
}

static void request_print_extend(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"id\":%lld,\"lease\":\"%s\"}", (long long)request->task_id, request->token);
}

static void request_print_update(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"id\":%lld,", (long long)request->task_id);
    switch (request->change) {
    case CHANGE_PRIORITY:
        buf_printf(out, "\"priority\":\"%s\"",
                   task_priority_name((enum task_priority)request->value));
        break;
    case CHANGE_PROFILE:
        buf_printf(out, "\"profile\":\"%s\"", setting_profiles[request->value].name);
        break;
    case CHANGE_RUN_AT:
    case CHANGE_COUNT:
        if (request->value)
            request_print_time("runAt", request->value, out);
        else
            buf_add_text(out, "\"runAt\":null");
    }
    buf_add_char(out, '}');
}

static void request_print_limit(const struct request *request UNUSED, struct buf *out)
{
    buf_add_text(out, "{\"limit\":5}");
}

static void request_print_queue(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"name\":\"%s\",\"limit\":3}", setting_profiles[request->profile].name);
}

static void request_print_nothing(const struct request *request UNUSED, struct buf *out)
{
    buf_add_text(out, "{}");
}

static void request_print_answer(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"id\":\"%s\",\"optionId\":\"%s\"}", request->token,
               request->is_yes ? "yes" : "no");
}

static void request_print_status(const struct request *request, struct buf *out)
{
    buf_printf(out, "{\"name\":\"%s\",\"isActive\":%s}", setting_profiles[request->profile].name,
               request->is_active ? "true" : "false");
}

/* --- parameters from the declarations of the methods --------------------------------------------
 */

static void request_print_any(const struct param *param, struct buf *out)
{
    size_t count = 0;

    switch (param->type) {
    case PARAM_STRING:
    case PARAM_WORD:
        json_out_text(out, param->name, setting_profiles[world_below(SETTING_PROFILES)].name);
        break;
    case PARAM_WORDS:
        json_out_raw(out, param->name, world_one_in(2) ? "[]" : "[\"w\",\"a\"]");
        break;
    case PARAM_IDS:
        json_out_raw(out, param->name, "[1]");
        break;
    case PARAM_INTEGER:
    case PARAM_NUMBER:
        json_out_int(out, param->name,
                     (int64_t)param->min + (int64_t)world_below(world_one_in(2) ? 3 : 100));
        break;
    case PARAM_BOOLEAN:
        json_out_bool(out, param->name, world_one_in(2));
        break;
    case PARAM_TIME:
        json_out_time(out, param->name, world_wall_ms() + (int64_t)world_below(SOON_MS));
        break;
    case PARAM_ENUM:
        while (param->values[count])
            count++;
        json_out_text(out, param->name, param->values[world_below(count)]);
        break;
    case PARAM_OBJECT:
        json_out_object(out, param->name);
        for (const struct param *field = param->fields; field->type != PARAM_END; field++)
            if (field->is_required || world_one_in(3))
                request_print_any(field, out);
        json_out_end_object(out);
        break;
    case PARAM_TEXTS:
        json_out_raw(out, param->name, world_one_in(2) ? "{}" : "{\"thought_level\":\"low\"}");
        break;
    case PARAM_ANY:
        json_out_raw(out, param->name, world_one_in(2) ? "null" : "[{\"a\":\"\\u00e9\"},1e3]");
        break;
    case PARAM_END:
        break;
    }
}

static const struct rpc_method *request_find_method(uint64_t lot)
{
    size_t number = lot % rpc_method_count();

    for (size_t i = 0; rpc_method_tables[i]; i++)
        for (const struct rpc_method *method = rpc_method_tables[i]; method->name; method++)
            if (!number--)
                return method;
    return NULL;
}

/* subscribe would mix events with the replies, which watch.c is for. */
static const struct rpc_method *request_choose_method(bool is_reading)
{
    const struct rpc_method *method;

    do
        method = request_find_method(world_below(1000));
    while (strcmp(method->name, "subscribe") == 0 || (is_reading && !method->is_reading) ||
           (is_reading && strcmp(method->name, "rpc.discover") == 0 && !world_one_in(20)));
    return method;
}

static void request_print_declared(bool is_right, struct buf *out)
{
    const struct rpc_method *method = request_choose_method(is_right);

    json_out_text(out, "method", method->name);
    json_out_object(out, "params");
    for (const struct param *param = method->params; param->type != PARAM_END; param++)
        if (is_right && (param->is_required || world_one_in(2)))
            request_print_any(param, out);
    if (!is_right && method->params->type != PARAM_END && world_one_in(2))
        json_out_raw(out, method->params->name, "[[]]"); /* no parameter is like this */
    else if (!is_right)
        json_out_bool(out, "nothing of the kind", true);
    json_out_end_object(out);
}

/* --- the table ----------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    unsigned weight;
    bool (*choose)(
        struct request *request); /* NULL: it is about nothing; false: there is nothing */
    /* Its parameters; NULL: the method, too, is drawn from the declarations. */
    void (*print)(const struct request *request, struct buf *out);
} methods[METHOD_COUNT] = {
    [METHOD_ASSIGN] = {"assign_task_to_profile", 32, request_choose_key, request_print_assign},
    [METHOD_SUBMIT] = {"submit_task", 4, request_choose_key, request_print_submit},
    [METHOD_CLAIM] = {"claim_task", 32, request_choose_lease_length, request_print_claim},
    [METHOD_COMPLETE] = {"complete_task", 24, request_choose_lease, request_print_complete},
    [METHOD_FAIL] = {"fail_task", 16, request_choose_failure, request_print_fail},
    [METHOD_EXTEND] = {"extend_lease", 20, request_choose_lease, request_print_extend},
    [METHOD_CANCEL] = {"cancel_task", 8, request_choose_cancel, request_print_id},
    [METHOD_RETRY] = {"retry_task", 8, request_choose_retry, request_print_id},
    [METHOD_UPDATE] = {"update_task", 8, request_choose_change, request_print_update},
    [METHOD_GET] = {"get_task", 10, request_choose_task, request_print_id},
    [METHOD_LIST] = {"list_tasks", 8, NULL, request_print_limit},
    [METHOD_QUEUE] = {"get_profile_task_queue", 4, NULL, request_print_queue},
    [METHOD_PERMISSIONS] = {"list_permissions", 4, NULL, request_print_nothing},
    [METHOD_ANSWER] = {"answer_permission", 10, request_choose_question, request_print_answer},
    [METHOD_STATUS] = {"update_profile_status", 3, request_choose_status, request_print_status},
    [METHOD_READING] = {"(reading)", 6, NULL, NULL},
    [METHOD_WRONG] = {"(wrong)", 4, NULL, NULL},
    [METHOD_NOISE] = {"(noise)", 2, NULL, NULL},
};

static enum method request_draw(void)
{
    struct world_row rows[METHOD_COUNT];

    for (size_t i = 0; i < METHOD_COUNT; i++) {
        rows[i] = (struct world_row){methods[i].name, methods[i].weight};
        EXPECT(rows[i].weight, "method %zu has no row", i);
    }
    return (enum method)world_draw(rows, METHOD_COUNT);
}

void request_make(struct request *ret_request, int64_t id, bool is_batched)
{
    struct request request = {
        .method = request_draw(),
        .id = id,
        .sent_at = world_mono_ms(),
        .is_batched = is_batched,
        .profile = world_below(SETTING_PROFILES),
    };

    if (methods[request.method].choose && !methods[request.method].choose(&request))
        request.method = METHOD_LIST;
    request.is_notification = request.method != METHOD_NOISE && world_one_in(NOTIFICATIONS);
    request.may_wait = request.method == METHOD_CLAIM && !is_batched && world_one_in(3);
    *ret_request = request;
}

int64_t request_id_of_reply(const struct request *request)
{
    return request->method == METHOD_NOISE ? 0 : request->id;
}

/* Within a batch it must be JSON, at least. */
static void request_print_noise(bool is_batched, struct buf *out)
{
    static const char *const noises[] = {"7", "\"x\"", "null", "{}", "[]", "{", "[1,]", "\xff"};

    if (is_batched)
        json_out_raw(out, NULL, noises[world_below(4)]);
    else
        buf_add_text(out, noises[world_below(ARRAY_SIZE(noises))]);
}

void request_print(const struct request *request, struct buf *out)
{
    if (request->method == METHOD_NOISE) {
        request_print_noise(request->is_batched, out);
        return;
    }
    json_out_object(out, NULL);
    json_out_text(out, "jsonrpc", "2.0");
    if (!request->is_notification)
        json_out_int(out, "id", request->id);
    if (methods[request->method].print) {
        json_out_text(out, "method", methods[request->method].name);
        json_out_key(out, "params");
        methods[request->method].print(request, out);
    } else {
        request_print_declared(request->method == METHOD_READING, out);
    }
    json_out_end_object(out);
}
