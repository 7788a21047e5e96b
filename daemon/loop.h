/* SPDX-License-Identifier: MIT */
/*
 * The loop: one thread, one pass after another. The order of a pass stands in loop.c and nowhere
 * else; it is the whole story of durability.
 */
#pragma once

#include "engine/engine.h"
#include "rpc/server.h"

struct loop {
    struct event_base *base;
    struct engine *engine;
    struct rpc_server *server;
    struct event *timer;
    int64_t woke_us;     /* when the pass under way began; monotonic */
    int64_t watchdog_ms; /* how often the service manager wants a sign of life; 0: it does not */
    int64_t watchdog_at; /* when it gets the next; monotonic ms */
    bool stop_requested, reload_requested;
    bool is_reloading; /* by the pass under way, on a signal */
    bool storage_is_failing;
    int64_t doubt_ends; /* until when clients wait for a commit's outcome; monotonic ms, 0: it is
                           known */
    int exit_status;
};

/** One pass; `may_block`: it may wait for an event. */
void loop_pass(struct loop *loop, bool may_block);
/** Runs passes until a stop was requested and every attempt has ended and is committed. -EIO: the
 *  storage did not take the last ones. */
int loop_run(struct loop *loop);
