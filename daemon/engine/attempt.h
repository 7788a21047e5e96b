/* SPDX-License-Identifier: MIT */
/* What the files of the engine share: attempts, from claim to settled end. */
#pragma once

#include "engine/engine.h"
#include "run/run.h"

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
/** Stages a stop; the first reason stands. */
void attempt_stop(struct attempt *attempt, enum error_class why);
/** Takes back a stop that was staged but not committed. */
void attempt_resume(struct attempt *attempt);
void attempt_free(struct attempt *attempt);

/** Takes the task over, which runs. */
struct attempt *attempt_new(struct engine *engine, struct profile *profile, struct task *task);
/** Sets the alarm for its timeout and its lease. */
void attempt_arm(struct attempt *attempt);
/** The attempt of a task that the pass under way has claimed; takes the task over. */
struct attempt *attempt_begin(struct engine *engine, struct profile *profile, struct task *task);
/** Ends an attempt that is a worker's; `message` is taken over. */
void attempt_expire(struct attempt *attempt, enum error_class class, char *message);
/** At the start: the attempts of leases that the store holds. */
int lease_adopt_all(struct engine *engine);
/** Claims waiting tasks for free slots, a bounded number in each pass. */
int claim_step(struct engine *engine);
/** Starts the processes of a claimed attempt. */
void attempt_launch(struct attempt *attempt);
void attempt_launch_agent(struct attempt *attempt, const struct run_spec *run);
/** Whether a process of it may be left. */
bool attempt_has_run(const struct attempt *attempt);
/** Tells its processes to end. */
void attempt_halt(struct attempt *attempt);
/** Whether a stop was committed: one that has yet to be had no part in an end. */
bool attempt_was_stopped(const struct attempt *attempt);
/** What the end of its program says about it: sets class and message. */
void attempt_judge(struct attempt *attempt, const struct run_end *end);
/** The last line of the output when it is a JSON object, else the output as {"output": …}; the
 *  caller frees it. */
char *attempt_read_result(struct attempt *attempt, struct run *run, const struct run_end *end);
/** Adds to the message the last line of stderr that says something, if there is one. */
void attempt_add_words(struct attempt *attempt, const char *stderr_lines);
/** Keeps the last lines of stderr, for an attempt that did not complete its task. */
void attempt_keep_tail(struct attempt *attempt, const char *stderr_lines);
/** Its processes are gone. */
void attempt_end(struct attempt *attempt);
/** Ends the attempt's task, or gives it another attempt, unless it was taken away meanwhile. */
int attempt_settle(struct attempt *attempt);
/** Tells those whose tasks have finished, as many as a pass may. */
int dependency_release(struct engine *engine);
/** Looks at every profile, when it is time to; see core/health.c. */
int health_check(struct engine *engine);

/** Removes what is older, or more, than is to be kept; a little in each pass. */
int retention_sweep(struct engine *engine);
/** Removes the row of a profile that is no longer configured, if nothing is left of it: no task, no
 *  attempt and no history. */
int engine_forget_if_spent(struct engine *engine, struct profile *profile);
/** Lets go of a profile whose row was removed by the pass that is now committed. */
void engine_forget_profile(struct engine *engine, struct profile *profile);

/* Metrics (engine/metrics.c) */

/** Notes that acpd runs, how long the queues are, and forgets what is old: rows of the pass. */
int metrics_note(struct engine *engine);
void metrics_commit(struct engine *engine);
/** At the start: the arrivals of the last hours, for the charts. */
int metrics_recall(struct engine *engine);
void metrics_rollback(struct engine *engine);
/** The monotonic ms at which there is something to note. */
int64_t metrics_deadline(const struct engine *engine);

/** Lets every agent go that is kept for another attempt. */
void agents_dismiss(struct engine *engine);
/** Forgets them; their processes are the supervisor's to end. */
void agents_free(struct engine *engine);
