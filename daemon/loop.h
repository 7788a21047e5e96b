/* SPDX-License-Identifier: MIT */
/*
 * The loop: one thread, one pass after another. The order within a pass, on which durability
 * depends, is defined in loop.c only.
 */
#pragma once

#include "engine/engine.h"
#include "rpc/server.h"

struct loop {
    struct event_base *base;
    struct engine *engine;
    struct rpc_server *server;
    struct event *timer;
    int64_t woke_us;     /* start of the current pass, monotonic */
    int64_t watchdog_ms; /* interval of the service manager's watchdog; 0: none */
    int64_t watchdog_at; /* time of the next ping, monotonic ms */
    bool stop_requested, reload_requested;
    bool is_reloading;     /* by the current pass, after a signal */
    int64_t failing_since; /* monotonic ms, while: */
    bool storage_is_failing;
    int64_t
        answers_due; /* when clients stop waiting for a commit's outcome, monotonic ms; 0: known */
    int exit_status;
};

/** One pass; `may_block`: it may wait for an event. */
void loop_pass(struct loop *loop, bool may_block);
/** Runs passes until a stop is requested and the ends of all attempts are committed. -EIO: the
 *  last ones could not be committed. */
int loop_run(struct loop *loop);
