/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clients.h"
#include "common/alloc.h"
#include "cover.h"
#include "daemon.h"
#include "model.h"
#include "socket.h"
#include "trail.h"
#include "world.h"

#define PASSES_MAX 100000

void peer_connect(struct peer *peer)
{
    *peer = (struct peer){.fd = daemon_connect()};
}

void peer_drop(struct peer *peer)
{
    if (peer->fd >= 0)
        socket_hang_up(peer->fd);
    buf_deinit(&peer->out);
    buf_deinit(&peer->in);
    free(peer->lines);
    *peer = (struct peer){.fd = -1};
}

/* A notification has no reply. */
static void peer_note_line(struct peer *peer, const struct request *requests, size_t count,
                           bool is_batch)
{
    struct line line = {.is_batch = is_batch};

    for (size_t i = 0; i < count; i++)
        if (!requests[i].is_notification)
            line.requests[line.count++] = requests[i];
    if (!line.count)
        return;
    peer->lines = xrealloc(peer->lines, (peer->line_count + 1) * sizeof(*peer->lines));
    peer->lines[peer->line_count++] = line;
}

/* A request, from an offset on, is in the output. */
static void peer_note_call(const struct peer *peer, int64_t id, size_t from)
{
    CLEANUP(json_putp) struct json_object *request = NULL;
    const char *reason = "", *text = peer->out.data + from;
    size_t len = peer->out.len - from, offset;

    EXPECT(json_parse(text, len, &request, &reason, &offset) == 0, "%s: %.*s", reason, (int)len,
           text);
    trail_sent(id, request);
    cover_sent(id, request);
}

void peer_add(struct peer *peer, const struct request *requests, size_t count, bool is_batch)
{
    size_t before = peer->out.len;

    if (is_batch)
        buf_add_char(&peer->out, '[');
    for (size_t i = 0; i < count; i++) {
        size_t from;

        model_sent(&requests[i]);
        if (is_batch && i)
            buf_add_char(&peer->out, ',');
        from = peer->out.len;
        request_print(&requests[i], &peer->out);
        if (requests[i].method != METHOD_NOISE)
            peer_note_call(peer, requests[i].id, from);
        if (is_batch)
            continue;
        buf_add_char(&peer->out, '\n');
        peer_note_line(peer, &requests[i], 1, false);
    }
    if (is_batch) {
        buf_add_text(&peer->out, "]\n");
        peer_note_line(peer, requests, count, true);
    }
    world_note("request:", peer->out.data + before, peer->out.len - before - 1);
}

void peer_send(struct peer *peer, size_t max)
{
    size_t len = peer->out.len < max ? peer->out.len : max;
    ssize_t n = len ? send(peer->fd, peer->out.data, len, MSG_NOSIGNAL) : 0;

    EXPECT(n >= 0 || errno == EAGAIN, "%s", strerror(errno));
    if (n > 0)
        buf_consume(&peer->out, (size_t)n);
    if (peer->is_leaving && !peer->out.len)
        shutdown(peer->fd, SHUT_WR);
}

void peer_leave(struct peer *peer)
{
    if (peer->fd < 0)
        return;
    peer->is_leaving = true;
    if (peer->out.len && world_one_in(2))
        peer->out.len--; /* the last line ends with the connection */
    peer_send(peer, SIZE_MAX);
}

static struct json_object *peer_reply_of(struct json_object *answer, const struct line *line,
                                         size_t i)
{
    return line->is_batch ? json_object_array_get_idx(answer, i) : answer;
}

/* Only claims that wait are answered later than what was sent after them. */
static size_t peer_find_line(const struct peer *peer, struct json_object *answer)
{
    struct json_object *first = json_object_is_type(answer, json_type_array)
                                    ? json_object_array_get_idx(answer, 0)
                                    : answer;
    int64_t id = json_object_get_int64(json_get(first, "id"));

    for (size_t i = 0; i < peer->line_count; i++) {
        if (request_id_of_reply(&peer->lines[i].requests[0]) == id)
            return i;
        EXPECT(peer->lines[i].requests[0].may_wait, "out of order: %s", json_compact(answer));
    }
    EXPECT(false, "nobody asked: %s", json_compact(answer));
    return 0;
}

static void peer_take(struct peer *peer, const char *text, size_t len)
{
    CLEANUP(json_putp) struct json_object *answer = NULL;
    const char *reason = "";
    struct line line;
    size_t offset, at;

    EXPECT(json_parse(text, len, &answer, &reason, &offset) == 0, "%s: %.*s", reason, (int)len,
           text);
    world_note("reply:", text, len);
    at = peer_find_line(peer, answer);
    line = peer->lines[at];
    peer->line_count--;
    memmove(&peer->lines[at], &peer->lines[at + 1], (peer->line_count - at) * sizeof(*peer->lines));
    EXPECT(json_object_is_type(answer, json_type_array) == line.is_batch);
    EXPECT(!line.is_batch || json_object_array_length(answer) == line.count);
    for (size_t i = 0; i < line.count; i++) {
        struct json_object *reply = peer_reply_of(answer, &line, i);

        EXPECT(json_object_get_int64(json_get(reply, "id")) ==
               request_id_of_reply(&line.requests[i]));
        trail_take(line.requests[i].id, reply);
        cover_take(line.requests[i].id, reply);
        model_take(&line.requests[i], reply);
    }
}

void peer_read(struct peer *peer)
{
    static char data[65536];
    ssize_t n;
    char *end;

    while ((n = recv(peer->fd, data, sizeof(data), 0)) > 0)
        buf_add(&peer->in, data, (size_t)n);
    EXPECT((n < 0 && errno == EAGAIN) || (n == 0 && peer->is_leaving), "acpd closed a connection");
    while (peer->in.len && (end = memchr(peer->in.data, '\n', peer->in.len))) {
        size_t len = (size_t)(end - peer->in.data);

        peer_take(peer, peer->in.data, len);
        buf_consume(&peer->in, len + 1);
    }
    if (n == 0) {
        EXPECT(!peer->line_count && !peer->in.len, "acpd left %zu lines unanswered",
               peer->line_count);
        peer_drop(peer);
    }
}

struct json_object *peer_ask(struct peer *peer, const char *method, const char *params)
{
    static char data[1 << 22];
    struct json_object *reply = NULL;
    const char *reason = "";
    size_t len = 0, offset, from = peer->out.len;
    int64_t id = clients_next_id();

    buf_printf(&peer->out, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"%s\",\"params\":%s}", method,
               params);
    peer_note_call(peer, id, from);
    buf_add_char(&peer->out, '\n');
    for (int i = 0; !len || data[len - 1] != '\n'; i++) {
        ssize_t n;

        EXPECT(i < PASSES_MAX, "%s is not answered", method);
        peer_send(peer, SIZE_MAX);
        daemon_pass();
        n = recv(peer->fd, data + len, sizeof(data) - len, 0);
        len += n > 0 ? (size_t)n : 0;
    }
    EXPECT(json_parse(data, len, &reply, &reason, &offset) == 0, "%s", reason);
    trail_take(id, reply);
    cover_take(id, reply);
    return reply;
}

struct json_object *peer_call(struct peer *peer, const char *method, const char *params)
{
    struct json_object *reply = peer_ask(peer, method, params);
    struct json_object *result = json_object_get(json_get(reply, "result"));

    EXPECT(result, "%s: %s", method, json_compact(reply));
    json_object_put(reply);
    return result;
}
