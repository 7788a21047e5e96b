/* SPDX-License-Identifier: MIT */
/* The state of the model, private to model.c and audit.c. */
#pragma once

#include "model.h"
#include "setting.h"
#include "spec.h"

#define ATTEMPTS_MAX 512

/* A set of attempts. */
struct attempts {
    uint64_t bits[ATTEMPTS_MAX / 64];
};

struct span {
    int64_t from, to;
};

#define UNKNOWN INT64_MIN

/* A value that calls change. While one of them is under way, or several were at once, it is
 * unknown. */
struct known {
    int64_t value, before;
    int64_t sole; /* the call that changes it, if there is no other; 0: there was */
    int open;
};

/* Calls that bring something about, or have. One that was refused does not count any more. */
struct causes {
    int count, acknowledged;
};

/*
 * What is known of a task. A reply may be heard long after it was sent, and after later ones of
 * other clients. So each `…_heard` is the newest call that had been sent when something was heard:
 * only what was sent after that call is sure to find it so.
 */
struct fact {
    int64_t id;
    char key[SPEC_KEY_SIZE]; /* empty: not known yet */
    size_t profile;          /* as last heard */
    struct known changes[CHANGE_COUNT];
    enum task_status told;           /* by the last event; TASK_NEW: unknown */
    bool is_completed, is_cancelled; /* acknowledged */
    int64_t last_heard;              /* of an acknowledged call about it */

    /* Its place in the queue. */
    int64_t run_at;   /* wall ms; 0: unknown, none, or it may have come */
    struct span born; /* monotonic ms; 0: unknown */
    int64_t birth_heard;
    int64_t life;  /* of acpd: when the one began in which it was born */
    bool is_plain; /* it was queued as it was born */
    bool was_updated, was_retried;
    bool was_rescheduled; /* by an update of runAt */
    int64_t overtaken_by; /* a task that was claimed though it ranks after this one; 0: none */

    /* Its attempts. */
    struct attempts begun, successes; /* successes: of processes */
    int64_t latest;                   /* attempt that was seen to begin */
    int64_t ended;                    /* the last one that is known to be over */
    int64_t retried_at;               /* its last attempt when a retry was acknowledged */
    int spent;                        /* attempts, at least, since it was retried */

    /* The lease of the latest claim that was heard of. */
    char token[TOKEN_SIZE], old_token[TOKEN_SIZE]; /* empty: none is known */
    int64_t attempt, lease_ms;
    int64_t until; /* monotonic ms: it is its worker's, if nothing happens */
    int64_t claim_heard;
    int64_t over_heard; /* 0: it may be in force */

    /* Calls that may have had an effect: not those that were refused. */
    int open_ends; /* which end the lease */
    struct causes cancels;
    int acknowledged_before; /* cancels, when the retry was sent; -1: there were several */
    int completes;
    int retries; /* and are not acknowledged */
    int64_t retry_heard;
    bool was_refused; /* something about it was, since it was audited */
    bool is_doubtful; /* and what was may have taken effect: see D2 */
};

extern struct model {
    struct fact **facts;
    size_t count, acknowledged, attempts;
    int64_t *refused; /* keys of the assignments that were refused */
    size_t refused_count;
    bool *is_repeated;    /* by key: sent more than once */
    int64_t newest;       /* the call that was sent last */
    int64_t clock_set_at; /* monotonic ms; 0: never */
    int64_t latest_wall;  /* ms: the latest time that the clock has shown when it was set */
    int64_t life;         /* of acpd: when it began, monotonic ms */
    int64_t troubled;     /* the newest call when there was trouble last */
    struct {
        bool is_paused;      /* surely */
        int64_t since;       /* the newest call when it was acknowledged */
        int resumes_at_once; /* calls under way that may resume it */
        int causes;          /* calls that may pause it or have paused it */
        int64_t resumed;     /* the newest call when one of them was last answered */
    } pauses[SETTING_PROFILES];
} model;

/** NULL: unknown. */
struct fact *model_find(int64_t id);
/** What is known of a task that acpd shows. */
struct fact *model_learn(struct json_object *task);
/** The number of a task's key. */
int64_t model_key(const struct fact *fact);
/** Takes down which profile a task belongs to. */
void model_note_profile(struct fact *fact, struct json_object *task);
/** An attempt begins, by a worker or a process. */
void model_begin_attempt(struct fact *fact, int64_t attempt);
/** Attempts up to this one are over, whatever replies to earlier calls say. */
void model_end_attempt(struct fact *fact, int64_t attempt);
/** How many tasks of the profile workers surely own. */
size_t model_count_held(size_t profile);
/** Whether an attempt belongs to the set. */
bool model_has(const struct attempts *attempts, int64_t number);
/** Whether its worker is surely its owner. */
bool model_is_held(const struct fact *fact);
/** How long its worker owns it at least: an attempt's timeout may come before the lease's end. */
int64_t model_lease_of(const struct fact *fact);
/** When its turn would have been if it had the lowest priority; false if that is not known. */
bool model_rank(const struct fact *fact, struct span *ret_rank);
/** It is there, so it was not refused. */
void model_check_refused(const struct fact *fact);
/** The task as acpd shows it, against what was promised. */
void model_check_task(struct json_object *task);

void known_sent(struct known *known, int64_t call);
/** The call was acknowledged, and the value is this, or it was refused. */
void known_settle(struct known *known, int64_t call, bool is_refused, int64_t value);
/** No call is under way. */
void known_learn(struct known *known, int64_t value);
