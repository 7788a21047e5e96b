/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <string.h>

#include "common/alloc.h"
#include "world.h"

#define SLOTS    3
#define LEASE_MS 30000 /* see simulate.c */

/* A task that was acknowledged, or given to a worker. */
struct fact {
    int64_t id;
    char key[KEY_SIZE];
    uint64_t attempts; /* bits: those that were given to workers */
    char token[TOKEN_SIZE], old_token[TOKEN_SIZE];
    int64_t attempt, until; /* of the lease; token empty: none is known */
    int open_ends;          /* calls that may end or have ended it */
    int cancels;            /* calls that may cancel it or have cancelled it */
    int retries;
    int64_t newest;                  /* the newest call when something was last acknowledged */
    bool is_completed, is_cancelled; /* acknowledged */
};

static struct {
    struct fact **facts;
    size_t count, acknowledged;
    int64_t *refused; /* ids of the assignments that were refused */
    size_t refused_count;
    int64_t newest; /* the call that was sent last */
} model;

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
}

static struct fact *model_find(int64_t id)
{
    for (size_t i = 0; i < model.count; i++)
        if (model.facts[i]->id == id)
            return model.facts[i];
    return NULL;
}

static struct fact *model_learn(struct json_object *task)
{
    int64_t id = json_object_get_int64(json_get(task, "id"));
    const char *key = json_get_string(task, "key");
    struct fact *fact = model_find(id);

    EXPECT(id > 0 && key, "%s", json_compact(task));
    if (fact) {
        EXPECT(strcmp(fact->key, key) == 0, "task %lld: %s, %s", (long long)id, fact->key, key);
        return fact;
    }
    fact = xcalloc(1, sizeof(*fact));
    fact->id = id;
    snprintf(fact->key, sizeof(fact->key), "%s", key);
    model.facts = xrealloc(model.facts, (model.count + 1) * sizeof(struct fact *));
    model.facts[model.count++] = fact;
    return fact;
}

int64_t model_pick(void)
{
    return model.count ? model.facts[world_below(model.count)]->id : 0;
}

int64_t model_pick_held(char ret_token[TOKEN_SIZE])
{
    size_t start = model.count ? world_below(model.count) : 0;

    for (size_t i = 0; i < model.count; i++) {
        const struct fact *fact = model.facts[(start + i) % model.count];

        if (!fact->token[0])
            continue;
        strcpy(ret_token, fact->old_token[0] && world_one_in(8) ? fact->old_token : fact->token);
        return fact->id;
    }
    return 0;
}

void model_sent(const struct call *call)
{
    struct fact *fact = model_find(call->task_id);

    model.newest = call->id;
    if (!fact)
        return;
    if ((call->method == METHOD_COMPLETE || call->method == METHOD_FAIL) &&
        strcmp(call->token, fact->token) == 0)
        fact->open_ends++;
    fact->cancels += call->method == METHOD_CANCEL;
    fact->retries += call->method == METHOD_RETRY;
}

/* Whether its worker is surely its owner. */
static bool model_is_held(const struct fact *fact)
{
    return fact->token[0] && !fact->open_ends && !fact->cancels && world_mono_ms() < fact->until;
}

static void model_take_assign(const struct call *call, struct json_object *result, int code)
{
    char key[KEY_SIZE];
    struct fact *fact;

    if (code) {
        EXPECT(code == RPC_UNAVAILABLE || code == RPC_QUEUE_FULL, "%d", code);
        model.refused = xrealloc(model.refused, (model.refused_count + 1) * sizeof(*model.refused));
        model.refused[model.refused_count++] = call->id;
        return;
    }
    snprintf(key, sizeof(key), "k%lld", (long long)call->id);
    fact = model_learn(json_get(result, "task"));
    EXPECT(strcmp(fact->key, key) == 0, "%s was answered with %s", key, fact->key);
    model.acknowledged++;
}

static void model_take_claim(const struct call *call, struct json_object *result, int code)
{
    struct json_object *task = json_get(result, "task");
    int64_t attempt = json_object_get_int64(json_get(task, "attempt"));
    struct fact *fact;
    size_t held = 0;

    EXPECT(!code || code == RPC_UNAVAILABLE, "%d", code);
    if (!task)
        return;
    fact = model_learn(task);
    EXPECT(attempt > 0 && attempt < 64, "%lld", (long long)attempt);
    EXPECT(!(fact->attempts >> attempt & 1), "attempt %lld of task %lld was given to two",
           (long long)attempt, (long long)fact->id);
    fact->attempts |= UINT64_C(1) << attempt;
    if (fact->token[0] && fact->attempt > attempt)
        return; /* a late reply: there is a newer claim */
    EXPECT(!model_is_held(fact), "task %lld has two owners", (long long)fact->id);
    EXPECT(!fact->is_completed, "task %lld was completed", (long long)fact->id);
    EXPECT(!fact->is_cancelled || fact->retries || call->id <= fact->newest,
           "task %lld was cancelled", (long long)fact->id);
    fact->newest = model.newest;
    strcpy(fact->old_token, fact->token);
    snprintf(fact->token, sizeof(fact->token), "%s", json_get_string(result, "lease"));
    fact->attempt = attempt;
    fact->until = call->sent_at + LEASE_MS;
    fact->open_ends = 0;
    for (size_t i = 0; i < model.count; i++)
        held += model_is_held(model.facts[i]);
    EXPECT(held <= SLOTS, "%zu tasks run", held);
}

/* The task whose current lease this is about, or NULL. */
static struct fact *model_find_leased(const struct call *call)
{
    struct fact *fact = model_find(call->task_id);

    return fact && strcmp(fact->token, call->token) == 0 ? fact : NULL;
}

static void model_take_end(const struct call *call, int code)
{
    struct fact *fact = model_find_leased(call);

    if (!code) {
        EXPECT(fact || call->method == METHOD_FAIL, "a stale lease ended task %lld",
               (long long)call->task_id);
        if (!fact)
            return;
        fact->is_completed |= call->method == METHOD_COMPLETE;
        fact->token[0] = '\0';
        fact->open_ends = 0;
        return;
    }
    EXPECT(code == RPC_UNAVAILABLE || code == RPC_CONFLICT, "%d", code);
    if (fact)
        fact->open_ends--;
    EXPECT(code == RPC_UNAVAILABLE || !fact || !model_is_held(fact),
           "the owner of task %lld was refused", (long long)call->task_id);
}

static void model_take_extend(const struct call *call, int code)
{
    struct fact *fact = model_find_leased(call);

    EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT, "%d", code);
    EXPECT(code != RPC_CONFLICT || !fact || !model_is_held(fact),
           "the owner of task %lld was refused", (long long)call->task_id);
    if (fact && !code)
        fact->until = call->sent_at + LEASE_MS;
}

static void model_check_task(struct json_object *task)
{
    const char *status = json_get_string(task, "status");
    struct fact *fact = model_learn(task);

    for (size_t i = 0; i < model.refused_count; i++) {
        char key[KEY_SIZE];

        snprintf(key, sizeof(key), "k%lld", (long long)model.refused[i]);
        EXPECT(strcmp(key, fact->key) != 0, "%s was refused and is there", key);
    }
    if (fact->is_completed)
        EXPECT(strcmp(status, "completed") == 0 &&
                   json_object_get_int64(json_get(task, "result")) == fact->id,
               "completed: %s", json_compact(task));
    if (fact->is_cancelled && !fact->retries)
        EXPECT(strcmp(status, "cancelled") == 0, "cancelled: %s", json_compact(task));
    if (model_is_held(fact))
        EXPECT(strcmp(status, "running") == 0, "held: %s", json_compact(task));
}

void model_take(const struct call *call, struct json_object *reply)
{
    struct json_object *error = json_get(reply, "error"), *result = json_get(reply, "result");
    int code = json_object_get_int(json_get(error, "code"));
    struct fact *fact = model_find(call->task_id);

    EXPECT(!error != !result, "%s", json_compact(reply));
    switch (call->method) {
    case METHOD_ASSIGN:
        model_take_assign(call, result, code);
        break;
    case METHOD_CLAIM:
        model_take_claim(call, result, code);
        break;
    case METHOD_COMPLETE:
    case METHOD_FAIL:
        model_take_end(call, code);
        break;
    case METHOD_EXTEND:
        model_take_extend(call, code);
        break;
    case METHOD_CANCEL:
        EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT, "%d", code);
        fact->cancels -= code != 0;
        fact->is_cancelled |= code == 0;
        break;
    case METHOD_GET:
        EXPECT(!code || code == RPC_UNAVAILABLE, "task %lld is gone: %d", (long long)call->task_id,
               code);
        if (!code && call->id > fact->newest) /* what was asked before may be older */
            model_check_task(result);
        break;
    default:
        EXPECT(!code || code == RPC_UNAVAILABLE || code == RPC_CONFLICT, "%d", code);
    }
    if (fact && call->method != METHOD_GET)
        fact->newest = model.newest;
}

static int64_t model_count(struct json_object *states, const char *member)
{
    int64_t sum = 0;

    for (size_t i = 0; i < json_object_array_length(states); i++)
        sum += json_object_get_int64(json_get(json_object_array_get_idx(states, i), member));
    return sum;
}

void model_audit(struct json_object *tasks, struct json_object *states)
{
    size_t count = json_object_array_length(tasks);
    int64_t waiting = 0, completed = 0;

    for (size_t i = 0; i < count; i++) {
        struct json_object *task = json_object_array_get_idx(tasks, i);
        const char *status = json_get_string(task, "status");

        model_check_task(task);
        completed += strcmp(status, "completed") == 0;
        waiting += strcmp(status, "queued") == 0 || strcmp(status, "scheduled") == 0;
    }
    EXPECT(count == model.count, "%zu tasks are listed, of %zu", count, model.count);
    EXPECT(completed == model_count(states, "completedTasks"), "%lld completed",
           (long long)completed);
    EXPECT(waiting == model_count(states, "queueSize"), "%lld wait", (long long)waiting);
}

void model_doubt_leases(void)
{
    for (size_t i = 0; i < model.count; i++)
        model.facts[i]->until = 0;
}

void model_forgive_refused(void)
{
    model.refused_count = 0;
}

uint64_t model_acknowledged(void)
{
    return model.acknowledged;
}
