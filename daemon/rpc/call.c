/* SPDX-License-Identifier: MIT */
#include "rpc/call.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "rpc/connection.h"

/* Calls that have been freed are used again, with the memory of their results: those of a pass end
 * together, which malloc() is slow with. */
#ifdef HAS_ASAN
#define SPARE_CALLS 0 /* it would not see that a freed call is used */
#else
#define SPARE_CALLS 256
#endif
#define SPARE_RESULT 4096 /* bytes */

static struct rpc_call *call_take_spare(struct rpc_server *server)
{
    struct rpc_call *call;

    if (list_is_empty(&server->spare_calls))
        return xcalloc(1, sizeof(*call));
    call = list_entry(server->spare_calls.prev, struct rpc_call, link); /* the last one used */
    list_remove(&call->link);
    server->spare_count--;
    *call = (struct rpc_call){.result = call->result, .request = call->request};
    buf_clear(&call->result);
    return call;
}

void call_free_spare(struct rpc_server *server)
{
    list_for_each_safe (link, &server->spare_calls) {
        struct rpc_call *call = list_entry(link, struct rpc_call, link);

        list_remove(link);
        buf_deinit(&call->result);
        json_doc_deinit(&call->request);
        free(call);
    }
    server->spare_count = 0;
}

struct rpc_call *call_new(struct connection *connection, struct batch *batch, char *id)
{
    struct rpc_call *call = call_take_spare(connection->server);

    call->engine = connection->server->engine;
    call->peer = &connection->peer;
    call->connection = connection;
    call->batch = batch;
    call->id = id;
    call->out = &call->result;
    call->before = "";
    call->after = batch ? "" : "\n";
    list_init(&call->link);
    list_init(&call->uncommitted);
    list_init(&call->sibling);
    if (!batch)
        return call;
    batch->open++;
    if (id)
        list_append(&batch->calls, &call->sibling);
    return call;
}

void call_free(struct rpc_call *call)
{
    struct rpc_server *server = call->connection->server;

    list_remove(&call->link);
    list_remove(&call->uncommitted);
    list_remove(&call->sibling);
    free(call->lease);
    free(call->message);
    free(call->data);
    free(call->actor);
    free(call->id);
    if (call->result.capacity > SPARE_RESULT || server->spare_count == SPARE_CALLS)
        buf_deinit(&call->result);
    json_doc_clear(&call->request);
    if (server->spare_count == SPARE_CALLS) {
        json_doc_deinit(&call->request);
        free(call);
        return;
    }
    list_append(&server->spare_calls, &call->link);
    server->spare_count++;
}

static size_t call_size_of(const struct rpc_call *call)
{
    return call->result.len + (call->message ? strlen(call->message) : 0) + strlen(call->id) + 64;
}

/* What it has printed may depend on the commit of the pass; a partial call may be noted already. */
static void call_note_uncommitted(struct rpc_call *call)
{
    if (engine_is_writing(call->engine) && list_is_empty(&call->uncommitted))
        list_append(&call->connection->server->uncommitted, &call->uncommitted);
}

void call_end(struct rpc_call *call)
{
    struct connection *connection = call->connection;
    struct batch *batch = call->batch;

    list_remove(&call->link);
    call->params = NULL;
    json_doc_clear(&call->request);
    if (call->is_delayed) {
        connection->waiting--;
        connection->is_blocked &= !call->blocks_next;
        ready_wake(connection); /* it may have waited for this before closing */
    }
    if (batch)
        batch->open--;
    if (!call->id) {
        call_free(call);
    } else {
        call->size = call_size_of(call);
        connection->staged += call->size;
        call_note_uncommitted(call);
        if (!batch)
            list_append(&connection->ended, &call->link);
    }
    if (!batch)
        ready_touch(connection);
    else if (batch != connection->batch && call_batch_finish(batch, connection))
        call_batch_free(batch);
}

/* Keeps only the parameters, for the whole request may be much longer. */
static void call_shorten(struct rpc_call *call)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    struct json_doc doc = {0};
    struct json_error error;

    json_value_print(call->params, &text);
    call->params = json_doc_read(&doc, text.data, text.len, &error);
    if (!call->params)
        abort(); /* it was printed here */
    json_doc_deinit(&call->request);
    call->request = doc;
}

void call_continue(struct rpc_call *call)
{
    call->is_partial = true;
    call->connection->partial = call;
    call_note_uncommitted(call);
}

void call_delay(struct rpc_call *call)
{
    list_append(&call->connection->server->waiting, &call->link);
    if (call->is_delayed)
        return;
    call_shorten(call);
    call->is_delayed = true;
    call->connection->waiting++;
    call->connection->is_blocked |= call->blocks_next;
}

static void call_take_back(struct rpc_call *call)
{
    if (call->handover)
        STEAL(call->handover)->take_back(call);
}

void call_fail(struct rpc_call *call)
{
    call_take_back(call);
    free(STEAL(call->data));
    if (!engine_is_in_doubt(call->engine))
        rpc_error(call, RPC_UNAVAILABLE, "the storage is failing; nothing was changed");
    else if (!call->method || call->method->is_reading || call->code)
        rpc_error(call, RPC_UNAVAILABLE, "not done: the storage is not responding");
    else
        rpc_error(call, RPC_UNAVAILABLE,
                  "the storage is not responding: this may or may not have been done");
    buf_deinit(&call->result);
    list_remove(&call->uncommitted);
}

void call_drop(struct rpc_call *call)
{
    call_take_back(call);
    call_free(call);
}

void call_print(const struct rpc_call *call, struct buf *out)
{
    buf_add_text(out, call->before);
    json_out_object(out, NULL);
    json_out_text(out, "jsonrpc", "2.0");
    json_out_raw(out, "id", call->id);
    if (!call->code) {
        json_out_raw_bytes(out, "result", call->result.data, call->result.len);
    } else {
        json_out_object(out, "error");
        json_out_int(out, "code", call->code);
        json_out_text(out, "message", call->message);
        if (call->data)
            json_out_raw(out, "data", call->data);
        json_out_end_object(out);
    }
    json_out_end_object(out);
    buf_add_text(out, call->after);
}

struct batch *call_batch_new(struct json_doc *doc, const struct json_value *requests)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));

    batch->doc = *doc;
    batch->next = requests->first;
    *doc = (struct json_doc){0};
    list_init(&batch->calls);
    return batch;
}

void call_batch_free(struct batch *batch)
{
    json_doc_deinit(&batch->doc);
    free(batch);
}

void call_batch_drop(struct batch *batch)
{
    list_for_each_safe (link, &batch->calls)
        call_drop(list_entry(link, struct rpc_call, sibling));
    call_batch_free(batch);
}

bool call_batch_finish(struct batch *batch, struct connection *connection)
{
    const char *before = "[";

    if (batch->open || batch->next)
        return false;
    if (!list_is_empty(&batch->calls))
        list_entry(batch->calls.prev, struct rpc_call, sibling)->after = "]\n";
    list_for_each_safe (link, &batch->calls) {
        struct rpc_call *call = list_entry(link, struct rpc_call, sibling);

        call->before = before;
        call->batch = NULL;
        before = ",";
        list_remove(link);
        list_append(&connection->ended, &call->link);
    }
    ready_touch(connection);
    return true;
}
