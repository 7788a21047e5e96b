/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "common/log.h"
#include "common/notify.h"

/* Extra rounds of reading requests before the commit, so that more of them share an fsync.
 * Measured: they double the operations per commit and halve the tail latency. */
#define EXTRA_ROUNDS 4

/* Clients wait this long for a commit whose outcome is unknown. */
#define DOUBT_MS 5000

/* Events only move bytes and record which processes have ended. */
static void loop_take_events(struct loop *loop, bool may_block)
{
    event_base_loop(loop->base, may_block ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
    loop->woke_us = clock_mono_us();
    engine_begin(loop->engine);
}

/* 1. Handle the requests that arrived, and read on while more arrive. */
static void loop_take_requests(struct loop *loop)
{
    for (int i = 0; rpc_process(loop->server) && i < EXTRA_ROUNDS; i++)
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
}

static void loop_arm_timer(struct loop *loop)
{
    int64_t engine_at = engine_next_deadline(loop->engine);
    int64_t rpc_at = engine_is_in_doubt(loop->engine) ? INT64_MAX : rpc_next_deadline(loop->server);
    int64_t wait = (engine_at < rpc_at ? engine_at : rpc_at) - clock_mono_ms();
    int64_t watchdog_wait = loop->watchdog_at - clock_mono_ms();

    if (loop->watchdog_ms && watchdog_wait < wait)
        wait = watchdog_wait;
    wait = wait < 0 ? 0 : wait;
    event_add(loop->timer, &(struct timeval){.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000});
}

/* Pings the service manager's watchdog at half its interval. If the loop hangs, the pings stop. */
static void loop_feed_watchdog(struct loop *loop)
{
    int64_t now = clock_mono_ms();

    if (!loop->watchdog_ms || now < loop->watchdog_at)
        return;
    notify_systemd("WATCHDOG=1");
    loop->watchdog_at = now + (loop->watchdog_ms + 1) / 2;
}

static void loop_handle_signals(struct loop *loop)
{
    if (loop->reload_requested) {
        char *error = NULL;
        int r = engine_reload(loop->engine, &error);

        /* Failing storage is retried by a later pass; see loop_conclude(). */
        loop->reload_requested = false;
        loop->is_reloading = r == 0 || !error;
        if (r < 0 && !loop->storage_is_failing)
            log_error("the configuration is unchanged: %s", error ? error : strerror(-r));
        free(error);
    }
    if (loop->stop_requested && !engine_is_stopping(loop->engine)) {
        log_info("stopping: interrupting running attempts");
        rpc_stop_accepting(loop->server);
        engine_stop(loop->engine);
    }
}

/* 2. Give free slots to waiting tasks, and tasks to waiting claims. */
static int loop_plan(struct loop *loop)
{
    int r = engine_plan(loop->engine);

    if (r < 0)
        return r;
    rpc_serve(loop->server);
    return engine_finish_pass(loop->engine);
}

/* Another acpd may run what this one runs. */
static void loop_check_owner(struct loop *loop, int r)
{
    struct engine_storage storage;

    if (!engine_is_lost(loop->engine) || loop->stop_requested)
        return;
    engine_get_storage(loop->engine, &storage);
    log_error("this acpd is no longer a node of the fleet, and others may run its tasks; stopping: "
              "%s",
              storage.error);
    loop->stop_requested = true;
    loop->exit_status = EXIT_FAILURE;
    if (r == ENGINE_UNKNOWN)
        loop->answers_due = clock_mono_ms(); /* nobody will know more */
}

static void loop_retire(struct loop *loop)
{
    if (!engine_is_retired(loop->engine) || loop->stop_requested)
        return;
    log_info("this node has been retired and is idle; stopping");
    loop->stop_requested = true;
}

/* 3. One commit, one fsync, for the whole pass: it held, it failed, or its outcome is unknown. */
static void loop_conclude(struct loop *loop, int r)
{
    struct engine_storage storage;

    loop_check_owner(loop, r);
    if (r == ENGINE_UNKNOWN) {
        if (!loop->answers_due)
            log_error("the outcome of the last commit is unknown; waiting for the storage");
        loop->answers_due = loop->answers_due ? loop->answers_due : clock_mono_ms() + DOUBT_MS;
        return;
    }
    if (loop->answers_due)
        log_info("the last commit %s", r < 0 ? "failed" : "succeeded");
    loop->answers_due = 0;
    if (r >= 0) {
        if (r > 0 && loop->storage_is_failing)
            log_info("the storage is working again");
        loop->storage_is_failing &= r == 0;
        loop->is_reloading = false;
        return;
    }
    engine_get_storage(loop->engine, &storage);
    if (!loop->storage_is_failing) {
        log_error("the storage is failing: %s; unacknowledged changes were rolled back; retrying",
                  storage.error);
        loop->failing_since = clock_mono_ms();
    }
    loop->storage_is_failing = true;
    loop->reload_requested |= loop->is_reloading;
    loop->is_reloading = false;
    rpc_fail(loop->server);
}

/* Whether the outcome has been unknown for so long that clients get errors. */
static bool loop_owes_answers(const struct loop *loop)
{
    return engine_is_in_doubt(loop->engine) && clock_mono_ms() >= loop->answers_due;
}

/* Keeps the last pass open until the outcome of its commit is known. Clients do not wait forever:
 * after DOUBT_MS, all open and new requests get an error. */
static void loop_resolve(struct loop *loop)
{
    loop_conclude(loop, engine_resolve(loop->engine));
    if (!loop_owes_answers(loop))
        return;
    rpc_fail(loop->server);
    rpc_process(loop->server);
    rpc_send_replies(loop->server);
}

void loop_pass(struct loop *loop, bool may_block)
{
    loop_take_events(loop, may_block);
    if (engine_is_in_doubt(loop->engine)) {
        loop_resolve(loop);
    } else {
        loop_take_requests(loop); /* 1. */
        loop_handle_signals(loop);
        loop_conclude(loop, engine_commit(loop->engine, loop_plan(loop))); /* 2. and 3. */
    }
    loop_retire(loop);
    if (!engine_is_in_doubt(loop->engine)) {
        rpc_send_replies(loop->server); /* 4. staged replies leave */
        engine_launch(loop->engine);    /* 5. start and stop only what is committed */
    }
    rpc_reap(loop->server); /* 6. free closed connections */
    engine_note_busy(loop->engine, clock_mono_us() - loop->woke_us);
}

/* Whether acpd can exit without waiting for the storage. The next start finds unrecorded ends, and
 * those of an unknown commit, as interruptions. */
static bool loop_may_leave(const struct loop *loop)
{
    if (loop->stop_requested && loop_owes_answers(loop))
        return true;
    if (!engine_is_stopping(loop->engine) || !loop->storage_is_failing ||
        engine_has_runs(loop->engine))
        return false;
    /* A server may just be busy with others. */
    return engine_settings(loop->engine)->store.type != SETTINGS_POSTGRES ||
           engine_is_lost(loop->engine) || clock_mono_ms() - loop->failing_since >= DOUBT_MS;
}

static void loop_on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *data UNUSED)
{
    /* Only ends the wait. */
}

int loop_run(struct loop *loop)
{
    loop->timer = evtimer_new(loop->base, loop_on_timer, NULL);
    loop->watchdog_ms = notify_watchdog_ms();
    engine_begin(loop->engine);
    while (!loop_may_leave(loop) &&
           (!engine_is_stopping(loop->engine) || !engine_is_idle(loop->engine))) {
        loop_arm_timer(loop);
        loop_pass(loop, engine_is_in_doubt(loop->engine) || !rpc_has_backlog(loop->server));
        loop_feed_watchdog(loop);
    }
    event_free(loop->timer);
    if (engine_is_in_doubt(loop->engine))
        log_error("stopping while the outcome of the last commit is unknown; what runs is killed, "
                  "and the next start finds out");
    return loop->storage_is_failing || engine_is_in_doubt(loop->engine) ? -EIO : 0;
}
