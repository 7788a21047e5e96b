/* SPDX-License-Identifier: MIT */
/* Results and errors of handlers, their time, and access to their parameters. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "rpc/connection.h"
#include "rpc/method.h"

bool rpc_turn_is_over(const struct rpc_call *call)
{
    return !call->progress.is_whole &&
           clock_mono_us() - call->connection->server->turn_began > TURN_US;
}

enum rpc_outcome rpc_error(struct rpc_call *call, enum rpc_code code, const char *format, ...)
{
    char message[256]; /* whatever it quotes */
    va_list args;

    call->code = (int)code;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    free(call->message);
    call->message = xstrdup(message);
    return RPC_ERROR;
}

enum rpc_outcome rpc_error_field(struct rpc_call *call, const char *field, const char *reason)
{
    CLEANUP(buf_deinit) struct buf data = {0};

    json_out_object(&data, NULL);
    json_out_text(&data, "field", field);
    json_out_text(&data, "reason", reason);
    json_out_end_object(&data);
    free(call->data);
    call->data = buf_take(&data);
    return rpc_error(call, RPC_INVALID_PARAMS, "invalid params: %s %s", field, reason);
}

enum rpc_outcome rpc_error_storage(struct rpc_call *call, int r)
{
    struct engine_storage storage;

    if (r == -ESHUTDOWN)
        return rpc_error(call, RPC_UNAVAILABLE, "acpd is shutting down");
    engine_get_storage(call->engine, &storage);
    return rpc_error(call, RPC_UNAVAILABLE, "the storage is failing: %s", storage.error);
}

enum rpc_outcome rpc_error_queue_full(struct rpc_call *call, const struct profile *profile)
{
    /* About one task's time. */
    double average = metrics_window_average(&profile->window);
    double wait = ceil(average / (double)profile->config.max_concurrent_tasks);
    int64_t waiting = profile_waiting(profile);

    wait = wait < 1 ? 1 : wait > 60 ? 60 : wait;
    free(call->data);
    call->data = xasprintf("{\"retryAfter\":%d}", (int)wait);
    return rpc_error(call, RPC_QUEUE_FULL,
                     "the queue of profile \"%s\" is full: %lld waiting task%s",
                     profile->config.name, (long long)waiting, waiting == 1 ? "" : "s");
}

struct profile *rpc_get_profile(struct rpc_call *call, const char *param)
{
    const char *name = json_value_get_text(call->params, param);
    struct profile *profile = engine_find_profile(call->engine, name);

    if (!profile)
        rpc_error(call, RPC_NOT_FOUND, "profile \"%s\" not found", name);
    return profile;
}

int64_t rpc_get_int(struct rpc_call *call, const char *param, int64_t otherwise)
{
    const struct json_value *value = json_value_get(call->params, param);

    return value ? value->integer : otherwise;
}

const struct metrics_range *rpc_get_range(struct rpc_call *call)
{
    return metrics_range_find(json_value_get_text(call->params, "range"));
}
