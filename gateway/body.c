/* SPDX-License-Identifier: MIT */
#include "gateway/body.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "common/clock.h"
#include "common/list.h"
#include "gateway/kept.h"

#define BODIES_MAX    (64 * 1024 * 1024) /* bytes of all in flight */
#define STRANGERS_MAX 100                /* threads that wait for bodies of those without a token */
#define SKIP_MAX      (64 * 1024) /* bytes of a body that nobody reads on a kept connection */
#define SKIP_MS       100         /* and how long they may take */
#define LINGER_MS     700         /* between an answer and the end of its connection */
#define READ_SIZE     (64 * 1024)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static atomic_size_t in_flight;

/* The body of the request that a thread serves. */
static _Thread_local enum {
    REST_NONE,   /* there is none, or it was read to its end */
    REST_UNREAD, /* not read yet */
    REST_CUT,    /* its end is unknown: the connection is closed after the answer */
    REST_LATE,   /* its time is over: closed at once */
} rest;

/* A thread's time for reading. When it is over, signals interrupt each wait of the thread: poll()
 * returns, and civetweb treats the connection as broken. */
static _Thread_local struct deadline {
    struct list link; /* of strangers */
    timer_t timer;
    bool is_set;
    int64_t at;             /* monotonic ms */
    atomic_bool is_hurried; /* another one needs its thread */
} deadline;

/* Threads that wait for bodies of clients without a valid token, longest wait first. */
static struct {
    pthread_mutex_t lock;
    struct list waiting;
    int count;
} strangers = {.lock = PTHREAD_MUTEX_INITIALIZER, .waiting = LIST_INIT(strangers.waiting)};

static void body_on_signal(int number UNUSED)
{
}

void body_setup(void)
{
    const struct sigaction action = {.sa_handler = body_on_signal}; /* without SA_RESTART */

    sigaction(KEPT_SIGNAL, &action, NULL);
}

/* Signals after `ms`, and then repeatedly: the first may arrive just before a wait. */
static bool body_set_timer(timer_t timer, int64_t ms)
{
    const struct itimerspec times = {
        .it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L + 1},
        .it_interval.tv_nsec = 20 * 1000000L,
    };

    return timer_settime(timer, 0, &times, NULL) == 0;
}

/* Adds one; if there are too many, the time of the longest waits is over. */
static void body_join_strangers(void)
{
    int excess;

    pthread_mutex_lock(&strangers.lock);
    list_append(&strangers.waiting, &deadline.link);
    excess = ++strangers.count - STRANGERS_MAX;
    list_for_each (link, &strangers.waiting) {
        struct deadline *other = list_entry(link, struct deadline, link);

        if (excess-- <= 0)
            break;
        if (!atomic_exchange(&other->is_hurried, true) && other->is_set)
            body_set_timer(other->timer, 0);
    }
    pthread_mutex_unlock(&strangers.lock);
}

static void body_leave_strangers(void)
{
    pthread_mutex_lock(&strangers.lock);
    list_remove(&deadline.link);
    strangers.count--;
    pthread_mutex_unlock(&strangers.lock);
}

static void body_deadline_start(int64_t ms, bool is_stranger)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = KEPT_SIGNAL,
        .sigev_notify_thread_id = gettid(),
    };

    list_init(&deadline.link);
    deadline.is_hurried = false;
    deadline.at = clock_mono_ms() + ms;
    deadline.is_set = timer_create(CLOCK_MONOTONIC, &event, &deadline.timer) == 0;
    if (deadline.is_set && !body_set_timer(deadline.timer, ms))
        deadline.at = 0;
    if (is_stranger)
        body_join_strangers();
}

static void body_deadline_stop(void)
{
    if (!list_is_empty(&deadline.link))
        body_leave_strangers();
    if (deadline.is_set)
        timer_delete(deadline.timer);
    deadline.is_set = false;
}

/* Without a timer, whose number per user is limited, there is no time at all. */
static bool body_is_over(void)
{
    return !deadline.is_set || deadline.is_hurried || clock_mono_ms() >= deadline.at;
}

void body_returnp(const size_t *len)
{
    atomic_fetch_sub(&in_flight, *len);
}

void body_begin(const struct mg_connection *connection)
{
    bool has_one = mg_get_request_info(connection)->content_length > 0 ||
                   mg_get_header(connection, "Transfer-Encoding");

    rest = has_one ? REST_UNREAD : REST_NONE;
}

void body_distrust(void)
{
    rest = REST_CUT;
}

/* Whether all of it arrived: `n` is the result of the last read. civetweb also returns 0 for a
 * silent sender, except within chunks. */
static bool body_is_whole(const struct mg_connection *connection, size_t len, int n)
{
    long long length = mg_get_request_info(connection)->content_length; /* -1: in chunks */

    return length < 0 ? n == 0 : len == (size_t)length;
}

int body_read(struct mg_connection *connection, bool is_stranger, struct buf *ret_body)
{
    CLEANUP(buf_deinit) struct buf body = {0};
    int n = 1, outcome = 0;

    if (mg_get_request_info(connection)->content_length > BODY_MAX) {
        rest = REST_CUT;
        return BODY_TOO_LARGE;
    }
    body_deadline_start(BODY_SECONDS * 1000, is_stranger);
    while (!outcome && n > 0) {
        n = mg_read(connection, buf_reserve(&body, READ_SIZE), READ_SIZE);
        if (n > 0) {
            body.len += (size_t)n;
            atomic_fetch_add(&in_flight, (size_t)n);
        }
        if (body.len > BODY_MAX)
            outcome = BODY_TOO_LARGE;
        else if (in_flight > BODIES_MAX)
            outcome = BODY_TOO_MANY;
        else if (n <= 0 && body_is_whole(connection, body.len, n))
            break;
        else if (body_is_over())
            outcome = deadline.is_hurried ? BODY_GIVES_WAY : BODY_TOO_SLOW;
        else if (n <= 0)
            outcome = BODY_ENDED_EARLY;
    }
    body_deadline_stop();
    if (outcome) {
        rest = outcome == BODY_TOO_LARGE || outcome == BODY_TOO_MANY ? REST_CUT : REST_LATE;
        body_returnp(&body.len);
        return outcome;
    }
    rest = REST_NONE;
    *ret_body = body;
    body = (struct buf){0};
    return 0;
}

/* Reads and discards up to `max` bytes. Returns whether that was all. */
static bool body_drop(struct mg_connection *connection, size_t max, int64_t ms)
{
    char dropped[8192];
    size_t len = 0;
    int n = 1;

    body_deadline_start(ms, true);
    while (n > 0 && len < max && !body_is_over()) {
        n = mg_read(connection, dropped, sizeof(dropped));
        len += n > 0 ? (size_t)n : 0;
    }
    body_deadline_stop();
    return n <= 0 && body_is_whole(connection, len, n);
}

bool body_settle(struct mg_connection *connection)
{
    /* A client that waits for "100 Continue" accepts the answer instead. */
    bool may_come = mg_get_request_info(connection)->content_length <= SKIP_MAX &&
                    !mg_get_header(connection, "Expect");

    if (rest == REST_UNREAD)
        rest = may_come && body_drop(connection, SKIP_MAX, SKIP_MS) ? REST_NONE : REST_CUT;
    return rest == REST_NONE;
}

void body_end(struct mg_connection *connection)
{
    if (rest == REST_NONE)
        return;
    /* Unread bytes at the close make the kernel reset the connection, and the client may lose the
     * answer. */
    if (rest != REST_LATE)
        body_drop(connection, BODY_MAX, LINGER_MS);
    mg_close_connection(connection);
}
