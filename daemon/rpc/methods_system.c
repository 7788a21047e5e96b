/* SPDX-License-Identifier: MIT */
/* acpd itself: its health, its configuration, its events. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "core/word.h"
#include "engine/event.h"
#include "rpc/connection.h"

static const struct param no_params[] = {{.type = PARAM_END}};

#define LAG_DEGRADED 1.0 /* seconds */

static void methods_system_add_reason(struct buf *reasons, const char *format, ...)
    PRINTF_LIKE(2, 3);

static void methods_system_add_reason(struct buf *reasons, const char *format, ...)
{
    char reason[320];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    json_out_text(reasons, NULL, reason);
}

/* Problems of acpd itself. */
static enum profile_health methods_system_judge_daemon(const struct engine *engine,
                                                       struct buf *reasons)
{
    enum profile_health health = HEALTH_HEALTHY;
    struct engine_storage storage;

    if (!engine_can_launch(engine) && !engine_is_stopping(engine)) {
        health = HEALTH_DEGRADED;
        methods_system_add_reason(
            reasons,
            "no task is started yet: processes of the previous acpd are still being stopped");
    }
    if (engine_lag(engine) > LAG_DEGRADED) {
        health = HEALTH_DEGRADED;
        methods_system_add_reason(reasons, "the event loop was busy for %.1f s",
                                  engine_lag(engine));
    }
    engine_get_storage(engine, &storage);
    if (storage.error[0]) {
        health = HEALTH_UNHEALTHY;
        methods_system_add_reason(reasons, "the storage is failing; see storage");
    }
    if (storage.damage[0]) {
        health = HEALTH_UNHEALTHY;
        methods_system_add_reason(reasons, "%s; see acpd recover", storage.damage);
    }
    if (storage.audit_failure) {
        health = HEALTH_UNHEALTHY;
        methods_system_add_reason(reasons, "the audit log cannot be written: %s",
                                  strerror(-storage.audit_failure));
    }
    return health;
}

static void methods_system_print_profiles_health(const struct engine *engine, struct buf *out)
{
    json_out_object(out, "profiles");
    for_each_profile (p, engine) {
        json_out_object(out, p->config.name);
        json_out_text(out, "health", profile_health_name(p->health));
        json_out_text(out, "healthReason", p->health_reason[0] ? p->health_reason : NULL);
        json_out_key(out, "anomalies");
        rpc_print_anomalies(p, out);
        json_out_end_object(out);
    }
    json_out_end_object(out);
}

static void methods_system_print_storage_health(const struct engine *engine, struct buf *out)
{
    struct engine_storage storage;

    engine_get_storage(engine, &storage);
    json_out_object(out, "storage");
    json_out_text(out, "type", storage.type);
    json_out_text(out, "status", storage.error[0] ? "failing" : "ok");
    json_out_text(out, "error", storage.error[0] ? storage.error : NULL);
    json_out_int(out, "sizeBytes", storage.size);
    json_out_time(out, "lastCommitAt", storage.last_commit);
    json_out_number(out, "commitDuration", (double)storage.commit_us / 1e6);
    json_out_end_object(out);
}

static void methods_system_print_loop_health(const struct engine *engine, struct buf *out)
{
    struct engine_storage storage;

    engine_get_storage(engine, &storage);
    json_out_object(out, "loop");
    json_out_int(out, "passes", (int64_t)engine_pass(engine));
    json_out_int(out, "commits", (int64_t)storage.commits);
    json_out_number(out, "lag", engine_lag(engine));
    json_out_bool(out, "stopping", engine_is_stopping(engine));
    json_out_bool(out, "canLaunch", engine_can_launch(engine));
    json_out_end_object(out);
}

static void methods_system_print_nodes(const struct engine *engine, struct buf *out)
{
    CLEANUP(freep) struct engine_node *nodes = NULL;
    size_t count = engine_list_nodes(engine, &nodes);

    json_out_array(out, "nodes");
    for (size_t i = 0; i < count; i++) {
        json_out_object(out, NULL);
        json_out_text(out, "name", nodes[i].name);
        json_out_text(out, "state", engine_node_states[nodes[i].state]);
        json_out_text(out, "version", nodes[i].version);
        json_out_time(out, "lastSeen", nodes[i].last_seen);
        json_out_int(out, "attempts", nodes[i].attempts);
        json_out_text(out, "url", nodes[i].url);
        json_out_array(out, "differs");
        for (size_t k = 0; nodes[i].differs && nodes[i].differs[k]; k++)
            json_out_text(out, NULL, nodes[i].differs[k]);
        json_out_end_array(out);
        json_out_end_object(out);
    }
    json_out_end_array(out);
}

static enum rpc_outcome get_health(struct rpc_call *call)
{
    const struct engine *engine = call->engine;
    CLEANUP(buf_deinit) struct buf reasons = {0};
    enum profile_health worst = methods_system_judge_daemon(engine, &reasons);
    struct buf *out = call->out;

    for_each_profile (p, engine) {
        if (p->health == HEALTH_HEALTHY)
            continue;
        worst = worst == HEALTH_HEALTHY ? HEALTH_DEGRADED : worst;
        methods_system_add_reason(&reasons, "profile %s: %s", p->config.name, p->health_reason);
    }
    json_out_object(out, NULL);
    json_out_text(out, "status", profile_health_name(worst));
    json_out_array(out, "reasons");
    json_out_raw_bytes(out, NULL, reasons.data, reasons.len);
    json_out_end_array(out);
    json_out_number(out, "updateInterval",
                    (double)engine_settings(engine)->update_interval_ms / 1000);
    json_out_text(out, "version", ACPD_VERSION);
    json_out_bool(out, "demo", engine_settings(engine)->is_demo);
    methods_system_print_profiles_health(engine, out);
    methods_system_print_storage_health(engine, out);
    methods_system_print_loop_health(engine, out);
    methods_system_print_nodes(engine, out);
    json_out_end_object(out);
    return RPC_REPLY;
}

static enum rpc_outcome reload_config(struct rpc_call *call)
{
    CLEANUP(freep) char *error = NULL;
    int r = engine_reload(call->engine, &error);

    if (r == -EINVAL) {
        rpc_error_field(call, "configuration", error);
        return rpc_error(call, RPC_INVALID_PARAMS, "the configuration is unchanged: %s", error);
    }
    if (r < 0)
        return rpc_error_storage(call, r);
    json_out_object(call->out, NULL);
    json_out_bool(call->out, "success", true);
    json_out_end_object(call->out);
    return RPC_REPLY;
}

static const struct param retire_params[] = {
    {.name = "name",
     .type = PARAM_STRING,
     .is_required = true,
     .max_bytes = WORD_MAX,
     .doc = "Name of the node, as in `get_health`."},
    {.type = PARAM_END},
};

static enum rpc_outcome retire_node(struct rpc_call *call)
{
    const char *name = json_value_text(json_value_get(call->params, "name"));
    int r = engine_retire_node(call->engine, name);

    if (r < 0)
        return rpc_error_storage(call, r);
    if (r == ENGINE_NOT_FOUND)
        return rpc_error(call, RPC_NOT_FOUND, "node \"%s\" not found", name);
    if (r == ENGINE_CONFLICT)
        return rpc_error(call, RPC_CONFLICT,
                         "node \"%s\" is the only one: no other node could take over its work",
                         name);
    json_out_object(call->out, NULL);
    json_out_bool(call->out, "success", true);
    json_out_end_object(call->out);
    return RPC_REPLY;
}

static const struct param subscribe_params[] = {
    {.name = "after",
     .type = PARAM_INTEGER,
     .min = 0,
     .max = RPC_ID_MAX,
     .doc = "`seq` of the last event seen; by default only new events are sent."},
    {.name = "source",
     .type = PARAM_WORD,
     .doc = "The node that sent that event; any other one sends a `gap`. Default: this node."},
    {.name = "profiles", .type = PARAM_WORDS, .doc = "Send only events of these profiles."},
    {.type = PARAM_END},
};

static void methods_system_announce(struct rpc_call *call)
{
    call->connection->subscription.is_announced = true;
}

static void methods_system_unsubscribe(struct rpc_call *call)
{
    subscription_end(call->connection);
    ready_wake(call->connection); /* only that may have kept it open */
}

static enum rpc_outcome subscribe(struct rpc_call *call)
{
    static const struct rpc_handover handover = {.begin = methods_system_announce,
                                                 .take_back = methods_system_unsubscribe};
    const struct json_value *names = json_value_get(call->params, "profiles");
    const char *node = engine_node_name(call->engine);
    const struct json_value *source = json_value_get(call->params, "source");
    int64_t after = rpc_get_int(call, "after", -1);
    CLEANUP(freep)
    int64_t *profiles = names ? xcalloc(names->count + 1, sizeof(*profiles)) : NULL;
    size_t count = 0;

    json_value_for_each (name, names) {
        const struct profile *profile = engine_find_profile(call->engine, name->text);

        if (!profile)
            return rpc_error(call, RPC_NOT_FOUND, "profile \"%s\" not found", name->text);
        profiles[count++] = profile->id;
    }
    if (!call->id)
        return rpc_error(call, RPC_INVALID_REQUEST, "a subscription needs an id");
    call->handover = &handover;
    subscription_start(call->connection, profiles, count, after,
                       after >= 0 && source && strcmp(source->text, node) != 0);
    json_out_object(call->out, NULL);
    json_out_int(call->out, "seq", engine_events(call->engine)->next - 1);
    json_out_text(call->out, "source", node);
    json_out_end_object(call->out);
    return RPC_REPLY;
}

const struct rpc_method rpc_system_methods[] = {
    {"get_health", "Returns the health of acpd and its profiles.", no_params, &shape_health,
     get_health, .is_reading = true},
    {"reload_config", "Reloads the configuration file. An invalid file changes nothing.", no_params,
     &shape_success, reload_config, .is_guarded = true, .is_audited = true},
    {"retire_node", "Retires a node: it takes no new work and stops once nothing is running on it.",
     retire_params, &shape_success, retire_node, .is_guarded = true, .is_audited = true},
    {"subscribe", "Sends events on this connection as they are committed.", subscribe_params,
     &shape_subscription, subscribe, .is_reading = true},
    {0},
};
