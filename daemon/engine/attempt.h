/* SPDX-License-Identifier: MIT */
/*
 * An attempt's data and life: claimed in the transaction, launched after its commit, ended by its
 * process, settled in a later transaction (engine/settle.h). Until that has been committed it stays
 * on the engine's list, so an end that the storage could not take is told again in the next pass.
 */
#pragma once

#include "engine/state.h"
#include "run/run.h"

struct runner;

enum attempt_state {
    ATTEMPT_CLAIMED, /* by the pass under way; no process yet */
    ATTEMPT_RUNNING,
    ATTEMPT_ENDED,   /* its family is gone; its task has yet to be told */
    ATTEMPT_SETTLED, /* its task was told by the pass under way */
};

struct attempt {
    struct list link;          /* engine.attempts */
    struct heap_node deadline; /* engine.deadlines, by monotonic ms */
    struct engine *engine;
    struct profile *profile;
    const struct runner *runner;
    struct run *run; /* while it runs, or: */
    struct acp *acp;
    char *lease; /* a worker's: the token; there are no processes then */
    int64_t lease_ms, lease_until;
    enum attempt_state state;
    bool is_new; /* by the pass under way: it dies with it, whatever has become of it */

    struct task task; /* as it was claimed */
    int64_t task_id, number;
    uint64_t type; /* of its task: metrics_type() */
    struct forecast_run slot;
    int64_t started_mono, ended_mono;
    int64_t timeout_ms, timeout_at;
    struct buf input; /* for stdin; gone once it was started */

    enum error_class stop; /* why it is being stopped; ERROR_NONE: it is not */
    bool stop_is_staged;   /* by the pass under way: its processes are told after the commit */

    enum error_class class; /* how it ended */
    char *message, *result;
    char *tail;             /* the last lines of stderr, or NULL */
    int64_t retry_after_ms; /* as a provider asked for, 0: it did not */
    char *usage;            /* JSON as an agent reported it, or NULL */
    struct metrics_cost cost;
    bool is_outdated;    /* its agent is not to be kept: the configuration was read again */
    bool has_idle_agent; /* its agent had served an attempt before */
    bool log_has_grown;  /* and nobody was told since */
    int64_t log_told;    /* when, monotonic ms */

    bool was_asked; /* its worker ended it, and is told whether that held */
    bool is_probe;  /* of a profile that cools down */
    bool is_stuck;  /* it takes far longer than others did */
    bool is_stale;  /* its task had been taken away: the end changes nothing */
};

/** The attempt of this task and number, or NULL. */
struct attempt *attempt_find(const struct engine *engine, int64_t task_id, int64_t number);
/** The attempt whose processes this keeper keeps, or NULL. */
const struct attempt *attempt_find_kept(const struct engine *engine, pid_t keeper);
/** Whether an attempt of the task is left that has not ended for good. */
bool attempt_is_left(const struct engine *engine, int64_t task_id);

/** Takes the task over, which runs. */
struct attempt *attempt_new(struct engine *engine, struct profile *profile, struct task *task,
                            const struct runner *runner);
/** The attempt of a task that the pass under way has claimed; takes the task over. */
struct attempt *attempt_begin(struct engine *engine, struct profile *profile, struct task *task,
                              const struct runner *runner);
void attempt_free(struct attempt *attempt);

/** Sets the alarm for its timeout and its lease, unless its runner has timers of its own. */
void attempt_arm(struct attempt *attempt);
/** Stages a stop; the first reason stands. */
void attempt_stop(struct attempt *attempt, enum error_class why);
/** Takes back a stop that was staged but not committed. */
void attempt_resume(struct attempt *attempt);
/** Whether a stop was committed: one that has yet to be had no part in an end. */
bool attempt_was_stopped(const struct attempt *attempt);
/** Whether a process of it may be left. */
bool attempt_has_run(const struct attempt *attempt);
/** Its processes are gone. */
void attempt_end(struct attempt *attempt);
/** The same, without anything to judge; `message` is taken over. */
void attempt_end_as(struct attempt *attempt, enum error_class class, char *message);
