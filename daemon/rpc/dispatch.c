/* SPDX-License-Identifier: MIT */
/* The envelope: JSON-RPC 2.0 requests, notifications and batches
 * (https://www.jsonrpc.org/specification). */
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/path.h"
#include "core/word.h"
#include "engine/audit.h"
#include "rpc/connection.h"

#define USUAL_RESULT 1024 /* bytes */

void dispatch_refuse(struct connection *connection, enum rpc_code code, const char *message)
{
    struct rpc_call *call = call_new(connection, NULL, xstrdup("null"));

    rpc_error(call, code, "%s", message);
    call_end(call);
}

/* How long the calls of a method take: the first counts at once, later ones little by little, for
 * each may have been interrupted. */
static void dispatch_learn(const struct rpc_call *call, int64_t us)
{
    int64_t *expected_us = &call->connection->server->expected_us[rpc_method_number(call->method)];

    *expected_us += *expected_us ? (us - *expected_us) / 8 : us;
}

void dispatch_run(struct rpc_call *call)
{
    const struct rpc_method *method = call->method;
    struct engine *engine = call->engine;
    uint64_t writes = engine_writes(engine);
    int64_t began = clock_mono_us();
    enum rpc_outcome outcome;

    buf_clear(&call->result);
    buf_reserve(&call->result, USUAL_RESULT);
    outcome = method->handler(call);
    dispatch_learn(call, clock_mono_us() - began);
    if (outcome == RPC_REPLY && !method->is_reading &&
        (method->is_audited || (call->task_id && engine_writes(engine) != writes)))
        engine_audit(engine, &(struct audit_entry){
                                 .at = engine_now(engine)->wall,
                                 .uid = call->peer->uid,
                                 .pid = call->peer->pid,
                                 .actor = call->actor,
                                 .method = method->name,
                                 .task_id = call->task_id,
                                 .params = call->params,
                             });
    if (outcome == RPC_LATER)
        call_delay(call);
    else
        call_end(call);
}

bool dispatch_admit(const struct rpc_server *server, struct rpc_call *call)
{
    const struct rpc_method *method = call->method;
    enum role role = connection_role(server, call->peer->uid);
    enum role needed = method->is_reading ? ROLE_READ : ROLE_OPERATE;

    if (method->is_guarded && call->peer->is_descendant)
        rpc_error(call, RPC_FORBIDDEN, "processes of attempts may not call %s", method->name);
    else if (role < needed)
        rpc_error(call, RPC_FORBIDDEN, "%s needs the role \"%s\"; user %u has \"%s\"", method->name,
                  role_name(needed), (unsigned)call->peer->uid, role_name(role));
    else
        return true;
    return false;
}

/* Whether the task descends from the task of the calling process; if not, sets the call's error. */
static bool dispatch_is_own(struct rpc_call *call)
{
    int64_t id = json_object_get_int64(json_get(call->params, "id"));
    bool may = false;
    int r = engine_may_handle(call->engine, call->peer->keeper, id, &may);

    if (r < 0)
        rpc_error_storage(call, r);
    else if (!may)
        rpc_error(call, RPC_FORBIDDEN,
                  "task %lld does not descend from the task of the calling process", (long long)id);
    return may;
}

/* Reads the parameters, by name; if they are invalid, sets the call's error. */
static bool dispatch_check_params(struct rpc_call *call, struct json_object *params)
{
    const struct param *declared = call->method->params;
    struct param_error error;
    bool is_good = true;

    if (json_object_is_type(params, json_type_array))
        is_good = param_from_array(declared, params, &call->params, &error);
    else
        call->params = params ? json_object_get(params) : json_object_new_object();
    if (!is_good || !param_check(declared, call->params, engine_settings(call->engine), &error)) {
        rpc_error_field(call, error.field, error.reason);
        return false;
    }
    return !(call->method->is_for_own && call->peer->is_descendant) || dispatch_is_own(call);
}

/* Whether the peer is the acp-gateway installed with this acpd; another user's process is only
 * compared by name. */
static bool dispatch_is_gateway(struct rpc_peer *peer)
{
    CLEANUP(freep) char *path = NULL;

    if (peer->program == PEER_UNKNOWN) {
        path = path_find_own("../gateway/acp-gateway", "acp-gateway");
        peer->program =
            !peer->is_descendant && path_is_run_by(path, peer->pid) ? PEER_GATEWAY : PEER_OTHER;
    }
    return peer->program == PEER_GATEWAY;
}

/* On whose behalf the call is made: a member next to the method, accepted from the gateway only. */
static bool dispatch_read_actor(struct rpc_call *call, struct json_object *request)
{
    struct json_object *actor = json_get(request, "actor");
    const char *name;

    if (!actor || !dispatch_is_gateway(call->peer))
        return true;
    name = json_object_get_string(actor);
    if (!json_object_is_type(actor, json_type_string) ||
        strlen(name) != (size_t)json_object_get_string_len(actor) || !word_is_valid(name))
        return false;
    call->actor = xstrdup(name);
    return true;
}

/* What is wrong with a request before its method is looked at, or NULL. */
static const char *dispatch_find_fault(struct json_object *request, bool good_id)
{
    struct json_object *version = json_get(request, "jsonrpc");

    if (!json_object_is_type(json_get(request, "method"), json_type_string))
        return "invalid request: method must be a string";
    if (!good_id)
        return "invalid request: id must be a string, a number or null";
    if (!json_object_is_type(version, json_type_string) ||
        strcmp(json_object_get_string(version), "2.0") != 0)
        return "invalid request: jsonrpc must be \"2.0\"";
    return NULL;
}

/* Finds the method and checks the parameters. False: the call's error is set. */
static bool dispatch_prepare(struct rpc_call *call, struct json_object *request)
{
    const struct rpc_server *server = call->connection->server;
    struct json_object *params = json_get(request, "params");
    const char *name = json_get_string(request, "method");

    call->method = rpc_method_find(name);
    if (params && !json_object_is_type(params, json_type_object) &&
        !json_object_is_type(params, json_type_array))
        rpc_error(call, RPC_INVALID_REQUEST,
                  "invalid request: params must be an object or an array");
    else if (!dispatch_read_actor(call, request))
        rpc_error(call, RPC_INVALID_REQUEST,
                  "invalid request: actor must be a word of the form " WORD_PATTERN);
    else if (!call->method)
        rpc_error(call, RPC_METHOD_NOT_FOUND, "method \"%s\" not found", name);
    else if (engine_is_in_doubt(call->engine))
        rpc_error(call, RPC_UNAVAILABLE, "not done: the storage does not answer");
    else if (call->batch && call->id && connection_is_congested(call->connection))
        rpc_error(call, RPC_UNAVAILABLE,
                  "not executed: the batch's replies exceed the limit of %lld bytes",
                  (long long)engine_settings(server->engine)->output_limit);
    else
        return dispatch_admit(server, call) && dispatch_check_params(call, params);
    return false;
}

static void dispatch_handle_request(struct connection *connection, struct batch *batch,
                                    struct json_object *request)
{
    struct json_object *id = NULL;
    struct rpc_call *call;
    const char *fault;
    bool has_id, good_id;

    if (!json_object_is_type(request, json_type_object)) {
        call = call_new(connection, batch, xstrdup("null"));
        rpc_error(call, RPC_INVALID_REQUEST, "invalid request: must be an object");
        call_end(call);
        return;
    }
    has_id = json_object_object_get_ex(request, "id", &id);
    good_id = !id || json_object_is_type(id, json_type_string) ||
              json_object_is_type(id, json_type_int) || json_object_is_type(id, json_type_double);
    fault = dispatch_find_fault(request, good_id);
    if (has_id && good_id)
        call = call_new(connection, batch, xstrdup(json_compact(id)));
    else
        call = call_new(connection, batch, fault ? xstrdup("null") : NULL);
    if (fault)
        rpc_error(call, RPC_INVALID_REQUEST, "%s", fault);
    if (!fault && dispatch_prepare(call, request))
        dispatch_run(call);
    else
        call_end(call);
}

/* Whether the request is expected to take longer than a turn and has not waited for its place yet;
 * if so, it does from now on. */
static bool dispatch_must_wait(struct connection *connection, struct json_object *request)
{
    struct json_object *name = json_get(request, "method");
    const struct rpc_method *method = json_object_is_type(name, json_type_string)
                                          ? rpc_method_find(json_object_get_string(name))
                                          : NULL;
    int64_t expected_us = method ? connection->server->expected_us[rpc_method_number(method)] : 0;

    if (expected_us <= TURN_US || connection->long_us ||
        engine_is_in_doubt(connection->server->engine)) {
        connection->long_us = 0;
        list_remove(&connection->long_link);
        return false;
    }
    connection_wait_long(connection, expected_us);
    return true;
}

bool dispatch_batch(struct connection *connection)
{
    struct batch *batch = connection->batch;
    struct json_object *request = json_object_array_get_idx(batch->requests, batch->next);

    if (dispatch_must_wait(connection, request))
        return false;
    batch->next++;
    dispatch_handle_request(connection, batch, request);
    if (batch->next < json_object_array_length(batch->requests))
        return true;
    connection->batch = NULL; /* its last call finishes it, if it has not ended yet */
    if (batch_finish(batch, connection))
        batch_free(batch);
    return true;
}

static void dispatch_begin_batch(struct connection *connection, struct json_object *requests)
{
    size_t count = json_object_array_length(requests);
    int64_t limit = engine_settings(connection->server->engine)->batch_limit;

    if (!count || count > (size_t)limit) {
        char message[96];

        snprintf(message, sizeof(message), "invalid request: a batch must have 1 to %lld requests",
                 (long long)limit);
        dispatch_refuse(connection, RPC_INVALID_REQUEST, message);
        return;
    }
    connection->batch = batch_new(json_object_get(requests));
}

bool dispatch_line(struct connection *connection, const char *line, size_t len)
{
    CLEANUP(json_putp) struct json_object *message = NULL;
    const char *reason;
    size_t offset;

    if (json_parse(line, len, &message, &reason, &offset) < 0) {
        char text[160];

        snprintf(text, sizeof(text), "parse error at byte %zu: %s", offset, reason);
        dispatch_refuse(connection, RPC_PARSE_ERROR, text);
    } else if (json_object_is_type(message, json_type_array)) {
        dispatch_begin_batch(connection, message);
    } else {
        if (dispatch_must_wait(connection, message))
            return false;
        dispatch_handle_request(connection, NULL, message);
    }
    return true;
}
