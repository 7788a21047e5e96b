/* SPDX-License-Identifier: MIT */
/* The envelope: JSON-RPC 2.0 requests, notifications and batches
 * (https://www.jsonrpc.org/specification). */
#include <string.h>
#include <stdio.h>

#include "common/alloc.h"
#include "common/path.h"
#include "core/word.h"
#include "rpc/connection.h"
#include "rpc/method.h"

static struct reply_mark *add_mark(struct connection *connection)
{
    struct rpc_server *server = connection->server;
    struct reply_mark *mark;

    if (server->mark_count == server->mark_capacity) {
        server->mark_capacity = server->mark_capacity ? server->mark_capacity * 2 : 256;
        server->marks = xrealloc(server->marks, server->mark_capacity * sizeof(*server->marks));
    }
    mark = &server->marks[server->mark_count++];
    *mark = (struct reply_mark){
        .connection = connection,
        .start = connection->staged.len,
        .falls = store_is_writing(server->engine->store),
    };
    if (list_is_empty(&connection->dirty))
        list_append(&server->dirty, &connection->dirty);
    return mark;
}

void message_punctuate(struct connection *connection, const char *text)
{
    add_mark(connection);
    buf_add_text(&connection->staged, text);
}

/* Starts a reply to this id: marks it and prints the prefix. */
static void stage_reply(struct connection *connection, const char *id, size_t id_len, char prefix)
{
    struct rpc_server *server = connection->server;
    struct reply_mark *mark = add_mark(connection);

    mark->is_reply = true;
    mark->prefix = prefix;
    mark->id_at = server->ids.len;
    mark->id_len = id_len;
    buf_add(&server->ids, id, id_len);
    if (prefix)
        buf_add_char(&connection->staged, prefix);
}

void message_print_error(struct buf *out, const char *id, size_t id_len, int code,
                         const char *message, const char *data)
{
    buf_add_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add(out, id, id_len);
    buf_add_text(out, ",\"error\":{\"code\":");
    buf_add_int(out, code);
    buf_add_text(out, ",\"message\":");
    buf_add_json_text(out, message);
    if (data && data[0]) {
        buf_add_text(out, ",\"data\":");
        buf_add_text(out, data);
    }
    buf_add_text(out, "}}");
}

static void refuse(struct connection *connection, const char *id, size_t id_len, char prefix,
                   enum rpc_code code, const char *message)
{
    stage_reply(connection, id, id_len, prefix);
    message_print_error(&connection->staged, id, id_len, (int)code, message, NULL);
}

void message_refuse(struct connection *connection, enum rpc_code code, const char *message)
{
    refuse(connection, "null", 4, 0, code, message);
    message_punctuate(connection, "\n");
}

enum rpc_outcome message_run(const struct rpc_method *method, struct rpc_call *call)
{
    struct engine *engine = call->engine;
    uint64_t writes = store_writes(engine->store);
    enum rpc_outcome outcome = method->handler(call);

    if (outcome == RPC_REPLY && !method->is_reading &&
        (method->is_audited || (call->task_id && store_writes(engine->store) != writes)))
        audit_stage(&engine->audit, &(struct audit_entry){
                                        .at = engine->now.wall,
                                        .uid = call->peer->uid,
                                        .pid = call->peer->pid,
                                        .actor = call->actor,
                                        .method = method->name,
                                        .task_id = call->task_id,
                                        .params = call->params,
                                    });
    return outcome;
}

bool message_admit(const struct rpc_server *server, const struct rpc_method *method,
                   struct rpc_call *call)
{
    enum role role = connection_role(server, call->peer->uid);
    enum role needed = method->is_reading ? ROLE_READ : ROLE_OPERATE;

    if (method->is_guarded && call->peer->is_descendant)
        rpc_error(call, RPC_FORBIDDEN, "%s is not for the processes of attempts", method->name);
    else if (role < needed)
        rpc_error(call, RPC_FORBIDDEN, "%s needs the role \"%s\"; user %u has \"%s\"", method->name,
                  role_name(needed), (unsigned)call->peer->uid, role_name(role));
    else
        return true;
    return false;
}

/* Whether the task descends from that whose process asks; if not, the call's error is set. */
static bool is_own(struct rpc_call *call, struct json_object *params)
{
    int64_t id = json_object_get_int64(json_get(params, "id"));
    bool may = false;
    int r = engine_may_handle(call->engine, call->peer->keeper, id, &may);

    if (r < 0)
        rpc_error_storage(call, r);
    else if (!may)
        rpc_error(
            call, RPC_FORBIDDEN,
            "task %lld was not submitted by the task whose process asks, nor by one of its own",
            (long long)id);
    return may;
}

/* Checks the parameters and runs the handler; the result is in server.result. */
static enum rpc_outcome run(struct rpc_server *server, const struct rpc_method *method,
                            struct json_object *params, struct rpc_call *call)
{
    CLEANUP(json_putp) struct json_object *named = NULL;
    enum rpc_outcome outcome;
    struct param_error error;

    if (!message_admit(server, method, call))
        return RPC_ERROR;
    if (json_object_is_type(params, json_type_array)) {
        if (!param_from_array(method->params, params, &named, &error))
            return rpc_error_field(call, error.field, error.reason);
    } else {
        named = params ? json_object_get(params) : json_object_new_object();
    }
    if (!param_check(method->params, named, &server->engine->settings, &error))
        return rpc_error_field(call, error.field, error.reason);
    if (method->is_for_own && call->peer->is_descendant && !is_own(call, named))
        return RPC_ERROR;
    call->params = named;
    outcome = message_run(method, call);
    if (outcome == RPC_LATER)
        named = NULL; /* the caller's now */
    return outcome;
}

void message_finish(struct connection *connection, const char *id, size_t id_len, char prefix,
                    struct rpc_call *call, enum rpc_outcome outcome)
{
    struct rpc_server *server = connection->server;
    struct buf *staged = &connection->staged;
    struct grant *grant;

    stage_reply(connection, id, id_len, prefix);
    if (outcome == RPC_ERROR) {
        message_print_error(staged, id, id_len, call->code, call->message, call->data);
        return;
    }
    buf_add_text(staged, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add(staged, id, id_len);
    buf_add_text(staged, ",\"result\":");
    buf_add(staged, server->result.data, server->result.len);
    buf_add_char(staged, '}');
    if (!call->claimed_token)
        return;
    grant = xcalloc(1, sizeof(*grant));
    grant->task_id = call->claimed_id;
    grant->token = STEAL(call->claimed_token);
    grant->end = connection->out_moved + staged->len;
    list_append(&connection->grants, &grant->link);
}

/* Whether it is the acp-gateway that came with this acpd, as far as the kernel lets us see: what
 * another user runs is told by its name alone. */
static bool is_gateway(struct rpc_peer *peer)
{
    CLEANUP(freep) char *path = NULL;

    if (peer->program == PEER_UNKNOWN) {
        path = path_find_own("../gateway/acp-gateway", "acp-gateway");
        peer->program =
            !peer->is_descendant && path_is_run_by(path, peer->pid) ? PEER_GATEWAY : PEER_OTHER;
    }
    return peer->program == PEER_GATEWAY;
}

/* On whose behalf the caller calls: a member beside the method, which a gateway sets. Nobody else
 * is believed. */
static bool read_actor(struct rpc_peer *peer, struct json_object *request, const char **ret_actor)
{
    struct json_object *actor = json_get(request, "actor");

    if (!actor || !is_gateway(peer))
        return true;
    *ret_actor = json_object_get_string(actor);
    return json_object_is_type(actor, json_type_string) &&
           strlen(*ret_actor) == (size_t)json_object_get_string_len(actor) &&
           word_is_valid(*ret_actor);
}

/* Handles one request. Returns whether a reply was staged: not for notifications. */
static bool handle_request(struct connection *connection, struct json_object *request, char prefix)
{
    struct rpc_server *server = connection->server;
    struct rpc_call call = {
        .engine = server->engine, .peer = &connection->peer, .out = &server->result};
    struct json_object *id = NULL, *version, *params;
    const struct rpc_method *method;
    const char *name, *id_text = "null";
    CLEANUP(freep) char *id_copy = NULL;
    enum rpc_outcome outcome;
    bool has_id, good_id;
    size_t id_len;

    if (!json_object_is_type(request, json_type_object)) {
        refuse(connection, "null", 4, prefix, RPC_INVALID_REQUEST,
               "invalid request: must be an object");
        return true;
    }
    has_id = json_object_object_get_ex(request, "id", &id);
    good_id = !id || json_object_is_type(id, json_type_string) ||
              json_object_is_type(id, json_type_int) || json_object_is_type(id, json_type_double);
    if (has_id && good_id) {
        id_copy = xstrdup(json_compact(id));
        id_text = id_copy;
    }
    id_len = strlen(id_text);

    version = json_get(request, "jsonrpc");
    params = json_get(request, "params");
    name = json_object_is_type(json_get(request, "method"), json_type_string)
               ? json_get_string(request, "method")
               : NULL;
    if (!json_object_is_type(version, json_type_string) ||
        strcmp(json_object_get_string(version), "2.0") != 0 || !name || !good_id) {
        refuse(connection, id_text, id_len, prefix, RPC_INVALID_REQUEST,
               !name      ? "invalid request: method must be a string"
               : !good_id ? "invalid request: id must be a string, a number or null"
                          : "invalid request: jsonrpc must be \"2.0\"");
        return true;
    }
    buf_clear(&server->result);
    call.connection = has_id ? connection : NULL;
    call.may_wait = has_id && !prefix;
    method = rpc_method_find(name);
    if (params && !json_object_is_type(params, json_type_object) &&
        !json_object_is_type(params, json_type_array))
        outcome = rpc_error(&call, RPC_INVALID_REQUEST,
                            "invalid request: params must be an object or an array");
    else if (!read_actor(&connection->peer, request, &call.actor))
        outcome = rpc_error(&call, RPC_INVALID_REQUEST,
                            "invalid request: actor must be a word of the form " WORD_PATTERN);
    else if (!method)
        outcome = rpc_error(&call, RPC_METHOD_NOT_FOUND, "method \"%s\" not found", name);
    else if (prefix && has_id && connection_is_congested(connection))
        outcome = rpc_error(&call, RPC_UNAVAILABLE,
                            "not done: the batch's replies have passed the limit of %lld bytes",
                            (long long)server->engine->settings.output_limit);
    else
        outcome = run(server, method, params, &call);
    if (!has_id)
        return false;
    if (outcome == RPC_LATER) {
        waiting_add(connection, id_text, id_len, method, &call);
        return false;
    }
    message_finish(connection, id_text, id_len, prefix, &call, outcome);
    return true;
}

static size_t handle_batch(struct connection *connection, struct json_object *batch)
{
    size_t count = json_object_array_length(batch);
    int64_t limit = connection->server->engine->settings.batch_limit;
    bool replied = false;

    if (!count || count > (size_t)limit) {
        char message[96];

        snprintf(message, sizeof(message), "invalid request: a batch has 1 to %lld requests",
                 (long long)limit);
        message_refuse(connection, RPC_INVALID_REQUEST, message);
        return 1;
    }
    connection->is_in_batch = true;
    for (size_t i = 0; i < count; i++)
        replied |=
            handle_request(connection, json_object_array_get_idx(batch, i), replied ? ',' : '[');
    connection->is_in_batch = false;
    if (replied)
        message_punctuate(connection, "]\n");
    waiting_finish_batch(connection);
    return count;
}

size_t message_handle(struct connection *connection, const char *line, size_t len)
{
    struct rpc_server *server = connection->server;
    CLEANUP(json_putp) struct json_object *message = NULL;
    const char *reason;
    size_t offset;

    if (json_reader_parse(server->reader, line, len, &message, &reason, &offset) < 0) {
        char text[160];

        snprintf(text, sizeof(text), "parse error at byte %zu: %s", offset, reason);
        message_refuse(connection, RPC_PARSE_ERROR, text);
    } else if (json_object_is_type(message, json_type_array)) {
        return handle_batch(connection, message);
    } else if (handle_request(connection, message, 0)) {
        message_punctuate(connection, "\n");
    }
    return 1;
}
