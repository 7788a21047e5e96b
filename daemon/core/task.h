/* SPDX-License-Identifier: MIT */
/*
 * A task: one piece of work for one profile, and the statuses that it goes through.
 *
 *                    ┌──────────── retry ───────────┐
 *                    v                              │
 *   (new) ──> scheduled ──> queued ──> running ──> failed
 *     │            ^          ^ │        │ │ │
 *     │            └─ backoff ┼─┼────────┘ │ └──> completed
 *     ├──────────────────────>┘ │          │
 *     └──> blocked ─────────────┴──────────┴────> cancelled
 *
 * Times are wall-clock milliseconds, 0 meaning none, except readyAt and queuedAt, which come from
 * a clock that never steps back (see engine.h) because the order of the queue depends on them.
 */
#pragma once

#include "core/error_class.h"

/* The values are stored: never renumber them. */
enum task_status {
    TASK_NEW = 0, /* not admitted yet */
    TASK_QUEUED = 1,
    TASK_SCHEDULED = 2,
    TASK_BLOCKED = 3,
    TASK_RUNNING = 4,
    TASK_COMPLETED = 5,
    TASK_FAILED = 6,
    TASK_CANCELLED = 7,
    TASK_STATUS_COUNT,
};

enum task_priority { PRIORITY_LOW, PRIORITY_MEDIUM, PRIORITY_HIGH, PRIORITY_COUNT }; /* stored */

/* How many tasks a profile has in each status. */
struct task_counts {
    int64_t by_status[TASK_STATUS_COUNT];
    int64_t finished_bytes; /* of finished tasks that are still kept */
};

struct task {
    int64_t id, profile_id;
    enum task_status status;
    enum task_priority priority;
    /* The sort key among tasks of the same profile and status, smallest first: the rank of a queued
     * task, the due time of a scheduled one; 0 for blocked ones, which are sorted by id. */
    int64_t sort_key;

    int64_t created_at, started_at, finished_at;
    int64_t run_at;    /* as asked for */
    int64_t ready_at;  /* when it first became queued; kept through retries */
    int64_t queued_at; /* when it last became queued */

    int64_t timeout_ms;     /* 0: the profile's */
    int64_t max_attempts;   /* 0: the profile's */
    int64_t attempt;        /* the number of the last attempt, never reused */
    int64_t spent;          /* attempts spent of maxAttempts */
    int64_t retries;        /* retries with backoff since admission or retry_task */
    int64_t interruptions;  /* in a row */
    int64_t cooldowns;      /* attempts that cooled the profile down, counted to
                             * RETRY_COOLDOWNS_FREE */
    int64_t completed_then; /* tasks that the profile had completed when the last of these ended */

    enum error_class error_class;
    char *unknown_class;  /* the name of one that is ERROR_UNKNOWN */
    int64_t submitted_by; /* the task whose process submitted it; 0: none */
    int64_t depth;        /* its depth in the chain of such tasks */
    char *error_message;  /* NULL: none */
    char *error_tail;     /* the last lines of stderr, NULL: none */
    char *type;           /* the kind of work, or NULL */
    char *key;            /* idempotency key, or NULL */
    char *result;         /* JSON, or NULL */
    char *routing;        /* JSON: the decision that chose the profile, or NULL */
    char *body;           /* the other members of a JSON object that never change; begins with
                           * TASK_ONLY_NODE if there is such a node */
    int64_t bytes;        /* size of it and its logs on disk, once it has finished; else 0 */
    int64_t node_id; /* of the node that its processes may belong to, in a shared store; 0: none */
    char *node;      /* the name of the one that ran it last; NULL: none, or unknown */
    int64_t sum;     /* of the row that it was read from or written to; 0: none */
};

/* How `body` begins if only one node may run the task; the node's name follows, a word. */
#define TASK_ONLY_NODE "\"onlyNode\":\""

void task_deinit(struct task *task);
/** The only node that may run it; NULL: any. The caller frees it. */
char *task_only_node(const struct task *task);
/** The name of its error class; NULL: it has no error. */
const char *task_error_name(const struct task *task);

/* The state of a task before a change: the condition under which the change may be written. */
struct task_fence {
    int64_t profile_id;
    enum task_status status;
    int64_t attempt;
    int64_t bytes;
    int64_t sum;   /* 0: any; the attempt is the fence */
    bool is_sure;  /* it holds, as far as is known: if not, the whole pass may fail */
    int64_t limit; /* of a move: waiting tasks of the profile that it goes to, this one included;
                    * 0: any number */
};

struct task_fence task_fence(const struct task *task);

/* Indexed by value, NULL-terminated. Visible statuses begin at TASK_QUEUED. */
extern const char *const task_status_names[];
extern const char *const task_priority_names[];

const char *task_status_name(enum task_status status);
const char *task_priority_name(enum task_priority priority);
/** -EINVAL for an unknown name. */
int task_status_parse(const char *name, enum task_status *ret_status);
int task_priority_parse(const char *name, enum task_priority *ret_priority);

/** Waiting: scheduled, blocked or queued. */
bool task_status_is_waiting(enum task_status status);
/** Finished: completed, failed or cancelled. */
bool task_status_is_finished(enum task_status status);

/** Whether this transition is allowed. */
bool task_may_become(const struct task *task, enum task_status to);

/**
 * Changes the status; no other function does. Updates the counters: `counts` loses one in the old
 * status and gains one in the new. -EINVAL, with nothing changed, if the transition is not allowed.
 */
int task_transition(struct task *task, enum task_status to, struct task_counts *counts);

/** Counts a task that goes from one status (TASK_NEW: none) to another. */
void task_counts_step(struct task_counts *counts, enum task_status from, enum task_status to);
void task_counts_add(struct task_counts *sum, const struct task_counts *counts);

/** Sets the place of a task that has become queued; `now` is the clock of the queue. Tasks that
 *  caused a cooldown come after those that have not been tried. */
void task_enqueue(struct task *task, int64_t now, int64_t aging_interval_ms);

/** Moves a waiting task to another profile and updates the counters. */
void task_move(struct task *task, int64_t profile_id, struct task_counts *from,
               struct task_counts *to);

/** The rank of a queued task: readyAt - priority * agingInterval, smallest first. A task one level
 * lower runs first once it has waited one interval longer, so nothing starves. */
int64_t task_rank(const struct task *task, int64_t aging_interval_ms);

int64_t task_counts_waiting(const struct task_counts *counts);
