/* SPDX-License-Identifier: MIT */
/* The state of the model, private to model.c and audit.c. */
#pragma once

#include "model.h"
#include "setting.h"

#define KEY_SIZE     32
#define ATTEMPTS_MAX 512

/* A set of attempts. */
struct attempts {
    uint64_t bits[ATTEMPTS_MAX / 64];
};

struct span {
    int64_t from, to;
};

/* What is known of a task. */
struct fact {
    int64_t id;
    char key[KEY_SIZE];               /* empty: not known yet */
    size_t profile;                   /* as last heard */
    int64_t run_at;                   /* 0: unknown, none, or it may have come */
    struct span born;                 /* monotonic ms; 0: unknown */
    int64_t life;                     /* of acpd: when the one began in which it was born */
    struct attempts begun, successes; /* successes: of processes */
    int64_t latest;                   /* attempt that was seen to begin */

    char token[TOKEN_SIZE], old_token[TOKEN_SIZE];
    int64_t attempt, until; /* of the lease; token empty: none is known */
    int open_ends;          /* calls that may end or have ended it */
    int cancels;            /* calls that may cancel it or have cancelled it */
    int retries;            /* calls that may retry it or have just retried it */
    int updates;            /* calls that may change it or have changed it */
    bool was_retried;
    int spent;           /* attempts, at least, since it was retried */
    int open_updates;    /* those changes that are under way */
    int64_t sole_update; /* the call of the latest one if there was no other; 0: there was */
    int priority;        /* as the last of them was acknowledged; -1: unknown */
    int64_t newest;      /* the newest call when something was last acknowledged */
    bool is_completed, is_cancelled; /* acknowledged */
    enum task_status told;           /* by the last event; TASK_NEW: unknown */
};

extern struct model {
    struct fact **facts;
    size_t count, acknowledged, attempts;
    int64_t *refused; /* keys of the assignments that were refused */
    size_t refused_count;
    bool *is_repeated;    /* by key: sent more than once */
    int64_t newest;       /* the call that was sent last */
    int64_t clock_set_at; /* monotonic ms; 0: never */
    int64_t life;         /* of acpd: when it began, monotonic ms */
    int64_t troubled;     /* the newest call when there was trouble last */
    struct {
        bool is_paused;      /* surely */
        int64_t since;       /* the newest call when it was acknowledged */
        int resumes_at_once; /* calls under way that may resume it */
        int64_t resumed;     /* the newest call when one of them was last answered */
    } pauses[SETTING_PROFILES];
} model;

struct fact *model_find(int64_t id);
/** What is known of a task that acpd shows. */
struct fact *model_learn(struct json_object *task);
/** Whether an attempt belongs to the set. */
bool model_has(const struct attempts *attempts, int64_t number);
/** Whether its worker is surely its owner. */
bool model_is_held(const struct fact *fact);
/** The task as acpd shows it, against what was promised. */
void model_check_task(struct json_object *task);
