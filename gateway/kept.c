/* SPDX-License-Identifier: MIT */
#include "gateway/kept.h"

#include <pthread.h>
#include <sched.h>

#include "common/list.h"

/* The connection that a thread serves. */
struct kept {
    struct list link; /* idle ones, the longest first */
    pthread_t thread;
    bool is_open, is_idle, is_told; /* told: to close */
};

static struct {
    pthread_mutex_t lock;
    struct list idle;
    int open, limit;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct kept own;

void kept_setup(int limit)
{
    list_init(&all.idle);
    all.limit = limit;
}

/* Threads that were signalled but have not ended are signalled again: a signal may arrive just
 * before a wait. */
static void kept_tell(int count)
{
    list_for_each (link, &all.idle) {
        struct kept *kept = list_entry(link, struct kept, link);

        if (count-- <= 0)
            return;
        kept->is_told = true;
        pthread_kill(kept->thread, KEPT_SIGNAL);
    }
}

void kept_open(void)
{
    own = (struct kept){.thread = pthread_self(), .is_open = true};
    pthread_mutex_lock(&all.lock);
    all.open++;
    kept_tell(all.open - all.limit);
    pthread_mutex_unlock(&all.lock);
}

void kept_wait(void)
{
    if (!own.is_open)
        return; /* a request may end after its connection */
    pthread_mutex_lock(&all.lock);
    list_append(&all.idle, &own.link);
    own.is_idle = true;
    kept_tell(all.open - all.limit);
    pthread_mutex_unlock(&all.lock);
}

/* A pending signal arrives here and interrupts nothing. */
static void kept_meet_signal(void)
{
    if (own.is_told)
        sched_yield();
    own.is_told = false;
}

void kept_work(void)
{
    if (!own.is_idle)
        return;
    pthread_mutex_lock(&all.lock);
    list_remove(&own.link);
    own.is_idle = false;
    pthread_mutex_unlock(&all.lock);
    kept_meet_signal();
}

void kept_gone(void)
{
    if (!own.is_open)
        return;
    /* In one step: between two, another one would be told in its place. */
    pthread_mutex_lock(&all.lock);
    if (own.is_idle)
        list_remove(&own.link);
    own.is_idle = own.is_open = false;
    all.open--;
    pthread_mutex_unlock(&all.lock);
    kept_meet_signal();
}

void kept_close_all(void)
{
    pthread_mutex_lock(&all.lock);
    kept_tell(INT32_MAX);
    pthread_mutex_unlock(&all.lock);
}
