/* SPDX-License-Identifier: MIT */
/* Workers: claiming and finishing tasks. */
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "rpc/connection.h"

#define WAITING_MAX 100  /* claims of one connection */
#define MESSAGE_MAX 4096 /* bytes of an error's message that are kept */

#define ID                                                                                         \
    {                                                                                              \
        .name = "id", .type = PARAM_INTEGER, .is_required = true, .min = 1, .max = RPC_ID_MAX,     \
        .doc = "Id of the task."                                                                   \
    }
#define LEASE                                                                                      \
    {                                                                                              \
        .name = "lease", .type = PARAM_STRING, .is_required = true, .max_bytes = 128,              \
        .doc = "Lease token returned by claim_task."                                               \
    }
#define END                                                                                        \
    {                                                                                              \
        .type = PARAM_END                                                                          \
    }

static const struct param claim_params[] = {
    {.name = "profiles",
     .type = PARAM_WORDS,
     .is_required = true,
     .doc = "Profiles to claim from; their runner must be `worker`."},
    {.name = "worker",
     .type = PARAM_STRING,
     .is_required = true,
     .max_bytes = 256,
     .doc = "Name of the worker, shown to people."},
    {.name = "lease",
     .type = PARAM_NUMBER,
     .min = 0.01,
     .max = 86400,
     .doc = "Length of the lease, in seconds; default: as configured for the profile."},
    {.name = "wait",
     .type = PARAM_NUMBER,
     .min = 0,
     .max = 60,
     .doc = "How long to wait for a task, in seconds; default 0, and always 0 in a batch."},
    END,
};

static enum rpc_outcome methods_worker_get_profiles(struct rpc_call *call,
                                                    struct profile **ret_profiles)
{
    json_value_for_each (name, json_value_get(call->params, "profiles")) {
        struct profile *profile = engine_find_profile(call->engine, name->text);

        if (!profile)
            return rpc_error(call, RPC_NOT_FOUND, "profile \"%s\" not found", name->text);
        if (profile->config.runner.type != RUNNER_WORKER)
            return rpc_error(call, RPC_CONFLICT, "profile \"%s\" does not use workers", name->text);
        *ret_profiles++ = profile;
    }
    return RPC_REPLY;
}

static int64_t methods_worker_get_ms(struct rpc_call *call, const char *param)
{
    return (int64_t)(1000 * json_value_number(json_value_get(call->params, param)));
}

static bool methods_worker_names_profile(const struct rpc_call *call, const char *name)
{
    json_value_for_each (other, json_value_get(call->params, "profiles"))
        if (strcmp(other->text, name) == 0)
            return true;
    return false;
}

/* Whether a claim that came before waits for a task that this one could take. */
static bool methods_worker_must_queue(const struct rpc_call *call, struct profile *const *profiles,
                                      size_t count)
{
    const struct list *waiting = &call->connection->server->waiting;

    for (size_t i = 0; i < count && !list_is_empty(waiting); i++) {
        if (!profile_may_claim(profiles[i], engine_now(call->engine)->mono))
            continue;
        list_for_each (link, waiting) {
            const struct rpc_call *other = list_entry(link, struct rpc_call, link);

            if (other->method == call->method &&
                methods_worker_names_profile(other, profiles[i]->config.name))
                return true;
        }
    }
    return false;
}

static enum rpc_outcome methods_worker_delay(struct rpc_call *call, int64_t wait)
{
    if (wait > 0 && call->connection->waiting >= WAITING_MAX)
        return rpc_error(call, RPC_CONFLICT, "a connection may have at most %d waiting claims",
                         WAITING_MAX);
    call->blocks_next = !call->is_delayed && wait == 0;
    return RPC_LATER;
}

/* The claim is undone with its pass, or given back if the pass turns out to have held. */
static void methods_worker_return(struct rpc_call *call)
{
    engine_return_claim(call->engine, call->task_id, call->lease);
}

static enum rpc_outcome claim_task(struct rpc_call *call)
{
    static const struct rpc_handover handover = {.take_back = methods_worker_return,
                                                 .is_until_heard = true};
    struct engine *engine = call->engine;
    size_t count = json_value_count(json_value_get(call->params, "profiles"));
    CLEANUP(freep) struct profile **profiles = xcalloc(count + 1, sizeof(*profiles));
    const struct task *task = NULL;
    CLEANUP(freep) char *token = NULL;
    int64_t wait = 0;
    int r;

    if (!count)
        return rpc_error_field(call, "profiles", "must name at least one profile");
    if (methods_worker_get_profiles(call, profiles) == RPC_ERROR)
        return RPC_ERROR;
    if (!call->id)
        return rpc_error(call, RPC_INVALID_REQUEST,
                         "a claim needs an id, otherwise it has no reply");
    if (!call->is_delayed) {
        wait = call->batch ? 0 : methods_worker_get_ms(call, "wait");
        call->deadline = engine_now(engine)->mono + wait;
        if (methods_worker_must_queue(call, profiles, count)) /* first come, first served */
            return methods_worker_delay(call, wait);
    }
    r = engine_claim(engine, profiles, count, json_value_get_text(call->params, "worker"),
                     methods_worker_get_ms(call, "lease"), &task, &token);
    if (r < 0)
        return rpc_error_storage(call, r);
    if (r == ENGINE_NOT_FOUND) {
        if (engine_now(engine)->mono < call->deadline)
            return methods_worker_delay(call, wait);
        json_out_object(call->out, NULL);
        json_out_null(call->out, "task");
        json_out_end_object(call->out);
        return RPC_REPLY;
    }
    call->handover = &handover;
    call->task_id = task->id;
    call->lease = STEAL(token);
    json_out_object(call->out, NULL);
    json_out_key(call->out, "task");
    engine_print_task(engine, task, NULL, call->out);
    json_out_text(call->out, "lease", call->lease);
    json_out_end_object(call->out);
    return RPC_REPLY;
}

/* Replies with the outcome of a call with a lease. */
static enum rpc_outcome methods_worker_refused(struct rpc_call *call, int r, int64_t id)
{
    if (r < 0)
        return rpc_error_storage(call, r);
    if (r == ENGINE_NOT_FOUND)
        return rpc_error(call, RPC_NOT_FOUND, "task %lld not found", (long long)id);
    return rpc_error(
        call, RPC_CONFLICT,
        "the lease is stale: task %lld is no longer this worker's; nothing was changed",
        (long long)id);
}

static const struct param extend_params[] = {ID, LEASE, END};

static enum rpc_outcome extend_lease(struct rpc_call *call)
{
    int64_t id = rpc_get_int(call, "id", 0), until = 0;
    int r = engine_extend(call->engine, id, json_value_get_text(call->params, "lease"), &until);

    if (r)
        return methods_worker_refused(call, r, id);
    json_out_object(call->out, NULL);
    json_out_bool(call->out, "success", true);
    json_out_time(call->out, "expiresAt", until);
    json_out_end_object(call->out);
    return RPC_REPLY;
}

static enum rpc_outcome methods_worker_finish(struct rpc_call *call, enum error_class class,
                                              const char *message, const char *result)
{
    int64_t id = rpc_get_int(call, "id", 0);
    const struct task *task = NULL;
    int r = engine_finish(call->engine, id, json_value_get_text(call->params, "lease"), class,
                          message, result, &task);

    if (r)
        return methods_worker_refused(call, r, id);
    r = rpc_print_task(call, task, 0);
    return r < 0 ? rpc_error_storage(call, r) : RPC_REPLY;
}

static const struct param complete_params[] = {
    ID,
    LEASE,
    {.name = "result",
     .type = PARAM_ANY,
     .limit = offsetof(struct settings, input_limit),
     .doc = "Any JSON, at most `inputLimit` bytes."},
    END,
};

static enum rpc_outcome complete_task(struct rpc_call *call)
{
    const struct json_value *result = json_value_get(call->params, "result");
    CLEANUP(buf_deinit) struct buf text = {0};

    if (result)
        json_value_print(result, &text);
    return methods_worker_finish(call, ERROR_NONE, NULL, result ? buf_text(&text) : NULL);
}

static const struct param error_params[] = {
    {.name = "class",
     .type = PARAM_ENUM,
     .values = error_class_of_workers,
     .doc = "Class of the error, which decides about retries; default `exit`."},
    {.name = "message",
     .type = PARAM_STRING,
     .is_required = true,
     .may_be_empty = true,
     .is_any_text = true,
     .doc = "What went wrong; cut at 4096 bytes."},
    END,
};

static const struct param fail_params[] = {
    ID,
    LEASE,
    {.name = "error",
     .type = PARAM_OBJECT,
     .is_required = true,
     .fields = error_params,
     .doc = "Why the attempt failed."},
    END,
};

/* A failure is never rejected because of its message. */
static char *methods_worker_message_of(const struct json_value *error)
{
    static const char mark[] = " … (cut)";
    const struct json_value *message = json_value_get(error, "message");
    size_t len = message->len;
    struct buf text = {0};

    if (!len)
        return xstrdup("the worker gave no reason");
    buf_add(&text, message->text, len);
    if (len > MESSAGE_MAX) {
        len = MESSAGE_MAX - strlen(mark);
        while (((unsigned char)text.data[len] & 0xc0) == 0x80)
            len--;
        text.len = len;
        buf_add_text(&text, mark);
    }
    for (char *nul; (nul = memchr(text.data, '\0', text.len));)
        *nul = ' ';
    return buf_take(&text);
}

static enum rpc_outcome fail_task(struct rpc_call *call)
{
    const struct json_value *error = json_value_get(call->params, "error");
    const char *name = json_value_get_text(error, "class");
    CLEANUP(freep) char *message = methods_worker_message_of(error);
    enum error_class class = ERROR_EXIT;

    for (int i = ERROR_NONE + 1; name && i < ERROR_CLASS_COUNT; i++)
        if (strcmp(name, error_class_info((enum error_class)i)->name) == 0)
            class = (enum error_class)i;
    return methods_worker_finish(call, class, message, NULL);
}

const struct rpc_method rpc_worker_methods[] = {
    {"claim_task", "Claims the next task of some profiles; can wait for one.", claim_params,
     &shape_claim, claim_task, .is_guarded = true},
    {"extend_lease", "Extends the lease of a claimed task.", extend_params, &shape_lease_extension,
     extend_lease, .is_guarded = true},
    {"complete_task", "Completes a claimed task.", complete_params, &shape_task, complete_task,
     .is_guarded = true},
    {"fail_task", "Reports that the attempt of a claimed task failed.", fail_params, &shape_task,
     fail_task, .is_guarded = true},
    {0},
};
