/* SPDX-License-Identifier: MIT */
/*
 * The socket: two clients send arbitrary bytes and must get the right replies.
 *
 * An input is what the clients send. Some control characters are moves instead:
 *
 *   0x1e (RS)   a pass of the daemon
 *   0x1d (GS)   the other client's turn
 *   0x04 (EOT)  this client closes its writing half
 *   0x18 (CAN)  this client vanishes
 *   0x15 (NAK)  commits start to fail, or to succeed again
 */
#include <string.h>
#include <sys/socket.h>

#include "common/alloc.h"
#include "daemon.h"
#include "fuzz.h"

enum { PASS = 0x1e, OTHER = 0x1d, HALF_CLOSE = 0x04, VANISH = 0x18, FAIL = 0x15 };

struct client {
    int fd;
    struct buf sent, received;
    bool has_half_closed, has_vanished;
    bool is_open; /* the daemon has not closed it */
};

/* The expected replies, in order, except that those to claims may come later. */
struct expected {
    struct json_object *ids; /* an array; for a batch, a nested array */
    bool may_wait[4096];
    size_t count;
    bool is_refused; /* the daemon closes the connection after the last one */
    bool may_stay;   /* open after a half-close: it has subscribed */
};

/* --- expected replies ----------------------------------------------------------------------------
 */

static const char *text_of(struct json_object *value)
{
    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

/* The id for the reply to a request. Returns false if it is a notification. */
static bool id_of(struct json_object *request, struct json_object **ret_id)
{
    struct json_object *id = NULL;
    bool has_id, is_good;

    *ret_id = NULL;
    if (!json_object_is_type(request, json_type_object))
        return true;
    has_id = json_object_object_get_ex(request, "id", &id);
    is_good = !id || json_object_is_type(id, json_type_string) ||
              json_object_is_type(id, json_type_int) || json_object_is_type(id, json_type_double);
    if (is_good)
        *ret_id = id;
    return has_id || strcmp(text_of(json_get(request, "jsonrpc")), "2.0") != 0 ||
           !json_object_is_type(json_get(request, "method"), json_type_string);
}

static void expect(struct expected *expected, struct json_object *id, bool may_wait)
{
    PROMISE(expected->count < ARRAY_SIZE(expected->may_wait), "the input is too long");
    json_object_array_add(expected->ids, json_object_get(id));
    expected->may_wait[expected->count++] = may_wait;
}

static void expect_batch(struct expected *expected, struct json_object *batch)
{
    CLEANUP(json_putp) struct json_object *ids = json_object_new_array();
    size_t count = json_object_array_length(batch);

    if (!count || count > (size_t)daemon_settings()->batch_limit) {
        expect(expected, NULL, false);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct json_object *request = json_object_array_get_idx(batch, i), *id;

        if (id_of(request, &id))
            json_object_array_add(ids, json_object_get(id));
        expected->may_stay |= strcmp(text_of(json_get(request, "method")), "subscribe") == 0;
    }
    if (json_object_array_length(ids))
        expect(expected, ids, false);
}

static void expect_line(struct expected *expected, const char *line, size_t len)
{
    bool is_json;
    CLEANUP(json_putp) struct json_object *message = fuzz_parse(line, len, &is_json);
    struct json_object *id;
    const char *method;

    if (json_object_is_type(message, json_type_array)) {
        expect_batch(expected, message);
        return;
    }
    method = text_of(json_get(message, "method"));
    expected->may_stay |= strcmp(method, "subscribe") == 0;
    if (!is_json || id_of(message, &id))
        expect(expected, is_json ? id : NULL, strcmp(method, "claim_task") == 0);
}

static void expect_replies(const struct client *client, struct expected *expected)
{
    size_t next;

    for (size_t start = 0; start < client->sent.len && !expected->is_refused; start = next) {
        const char *at = client->sent.data + start;
        const char *newline = memchr(at, '\n', client->sent.len - start);
        size_t len = newline ? (size_t)(newline - at) : client->sent.len - start;

        next = start + len + 1;

        if (len > (size_t)daemon_settings()->line_limit) {
            expect(expected, NULL, false);
            expected->is_refused = true;
        } else if (len && (newline || client->has_half_closed) && !(len == 1 && *at == '\r')) {
            expect_line(expected, at, len);
        }
    }
}

/* --- actual replies ------------------------------------------------------------------------------
 */

static void check_reply(struct json_object *reply, struct json_object *id)
{
    struct json_object *given = NULL, *error = json_get(reply, "error");
    struct json_object *code = json_get(error, "code");
    bool has_result = json_object_object_get_ex(reply, "result", NULL);

    PROMISE(json_object_is_type(reply, json_type_object));
    PROMISE(strcmp(text_of(json_get(reply, "jsonrpc")), "2.0") == 0);
    PROMISE(json_object_object_get_ex(reply, "id", &given) && json_object_equal(given, id), "%s",
            json_compact(reply));
    PROMISE(has_result == !error && json_object_object_length(reply) == 3);
    if (has_result)
        return;
    PROMISE(json_object_is_type(code, json_type_int) &&
            json_object_get_int(code) != RPC_INTERNAL_ERROR);
    PROMISE(text_of(json_get(error, "message"))[0]);
}

static bool is_event(struct json_object *message)
{
    return strcmp(text_of(json_get(message, "method")), "event") == 0 &&
           json_get(json_get(message, "params"), "seq");
}

static bool is_for(struct json_object *reply, struct json_object *ids)
{
    struct json_object *id = NULL;

    return json_object_is_type(ids, json_type_array) ==
               json_object_is_type(reply, json_type_array) &&
           (json_object_is_type(ids, json_type_array) ||
            (json_object_object_get_ex(reply, "id", &id) && json_object_equal(id, ids)));
}

/* Which expected reply this is: the first that may not wait, or a claim before it. */
static size_t find_expected(const struct expected *expected, struct json_object *reply)
{
    size_t next = 0;

    while (next < expected->count && expected->may_wait[next])
        next++;
    if (next < expected->count && is_for(reply, json_object_array_get_idx(expected->ids, next)))
        return next;
    for (size_t i = 0; i < next; i++)
        if (is_for(reply, json_object_array_get_idx(expected->ids, i)))
            return i;
    PROMISE(false, "nobody asked for %s", json_compact(reply));
}

static void check_line(struct expected *expected, struct json_object *reply)
{
    size_t i = find_expected(expected, reply);
    struct json_object *ids = json_object_array_get_idx(expected->ids, i);

    if (json_object_is_type(ids, json_type_array)) {
        PROMISE(json_object_array_length(ids) == json_object_array_length(reply));
        for (size_t k = 0; k < json_object_array_length(ids); k++)
            check_reply(json_object_array_get_idx(reply, k), json_object_array_get_idx(ids, k));
    } else {
        check_reply(reply, ids);
    }
    json_object_array_del_idx(expected->ids, i, 1);
    memmove(&expected->may_wait[i], &expected->may_wait[i + 1], --expected->count - i);
}

static void check_client(const struct client *client)
{
    struct expected expected = {.ids = json_object_new_array()};
    size_t next;

    expect_replies(client, &expected);
    for (size_t start = 0; start < client->received.len; start = next) {
        const char *at = client->received.data + start;
        const char *newline = memchr(at, '\n', client->received.len - start);
        CLEANUP(json_putp) struct json_object *reply = NULL;

        if (!newline && client->has_vanished)
            break;
        PROMISE(newline, "incomplete line");
        reply = fuzz_must_parse(at, (size_t)(newline - at));
        if (!expected.may_stay || !is_event(reply))
            check_line(&expected, reply);
        next = start + (size_t)(newline - at) + 1;
    }
    /* A follower that has lost events is notified and disconnected. */
    if (!client->has_vanished && (client->is_open || !expected.may_stay)) {
        for (size_t i = 0; i < expected.count; i++)
            PROMISE(expected.may_wait[i], "no reply to %s",
                    json_compact(json_object_array_get_idx(expected.ids, i)));
        if (expected.is_refused)
            PROMISE(!client->is_open);
        else if (!client->has_half_closed)
            PROMISE(client->is_open);
        else
            PROMISE(!client->is_open || expected.count || expected.may_stay);
    }
    json_object_put(expected.ids);
}

/* --- the clients ---------------------------------------------------------------------------------
 */

static void receive(struct client *client)
{
    if (client->is_open && !client->has_vanished)
        client->is_open = daemon_receive(client->fd, &client->received);
}

static void vanish(struct client *client)
{
    if (!client->has_vanished)
        close(client->fd);
    client->has_vanished = true;
}

static bool pass(struct client clients[2])
{
    size_t before = clients[0].received.len + clients[1].received.len;
    bool is_busy = daemon_pass();

    receive(&clients[0]);
    receive(&clients[1]);
    return is_busy || clients[0].received.len + clients[1].received.len > before;
}

static void send_bytes(struct client *client, const uint8_t *data, size_t len)
{
    if (client->has_half_closed || client->has_vanished || !len)
        return;
    /* This fails once the daemon has closed the connection. */
    if (send(client->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len)
        buf_add(&client->sent, data, len);
}

static bool is_move(int c)
{
    return c == PASS || c == OTHER || c == HALF_CLOSE || c == VANISH || c == FAIL;
}

static void half_close(struct client *client)
{
    if (!client->has_vanished)
        client->has_half_closed = shutdown(client->fd, SHUT_WR) == 0;
}

static void play(struct client clients[2], const uint8_t *data, size_t size)
{
    struct client *current = &clients[0];
    bool is_failing = false;
    size_t start = 0;

    for (size_t i = 0; i <= size; i++) {
        int move = i < size ? data[i] : PASS;

        if (!is_move(move))
            continue;
        send_bytes(current, data + start, i - start);
        start = i + 1;
        if (move == PASS)
            pass(clients);
        else if (move == OTHER)
            current = &clients[current == &clients[0]];
        else if (move == VANISH)
            vanish(current);
        else if (move == HALF_CLOSE)
            half_close(current);
        else
            daemon_set_failing(is_failing = !is_failing);
    }
    daemon_set_failing(false);
    for (int quiet = 0; quiet < 3; quiet++)
        if (pass(clients))
            quiet = -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client clients[2] = {{.is_open = true}, {.is_open = true}};

    daemon_prepare();
    for (size_t i = 0; i < 2; i++)
        clients[i].fd = daemon_connect();
    play(clients, data, size);
    for (size_t i = 0; i < 2; i++)
        check_client(&clients[i]);
    for (size_t i = 0; i < 2; i++) {
        vanish(&clients[i]);
        buf_deinit(&clients[i].sent);
        buf_deinit(&clients[i].received);
    }
    PROMISE(daemon_connections() == 0, "a connection outlives its client");
    return 0;
}
