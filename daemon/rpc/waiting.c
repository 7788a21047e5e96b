/* SPDX-License-Identifier: MIT */
/* Calls that wait for a task. They are asked again in the order in which they came, in every pass,
 * after tasks were queued and before the commit. */
#include <stdio.h>

#include "common/alloc.h"
#include "rpc/connection.h"

struct waiting {
    struct list link; /* server.waiting, or connection.after_batch */
    struct connection *connection;
    const struct rpc_method *method;
    struct json_object *params;
    char *id, *actor;
    size_t id_len;
    int64_t deadline;

    /* Its end, while it waits for that of a batch. */
    enum rpc_outcome outcome;
    struct rpc_call call;
    struct buf result;
};

static void waiting_free(struct waiting *waiting)
{
    list_remove(&waiting->link);
    waiting->connection->waiting--;
    json_object_put(waiting->params);
    free(waiting->id);
    free(waiting->actor);
    free(waiting->call.claimed_token);
    buf_deinit(&waiting->result);
    free(waiting);
}

void waiting_add(struct connection *connection, const char *id, size_t id_len,
                 const struct rpc_method *method, const struct rpc_call *call)
{
    struct waiting *waiting = xcalloc(1, sizeof(*waiting));

    waiting->connection = connection;
    waiting->method = method;
    waiting->params = call->params;
    waiting->actor = call->actor ? xstrdup(call->actor) : NULL;
    waiting->id = xstrndup(id, id_len);
    waiting->id_len = id_len;
    waiting->deadline = call->deadline;
    list_append(&connection->server->waiting, &waiting->link);
    connection->waiting++;
}

void waiting_drop(struct connection *connection)
{
    if (!connection->waiting)
        return;
    list_for_each_safe (link, &connection->server->waiting) {
        struct waiting *waiting = list_entry(link, struct waiting, link);

        if (waiting->connection == connection)
            waiting_free(waiting);
    }
    list_for_each_safe (link, &connection->after_batch) {
        struct waiting *waiting = list_entry(link, struct waiting, link);

        if (waiting->call.claimed_token)
            engine_release_claim(connection->server->engine, waiting->call.claimed_id,
                                 waiting->call.claimed_token);
        waiting_free(waiting);
    }
}

static void finish(struct waiting *waiting)
{
    struct connection *connection = waiting->connection;
    struct buf *result = &connection->server->result;

    buf_clear(result);
    buf_add(result, waiting->result.data, waiting->result.len);
    message_finish(connection, waiting->id, waiting->id_len, 0, &waiting->call, waiting->outcome);
    message_punctuate(connection, "\n");
    waiting_free(waiting);
    connection_wake(connection); /* it may have waited for this to be closed */
}

static void ask_again(struct rpc_server *server, struct waiting *waiting)
{
    struct connection *connection = waiting->connection;
    struct rpc_call call = {
        .engine = server->engine,
        .peer = &connection->peer,
        .actor = waiting->actor,
        .params = waiting->params,
        .out = &server->result,
        .connection = connection,
        .deadline = waiting->deadline,
    };
    enum rpc_outcome outcome;

    buf_clear(&server->result);
    outcome = message_admit(server, waiting->method, &call) ? message_run(waiting->method, &call)
                                                            : RPC_ERROR;
    if (outcome == RPC_LATER)
        return;
    waiting->outcome = outcome;
    waiting->call = call;
    buf_add(&waiting->result, server->result.data, server->result.len);
    if (connection->is_in_batch) {
        list_remove(&waiting->link);
        list_append(&connection->after_batch, &waiting->link);
    } else {
        finish(waiting);
    }
}

void waiting_finish_batch(struct connection *connection)
{
    list_for_each_safe (link, &connection->after_batch)
        finish(list_entry(link, struct waiting, link));
}

void waiting_serve(void *data)
{
    struct rpc_server *server = data;

    while (!list_is_empty(&server->waiting)) {
        struct list *head = &server->waiting;
        bool has_gone = false;

        list_for_each (link, head) {
            struct connection *connection = list_entry(link, struct waiting, link)->connection;

            if (connection->at_eof && connection_has_hung_up(connection)) {
                connection_kill(connection);
                has_gone = true;
                break;
            }
        }
        if (!has_gone)
            break;
    }
    list_for_each_safe (link, &server->waiting)
        ask_again(server, list_entry(link, struct waiting, link));
}

void waiting_fail(struct rpc_server *server, const char *message)
{
    list_for_each_safe (link, &server->waiting) {
        struct waiting *waiting = list_entry(link, struct waiting, link);
        struct connection *connection = waiting->connection;
        struct rpc_call call = {.engine = server->engine, .code = RPC_UNAVAILABLE};

        if (waiting->deadline > server->engine->now.mono)
            continue;
        snprintf(call.message, sizeof(call.message), "%s", message);
        message_finish(connection, waiting->id, waiting->id_len, 0, &call, RPC_ERROR);
        message_punctuate(connection, "\n");
        waiting_free(waiting);
        connection_wake(connection);
    }
}

int64_t rpc_next_deadline(const struct rpc_server *server)
{
    int64_t at = INT64_MAX;

    list_for_each (link, &server->waiting) {
        const struct waiting *waiting = list_entry(link, struct waiting, link);

        if (waiting->deadline < at)
            at = waiting->deadline;
    }
    return at;
}
