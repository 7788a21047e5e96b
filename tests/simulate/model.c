/* SPDX-License-Identifier: MIT */
#include "model_state.h"

#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "process.h"
#include "question.h"
#include "spec.h"
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
    for (size_t i = 0; i < CHANGE_COUNT; i++)
        fact->changes[i].value = UNKNOWN;
    model.facts = xrealloc(model.facts, (model.count + 1) * sizeof(struct fact *));
    model.facts[model.count++] = fact;
    return fact;
}

int64_t model_key(const struct fact *fact)
{
    return strtoll(fact->key + 1, NULL, 10);
}

void model_note_profile(struct fact *fact, struct json_object *task)
{
    fact->profile = setting_find(json_get_string(task, "profile"));
}

int64_t model_read(struct json_object *task, enum change change)
{
    enum task_priority priority = PRIORITY_LOW;
    const char *run_at = json_get_string(task, "runAt");
    int64_t value = 0;

    switch (change) {
    case CHANGE_PRIORITY:
        EXPECT(task_priority_parse(json_get_string(task, "priority"), &priority) == 0);
        return priority;
    case CHANGE_PROFILE:
        return (int64_t)setting_find(json_get_string(task, "profile"));
    case CHANGE_RUN_AT:
    case CHANGE_COUNT:
        EXPECT(!run_at || clock_parse_iso(run_at, &value) == 0, "%s", run_at);
    }
    return value;
}

/* What it is like until a call changes it. */
static void model_note_birth(struct fact *fact, struct json_object *task, const char *key)
{
    snprintf(fact->key, sizeof(fact->key), "%s", key);
    model_note_profile(fact, task);
    if (fact->was_updated)
        return;
    fact->changes[CHANGE_PRIORITY].value = spec_priority(model_key(fact));
    fact->changes[CHANGE_PROFILE].value = (int64_t)fact->profile;
    if (!fact->was_retried)
        fact->changes[CHANGE_RUN_AT].value = model_read(task, CHANGE_RUN_AT);
}

struct fact *model_learn(struct json_object *task)
{
    const char *key = json_get_string(task, "key");
    struct fact *fact = model_learn_id(json_object_get_int64(json_get(task, "id")));

    EXPECT(key && key[0] == 'k', "nobody asked for it: %s", json_compact(task));
    EXPECT(!fact->key[0] || strcmp(fact->key, key) == 0, "task %lld: %s, %s", (long long)fact->id,
           fact->key, key);
    for (size_t i = 0; !fact->key[0] && !setting_forgets() && i < model.count; i++)
        EXPECT(strcmp(model.facts[i]->key, key) != 0, "two tasks with the key %s", key);
    if (!fact->key[0])
        model_note_birth(fact, task, key);
    return fact;
}

/* --- values that calls change --------------------------------------------------------------------
 */

void known_sent(struct known *known, int64_t call)
{
    known->before = known->open ? UNKNOWN : known->value;
    known->sole = known->open++ ? 0 : call;
    known->value = UNKNOWN;
}

void known_settle(struct known *known, int64_t call, bool is_refused, int64_t value)
{
    known->open--;
    if (known->sole == call)
        known->value = is_refused ? known->before : value;
}

void known_learn(struct known *known, int64_t value)
{
    *known = (struct known){.value = value};
}

/* --- who owns it --------------------------------------------------------------------------------
 */

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
    return fact->token[0] && !fact->over_heard && !fact->open_ends && !fact->cancels.count &&
           !fact->is_doubtful && world_mono_ms() < fact->until;
}

size_t model_count_held(size_t profile)
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

int64_t model_pick_failed(void)
{
    size_t start = model.count ? world_below(model.count) : 0;

    for (size_t i = 0; i < model.count; i++) {
        const struct fact *fact = model.facts[(start + i) % model.count];

        if (fact->told == TASK_FAILED || fact->told == TASK_CANCELLED)
            return fact->id;
    }
    return 0;
}

int64_t model_pick_waiting(size_t *ret_profile)
{
    size_t start = model.count ? world_below(model.count) : 0;

    for (size_t i = 0; i < model.count; i++) {
        const struct fact *fact = model.facts[(start + i) % model.count];

        if (!task_status_is_waiting(fact->told))
            continue;
        *ret_profile = fact->profile;
        return fact->id;
    }
    return 0;
}

/* The next one, from a task on that chance decides, whose lease may be in force, or is over. */
static const struct fact *model_find_claimed(bool is_over, bool is_cancelled)
{
    size_t start = model.count ? world_below(model.count) : 0;

    for (size_t i = 0; i < model.count; i++) {
        const struct fact *fact = model.facts[(start + i) % model.count];

        if (fact->token[0] && is_over == (fact->over_heard > 0) &&
            (!is_cancelled || fact->is_cancelled))
            return fact;
    }
    return NULL;
}

int64_t model_pick_held(char ret_token[TOKEN_SIZE])
{
    bool is_over = world_one_in(4);
    const struct fact *fact = model_find_claimed(is_over, is_over && world_one_in(2));

    if (!fact)
        return 0;
    strcpy(ret_token, fact->old_token[0] && world_one_in(4) ? fact->old_token : fact->token);
    return fact->id;
}

/* --- what happens -------------------------------------------------------------------------------
 */

static void model_sent_status(const struct request *request)
{
    if (request->is_active) {
        model.pauses[request->profile].is_paused = false;
        model.pauses[request->profile].resumes_at_once++;
    } else {
        model.pauses[request->profile].causes++;
    }
}

static void model_sent_update(struct fact *fact, const struct request *request)
{
    fact->was_updated = true;
    fact->was_rescheduled |= request->changes[CHANGE_RUN_AT];
    fact->run_at = request->changes[CHANGE_RUN_AT] ? 0 : fact->run_at;
    for (size_t i = 0; i < CHANGE_COUNT; i++)
        if (request->changes[i])
            known_sent(&fact->changes[i], request->id);
}

void model_sent(const struct request *request)
{
    struct fact *fact = model_find(request->task_id);

    model.is_repeated =
        xrealloc(model.is_repeated, ((size_t)request->id + 1) * sizeof(*model.is_repeated));
    memset(&model.is_repeated[model.newest + 1], 0, (size_t)(request->id - model.newest));
    if (request->key)
        model.is_repeated[request->key] |= request->key != request->id;
    model.newest = request->id;
    if (request->method == METHOD_ANSWER && request->answer != ANSWER_UNKNOWN)
        question_sent(request->token,
                      request->answer == ANSWER_YES || request->answer == ANSWER_ALWAYS);
    if (request->method == METHOD_STATUS)
        model_sent_status(request);
    if (!fact)
        return;
    if ((request->method == METHOD_COMPLETE || request->method == METHOD_FAIL) &&
        strcmp(request->token, fact->token) == 0)
        fact->open_ends++;
    fact->cancels.count += request->method == METHOD_CANCEL;
    fact->completes += request->method == METHOD_COMPLETE;
    if (request->method == METHOD_RETRY) {
        fact->acknowledged_before = fact->retries++ ? -1 : fact->cancels.acknowledged;
        fact->was_retried = true;
        fact->overtaken_by = 0; /* it may have been out of the queue then */
        fact->spent = 0;
        fact->run_at = 0;
        known_sent(&fact->changes[CHANGE_RUN_AT], request->id);
    }
    if (request->method == METHOD_UPDATE)
        model_sent_update(fact, request);
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

void model_begin_attempt(struct fact *fact, int64_t attempt)
{
    EXPECT(attempt > 0 && attempt < ATTEMPTS_MAX, "attempt %lld", (long long)attempt);
    EXPECT(!model_has(&fact->begun, attempt), "attempt %lld of task %lld was given to two",
           (long long)attempt, (long long)fact->id);
    model_add(&fact->begun, attempt);
    fact->latest = attempt > fact->latest ? attempt : fact->latest;
    model.attempts++;
}

void model_end_attempt(struct fact *fact, int64_t attempt)
{
    if (attempt > fact->ended)
        fact->ended = attempt;
    if (fact->attempt > attempt)
        return;
    fact->over_heard = model.newest;
    fact->open_ends = 0;
}

void model_note_start(int64_t task, int64_t attempt, const char *profile)
{
    struct fact *fact = model_learn_id(task);
    size_t number = setting_find(profile), running = process_count(profile);

    model_begin_attempt(fact, attempt);
    EXPECT(world_wall_ms() >= fact->run_at, "task %lld is early", (long long)task);
    EXPECT(!model_is_held(fact), "task %lld has two owners", (long long)task);
    EXPECT(!fact->is_completed, "task %lld was completed", (long long)task);
    EXPECT(!fact->is_cancelled || fact->retries || fact->is_doubtful, "task %lld was cancelled",
           (long long)task);
    EXPECT(!model.pauses[number].is_paused, "%s is paused", profile);
    EXPECT(running <= (size_t)setting_slots_max(number), "%zu tasks of %s run", running, profile);
}

void model_note_success(int64_t task, int64_t attempt)
{
    model_add(&model_learn_id(task)->successes, attempt);
}

void model_note_prompt(int64_t task, const char *used_model, const char *mode, const char *level)
{
    const struct fact *fact = model_learn_id(task);

    if (fact->key[0])
        spec_check_prompt(model_key(fact), used_model, mode, level);
}

void model_note_work(int64_t task)
{
    model_learn_id(task)->completes++;
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
    if (world_wall_ms() > model.latest_wall)
        model.latest_wall = world_wall_ms();
}

/* How long an attempt may take at least, if it begins now. */
static int64_t model_timeout_of(const struct fact *fact)
{
    int64_t timeout = fact->key[0] ? spec_timeout_ms(model_key(fact)) : 0;

    return timeout ? timeout : SETTING_TIMEOUT_MIN_MS;
}

int64_t model_lease_of(const struct fact *fact)
{
    int64_t timeout = model_timeout_of(fact);

    return timeout < fact->lease_ms ? timeout : fact->lease_ms;
}

/* Leases go on, with the timeouts of the present configuration. */
void model_note_life(void)
{
    model.life = world_mono_ms();
    for (size_t i = 0; i < model.count; i++) {
        struct fact *fact = model.facts[i];
        int64_t until = model.life + model_timeout_of(fact);

        fact->until = until < fact->until ? until : fact->until;
    }
}

void model_note_trouble(void)
{
    model.troubled = model.newest;
}

void model_forgive_refused(void)
{
    model.refused_count = 0;
    for (size_t i = 0; i < model.count; i++)
        model.facts[i]->is_doubtful |= model.facts[i]->was_refused;
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        model.pauses[i].causes++;
}

/* --- a task as it is shown ----------------------------------------------------------------------
 */

bool model_rank(const struct fact *fact, struct span *ret_rank)
{
    int64_t priority = fact->changes[CHANGE_PRIORITY].value * SETTING_AGING_MS;

    if (!fact->is_plain || fact->was_retried || fact->was_rescheduled ||
        fact->changes[CHANGE_PRIORITY].value == UNKNOWN ||
        (fact->life != model.life && model.clock_set_at))
        return false;
    *ret_rank = (struct span){fact->born.from - priority, fact->born.to - priority};
    return true;
}

static void model_check_completed(const struct fact *fact, struct json_object *task)
{
    int64_t attempt = json_object_get_int64(json_get(task, "attempt"));
    char mark[48];

    if (fact->is_completed) {
        spec_check_result(fact->id, task);
        return;
    }
    if (setting_profiles[fact->profile].kind == SETTING_WORKER) {
        EXPECT(fact->completes, "no worker did it: %s", json_compact(task));
        return;
    }
    EXPECT(model_has(&fact->successes, attempt), "nobody did it: %s", json_compact(task));
    snprintf(mark, sizeof(mark), "by %lld-%lld", (long long)fact->id, (long long)attempt);
    EXPECT(strstr(json_compact(json_get(task, "result")), mark), "the result of another: %s",
           json_compact(task));
}

/* It says why, and it may be true. */
static void model_check_cancelled(const struct fact *fact, struct json_object *task)
{
    const char *message = json_get_string(json_get(task, "error"), "message");

    EXPECT(message, "%s", json_compact(task));
    if (strcmp(message, "cancelled on request") == 0)
        EXPECT(fact->cancels.count, "nobody cancelled it: %s", json_compact(task));
    else if (strstr(message, "evicted to make room for task ") == message)
        EXPECT(setting_has_evicted(fact->profile), "%s", json_compact(task));
    else
        EXPECT(strstr(message, ", on which it depends, ") &&
                   json_object_array_length(json_get(task, "dependsOn")),
               "%s", json_compact(task));
}

void model_check_refused(const struct fact *fact)
{
    for (size_t i = 0; i < model.refused_count; i++)
        EXPECT(model.refused[i] != model_key(fact) || model.is_repeated[model.refused[i]],
               "%s was refused and is there", fact->key);
}

static void model_check_changes(const struct fact *fact, struct json_object *task)
{
    for (size_t i = 0; i < CHANGE_COUNT; i++) {
        int64_t known = fact->changes[i].value;

        EXPECT(known == UNKNOWN || model_read(task, (enum change)i) == known,
               "change %zu is not %lld: %s", i, (long long)known, json_compact(task));
    }
}

static void model_check_status(const struct fact *fact, enum task_status status,
                               struct json_object *task)
{
    const char *message = json_get_string(json_get(task, "error"), "message");
    int64_t attempts = json_object_get_int64(json_get(task, "attempt")) - fact->retried_at;

    EXPECT(!fact->is_cancelled || fact->retries || status == TASK_CANCELLED, "cancelled: %s",
           json_compact(task));
    if (status == TASK_COMPLETED)
        model_check_completed(fact, task);
    if (status == TASK_CANCELLED)
        model_check_cancelled(fact, task);
    if (status != TASK_FAILED)
        return;
    EXPECT(!message || !strstr(message, PROCESS_SHORTAGE), "it failed for want of a process: %s",
           json_compact(task));
    EXPECT(attempts > 0, "it was retried: %s", json_compact(task));
    EXPECT(strcmp(json_get_string(json_get(task, "error"), "class"), "exit") != 0 ||
               attempts >= spec_max_attempts(model_key(fact)),
           "it has attempts left: %s", json_compact(task));
}

void model_check_task(struct json_object *task)
{
    enum task_status status = TASK_NEW;
    struct fact *fact = model_learn(task);

    model_note_profile(fact, task);
    EXPECT(task_status_parse(json_get_string(task, "status"), &status) == 0);
    spec_check(model_key(fact), task);
    model_check_refused(fact);
    EXPECT(!fact->is_completed || status == TASK_COMPLETED, "completed: %s", json_compact(task));
    EXPECT(!model_is_held(fact) || status == TASK_RUNNING, "held: %s", json_compact(task));
    if (fact->is_doubtful)
        return;
    model_check_status(fact, status, task);
    model_check_changes(fact, task);
}
