/* SPDX-License-Identifier: MIT */
#include "rpc/connection.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"

static const struct rpc_method *const tables[] = {
    rpc_profile_methods,    rpc_task_methods,   rpc_metrics_methods,
    rpc_permission_methods, rpc_worker_methods, rpc_system_methods,
};

const struct rpc_method *rpc_method_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        for (const struct rpc_method *m = tables[i]; m->name; m++)
            if (strcmp(m->name, name) == 0)
                return m;
    return NULL;
}

enum rpc_outcome rpc_error(struct rpc_call *call, enum rpc_code code, const char *format, ...)
{
    va_list args;

    call->code = (int)code;
    va_start(args, format);
    vsnprintf(call->message, sizeof(call->message), format, args);
    va_end(args);
    return RPC_ERROR;
}

enum rpc_outcome rpc_error_field(struct rpc_call *call, const char *field, const char *reason)
{
    CLEANUP(buf_deinit) struct buf data = {0};

    buf_add_text(&data, "{\"field\":");
    buf_add_json_text(&data, field);
    buf_add_text(&data, ",\"reason\":");
    buf_add_json_text(&data, reason);
    buf_add_char(&data, '}');
    if (data.len < sizeof(call->data))
        memcpy(call->data, buf_text(&data), data.len + 1);
    return rpc_error(call, RPC_INVALID_PARAMS, "invalid params: %s %s", field, reason);
}

enum rpc_outcome rpc_error_storage(struct rpc_call *call, int r)
{
    if (r == -ESHUTDOWN)
        return rpc_error(call, RPC_UNAVAILABLE, "acpd is shutting down");
    return rpc_error(call, RPC_UNAVAILABLE, "the storage fails: %s",
                     store_error(call->engine->store));
}

enum rpc_outcome rpc_error_queue_full(struct rpc_call *call, const struct profile *profile)
{
    /* About one task's time. */
    double average = metrics_window_average(&profile->window);
    double wait = ceil(average / (double)profile->config.max_concurrent_tasks);
    int64_t waiting = profile_waiting(profile);

    wait = wait < 1 ? 1 : wait > 60 ? 60 : wait;
    snprintf(call->data, sizeof(call->data), "{\"retryAfter\":%d}", (int)wait);
    return rpc_error(call, RPC_QUEUE_FULL, "the queue of profile \"%s\" is full: %lld %s",
                     profile->config.name, (long long)waiting,
                     waiting == 1 ? "task waits" : "tasks wait");
}

struct profile *rpc_get_profile(struct rpc_call *call, const char *param)
{
    const char *name = json_get_string(call->params, param);
    struct profile *profile = engine_find_profile(call->engine, name);

    if (!profile)
        rpc_error(call, RPC_NOT_FOUND, "profile \"%s\" not found", name);
    return profile;
}

int64_t rpc_get_int(struct rpc_call *call, const char *param, int64_t otherwise)
{
    struct json_object *value = json_get(call->params, param);

    return value ? json_object_get_int64(value) : otherwise;
}

const struct metrics_range *rpc_get_range(struct rpc_call *call)
{
    return metrics_range_find(json_get_string(call->params, "range"));
}

static void print_method(const struct rpc_method *method, const struct settings *settings,
                         struct buf *out)
{
    buf_printf(out, "{\"name\":\"%s\",\"summary\":", method->name);
    buf_add_json_text(out, method->summary);
    buf_printf(out, ",\"x-role\":\"%s\",\"paramStructure\":\"either\",\"params\":[",
               role_name(method->is_reading ? ROLE_READ : ROLE_OPERATE));
    for (const struct param *p = method->params; p->type != PARAM_END; p++) {
        buf_printf(out, "%s{\"name\":\"%s\",", p == method->params ? "" : ",", p->name);
        if (p->alias)
            buf_printf(out, "\"x-alias\":\"%s\",", p->alias);
        buf_printf(out, "\"required\":%s,\"schema\":", p->is_required ? "true" : "false");
        param_print_schema(p, settings, out);
        buf_add_char(out, '}');
    }
    buf_add_text(out, "],\"result\":{\"name\":\"result\",\"schema\":{}}}");
}

static enum rpc_outcome discover(struct rpc_call *call)
{
    const char *separator = "";

    buf_add_text(call->out, "{\"openrpc\":\"1.2.6\",\"info\":{\"title\":\"acpd\",\"version\":"
                            "\"" ACPD_VERSION "\"},\"methods\":[");
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct rpc_method *m = tables[i]; m->name; m++) {
            buf_add_text(call->out, separator);
            print_method(m, &call->engine->settings, call->out);
            separator = ",";
        }
    }
    buf_add_text(call->out, "]}");
    return RPC_REPLY;
}

static const struct param no_params[] = {{.type = PARAM_END}};

#define LAG_DEGRADED 1.0 /* seconds */

static void add_reason(struct buf *reasons, const char *format, ...) PRINTF_LIKE(2, 3);

static void add_reason(struct buf *reasons, const char *format, ...)
{
    char reason[320];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    if (reasons->len)
        buf_add_char(reasons, ',');
    buf_add_json_text(reasons, reason);
}

/* What is wrong with acpd itself. */
static enum profile_health judge_daemon(const struct engine *engine, struct buf *reasons)
{
    enum profile_health health = HEALTH_HEALTHY;

    if (!engine_can_launch(engine) && !engine->is_stopping) {
        health = HEALTH_DEGRADED;
        add_reason(reasons, "nothing is started yet: processes of the acpd before are still being "
                            "ended");
    }
    if (engine_lag(engine) > LAG_DEGRADED) {
        health = HEALTH_DEGRADED;
        add_reason(reasons, "the event loop was busy for %.1f s", engine_lag(engine));
    }
    if (store_error(engine->store)[0]) {
        health = HEALTH_UNHEALTHY;
        add_reason(reasons, "the storage fails; see storage");
    }
    if (store_damage(engine->store)[0]) {
        health = HEALTH_UNHEALTHY;
        add_reason(reasons, "%s; see acpd recover", store_damage(engine->store));
    }
    if (engine->audit.failure) {
        health = HEALTH_UNHEALTHY;
        add_reason(reasons, "the audit log cannot be written: %s",
                   strerror(-engine->audit.failure));
    }
    return health;
}

static void print_profiles_health(const struct engine *engine, struct buf *out)
{
    const char *separator = "";

    buf_add_text(out, ",\"profiles\":{");
    for (size_t i = 0; i < engine->profile_count; i++) {
        const struct profile *p = engine->profiles[i];

        if (!engine_is_visible(p))
            continue;
        buf_printf(out, "%s\"%s\":{\"health\":\"%s\",\"healthReason\":", separator, p->config.name,
                   profile_health_name(p->health));
        buf_add_json_text(out, p->health_reason[0] ? p->health_reason : NULL);
        buf_add_text(out, ",\"anomalies\":");
        rpc_print_anomalies(p, out);
        buf_add_char(out, '}');
        separator = ",";
    }
    buf_add_char(out, '}');
}

static void print_storage_health(const struct engine *engine, struct buf *out)
{
    const char *error = store_error(engine->store);

    buf_printf(out, ",\"storage\":{\"type\":\"sqlite\",\"status\":\"%s\",\"error\":",
               error[0] ? "failing" : "ok");
    buf_add_json_text(out, error[0] ? error : NULL);
    buf_printf(out, ",\"sizeBytes\":%lld,\"lastCommitAt\":", (long long)store_size(engine->store));
    buf_add_json_time(out, engine->last_commit);
    buf_add_text(out, ",\"commitDuration\":");
    buf_add_json_number(out, (double)engine->commit_us / 1e6);
    buf_add_char(out, '}');
}

static void print_loop_health(const struct engine *engine, struct buf *out)
{
    buf_printf(out, ",\"loop\":{\"passes\":%llu,\"commits\":%llu,\"lag\":",
               (unsigned long long)engine->passes, (unsigned long long)engine->commits);
    buf_add_json_number(out, engine_lag(engine));
    buf_printf(out, ",\"stopping\":%s,\"canLaunch\":%s}", engine->is_stopping ? "true" : "false",
               engine_can_launch(engine) ? "true" : "false");
}

static enum rpc_outcome get_health(struct rpc_call *call)
{
    const struct engine *engine = call->engine;
    CLEANUP(buf_deinit) struct buf reasons = {0};
    enum profile_health worst = judge_daemon(engine, &reasons);

    for (size_t i = 0; i < engine->profile_count; i++) {
        const struct profile *p = engine->profiles[i];

        if (!engine_is_visible(p) || p->health == HEALTH_HEALTHY)
            continue;
        worst = worst == HEALTH_HEALTHY ? HEALTH_DEGRADED : worst;
        add_reason(&reasons, "profile %s: %s", p->config.name, p->health_reason);
    }
    buf_printf(call->out, "{\"status\":\"%s\",\"reasons\":[", profile_health_name(worst));
    buf_add(call->out, reasons.data, reasons.len);
    buf_add_text(call->out, "],\"updateInterval\":");
    buf_add_json_number(call->out, (double)engine->settings.update_interval_ms / 1000);
    buf_printf(call->out, ",\"version\":\"" ACPD_VERSION "\",\"demo\":%s",
               engine->settings.is_demo ? "true" : "false");
    print_profiles_health(engine, call->out);
    print_storage_health(engine, call->out);
    print_loop_health(engine, call->out);
    buf_add_char(call->out, '}');
    return RPC_REPLY;
}

static enum rpc_outcome reload_config(struct rpc_call *call)
{
    CLEANUP(freep) char *error = NULL;
    int r = call->engine->reload(call->engine, &error);

    if (r == -EINVAL) {
        rpc_error_field(call, "configuration", error);
        return rpc_error(call, RPC_INVALID_PARAMS, "the configuration stays as it was: %s", error);
    }
    if (r < 0)
        return rpc_error_storage(call, r);
    buf_add_text(call->out, "{\"success\":true}");
    return RPC_REPLY;
}

static const struct param subscribe_params[] = {
    {.name = "after",
     .type = PARAM_INTEGER,
     .min = 0,
     .max = RPC_ID_MAX,
     .doc = "The seq of the last event seen; default: only new events."},
    {.name = "profiles", .type = PARAM_WORDS, .doc = "Only events of these profiles."},
    {.type = PARAM_END},
};

static enum rpc_outcome subscribe(struct rpc_call *call)
{
    struct json_object *names = json_get(call->params, "profiles");
    size_t count = names ? json_object_array_length(names) : 0;
    CLEANUP(freep) int64_t *profiles = names ? xcalloc(count + 1, sizeof(*profiles)) : NULL;

    for (size_t i = 0; i < count; i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));
        const struct profile *profile = engine_find_profile(call->engine, name);

        if (!profile)
            return rpc_error(call, RPC_NOT_FOUND, "profile \"%s\" not found", name);
        profiles[i] = profile->id;
    }
    if (!call->id)
        return rpc_error(call, RPC_INVALID_REQUEST, "a subscription needs an id");
    call->has_subscribed = true;
    subscription_start(call->connection, profiles, count, rpc_get_int(call, "after", -1));
    buf_add_text(call->out, "{\"seq\":");
    buf_add_int(call->out, call->engine->events.next - 1);
    buf_add_char(call->out, '}');
    return RPC_REPLY;
}

const struct rpc_method rpc_system_methods[] = {
    {"get_health", "How acpd and its profiles are.", no_params, get_health, .is_reading = true},
    {"reload_config", "Reads the configuration file again; a bad one changes nothing.", no_params,
     reload_config, .is_guarded = true, .is_audited = true},
    {"subscribe", "Events on this connection, as they are committed.", subscribe_params, subscribe,
     .is_reading = true},
    {"rpc.discover", "This document: every method and its parameters, as OpenRPC.", no_params,
     discover, .is_reading = true},
    {0},
};
