/* SPDX-License-Identifier: MIT */
#include "model_state.h"

#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "process.h"
#include "question.h"
#include "world.h"

#define RECENT 4

struct model model;

/* --- facts --------------------------------------------------------------------------------------
 */

void model_begin(void)
{
    memset(&model, 0, sizeof(model));
}

void model_end(void)
{
    for (size_t i = 0; i < model.count; i++)
        free(model.facts[i]);
    free(model.facts);
    free(model.refused);
    free(model.is_repeated);
    question_end();
}

uint64_t model_acknowledged(void)
{
    return model.acknowledged;
}

struct fact *model_find(int64_t id)
{
    for (size_t i = 0; i < model.count; i++)
        if (model.facts[i]->id == id)
            return model.facts[i];
    return NULL;
}

uint64_t model_attempts(void)
{
    return model.attempts;
}

static struct fact *model_learn_id(int64_t id)
{
    struct fact *fact = model_find(id);

    EXPECT(id > 0);
    if (fact)
        return fact;
    fact = xcalloc(1, sizeof(*fact));
    fact->id = id;
    fact->priority = -1;
    model.facts = xrealloc(model.facts, (model.count + 1) * sizeof(struct fact *));
    model.facts[model.count++] = fact;
    return fact;
}

static void model_note_profile(struct fact *fact, struct json_object *task)
{
    fact->profile = setting_find(json_get_string(task, "profile"));
}

struct fact *model_learn(struct json_object *task)
{
    const char *key = json_get_string(task, "key");
    struct fact *fact = model_learn_id(json_object_get_int64(json_get(task, "id")));

    EXPECT(key, "%s", json_compact(task));
    EXPECT(!fact->key[0] || strcmp(fact->key, key) == 0, "task %lld: %s, %s", (long long)fact->id,
           fact->key, key);
    for (size_t i = 0; !fact->key[0] && !setting_forgets() && i < model.count; i++)
        EXPECT(strcmp(model.facts[i]->key, key) != 0, "two tasks with the key %s", key);
    if (!fact->key[0])
        model_note_profile(fact, task);
    snprintf(fact->key, sizeof(fact->key), "%s", key);
    return fact;
}

bool model_has(const struct attempts *attempts, int64_t number)
{
    return attempts->bits[number / 64] >> number % 64 & 1;
}

static void model_add(struct attempts *attempts, int64_t number)
{
    attempts->bits[number / 64] |= UINT64_C(1) << number % 64;
}

bool model_is_held(const struct fact *fact)
{
    return fact->token[0] && !fact->open_ends && !fact->cancels && world_mono_ms() < fact->until;
}

static size_t model_count_held(size_t profile)
{
    size_t count = 0;

    for (size_t i = 0; i < model.count; i++)
        count += model.facts[i]->profile == profile && model_is_held(model.facts[i]);
    return count;
}

/* --- what a call may be about -------------------------------------------------------------------
 */

/* Often a recent one, so that a few tasks are the subject of many calls. */
int64_t model_pick(void)
{
    size_t among = model.count > RECENT && world_one_in(2) ? RECENT : model.count;

    return among ? model.facts[model.count - 1 - world_below(among)]->id : 0;
}

int64_t model_pick_held(char ret_token[TOKEN_SIZE])
{
    size_t start = model.count ? world_below(model.count) : 0;

    for (size_t i = 0; i < model.count; i++) {
        const struct fact *fact = model.facts[(start + i) % model.count];

        if (!fact->token[0])
            continue;
        strcpy(ret_token, fact->old_token[0] && world_one_in(3) ? fact->old_token : fact->token);
        return fact->id;
    }
    return 0;
}

/* --- what happens -------------------------------------------------------------------------------
 */

void model_sent(const struct request *request)
{
    struct fact *fact = model_find(request->task_id);

    model.is_repeated =
        xrealloc(model.is_repeated, ((size_t)request->id + 1) * sizeof(*model.is_repeated));
    model.is_repeated[request->id] = false;
    if (request->key)
        model.is_repeated[request->key] |= request->key != request->id;
    model.newest = request->id;
    if (request->method == METHOD_ANSWER)
        question_sent(request->token, request->is_yes);
    if (request->method == METHOD_STATUS && request->is_active) {
        model.pauses[request->profile].is_paused = false;
        model.pauses[request->profile].resumes_at_once++;
    }
    if (!fact)
        return;
    if ((request->method == METHOD_COMPLETE || request->method == METHOD_FAIL) &&
        strcmp(request->token, fact->token) == 0)
        fact->open_ends++;
    fact->cancels += request->method == METHOD_CANCEL;
    if (request->method == METHOD_RETRY) {
        fact->retries++;
        fact->was_retried = true;
        fact->spent = 0;
        fact->run_at = 0;
    }
    fact->updates += request->method == METHOD_UPDATE;
    if (request->method == METHOD_UPDATE) {
        fact->sole_update = fact->open_updates++ ? 0 : request->id;
        fact->priority = -1;
    }
}

void model_settle(void)
{
    for (size_t i = 0; i < SETTING_PROFILES; i++) {
        model.pauses[i].resumes_at_once = 0;
        model.pauses[i].resumed = model.newest;
        if (!model_count_held(i) && !process_count(setting_profiles[i].name))
            setting_settle(i);
    }
}

void model_note_resumes(void)
{
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        model.pauses[i].is_paused = false;
}

/* An attempt begins, by a worker or a process. */
static void model_begin_attempt(struct fact *fact, int64_t attempt)
{
    EXPECT(attempt > 0 && attempt < ATTEMPTS_MAX, "attempt %lld", (long long)attempt);
    EXPECT(!model_has(&fact->begun, attempt), "attempt %lld of task %lld was given to two",
           (long long)attempt, (long long)fact->id);
    EXPECT(world_wall_ms() >= fact->run_at, "task %lld is early", (long long)fact->id);
    model_add(&fact->begun, attempt);
    fact->latest = attempt > fact->latest ? attempt : fact->latest;
    model.attempts++;
}

void model_note_start(int64_t task, int64_t attempt, const char *profile)
{
    struct fact *fact = model_learn_id(task);
    size_t number = setting_find(profile), running = process_count(profile);

    model_begin_attempt(fact, attempt);
    EXPECT(!model_is_held(fact), "task %lld has two owners", (long long)task);
    EXPECT(!fact->is_completed, "task %lld was completed", (long long)task);
    EXPECT(!fact->is_cancelled || fact->retries, "task %lld was cancelled", (long long)task);
    EXPECT(!model.pauses[number].is_paused, "%s is paused", profile);
    EXPECT(running <= (size_t)setting_slots_max(number), "%zu tasks of %s run", running, profile);
}

void model_note_success(int64_t task, int64_t attempt)
{
    model_add(&model_learn_id(task)->successes, attempt);
}

void model_note_event(int64_t task, enum task_status from, enum task_status to)
{
    struct fact *fact = model_learn_id(task);

    EXPECT(fact->told == TASK_NEW || fact->told == from, "task %lld was %s, not %s",
           (long long)task, task_status_name(fact->told), task_status_name(from));
    EXPECT(fact->told == TASK_NEW || from != TASK_NEW, "task %lld is new again", (long long)task);
    fact->told = to;
}

void model_note_gap(void)
{
    for (size_t i = 0; i < model.count; i++)
        model.facts[i]->told = TASK_NEW;
}

void model_note_setting(void)
{
    for (size_t i = 0; i < SETTING_PROFILES; i++) {
        if (setting_newest(i)->is_there)
            continue;
        model.pauses[i].is_paused = false; /* a profile without tasks is forgotten */
        model.pauses[i].resumed = model.newest;
    }
}

void model_note_clock(void)
{
    for (size_t i = 0; i < model.count; i++)
        if (world_wall_ms() >= model.facts[i]->run_at)
            model.facts[i]->run_at = 0;
    model.clock_set_at = world_mono_ms();
}

void model_note_life(void)
{
    model.life = world_mono_ms();
}

void model_note_trouble(void)
{
    model.troubled = model.newest;
}

void model_forgive_refused(void)
{
    model.refused_count = 0;
}

/* --- replies ------------------------------------------------------------------------------------
 */

static void model_take_refusal(const struct request *request, int code)
{
    bool may_be_unknown = request->method == METHOD_SUBMIT || request->depends_on[0] ||
                          request->depends_on[1] ||
                          setting_profiles[request->profile].may_be_missing;

    EXPECT(code == RPC_UNAVAILABLE || code == RPC_QUEUE_FULL ||
               (may_be_unknown &&
                (code == RPC_NOT_FOUND || code == RPC_CONFLICT || code == RPC_INVALID_PARAMS)),
           "%d", code);
    model.refused = xrealloc(model.refused, (model.refused_count + 1) * sizeof(*model.refused));
    model.refused[model.refused_count++] = request->key;
}

static void model_take_assign(const struct request *request, struct json_object *result, int code)
{
    char key[KEY_SIZE];
    struct fact *fact;

    if (code) {
        model_take_refusal(request, code);
        return;
    }
    snprintf(key, sizeof(key), "k%lld", (long long)request->key);
    fact = model_learn(json_get(result, "task"));
    EXPECT(strcmp(fact->key, key) == 0, "%s was answered with %s", key, fact->key);
    model.acknowledged++;
    if (model.is_repeated[request->key])
        return;
    fact->run_at =
        model.clock_set_at < request->sent_at && !fact->was_retried ? request->run_at : 0;
    fact->born = (struct span){request->sent_at, world_mono_ms()};
    fact->life = model.life;
}

static void model_take_claim(const struct request *request, struct json_object *result, int code)
{
    struct json_object *task = json_get(result, "task");
    int64_t attempt = json_object_get_int64(json_get(task, "attempt"));
    struct fact *fact;
    size_t held;

    EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_NOT_FOUND || code == RPC_CONFLICT, "%d",
           code);
    if (!task)
        return;
    fact = model_learn(task);
    model_begin_attempt(fact, attempt);
    if (fact->latest > attempt)
        return; /* a late reply: another attempt has begun since */
    model_note_profile(fact, task);
    EXPECT(!fact->is_completed, "task %lld was completed", (long long)fact->id);
    EXPECT(!model_is_held(fact) && !process_works_on(fact->id, 0), "task %lld has two owners",
           (long long)fact->id);
    EXPECT(!fact->is_cancelled || fact->retries || request->id <= fact->newest,
           "task %lld was cancelled", (long long)fact->id);
    EXPECT(!model.pauses[fact->profile].is_paused ||
               request->id <= model.pauses[fact->profile].since,
           "%s is paused", setting_profiles[fact->profile].name);
    fact->newest = model.newest;
    strcpy(fact->old_token, fact->token);
    snprintf(fact->token, sizeof(fact->token), "%s", json_get_string(result, "lease"));
    fact->attempt = attempt;
    fact->until = request->sent_at + SETTING_LEASE_MS;
    fact->open_ends = 0;
    held = model_count_held(fact->profile);
    EXPECT(held <= (size_t)setting_slots_max(fact->profile), "%zu tasks run", held);
}

/* The task whose current lease this is about, or NULL. */
static struct fact *model_find_leased(const struct request *request)
{
    struct fact *fact = model_find(request->task_id);

    return fact && strcmp(fact->token, request->token) == 0 ? fact : NULL;
}

/* The attempts that its profile allows are made, and no more of them. */
static void model_take_failure(struct fact *fact, const struct request *request,
                               struct json_object *task)
{
    bool has_failed = strcmp(json_get_string(task, "status"), "failed") == 0;

    if (request->class == ERROR_REFUSAL || request->class == ERROR_INVALID)
        EXPECT(has_failed, "%s", json_compact(task));
    if (request->class != ERROR_EXIT || fact->retries) /* a retry under way starts over */
        return;
    fact->spent++;
    EXPECT(has_failed || fact->spent < setting_attempts_max(fact->profile),
           "it has spent %d attempts: %s", fact->spent, json_compact(task));
    EXPECT(!has_failed || fact->attempt >= setting_attempts_min(fact->profile),
           "it has attempts left: %s", json_compact(task));
}

static void model_take_end(const struct request *request, struct json_object *result, int code)
{
    struct fact *fact = model_find_leased(request);

    if (!code) {
        EXPECT(fact || request->method == METHOD_FAIL, "a stale lease ended task %lld",
               (long long)request->task_id);
        if (!fact)
            return;
        fact->is_completed |= request->method == METHOD_COMPLETE;
        if (request->method == METHOD_FAIL)
            model_take_failure(fact, request, result);
        fact->token[0] = '\0';
        fact->open_ends = 0;
        return;
    }
    EXPECT(code == RPC_UNAVAILABLE || code == RPC_CONFLICT || code == RPC_NOT_FOUND, "%d", code);
    if (fact)
        fact->open_ends--;
    EXPECT(code == RPC_UNAVAILABLE || !fact || !model_is_held(fact),
           "the owner of task %lld was refused", (long long)request->task_id);
}

/* The monotonic ms of a wall clock's time. */
static int64_t model_parse_time(const char *iso)
{
    int64_t wall = 0;

    EXPECT(clock_parse_iso(iso, &wall) == 0, "%s", iso);
    return wall - world_wall_ms() + world_mono_ms();
}

/* It is its owner's as long as acpd says: the attempt's timeout may come before the lease's end. */
static void model_take_extend(const struct request *request, struct json_object *result, int code)
{
    struct fact *fact = model_find_leased(request);
    int64_t until;

    EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT || code == RPC_NOT_FOUND, "%d",
           code);
    EXPECT(!code || code == RPC_UNAVAILABLE || !fact || !model_is_held(fact),
           "the owner of task %lld was refused", (long long)request->task_id);
    if (!fact || code || model.clock_set_at >= request->sent_at)
        return;
    until = model_parse_time(json_get_string(result, "expiresAt"));
    fact->until = request->sent_at + SETTING_LEASE_MS;
    if (until < fact->until)
        fact->until = until;
}

static void model_check_completed(const struct fact *fact, struct json_object *task)
{
    int64_t attempt = json_object_get_int64(json_get(task, "attempt"));
    char mark[48];

    if (fact->is_completed) {
        EXPECT(json_object_get_int64(json_get(task, "result")) == fact->id, "%s",
               json_compact(task));
        return;
    }
    if (setting_profiles[fact->profile].kind == SETTING_WORKER)
        return;
    EXPECT(model_has(&fact->successes, attempt), "nobody did it: %s", json_compact(task));
    snprintf(mark, sizeof(mark), "by %lld-%lld", (long long)fact->id, (long long)attempt);
    EXPECT(strstr(json_compact(json_get(task, "result")), mark), "the result of another: %s",
           json_compact(task));
}

void model_check_task(struct json_object *task)
{
    enum task_status status = TASK_NEW;
    struct fact *fact = model_learn(task);
    const char *message = json_get_string(json_get(task, "error"), "message");

    model_note_profile(fact, task);
    EXPECT(task_status_parse(json_get_string(task, "status"), &status) == 0);
    EXPECT(status != TASK_FAILED || !message || !strstr(message, PROCESS_SHORTAGE),
           "it failed for want of a process: %s", json_compact(task));
    for (size_t i = 0; i < model.refused_count; i++) {
        char key[KEY_SIZE];

        snprintf(key, sizeof(key), "k%lld", (long long)model.refused[i]);
        EXPECT(strcmp(key, fact->key) != 0 || model.is_repeated[model.refused[i]],
               "%s was refused and is there", key);
    }
    EXPECT(!fact->is_completed || status == TASK_COMPLETED, "completed: %s", json_compact(task));
    EXPECT(!fact->is_cancelled || fact->retries || status == TASK_CANCELLED, "cancelled: %s",
           json_compact(task));
    EXPECT(!model_is_held(fact) || status == TASK_RUNNING, "held: %s", json_compact(task));
    EXPECT(fact->priority < 0 ||
               strcmp(json_get_string(task, "priority"),
                      task_priority_name((enum task_priority)fact->priority)) == 0,
           "updated: %s", json_compact(task));
    if (status == TASK_COMPLETED)
        model_check_completed(fact, task);
}

static void model_take_task(const struct request *request, struct json_object *result, int code)
{
    const struct fact *fact = model_find(request->task_id);

    EXPECT(!code || code == RPC_UNAVAILABLE || (code == RPC_NOT_FOUND && setting_forgets()),
           "task %lld is gone: %d", (long long)request->task_id, code);
    if (!code && request->id > fact->newest) /* what was asked before may be older */
        model_check_task(result);
}

static void model_take_tasks(const struct request *request, struct json_object *tasks)
{
    for (size_t i = 0; tasks && i < json_object_array_length(tasks); i++) {
        struct json_object *task = json_object_array_get_idx(tasks, i);
        const struct fact *fact = model_find(json_object_get_int64(json_get(task, "id")));

        if (!fact || request->id > fact->newest)
            model_check_task(task);
    }
}

static void model_take_update(const struct request *request, int code)
{
    struct fact *fact = model_find(request->task_id);

    EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT || code == RPC_NOT_FOUND ||
               code == RPC_QUEUE_FULL,
           "%d", code);
    fact->open_updates--;
    if (fact->sole_update == request->id && !code && request->priority >= 0)
        fact->priority = request->priority;
}

static void model_take_status(const struct request *request, int code)
{
    size_t i = request->profile;

    EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_NOT_FOUND || code == RPC_CONFLICT, "%d",
           code);
    if (request->is_active) {
        model.pauses[i].resumes_at_once--;
        model.pauses[i].resumed = model.newest;
    }
    if (code || request->is_active || model.pauses[i].resumes_at_once ||
        request->id <= model.pauses[i].resumed || !setting_newest(i)->is_there)
        return;
    model.pauses[i].is_paused = true;
    model.pauses[i].since = model.newest;
}

static void model_take_other(const struct request *request, int code)
{
    bool may_be_invalid = request->method == METHOD_READING; /* its parameters may be anything */

    EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT || code == RPC_NOT_FOUND ||
               code == RPC_QUEUE_FULL || (may_be_invalid && code == RPC_INVALID_PARAMS),
           "%d", code);
}

static void model_take_wrong(const struct request *request, int code)
{
    bool is_right = request->method == METHOD_WRONG
                        ? code == RPC_INVALID_PARAMS
                        : code == RPC_PARSE_ERROR || code == RPC_INVALID_REQUEST;

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
        model_take_assign(request, result, code);
        break;
    case METHOD_CLAIM:
        model_take_claim(request, result, code);
        break;
    case METHOD_COMPLETE:
    case METHOD_FAIL:
        model_take_end(request, result, code);
        break;
    case METHOD_EXTEND:
        model_take_extend(request, result, code);
        break;
    case METHOD_CANCEL:
        EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT || code == RPC_NOT_FOUND,
               "%d", code);
        fact->cancels -= code != 0;
        fact->is_cancelled |= code == 0;
        break;
    case METHOD_GET:
        model_take_task(request, result, code);
        return;
    case METHOD_UPDATE:
        model_take_update(request, code);
        break;
    case METHOD_LIST:
        model_take_tasks(request, json_get(result, "tasks"));
        return;
    case METHOD_QUEUE:
        model_take_tasks(request, result);
        return;
    case METHOD_PERMISSIONS:
        question_take_all(result);
        break;
    case METHOD_STATUS:
        model_take_status(request, code);
        break;
    case METHOD_WRONG:
    case METHOD_NOISE:
        model_take_wrong(request, code);
        break;
    case METHOD_RETRY:
    case METHOD_ANSWER:
    case METHOD_READING:
    case METHOD_COUNT:
        model_take_other(request, code);
    }
    if (fact)
        fact->newest = model.newest;
}
