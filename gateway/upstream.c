/* SPDX-License-Identifier: MIT */
#include "gateway/upstream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "common/alloc.h"
#include "common/json_out.h"

#define CONNECTIONS_MAX 32
#define WAIT_SECONDS    5  /* for one of them to come free */
#define CONNECT_SECONDS 2  /* the daemon's backlog may be full */
#define ANSWER_SECONDS  15 /* a pass this long means that the daemon hangs */
#define READ_SIZE       (64 * 1024)
#define REPLY_MAX       (256 * 1024 * 1024) /* bytes; the daemon's own bounds are far below */

struct upstream {
    char *path;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    int idle[CONNECTIONS_MAX]; /* the last used on top */
    size_t idle_count, open_count;

    uint64_t breaks; /* connections that broke so far */

    pthread_mutex_t document_lock; /* json-c's values are one thread's at a time */
    struct json_object *document;  /* of rpc.discover */
    uint64_t document_breaks;      /* `breaks` at the time of the request */
};

struct upstream *upstream_new(const char *socket_path)
{
    struct upstream *upstream = xcalloc(1, sizeof(*upstream));
    pthread_condattr_t monotonic;

    upstream->path = xstrdup(socket_path);
    pthread_mutex_init(&upstream->lock, NULL);
    pthread_mutex_init(&upstream->document_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&upstream->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return upstream;
}

void upstream_free(struct upstream *upstream)
{
    if (!upstream)
        return;
    for (size_t i = 0; i < upstream->idle_count; i++)
        close(upstream->idle[i]);
    json_object_put(upstream->document);
    pthread_cond_destroy(&upstream->freed);
    pthread_mutex_destroy(&upstream->document_lock);
    pthread_mutex_destroy(&upstream->lock);
    free(upstream->path);
    free(upstream);
}

int upstream_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = CONNECT_SECONDS};
    CLEANUP(closep) int fd = -1;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    patience.tv_sec = ANSWER_SECONDS;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return steal_fd(&fd);
}

/* An idle connection receives nothing, so if it is readable, it has ended. */
static bool upstream_is_alive(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};

    return poll(&polled, 1, 0) == 0;
}

/* It has ended, or is of no use any more; -1: it could not be opened. */
static void upstream_drop(struct upstream *upstream, int fd)
{
    if (fd >= 0)
        close(fd);
    pthread_mutex_lock(&upstream->lock);
    upstream->open_count--;
    upstream->breaks++;
    pthread_cond_signal(&upstream->freed);
    pthread_mutex_unlock(&upstream->lock);
}

static void upstream_give_back(struct upstream *upstream, int fd)
{
    pthread_mutex_lock(&upstream->lock);
    upstream->idle[upstream->idle_count++] = fd;
    pthread_cond_signal(&upstream->freed);
    pthread_mutex_unlock(&upstream->lock);
}

/* The idle connection that was used last; -1: there is none. */
static int upstream_take_idle(struct upstream *upstream)
{
    int fd;

    pthread_mutex_lock(&upstream->lock);
    fd = upstream->idle_count ? upstream->idle[--upstream->idle_count] : -1;
    pthread_mutex_unlock(&upstream->lock);
    return fd;
}

/* Closes the idle connections that have ended, as those to an earlier daemon have. */
static void upstream_drop_ended(struct upstream *upstream)
{
    int fd;

    while ((fd = upstream_take_idle(upstream)) >= 0) {
        if (upstream_is_alive(fd)) {
            upstream_give_back(upstream, fd);
            return;
        }
        upstream_drop(upstream, fd);
    }
}

/* *ret_fd: the idle connection that was used last, or -1: another one may be opened. False: all are
 * busy for too long. */
static bool upstream_reserve(struct upstream *upstream, int *ret_fd)
{
    struct timespec until;
    bool has_room = true;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_SECONDS;
    *ret_fd = -1;
    pthread_mutex_lock(&upstream->lock);
    while (has_room && !upstream->idle_count && upstream->open_count >= CONNECTIONS_MAX)
        has_room = pthread_cond_timedwait(&upstream->freed, &upstream->lock, &until) != ETIMEDOUT;
    if (has_room && upstream->idle_count)
        *ret_fd = upstream->idle[--upstream->idle_count];
    else if (has_room)
        upstream->open_count++;
    pthread_mutex_unlock(&upstream->lock);
    return has_room;
}

/* Takes one from the pool, or opens one if they have ended or it must be fresh; -1: the daemon is
 * unreachable or all are busy for too long. System calls are made without the lock. */
static int upstream_take(struct upstream *upstream, bool is_fresh)
{
    int fd;

    while (upstream_reserve(upstream, &fd)) {
        if (fd < 0) {
            fd = upstream_connect(upstream->path);
            if (fd >= 0)
                return fd;
            upstream_drop(upstream, -1);
            return -1;
        }
        if (!is_fresh && upstream_is_alive(fd))
            return fd;
        upstream_drop(upstream, fd);
    }
    return -1;
}

/* How much of the request was sent. */
static size_t upstream_send_request(int fd, const struct buf *request)
{
    size_t sent = 0;

    while (sent < request->len) {
        ssize_t n = send(fd, request->data + sent, request->len - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

static bool upstream_receive_line(int fd, struct buf *line)
{
    while (line->len < REPLY_MAX) {
        char *room = buf_reserve(line, READ_SIZE);
        ssize_t n = recv(fd, room, READ_SIZE, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        line->len += (size_t)n;
        if (room[n - 1] == '\n') {
            line->len--;
            return true;
        }
    }
    return false;
}

/* The result is passed on unchanged, so that nothing is lost; only errors are parsed. */
static int upstream_understand(struct upstream_reply *reply)
{
    static const char prefix[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":";
    CLEANUP(json_putp) struct json_object *message = NULL;
    const char *reason;
    size_t offset;

    if (reply->line.len > sizeof(prefix) && reply->line.data[reply->line.len - 1] == '}' &&
        memcmp(reply->line.data, prefix, sizeof(prefix) - 1) == 0) {
        reply->result = reply->line.data + sizeof(prefix) - 1;
        reply->result_len = reply->line.len - sizeof(prefix);
        return 0;
    }
    json_parse(reply->line.data, reply->line.len, &message, &reason, &offset);
    if (!json_object_is_type(json_get(message, "error"), json_type_object))
        return UPSTREAM_LOST;
    reply->error = json_object_get(json_get(message, "error"));
    /* The errors for a valid JSON request that the daemon rejects without seeing its id. */
    if (!json_get(message, "id") &&
        json_object_get_int(json_get(reply->error, "code")) == RPC_INVALID_REQUEST)
        return UPSTREAM_TOO_LARGE;
    return UPSTREAM_REFUSED;
}

static void upstream_print_request(const char *method, const char *actor,
                                   struct json_object *params, struct buf *out)
{
    json_out_object(out, NULL);
    json_out_text(out, "jsonrpc", "2.0");
    json_out_int(out, "id", 1);
    json_out_text(out, "method", method);
    if (actor)
        json_out_text(out, "actor", actor);
    json_out_raw(out, "params", params ? json_compact(params) : "{}");
    json_out_end_object(out);
    buf_add_char(out, '\n');
}

int upstream_call(struct upstream *upstream, const char *method, const char *actor,
                  struct json_object *params, struct upstream_reply *ret_reply)
{
    CLEANUP(buf_deinit) struct buf request = {0};

    *ret_reply = (struct upstream_reply){0};
    upstream_print_request(method, actor, params, &request);
    for (int round = 0; round < 2; round++) {
        int fd = upstream_take(upstream, round > 0);
        size_t sent;

        if (fd < 0)
            return UPSTREAM_AWAY;
        sent = upstream_send_request(fd, &request);
        if (sent < request.len) {
            /* The daemon may have given the reason before it disconnected, as for a line that is
             * too long. */
            bool is_said = sent && upstream_receive_line(fd, &ret_reply->line);

            upstream_drop(upstream, fd);
            if (is_said)
                return upstream_understand(ret_reply);
            if (!sent)
                continue; /* it had closed the connection meanwhile and saw nothing */
            /* An incomplete line has no effect, but at the end of input its LF may be missing. */
            return sent + 1 < request.len ? UPSTREAM_AWAY : UPSTREAM_LOST;
        }
        if (!upstream_receive_line(fd, &ret_reply->line)) {
            upstream_drop(upstream, fd);
            return UPSTREAM_LOST;
        }
        upstream_give_back(upstream, fd);
        return upstream_understand(ret_reply);
    }
    return UPSTREAM_AWAY;
}

void upstream_reply_deinit(struct upstream_reply *reply)
{
    buf_deinit(&reply->line);
    json_object_put(reply->error);
    *reply = (struct upstream_reply){0};
}

bool upstream_discover(struct upstream *upstream,
                       void (*look)(struct json_object *document, void *data), void *data)
{
    CLEANUP(upstream_reply_deinit) struct upstream_reply reply = {0};
    uint64_t breaks;
    bool is_known;

    upstream_drop_ended(upstream);
    pthread_mutex_lock(&upstream->lock);
    breaks = upstream->breaks;
    pthread_mutex_unlock(&upstream->lock);
    pthread_mutex_lock(&upstream->document_lock);
    is_known = upstream->document && upstream->document_breaks == breaks;
    pthread_mutex_unlock(&upstream->document_lock);
    /* Without the lock: a stalled daemon must not block other callers. */
    if (!is_known) {
        struct json_object *document = NULL;
        const char *reason;
        size_t offset;

        if (upstream_call(upstream, "rpc.discover", NULL, NULL, &reply) != 0)
            return false;
        json_parse(reply.result, reply.result_len, &document, &reason, &offset);
        pthread_mutex_lock(&upstream->document_lock);
        json_object_put(upstream->document);
        upstream->document = document;
        upstream->document_breaks = breaks;
        pthread_mutex_unlock(&upstream->document_lock);
    }
    pthread_mutex_lock(&upstream->document_lock);
    look(upstream->document, data);
    pthread_mutex_unlock(&upstream->document_lock);
    return true;
}
