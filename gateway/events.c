/* SPDX-License-Identifier: MIT */
#include "gateway/events.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "gateway/upstream.h"

#define STREAMS_MAX       64 /* each holds one of civetweb's threads */
#define RING              1024
#define HEARTBEAT_SECONDS 5           /* how long a disconnected browser occupies one */
#define CHUNK_MAX         (64 * 1024) /* bytes of one write */
#define RETRY_MS          1000        /* while the daemon is away */
#define TICK_MS           200         /* how soon an end is noticed */
#define LINE_MAX          (1024 * 1024)

struct entry {
    int64_t seq; /* the daemon's; 0: the gateway's own */
    char *text;  /* as it is sent */
};

struct events {
    char *socket_path;
    pthread_t reader;
    bool has_reader;
    atomic_bool is_stopping;
    atomic_uint renewals; /* a stream ends with the next one */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry ring[RING];
    uint64_t first, next; /* positions; an entry stands at its position modulo RING */
    int64_t seen;         /* the last seq; 0: none yet */
    char *source;      /* the node that sent it; NULL: unknown; used by the reader alone, as is */
    char *next_source; /* the node that sends the next one; NULL: the same */
    bool is_up;
    bool has_tried; /* whether is_up is known yet */
    size_t streams;
};

/* Under the lock. Takes ownership of the text. */
static void events_append(struct events *events, int64_t seq, char *text)
{
    struct entry *entry = &events->ring[events->next % RING];

    free(entry->text);
    entry->seq = seq;
    entry->text = text;
    events->next++;
    if (events->next - events->first > RING)
        events->first = events->next - RING;
    if (seq) {
        events->seen = seq;
        if (events->next_source) {
            free(events->source);
            events->source = STEAL(events->next_source);
        }
    }
    pthread_cond_broadcast(&events->changed);
}

static void events_set_up(struct events *events, bool is_up)
{
    pthread_mutex_lock(&events->lock);
    if (events->is_up != is_up) {
        events->is_up = is_up;
        events_append(events, 0, xasprintf("event: %s\ndata: {}\n\n", is_up ? "up" : "down"));
    }
    events->has_tried = true;
    pthread_cond_broadcast(&events->changed);
    pthread_mutex_unlock(&events->lock);
}

/* It counts from its first event on: until then, `seen` is a number of the one before. */
static void events_note_source(struct events *events, const char *source)
{
    free(events->next_source);
    events->next_source = source ? xstrdup(source) : NULL;
}

/* Handles an event notification; false: another line, e.g. an error. */
static bool events_take_line(struct events *events, const char *line, size_t len)
{
    CLEANUP(json_putp) struct json_object *message = NULL;
    struct json_object *params;
    const char *reason, *type;
    size_t offset;
    int64_t seq;

    if (json_parse(line, len, &message, &reason, &offset) < 0 ||
        !json_object_is_type(message, json_type_object))
        return false;
    if (json_get(message, "result")) { /* the subscription stands */
        events_note_source(events, json_get_string(json_get(message, "result"), "source"));
        events_set_up(events, true);
        return true;
    }
    params = json_get(message, "params");
    type = params ? json_get_string(params, "type") : NULL;
    if (!type)
        return false;
    seq = json_object_get_int64(json_get(params, "seq"));
    pthread_mutex_lock(&events->lock);
    events_append(events, seq,
                  seq ? xasprintf("id: %lld\nevent: %s\ndata: %s\n\n", (long long)seq, type,
                                  json_compact(params))
                      : xasprintf("event: %s\ndata: %s\n\n", type, json_compact(params)));
    pthread_mutex_unlock(&events->lock);
    return true;
}

/* Reads until the daemon is gone or the gateway stops. */
static void events_follow(struct events *events, int fd)
{
    CLEANUP(buf_deinit) struct buf input = {0};
    bool is_good = true;

    while (is_good && !events->is_stopping && input.len < LINE_MAX) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        char *end;
        ssize_t n;

        if (poll(&polled, 1, TICK_MS) <= 0)
            continue;
        n = recv(fd, buf_reserve(&input, 65536), 65536, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        input.len += (size_t)n;
        while (is_good && (end = memchr(input.data, '\n', input.len))) {
            size_t len = (size_t)(end - input.data);

            is_good = events_take_line(events, input.data, len);
            buf_consume(&input, len + 1);
        }
    }
}

static bool events_subscribe(struct events *events, int fd)
{
    CLEANUP(buf_deinit) struct buf request = {0};

    json_out_object(&request, NULL);
    json_out_text(&request, "jsonrpc", "2.0");
    json_out_int(&request, "id", 1);
    json_out_text(&request, "method", "subscribe");
    json_out_object(&request, "params");
    pthread_mutex_lock(&events->lock);
    if (events->seen)
        json_out_int(&request, "after", events->seen);
    if (events->seen && events->source)
        json_out_text(&request, "source", events->source);
    pthread_mutex_unlock(&events->lock);
    json_out_end_object(&request);
    json_out_end_object(&request);
    buf_add_char(&request, '\n');
    return send(fd, request.data, request.len, MSG_NOSIGNAL) == (ssize_t)request.len;
}

static void *events_read_events(void *data)
{
    struct events *events = data;
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};

    while (!events->is_stopping) {
        CLEANUP(closep) int fd = upstream_connect(events->socket_path);

        if (fd >= 0 && events_subscribe(events, fd))
            events_follow(events, fd);
        if (!events->is_stopping)
            events_set_up(events, false);
        for (int ms = 0; ms < RETRY_MS && !events->is_stopping; ms += TICK_MS)
            nanosleep(&tick, NULL);
    }
    return NULL;
}

struct events *events_new(const char *socket_path)
{
    struct events *events = xcalloc(1, sizeof(*events));
    pthread_condattr_t monotonic;

    events->socket_path = xstrdup(socket_path);
    events->is_up = true; /* until it is known to be away */
    pthread_mutex_init(&events->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&events->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return events;
}

static void events_wake_streams(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    pthread_cond_broadcast(&events->changed);
    pthread_mutex_unlock(&events->lock);
}

void events_renew(struct events *events)
{
    events->renewals++;
    events_wake_streams(events);
}

void events_stop(struct events *events)
{
    events->is_stopping = true;
    events_wake_streams(events);
}

void events_free(struct events *events)
{
    if (!events)
        return;
    events_stop(events);
    if (events->has_reader)
        pthread_join(events->reader, NULL);
    for (size_t i = 0; i < RING; i++)
        free(events->ring[i].text);
    pthread_cond_destroy(&events->changed);
    pthread_mutex_destroy(&events->lock);
    free(events->socket_path);
    free(events->source);
    free(events->next_source);
    free(events);
}

/* Under the lock. A client with the answer's head gets everything from then on, so the head waits
 * until the subscription exists or has failed. */
static void events_await_subscription(struct events *events)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += HEARTBEAT_SECONDS;
    while (!events->has_tried && !events->is_stopping)
        if (pthread_cond_timedwait(&events->changed, &events->lock, &until) == ETIMEDOUT)
            break;
}

/* Admits a stream: its start, and its first events. The first one ever starts the reader. False:
 * too many. */
static bool events_enter(struct events *events, int64_t last_seen, uint64_t *ret_position,
                         struct buf *greeting)
{
    bool may_enter;

    buf_printf(greeting, "retry: %d\n\n", 2 * RETRY_MS);
    pthread_mutex_lock(&events->lock);
    may_enter = events->streams < STREAMS_MAX && !events->is_stopping;
    if (may_enter && !events->has_reader) {
        events->seen = last_seen; /* the daemon holds more than the ring does */
        events->has_reader = pthread_create(&events->reader, NULL, events_read_events, events) == 0;
        last_seen = 0;
    }
    events->streams += may_enter;
    *ret_position = events->next;
    if (last_seen) {
        uint64_t at = events->first;

        while (at < events->next && events->ring[at % RING].seq != last_seen)
            at++;
        if (at < events->next)
            *ret_position = at + 1;
        else if (last_seen != events->seen)
            buf_add_text(greeting, "event: gap\ndata: {}\n\n");
    }
    if (!events->is_up)
        buf_add_text(greeting, "event: down\ndata: {}\n\n");
    if (may_enter)
        events_await_subscription(events);
    pthread_mutex_unlock(&events->lock);
    return may_enter;
}

static void events_leave(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    events->streams--;
    pthread_mutex_unlock(&events->lock);
}

static bool events_is_over(const struct events *events, unsigned renewals)
{
    return events->is_stopping || events->renewals != renewals;
}

/* Waits for events after the position and copies them; a heartbeat if there are none. */
static void events_next_chunk(struct events *events, unsigned renewals, uint64_t *position,
                              struct buf *chunk)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += HEARTBEAT_SECONDS;
    pthread_mutex_lock(&events->lock);
    while (*position == events->next && !events_is_over(events, renewals))
        if (pthread_cond_timedwait(&events->changed, &events->lock, &until) == ETIMEDOUT)
            break;
    if (*position < events->first) { /* it was too slow */
        *position = events->next;
        buf_add_text(chunk, "event: gap\ndata: {}\n\n");
    }
    while (*position < events->next && chunk->len < CHUNK_MAX)
        buf_add_text(chunk, events->ring[(*position)++ % RING].text);
    pthread_mutex_unlock(&events->lock);
    if (!chunk->len && !events->is_stopping)
        buf_add_text(chunk, ": still here\n\n");
}

/* The last event that the browser saw; 0: missing or not a number. */
static int64_t events_last_event_id(struct mg_connection *connection)
{
    const char *given = mg_get_header(connection, "Last-Event-ID");

    return given && given[0] && strlen(given) <= 18 && !given[strspn(given, "0123456789")]
               ? strtoll(given, NULL, 10)
               : 0;
}

int events_handle(struct mg_connection *connection, struct events *events)
{
    CLEANUP(buf_deinit) struct buf chunk = {0};
    unsigned renewals = events->renewals;
    uint64_t position;

    if (!events_enter(events, events_last_event_id(connection), &position, &chunk))
        return http_error(connection, 503, RPC_UNAVAILABLE, "Retry-After: 5\r\n", NULL,
                          "%d event streams are already open", STREAMS_MAX);
    http_stream(connection, "text/event-stream");
    while (mg_write(connection, chunk.data, chunk.len) > 0 && !events_is_over(events, renewals)) {
        buf_clear(&chunk);
        events_next_chunk(events, renewals, &position, &chunk);
    }
    events_leave(events);
    mg_close_connection(connection);
    return 200;
}
