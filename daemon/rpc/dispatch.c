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
 * each may have been interrupted. A part that is not the last one takes what is left of a turn. */
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

    if (!call->is_partial) {
        buf_clear(&call->result);
        buf_reserve(&call->result, USUAL_RESULT);
        call->progress.version = engine_profiles_version(engine);
    }
    outcome = method->handler(call);
    if (outcome != RPC_MORE)
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
    else if (outcome == RPC_MORE)
        call_continue(call);
    else
        call_end(call);
}

void dispatch_partial(struct connection *connection)
{
    struct rpc_call *call = STEAL(connection->partial);

    /* The pass that printed the part before may have failed meanwhile, which set an error. */
    if (!call->code && engine_is_in_doubt(call->engine))
        rpc_error(call, RPC_UNAVAILABLE, "not done: the storage is not responding");
    if (!call->code && call->progress.version != engine_profiles_version(call->engine)) {
        call->is_partial = false;
        call->progress.section = call->progress.at = 0;
        call->progress.is_whole = true;
    }
    if (call->code)
        call_end(call);
    else
        dispatch_run(call);
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
    int64_t id = json_value_integer(json_value_get(call->params, "id"));
    bool may = false;
    int r = engine_may_handle(call->engine, call->peer->run, id, &may);

    if (r < 0)
        rpc_error_storage(call, r);
    else if (!may)
        rpc_error(call, RPC_FORBIDDEN,
                  "task %lld does not descend from the task of the calling process", (long long)id);
    return may;
}

/* Reads the parameters, by name; if they are invalid, sets the call's error. */
static bool dispatch_check_params(struct rpc_call *call, struct json_value *params)
{
    const struct param *declared = call->method->params;
    struct param_error error;
    bool is_good = true;

    if (json_value_is(params, JSON_ARRAY))
        is_good = param_from_array(declared, params, &error);
    call->params = params ? params : json_doc_add_object(&call->request);
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
static bool dispatch_read_actor(struct rpc_call *call, const struct json_value *request)
{
    const struct json_value *actor = json_value_get(request, "actor");

    if (!actor || !dispatch_is_gateway(call->peer))
        return true;
    if (!json_value_is_text(actor) || !word_is_valid(actor->text))
        return false;
    call->actor = xstrdup(actor->text);
    return true;
}

/* What is wrong with a request before its method is looked at, or NULL. */
static const char *dispatch_find_fault(const struct json_value *request, bool good_id)
{
    const char *version = json_value_get_text(request, "jsonrpc");

    if (!json_value_get_text(request, "method"))
        return "invalid request: method must be a string";
    if (!good_id)
        return "invalid request: id must be a string, a number or null";
    if (!version || strcmp(version, "2.0") != 0)
        return "invalid request: jsonrpc must be \"2.0\"";
    return NULL;
}

/* Finds the method and checks the parameters. False: the call's error is set. */
static bool dispatch_prepare(struct rpc_call *call, const struct json_value *request)
{
    const struct rpc_server *server = call->connection->server;
    struct json_value *params = json_value_get(request, "params");
    const char *name = json_value_get_text(request, "method");

    call->method = rpc_method_find(name);
    if (params && params->kind != JSON_OBJECT && params->kind != JSON_ARRAY)
        rpc_error(call, RPC_INVALID_REQUEST,
                  "invalid request: params must be an object or an array");
    else if (!dispatch_read_actor(call, request))
        rpc_error(call, RPC_INVALID_REQUEST,
                  "invalid request: actor must be a word of the form " WORD_PATTERN);
    else if (!call->method)
        rpc_error(call, RPC_METHOD_NOT_FOUND, "method \"%s\" not found", name);
    else if (engine_is_in_doubt(call->engine))
        rpc_error(call, RPC_UNAVAILABLE, "not done: the storage is not responding");
    else if (call->batch && call->id && connection_is_congested(call->connection))
        rpc_error(call, RPC_UNAVAILABLE,
                  "not executed: the batch's replies exceed the limit of %lld bytes",
                  (long long)engine_settings(server->engine)->output_limit);
    else
        return dispatch_admit(server, call) && dispatch_check_params(call, params);
    return false;
}

/* The id as it is printed, or NULL: the request has none. */
static char *dispatch_copy_id(const struct json_value *id)
{
    struct buf text = {0};

    if (!id)
        return NULL;
    json_value_print(id, &text);
    return buf_take(&text);
}

static bool dispatch_is_id(const struct json_value *id)
{
    return id->kind == JSON_STRING || id->kind == JSON_INTEGER || id->kind == JSON_NUMBER ||
           id->kind == JSON_NULL;
}

static void dispatch_handle_request(struct connection *connection, struct batch *batch,
                                    struct json_doc *doc, const struct json_value *request)
{
    const struct json_value *id = json_value_find(request, "id");
    bool is_object = json_value_is(request, JSON_OBJECT), good_id = !id || dispatch_is_id(id);
    const char *fault =
        is_object ? dispatch_find_fault(request, good_id) : "invalid request: must be an object";
    struct rpc_call *call;

    if (fault && (!id || !good_id))
        call = call_new(connection, batch, xstrdup("null"));
    else
        call = call_new(connection, batch, dispatch_copy_id(id));
    if (doc) { /* the values move with it */
        struct json_doc spare = call->request;

        call->request = *doc;
        *doc = spare;
    }
    if (fault)
        rpc_error(call, RPC_INVALID_REQUEST, "%s", fault);
    if (!fault && dispatch_prepare(call, request))
        dispatch_run(call);
    else
        call_end(call);
}

/* Whether the request is expected to take longer than a turn and has not waited for its place yet;
 * if so, it does from now on. */
static bool dispatch_must_wait(struct connection *connection, const struct json_value *request)
{
    const char *name = json_value_get_text(request, "method");
    const struct rpc_method *method = name ? rpc_method_find(name) : NULL;
    int64_t expected_us = method ? connection->server->expected_us[rpc_method_number(method)] : 0;

    if (expected_us <= TURN_US || connection->long_us ||
        engine_is_in_doubt(connection->server->engine)) {
        connection->long_us = 0;
        list_remove(&connection->long_link);
        return false;
    }
    ready_wait_long(connection, expected_us);
    return true;
}

bool dispatch_batch(struct connection *connection)
{
    struct batch *batch = connection->batch;
    const struct json_value *request = batch->next;

    if (dispatch_must_wait(connection, request))
        return false;
    batch->next = request->next;
    dispatch_handle_request(connection, batch, NULL, request);
    if (batch->next)
        return true;
    connection->batch = NULL; /* its last call finishes it, if it has not ended yet */
    if (call_batch_finish(batch, connection))
        call_batch_free(batch);
    return true;
}

static void dispatch_begin_batch(struct connection *connection, struct json_doc *doc,
                                 const struct json_value *requests)
{
    int64_t limit = engine_settings(connection->server->engine)->batch_limit;

    if (!requests->count || requests->count > (size_t)limit) {
        char message[96];

        snprintf(message, sizeof(message), "invalid request: a batch must have 1 to %lld requests",
                 (long long)limit);
        json_doc_clear(doc);
        dispatch_refuse(connection, RPC_INVALID_REQUEST, message);
        return;
    }
    connection->batch = call_batch_new(doc, requests);
}

bool dispatch_line(struct connection *connection, const char *line, size_t len)
{
    struct json_doc *doc = &connection->server->request;
    struct json_error error;
    const struct json_value *message = json_doc_read(doc, line, len, &error);

    if (!message) {
        char text[160];

        snprintf(text, sizeof(text), "parse error at byte %zu: %s", error.offset, error.reason);
        json_doc_clear(doc);
        dispatch_refuse(connection, RPC_PARSE_ERROR, text);
    } else if (message->kind == JSON_ARRAY) {
        dispatch_begin_batch(connection, doc, message);
    } else {
        if (dispatch_must_wait(connection, message)) {
            json_doc_clear(doc);
            return false;
        }
        dispatch_handle_request(connection, NULL, doc, message);
    }
    return true;
}
