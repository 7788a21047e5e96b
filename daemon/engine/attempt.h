/* SPDX-License-Identifier: MIT */
/*
 * An attempt's data and life: claimed in the transaction, launched after its commit, ended by its
 * process, settled in a later transaction (engine/settle.h). Until that is committed it stays on
 * the engine's list, so an end that could not be stored is settled again in the next pass.
 */
#pragma once

#include "engine/state.h"
#include "run/run.h"

struct runner;

enum attempt_state {
    ATTEMPT_CLAIMED, /* by the current pass; no process yet */
    ATTEMPT_RUNNING,
    ATTEMPT_ENDED,   /* its family is gone; not settled yet */
    ATTEMPT_SETTLED, /* settled by the current pass */
};

struct attempt {
    struct list link;          /* engine.attempts */
    struct list of_task;       /* engine.by_task */
    struct list touched;       /* engine.touched; unlinked: nothing to do */
    struct heap_node deadline; /* engine.deadlines, by monotonic ms */
    struct engine *engine;
    struct profile *profile;
    const struct runner *runner;
    struct run *run; /* while it runs, or: */
    struct acp *acp;
    char *lease; /* of a worker: the token; it has no processes */
    int64_t lease_ms, lease_until;
    enum attempt_state state;
    bool is_new; /* by the current pass: if it fails, the attempt is dropped in any state */

    struct task task;  /* as it was claimed */
    struct task after; /* as it was settled; its texts belong to the attempt */
    int64_t task_id, number;
    uint64_t type; /* of its task: metrics_type() */
    struct forecast_run slot;
    int64_t started_mono, ended_mono;
    int64_t timeout_ms, timeout_at;
    struct buf input; /* for stdin; freed once it has started */

    enum error_class stop; /* why it is being stopped; ERROR_NONE: not stopped */
    bool stop_is_staged;   /* by the current pass: its processes are stopped after the commit */

    enum error_class class; /* how it ended */
    bool is_shortage;       /* it failed because the system was short of something */
    char *message, *result;
    char *tail;             /* the last lines of stderr, or NULL */
    int64_t retry_after_ms; /* as the provider asked; 0: it did not */
    char *usage;            /* JSON as an agent reported it, or NULL */
    struct metrics_cost cost;
    bool is_outdated;    /* its agent must not be kept: the configuration was reloaded */
    bool has_idle_agent; /* its agent had served an attempt before */
    bool log_has_grown;  /* and not reported since */
    int64_t log_told;    /* when, monotonic ms */

    bool was_taken; /* another node has ended it */
    bool was_asked; /* ended by its worker, which learns the outcome */
    bool is_probe;  /* of a profile that cools down */
    bool is_stuck;  /* it has been running far longer than others */
    bool is_stale;  /* its task was taken away: the end changes nothing */
};

/** Makes engine.by_task of the attempts; the number of buckets is a power of two. */
void attempt_index(struct engine *engine, size_t bucket_count);
/** The attempt of this task and number, or NULL. */
struct attempt *attempt_find(const struct engine *engine, int64_t task_id, int64_t number);
/** The attempt of this task that a worker holds with this token, or NULL. */
struct attempt *attempt_find_held(const struct engine *engine, int64_t task_id, const char *token);
/** The attempt whose processes are of this run, or NULL. */
const struct attempt *attempt_find_run(const struct engine *engine, uint64_t id);
/** Whether an attempt of the task has not been settled and committed yet. */
bool attempt_is_left(const struct engine *engine, int64_t task_id);

/** Takes ownership of the task, which is running. */
struct attempt *attempt_new(struct engine *engine, struct profile *profile, struct task *task,
                            const struct runner *runner);
/** The attempt of a task claimed by the current pass; takes ownership of the task. */
struct attempt *attempt_begin(struct engine *engine, struct profile *profile, struct task *task,
                              const struct runner *runner);
void attempt_free(struct attempt *attempt);

/** Makes the steps of a pass look at it until it only runs again. So an attempt whose task is not
 *  running any more is among those that were touched, as retention relies on. */
void attempt_touch(struct attempt *attempt);
/** After the pass: lets go of one that only runs, rather than being stopped, having ended, or
 * having a log that has grown. */
void attempt_rest(struct attempt *attempt);
/** Its log has grown. */
void attempt_note_growth(struct attempt *attempt);
/** Sets the alarm for its timeout and its lease, unless its runner has timers of its own. */
void attempt_arm(struct attempt *attempt);
/** Stages a stop; the first reason stands. */
void attempt_stop(struct attempt *attempt, enum error_class why);
/** Stops it for a reason that is committed already. */
void attempt_stop_now(struct attempt *attempt, enum error_class why);
/** Cancels a stop that was staged but not committed. */
void attempt_resume(struct attempt *attempt);
/** Whether a stop was committed; an uncommitted one did not cause an end. */
bool attempt_was_stopped(const struct attempt *attempt);
/** Whether one of its processes may still exist. */
bool attempt_has_run(const struct attempt *attempt);
/** Its processes are gone. */
void attempt_end(struct attempt *attempt);
/** The same without a program's end to judge; takes ownership of `message`. */
void attempt_end_as(struct attempt *attempt, enum error_class class, char *message);
