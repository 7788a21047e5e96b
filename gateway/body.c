/* SPDX-License-Identifier: MIT */
#include "gateway/body.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "common/clock.h"
#include "gateway/kept.h"

#define BODIES_MAX (64 * 1024 * 1024) /* bytes of all in flight */
#define DROP_MAX   (256 * 1024)       /* bytes of one that is refused */
#define READ_SIZE  (64 * 1024)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static atomic_size_t in_flight;

/* A thread's time for reading. When it is over, signals end each wait that the thread is in: poll()
 * returns, and civetweb takes it for a broken connection. */
static _Thread_local struct deadline {
    timer_t timer;
    bool is_set;
    int64_t at; /* monotonic ms */
} deadline;

static void on_signal(int number UNUSED)
{
}

void body_setup(void)
{
    const struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */

    sigaction(KEPT_SIGNAL, &action, NULL);
}

static void deadline_start(void)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = KEPT_SIGNAL,
        .sigev_notify_thread_id = gettid(),
    };
    /* Again and again: the first may come just before a wait. */
    const struct itimerspec times = {
        .it_value.tv_sec = BODY_SECONDS,
        .it_interval.tv_nsec = 20 * 1000000L,
    };

    deadline.at = clock_mono_ms() + BODY_SECONDS * 1000;
    deadline.is_set = timer_create(CLOCK_MONOTONIC, &event, &deadline.timer) == 0 &&
                      timer_settime(deadline.timer, 0, &times, NULL) == 0;
}

static void deadline_stop(void)
{
    if (deadline.is_set)
        timer_delete(deadline.timer);
    deadline.is_set = false;
}

/* Without a timer, of which a user may have only so many, there is no time at all. */
static bool is_over(void)
{
    return !deadline.is_set || clock_mono_ms() >= deadline.at;
}

void body_releasep(const size_t *len)
{
    atomic_fetch_sub(&in_flight, *len);
}

int body_read(struct mg_connection *connection, struct buf *ret_body)
{
    long long length = mg_get_request_info(connection)->content_length; /* -1: in chunks */
    CLEANUP(buf_deinit) struct buf body = {0};
    int n = 1, outcome = length > BODY_MAX ? BODY_TOO_LARGE : 0;

    deadline_start();
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
        else if (n == 0 && (length < 0 || body.len == (size_t)length))
            break;
        else if (is_over())
            outcome = BODY_TOO_SLOW;
        else if (n <= 0)
            outcome = BODY_ENDED_EARLY;
    }
    deadline_stop();
    if (outcome) {
        body_releasep(&body.len);
        return outcome;
    }
    *ret_body = body;
    body = (struct buf){0};
    return 0;
}

void body_drop(struct mg_connection *connection)
{
    char dropped[4096];

    deadline_start();
    for (size_t n = 0; n < DROP_MAX && !is_over(); n += sizeof(dropped))
        if (mg_read(connection, dropped, sizeof(dropped)) < (int)sizeof(dropped))
            break; /* no more, or not in time */
    deadline_stop();
}

void body_rest_begins(const struct mg_connection *connection)
{
    if (mg_get_request_info(connection)->content_length != 0)
        deadline_start();
}

void body_rest_ends(void)
{
    deadline_stop();
}
