/* SPDX-License-Identifier: MIT */
/* What the replies must be like, and what they promise. */
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "model_state.h"
#include "process.h"
#include "question.h"
#include "spec.h"
#include "world.h"

#define MESSAGE_KEPT 4000 /* bytes of a worker's message, at least */

/* What any call about something may be answered with. */
static bool reply_is_usual(int code)
{
    return !code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT || code == RPC_NOT_FOUND;
}

static void reply_take_refusal(const struct request *request, int code)
{
    bool may_be_unknown = request->method == METHOD_SUBMIT || request->depends_on_count ||
                          setting_profiles[request->profile].may_be_missing;

    EXPECT(code == RPC_UNAVAILABLE || code == RPC_QUEUE_FULL ||
               (may_be_unknown &&
                (code == RPC_NOT_FOUND || code == RPC_CONFLICT || code == RPC_INVALID_PARAMS)),
           "%d", code);
    model.refused = xrealloc(model.refused, (model.refused_count + 1) * sizeof(*model.refused));
    model.refused[model.refused_count++] = request->key;
}

static void reply_check_dependencies(const struct request *request, struct json_object *task)
{
    struct json_object *ids = json_get(task, "dependsOn");

    EXPECT(json_object_array_length(ids) == request->depends_on_count, "%s", json_compact(task));
    for (size_t i = 0; i < request->depends_on_count; i++)
        EXPECT(json_object_get_int64(json_object_array_get_idx(ids, i)) == request->depends_on[i],
               "it does not depend on %lld: %s", (long long)request->depends_on[i],
               json_compact(task));
}

static void reply_take_assign(const struct request *request, struct json_object *result, int code)
{
    char key[SPEC_KEY_SIZE];
    struct fact *fact;

    if (code) {
        reply_take_refusal(request, code);
        return;
    }
    spec_print_key(request->key, key);
    fact = model_learn(json_get(result, "task"));
    EXPECT(strcmp(fact->key, key) == 0, "%s was answered with %s", key, fact->key);
    model.acknowledged++;
    spec_check(request->key, json_get(result, "task"));
    EXPECT(!json_get(result, "deduplicated") || model.is_repeated[request->key], "it is new: %s",
           json_compact(result));
    EXPECT(json_get(result, "deduplicated") || !fact->birth_heard ||
               request->id <= fact->birth_heard || setting_forgets(),
           "it was there: %s", json_compact(result));
    if (request->method == METHOD_SUBMIT && !json_get(result, "deduplicated"))
        spec_check_routing(request->key, json_get(result, "task"));
    if (model.is_repeated[request->key])
        return;
    reply_check_dependencies(request, json_get(result, "task"));
    if (model.clock_set_at < request->sent_at && !fact->was_retried && !fact->was_updated)
        fact->run_at = request->run_at;
    fact->born = (struct span){request->sent_at, world_mono_ms()};
    fact->life = model.life;
    fact->birth_heard = model.newest;
    fact->is_plain = strcmp(json_get_string(json_get(result, "task"), "status"), "queued") == 0;
}

/* Tasks that should have been claimed before this one. If they turn out to wait still, that is
 * wrong. */
static void reply_note_overtaking(const struct fact *fact, const struct request *request)
{
    struct span rank, other_rank;

    if (fact->attempt != 1 || request->id <= fact->last_heard || !model_rank(fact, &rank))
        return;
    for (size_t i = 0; i < model.count; i++) {
        struct fact *other = model.facts[i];

        if (other->changes[CHANGE_PROFILE].value == (int64_t)fact->profile && !other->latest &&
            other->birth_heard && other->last_heard < request->id &&
            other->birth_heard < request->id && model_rank(other, &other_rank) &&
            other_rank.to < rank.from)
            other->overtaken_by = fact->id;
    }
}

static void reply_take_claim(const struct request *request, struct json_object *result, int code)
{
    struct json_object *task = json_get(result, "task");
    int64_t attempt = json_object_get_int64(json_get(task, "attempt"));
    struct fact *fact;
    size_t held;

    EXPECT(reply_is_usual(code), "%d", code);
    if (!task)
        return;
    fact = model_learn(task);
    EXPECT(request->profiles >> setting_find(json_get_string(task, "profile")) & 1,
           "nobody asked for tasks of this profile: %s", json_compact(task));
    model_begin_attempt(fact, attempt);
    if (fact->latest > attempt || attempt <= fact->ended)
        return; /* a late reply: the attempt is over */
    model_note_profile(fact, task);
    EXPECT(!fact->is_completed, "task %lld was completed", (long long)fact->id);
    EXPECT(!model_is_held(fact) && !process_works_on(fact->id, 0), "task %lld has two owners",
           (long long)fact->id);
    if (request->id > fact->last_heard) { /* what came since may be older than its reply */
        EXPECT(world_wall_ms() >= fact->run_at, "task %lld is early", (long long)fact->id);
        EXPECT(!fact->is_cancelled || fact->retries || fact->is_doubtful, "task %lld was cancelled",
               (long long)fact->id);
    }
    EXPECT(!model.pauses[fact->profile].is_paused ||
               request->id <= model.pauses[fact->profile].since,
           "%s is paused", setting_profiles[fact->profile].name);
    strcpy(fact->old_token, fact->token);
    snprintf(fact->token, sizeof(fact->token), "%s", json_get_string(result, "lease"));
    fact->attempt = attempt;
    fact->lease_ms = request->lease > 0 ? (int64_t)(1000 * request->lease) : SETTING_LEASE_MS;
    fact->until = request->sent_at + model_lease_of(fact);
    fact->open_ends = 0;
    fact->over_heard = 0;
    fact->claim_heard = model.newest;
    reply_note_overtaking(fact, request);
    fact->last_heard = model.newest;
    held = model_count_held(fact->profile);
    EXPECT(held <= (size_t)setting_slots_max(fact->profile), "%zu tasks run", held);
}

/* The task whose current lease this is about, or NULL. */
static struct fact *reply_find_leased(const struct request *request)
{
    struct fact *fact = model_find(request->task_id);

    return fact && strcmp(fact->token, request->token) == 0 ? fact : NULL;
}

/* What the worker said; the end of a long message is cut off. */
static void reply_check_message(const struct request *request, struct json_object *task)
{
    CLEANUP(buf_deinit) struct buf json = {0};
    CLEANUP(json_putp) struct json_object *said = NULL;
    const char *shown = json_get_string(json_get(task, "error"), "message"), *text, *reason;
    size_t offset, len;

    request_print_message(request, &json);
    EXPECT(json_parse(json.data, json.len, &said, &reason, &offset) == 0);
    text = json_object_get_string(said);
    len = (size_t)json_object_get_string_len(said);
    for (size_t i = 0; i < len && i < MESSAGE_KEPT; i++)
        EXPECT(shown[i] == (text[i] ? text[i] : ' '), "it was %s: %s", json_compact(said), shown);
    EXPECT(!len || len > MESSAGE_KEPT || strlen(shown) == len, "it was %s: %s", json_compact(said),
           shown);
}

/* The attempts that it may have are made, and no more of them. */
static void reply_take_failure(struct fact *fact, const struct request *request,
                               struct json_object *task)
{
    bool has_failed = strcmp(json_get_string(task, "status"), "failed") == 0;
    int own = spec_max_attempts(model_key(fact)),
        least = own ? own : setting_attempts_min(fact->profile),
        most = own ? own : setting_attempts_max(fact->profile);

    EXPECT(strcmp(json_get_string(json_get(task, "error"), "class"),
                  error_class_info(request->class)->name) == 0,
           "%s", json_compact(task));
    reply_check_message(request, task);
    if (request->class == ERROR_REFUSAL || request->class == ERROR_INVALID)
        EXPECT(has_failed, "%s", json_compact(task));
    if (request->class != ERROR_EXIT || fact->retries || fact->attempt <= fact->retried_at)
        return; /* a retry starts over */
    fact->spent++;
    EXPECT(has_failed || fact->spent < most, "it has spent %d attempts: %s", fact->spent,
           json_compact(task));
    EXPECT(!has_failed || fact->attempt - fact->retried_at >= least, "it has attempts left: %s",
           json_compact(task));
}

/* What was known before the call was sent: its lease is over. */
static bool reply_is_over(const struct request *request)
{
    const struct fact *fact = model_find(request->task_id);

    if (strcmp(request->token, fact->token) == 0)
        return fact->over_heard && request->id > fact->over_heard;
    return strcmp(request->token, fact->old_token) == 0 && request->id > fact->claim_heard;
}

static void reply_take_end(const struct request *request, struct json_object *result, int code)
{
    struct fact *fact = reply_find_leased(request);
    const char *status = json_get_string(result, "status");

    EXPECT(code || !reply_is_over(request), "a stale lease ended task %lld",
           (long long)request->task_id);
    if (!code && request->method == METHOD_COMPLETE) {
        EXPECT(strcmp(status, "completed") == 0, "%s", json_compact(result));
        spec_check_result(request->task_id, result);
    }
    if (!code) {
        EXPECT(strcmp(status, "running") != 0, "%s", json_compact(result));
        if (!fact)
            return;
        fact->is_completed |= request->method == METHOD_COMPLETE;
        if (request->method == METHOD_FAIL)
            reply_take_failure(fact, request, result);
        model_end_attempt(fact, fact->attempt);
        return;
    }
    EXPECT(code == RPC_UNAVAILABLE || code == RPC_CONFLICT || code == RPC_NOT_FOUND, "%d", code);
    model_find(request->task_id)->completes -= request->method == METHOD_COMPLETE;
    if (fact)
        fact->open_ends--;
    EXPECT(code == RPC_UNAVAILABLE || !fact || !model_is_held(fact),
           "the owner of task %lld was refused", (long long)request->task_id);
}

/* The monotonic ms of a wall clock's time. */
static int64_t reply_parse_time(const char *iso)
{
    int64_t wall = 0;

    EXPECT(clock_parse_iso(iso, &wall) == 0, "%s", iso);
    return wall - world_wall_ms() + world_mono_ms();
}

/* It is its owner's as long as acpd says: the attempt's timeout may come before the lease's end. */
static void reply_take_extend(const struct request *request, struct json_object *result, int code)
{
    struct fact *fact = reply_find_leased(request);
    int64_t until;

    EXPECT(reply_is_usual(code), "%d", code);
    EXPECT(!code || code == RPC_UNAVAILABLE || !fact || !model_is_held(fact),
           "the owner of task %lld was refused", (long long)request->task_id);
    EXPECT(code || !reply_is_over(request), "a stale lease of task %lld was extended",
           (long long)request->task_id);
    if (!fact || code || model.clock_set_at >= request->sent_at)
        return;
    until = reply_parse_time(json_get_string(result, "expiresAt"));
    fact->until = request->sent_at + fact->lease_ms;
    if (until < fact->until)
        fact->until = until;
}

static void reply_take_task(const struct request *request, struct json_object *result, int code)
{
    const struct fact *fact = model_find(request->task_id);

    EXPECT(!code || code == RPC_UNAVAILABLE || (code == RPC_NOT_FOUND && setting_forgets()),
           "task %lld is gone: %d", (long long)request->task_id, code);
    if (!code && request->id > fact->last_heard) /* what was asked before may be older */
        model_check_task(result);
}

static void reply_take_tasks(const struct request *request, struct json_object *tasks)
{
    for (size_t i = 0; tasks && i < json_object_array_length(tasks); i++) {
        struct json_object *task = json_object_array_get_idx(tasks, i);
        const struct fact *fact = model_find(json_object_get_int64(json_get(task, "id")));

        if (!fact || request->id > fact->last_heard)
            model_check_task(task);
    }
}

static void reply_take_update(const struct request *request, struct json_object *result, int code)
{
    struct fact *fact = model_find(request->task_id);
    int64_t run_at = request->values[CHANGE_RUN_AT];

    EXPECT(reply_is_usual(code) || code == RPC_QUEUE_FULL, "%d", code);
    for (size_t i = 0; i < CHANGE_COUNT; i++) {
        if (!request->changes[i])
            continue;
        known_settle(&fact->changes[i], request->id, code, request->values[i]);
        EXPECT(code || model_read(result, (enum change)i) == request->values[i],
               "it was changed: %s", json_compact(result));
    }
    if (!code && request->changes[CHANGE_RUN_AT] && fact->changes[CHANGE_RUN_AT].value == run_at &&
        model.clock_set_at < request->sent_at)
        fact->run_at = run_at;
}

static void reply_take_cancel(const struct request *request, struct json_object *result, int code)
{
    struct fact *fact = model_find(request->task_id);

    EXPECT(reply_is_usual(code), "%d", code);
    EXPECT(code || strcmp(json_get_string(result, "status"), "cancelled") == 0, "%s",
           json_compact(result));
    fact->cancels.count -= code != 0;
    fact->cancels.acknowledged += code == 0;
    fact->is_cancelled |= code == 0 && request->id > fact->retry_heard;
    if (!code)
        model_end_attempt(fact, json_object_get_int64(json_get(result, "attempt")));
}

static void reply_take_retry(const struct request *request, struct json_object *result, int code)
{
    struct fact *fact = model_find(request->task_id);
    int64_t attempt = json_object_get_int64(json_get(result, "attempt"));

    EXPECT(reply_is_usual(code), "%d", code);
    known_settle(&fact->changes[CHANGE_RUN_AT], request->id, code, 0);
    fact->retries--;
    if (code)
        return;
    EXPECT(json_get(result, "pending"), "it does not wait: %s", json_compact(result));
    if (fact->acknowledged_before >= 0) {
        fact->cancels.count -= fact->acknowledged_before;
        fact->cancels.acknowledged -= fact->acknowledged_before;
        fact->acknowledged_before = 0;
    }
    fact->is_cancelled = false; /* surely; another cancel may have come after it */
    model_end_attempt(fact, attempt);
    fact->retry_heard = model.newest;
    if (attempt > fact->retried_at)
        fact->retried_at = attempt;
}

static void reply_take_status(const struct request *request, struct json_object *result, int code)
{
    size_t i = request->profile;

    EXPECT(reply_is_usual(code), "%d", code);
    EXPECT(code || json_object_get_boolean(json_get(json_get(result, "state"), "isActive")) ==
                       request->is_active,
           "%s", json_compact(result));
    if (request->is_active) {
        model.pauses[i].resumes_at_once--;
        model.pauses[i].resumed = model.newest;
    } else {
        model.pauses[i].causes -= code != 0;
    }
    if (code || request->is_active || model.pauses[i].resumes_at_once ||
        request->id <= model.pauses[i].resumed || !setting_newest(i)->is_there)
        return;
    model.pauses[i].is_paused = true;
    model.pauses[i].since = model.newest;
}

/* A list of profiles, or of what is known of them, has each of them once, in whatever parts it was
 * printed. Of other lists, entries have no names. */
static void reply_check_profiles(struct json_object *list)
{
    size_t count = json_object_array_length(list);
    unsigned seen = 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *entry = json_object_array_get_idx(list, i);
        struct json_object *profile = json_get(entry, "profile");
        const char *name = json_get_string(profile ? profile : entry, "name");
        unsigned bit;

        if (!name)
            return;
        bit = 1u << setting_find(name);
        EXPECT(!(seen & bit), "%s is there twice: %s", name, json_compact(list));
        seen |= bit;
    }
    for (size_t i = 0; count > 1 && i < SETTING_PROFILES; i++)
        EXPECT(setting_profiles[i].may_be_missing || seen >> i & 1, "%s is missing: %s",
               setting_profiles[i].name, json_compact(list));
}

static size_t reply_count_samples(const char *text, const char *profile)
{
    CLEANUP(freep) char *label = xasprintf("{profile=\"%s\"} ", profile);
    size_t count = 0;

    for (; (text = strstr(text, label)); text++)
        count++;
    return count;
}

/* A profile that is configured has all samples; one that is not may vanish with its last task
 * between two parts. */
static void reply_check_export(const char *text)
{
    size_t most = 0;

    for (size_t i = SETTING_PROFILES; i--;) { /* the last one is never missing */
        size_t count = reply_count_samples(text, setting_profiles[i].name);

        if (!setting_profiles[i].may_be_missing)
            most = count;
        EXPECT(count <= most, "%s is there too often, or another one too seldom: %s",
               setting_profiles[i].name, text);
    }
    EXPECT(most && text[strlen(text) - 1] == '\n', "%s", text);
}

static void reply_take_reading(struct json_object *result)
{
    if (json_object_is_type(result, json_type_array))
        reply_check_profiles(result);
    else if (json_object_is_type(result, json_type_string))
        reply_check_export(json_object_get_string(result));
}

static void reply_take_other(const struct request *request, int code)
{
    /* Its parameters may be anything; or the option was not offered. */
    bool may_be_invalid = request->method == METHOD_READING ||
                          (request->method == METHOD_ANSWER && request->answer > ANSWER_YES);

    EXPECT(reply_is_usual(code) || (may_be_invalid && code == RPC_INVALID_PARAMS), "%d", code);
}

/* Of reads that always have an answer, unless their profile is missing. */
static void reply_take_list(const struct request *request, struct json_object *result, int code)
{
    EXPECT(!code || code == RPC_UNAVAILABLE ||
               (code == RPC_NOT_FOUND && request->method == METHOD_QUEUE &&
                setting_profiles[request->profile].may_be_missing) ||
               (code == RPC_CONFLICT && request->method == METHOD_QUEUE && request->task_id),
           "%d", code);
    if (request->method == METHOD_LIST)
        reply_take_tasks(request, json_get(result, "tasks"));
    else if (request->method == METHOD_QUEUE)
        reply_take_tasks(request, result);
    else
        question_take_all(result);
}

static void reply_take_wrong(const struct request *request, int code)
{
    bool is_right = code == RPC_PARSE_ERROR || code == RPC_INVALID_REQUEST;

    if (request->method == METHOD_WRONG)
        is_right = code == RPC_INVALID_PARAMS;
    else if (request->method == METHOD_ASTRAY)
        is_right = code == RPC_NOT_FOUND;
    EXPECT(is_right || code == RPC_UNAVAILABLE, "%d", code);
}

void model_take(const struct request *request, struct json_object *reply)
{
    struct json_object *error = json_get(reply, "error"), *result = json_get(reply, "result");
    int code = json_object_get_int(json_get(error, "code"));
    struct fact *fact = model_find(request->task_id);

    EXPECT(!error != !result, "%s", json_compact(reply));
    EXPECT(code != RPC_UNAVAILABLE || request->id <= model.troubled || request->is_batched,
           "refused for no reason: %s", json_compact(reply));
    switch (request->method) {
    case METHOD_ASSIGN:
    case METHOD_SUBMIT:
        reply_take_assign(request, result, code);
        break;
    case METHOD_CLAIM:
        reply_take_claim(request, result, code);
        break;
    case METHOD_COMPLETE:
    case METHOD_FAIL:
        reply_take_end(request, result, code);
        break;
    case METHOD_EXTEND:
        reply_take_extend(request, result, code);
        break;
    case METHOD_CANCEL:
        reply_take_cancel(request, result, code);
        break;
    case METHOD_RETRY:
        reply_take_retry(request, result, code);
        break;
    case METHOD_GET:
        reply_take_task(request, result, code);
        return;
    case METHOD_UPDATE:
        reply_take_update(request, result, code);
        break;
    case METHOD_LIST:
    case METHOD_QUEUE:
    case METHOD_PERMISSIONS:
        reply_take_list(request, result, code);
        return;
    case METHOD_STATUS:
        reply_take_status(request, result, code);
        break;
    case METHOD_ASTRAY:
    case METHOD_WRONG:
    case METHOD_NOISE:
        reply_take_wrong(request, code);
        break;
    case METHOD_READING:
        reply_take_reading(result);
        reply_take_other(request, code);
        break;
    case METHOD_ANSWER:
    case METHOD_RELOAD:
    case METHOD_COUNT:
        reply_take_other(request, code);
    }
    if (!fact)
        return;
    fact->last_heard = model.newest;
    fact->was_refused |= code == RPC_UNAVAILABLE;
}
