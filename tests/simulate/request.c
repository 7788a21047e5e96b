/* SPDX-License-Identifier: MIT */
#include "request.h"

#include <string.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "declared.h"
#include "draw.h"
#include "model.h"
#include "question.h"
#include "rpc/method.h"
#include "setting.h"
#include "spec.h"
#include "world.h"

#define SOON_MS        60000
#define NOTIFICATIONS  60 /* one request in as many */
#define RARELY         16 /* a value of the whole declared range, instead of a usual one */
#define WORDS_MAX      64
#define NAME_MAX       256
#define OPTION_MAX     1024
#define START_OF_TIMES INT64_C(1767225600000) /* of the simulation, about */

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

/* A number that the method's declaration allows. */
static double request_draw_number(const char *method, const char *param)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    uint64_t lot = world_below(UINT64_MAX);

    draw_valid(draw_find(rpc_method_find(method)->params, param), &lot, &text);
    return strtod(buf_text(&text), NULL);
}

/* Soon, or whenever a time can be. */
static int64_t request_draw_time(void)
{
    static const int64_t times[] = {INT64_C(-62167219200000), -1, 1, /* the year 0 */
                                    INT64_C(253402300799999) /* the end of the year 9999 */};

    return world_one_in(RARELY) ? times[world_below(ARRAY_SIZE(times))]
                                : world_wall_ms() + (int64_t)world_below(SOON_MS) - SOON_MS / 10;
}

/* A few, or as many as there may be; an id may be there twice. */
static void request_choose_dependencies(struct request *request)
{
    bool are_many = world_one_in(8 * RARELY);

    for (size_t i = 0; i < (are_many ? DEPENDS_ON : 2); i++) {
        int64_t id = are_many || world_one_in(8) ? model_pick() : 0;

        if (id)
            request->depends_on[request->depends_on_count++] = id;
    }
}

/* A new task, or an old one's key again. */
static bool request_choose_key(struct request *request)
{
    request->key = world_one_in(10) ? 1 + (int64_t)world_below((uint64_t)request->id) : request->id;
    request_choose_dependencies(request);
    if (world_one_in(8))
        request->run_at = request_draw_time();
    return true;
}

static bool request_choose_failure(struct request *request)
{
    static const enum error_class classes[] = {
        ERROR_EXIT,    ERROR_EXIT,    ERROR_EXIT,  ERROR_EXIT,        ERROR_RATE_LIMIT,
        ERROR_REFUSAL, ERROR_INVALID, ERROR_LIMIT, ERROR_UNAVAILABLE, ERROR_AUTH};

    request->class = classes[world_below(ARRAY_SIZE(classes))];
    return request_choose_lease(request);
}

/* One thing, or several at once, or none. */
static bool request_choose_change(struct request *request)
{
    bool are_any = world_one_in(4);

    request->changes[world_below(CHANGE_COUNT)] = !are_any;
    for (size_t i = 0; i < CHANGE_COUNT; i++)
        request->changes[i] |= are_any && world_one_in(2);
    request->values[CHANGE_PRIORITY] = (int64_t)world_below(PRIORITY_COUNT);
    request->values[CHANGE_PROFILE] = (int64_t)request->profile;
    request->values[CHANGE_RUN_AT] = world_one_in(3) ? 0 : request_draw_time();
    return request_choose_task(request);
}

static bool request_choose_claim(struct request *request)
{
    static const double lengths[] = {0, 0, 0, 10, 60};

    request->lease = world_one_in(RARELY) ? request_draw_number("claim_task", "lease")
                                          : lengths[world_below(ARRAY_SIZE(lengths))];
    request->wait = world_one_in(RARELY) ? request_draw_number("claim_task", "wait") : 5;
    do
        request->profiles = (unsigned)world_below(UINT64_C(1) << SETTING_PROFILES);
    while (!request->profiles);
    for (size_t i = 0; i < SETTING_PROFILES && !world_one_in(RARELY); i++)
        if (setting_profiles[i].kind != SETTING_WORKER)
            request->profiles &= ~(1u << i);
    if (!request->profiles)
        request->profiles = 1u << setting_find("w");
    return true;
}

/* From its start, or after a task that waits in it. */
static bool request_choose_page(struct request *request)
{
    request->task_id = world_one_in(2) ? model_pick_waiting(&request->profile) : 0;
    return true;
}

static bool request_choose_status(struct request *request)
{
    request->is_active = !world_one_in(4);
    return true;
}

static bool request_choose_question(struct request *request)
{
    request->answer =
        world_one_in(4) ? (enum answer)world_below(ANSWER_COUNT) : (enum answer)world_below(2);
    return question_pick(request->token);
}

/* --- its parameters -----------------------------------------------------------------------------
 */

/* By name, or by position. */
static void request_print_id(const struct request *request, struct buf *out)
{
    buf_printf(out, request->id % 8 ? "{\"id\":%lld}" : "[%lld]", (long long)request->task_id);
}

/* In one of the time zones. */
static void request_print_time(const char *name, int64_t wall_ms, struct buf *out)
{
    char at[CLOCK_ISO_SIZE + 8];
    bool is_far = wall_ms < 0 || wall_ms > 2 * START_OF_TIMES;

    clock_format_iso(is_far || wall_ms % 2 ? wall_ms : wall_ms + 9 * 3600000, at);
    if (!is_far && wall_ms % 2 == 0)
        strcpy(strchr(at, 'Z'), "+09:00");
    json_out_text(out, name, at);
}

static void request_print_task(const struct request *request, struct buf *out)
{
    json_out_object(out, "task");
    spec_print(request->key, out);
    if (request->run_at)
        request_print_time("runAt", request->run_at, out);
    json_out_array(out, "dependsOn");
    for (size_t i = 0; i < request->depends_on_count; i++)
        json_out_int(out, NULL, request->depends_on[i]);
    json_out_end_array(out);
    json_out_end_object(out);
}

/* Of the profile, by either name of the parameter. */
static void request_print_name(const struct request *request, struct buf *out)
{
    json_out_object(out, NULL);
    json_out_text(out, request->id % 2 ? "name" : "profileName",
                  setting_profiles[request->profile].name);
}

static void request_print_assign(const struct request *request, struct buf *out)
{
    request_print_name(request, out);
    request_print_task(request, out);
    json_out_end_object(out);
}

static void request_print_submit(const struct request *request, struct buf *out)
{
    json_out_object(out, NULL);
    request_print_task(request, out);
    json_out_end_object(out);
}

/* The profiles may be named more than once. */
static void request_print_claim(const struct request *request, struct buf *out)
{
    size_t count = 0, least = request->id % RARELY ? 1 : WORDS_MAX - SETTING_PROFILES;
    int width = request->id % RARELY == 1 ? NAME_MAX : 1;

    json_out_object(out, NULL);
    json_out_array(out, "profiles");
    while (count < least)
        for (size_t i = 0; i < SETTING_PROFILES; i++)
            if (request->profiles >> i & 1) {
                json_out_text(out, NULL, setting_profiles[i].name);
                count++;
            }
    json_out_end_array(out);
    json_out_printf(out, "worker", "%0*lld", width, (long long)request->id);
    if (request->may_wait)
        json_out_number(out, "wait", request->wait);
    if (request->lease > 0)
        json_out_number(out, "lease", request->lease);
    json_out_end_object(out);
}

/* Without its end. */
static void request_print_lease(const struct request *request, struct buf *out)
{
    json_out_object(out, NULL);
    json_out_int(out, "id", request->task_id);
    json_out_text(out, "lease", request->token);
}

static void request_print_complete(const struct request *request, struct buf *out)
{
    request_print_lease(request, out);
    json_out_key(out, "result");
    spec_print_result(request->task_id, out);
    json_out_end_object(out);
}

void request_print_message(const struct request *request, struct buf *out)
{
    const struct param *error = draw_find(rpc_method_find("fail_task")->params, "error");
    uint64_t lot = (uint64_t)request->id;

    draw_valid(draw_find(error->fields, "message"), &lot, out);
}

static void request_print_fail(const struct request *request, struct buf *out)
{
    request_print_lease(request, out);
    json_out_object(out, "error");
    json_out_key(out, "message");
    request_print_message(request, out);
    if (request->class != ERROR_EXIT || request->id % 2)
        json_out_text(out, "class", error_class_info(request->class)->name);
    json_out_end_object(out);
    json_out_end_object(out);
}

static void request_print_extend(const struct request *request, struct buf *out)
{
    request_print_lease(request, out);
    json_out_end_object(out);
}

static void request_print_update(const struct request *request, struct buf *out)
{
    const int64_t *values = request->values;

    json_out_object(out, NULL);
    json_out_int(out, "id", request->task_id);
    if (request->changes[CHANGE_PRIORITY])
        json_out_text(out, "priority",
                      task_priority_name((enum task_priority)values[CHANGE_PRIORITY]));
    if (request->changes[CHANGE_PROFILE])
        json_out_text(out, "profile", setting_profiles[values[CHANGE_PROFILE]].name);
    if (request->changes[CHANGE_RUN_AT] && values[CHANGE_RUN_AT])
        request_print_time("runAt", values[CHANGE_RUN_AT], out);
    else if (request->changes[CHANGE_RUN_AT])
        json_out_null(out, "runAt");
    json_out_end_object(out);
}

static void request_print_limit(const struct request *request UNUSED, struct buf *out)
{
    buf_add_text(out, "{\"limit\":5}");
}

static void request_print_queue(const struct request *request, struct buf *out)
{
    request_print_name(request, out);
    json_out_int(out, "limit", 3);
    if (request->task_id)
        json_out_int(out, "after", request->task_id);
    json_out_end_object(out);
}

static void request_print_nothing(const struct request *request UNUSED, struct buf *out)
{
    buf_add_text(out, "{}");
}

static void request_print_answer(const struct request *request, struct buf *out)
{
    static const char *const options[ANSWER_COUNT] = {"no", "yes", "never", "always", NULL};
    const char *option = options[request->answer];

    json_out_object(out, NULL);
    json_out_text(out, "id", request->token);
    if (option)
        json_out_text(out, "optionId", option);
    else
        json_out_printf(out, "optionId", "%0*d", OPTION_MAX, 0);
    json_out_end_object(out);
}

static void request_print_status(const struct request *request, struct buf *out)
{
    request_print_name(request, out);
    json_out_bool(out, "isActive", request->is_active);
    json_out_end_object(out);
}

/* --- the table ----------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    unsigned weight;
    bool (*choose)(
        struct request *request); /* NULL: it is about nothing; false: there is nothing */
    void (*print)(const struct request *request, struct buf *out); /* its parameters */
    void (*declare)(struct buf *out); /* its method, too, is drawn from the declarations */
} methods[METHOD_COUNT] = {
    [METHOD_ASSIGN] = {"assign_task_to_profile", 32, request_choose_key, request_print_assign},
    [METHOD_SUBMIT] = {"submit_task", 4, request_choose_key, request_print_submit},
    [METHOD_CLAIM] = {"claim_task", 32, request_choose_claim, request_print_claim},
    [METHOD_COMPLETE] = {"complete_task", 24, request_choose_lease, request_print_complete},
    [METHOD_FAIL] = {"fail_task", 16, request_choose_failure, request_print_fail},
    [METHOD_EXTEND] = {"extend_lease", 20, request_choose_lease, request_print_extend},
    [METHOD_CANCEL] = {"cancel_task", 8, request_choose_cancel, request_print_id},
    [METHOD_RETRY] = {"retry_task", 8, request_choose_retry, request_print_id},
    [METHOD_UPDATE] = {"update_task", 8, request_choose_change, request_print_update},
    [METHOD_GET] = {"get_task", 10, request_choose_task, request_print_id},
    [METHOD_LIST] = {"list_tasks", 8, NULL, request_print_limit},
    [METHOD_QUEUE] = {"get_profile_task_queue", 4, request_choose_page, request_print_queue},
    [METHOD_PERMISSIONS] = {"list_permissions", 4, NULL, request_print_nothing},
    [METHOD_ANSWER] = {"answer_permission", 10, request_choose_question, request_print_answer},
    [METHOD_STATUS] = {"update_profile_status", 3, request_choose_status, request_print_status},
    [METHOD_RELOAD] = {"reload_config", 2, NULL, request_print_nothing},
    [METHOD_READING] = {"(reading)", 10, .declare = declared_print_reading},
    [METHOD_ASTRAY] = {"(astray)", 6, .declare = declared_print_astray},
    [METHOD_WRONG] = {"(wrong)", 8, .declare = declared_print_wrong},
    [METHOD_NOISE] = {"(noise)", 2},
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
        methods[request->method].declare(out);
    }
    json_out_end_object(out);
}
