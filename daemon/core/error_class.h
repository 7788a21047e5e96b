/* SPDX-License-Identifier: MIT */
/* Why an attempt did not complete its task, and what follows from it. */
#pragma once

#include "common/macros.h"

enum error_class {
    ERROR_NONE,
    ERROR_EXIT,        /* the program's exit status */
    ERROR_SIGNAL,      /* the program was killed by a signal */
    ERROR_TIMEOUT,     /* exceeded the time limit of the attempt */
    ERROR_STALL,       /* the agent was silent for too long */
    ERROR_REFUSAL,     /* the agent declined */
    ERROR_LIMIT,       /* the agent reached one of its own limits */
    ERROR_AUTH,        /* not allowed in */
    ERROR_RATE_LIMIT,  /* the provider asked to come back later */
    ERROR_UNAVAILABLE, /* could not be started, or is temporarily unable to work */
    ERROR_INTERRUPTED, /* acpd stopped or crashed while it ran */
    ERROR_LOST_LEASE,  /* the worker did not extend its lease in time */
    ERROR_CANCELLED,   /* someone cancelled it */
    ERROR_INVALID,     /* the task is invalid */
    ERROR_CLASS_COUNT,
    ERROR_UNKNOWN =
        ERROR_CLASS_COUNT, /* one that a later acpd has written; struct task has its name */
};

enum error_retry {
    RETRY_NEVER,
    RETRY_BACKOFF,        /* after a growing delay */
    RETRY_AFTER_COOLDOWN, /* after the profile's cooldown, behind tasks that have not been tried */
    RETRY_IF_CONFIGURED,  /* never, unless the profile configures it */
    RETRY_AT_ONCE,        /* up to RETRY_INTERRUPTIONS_MAX times */
};

struct error_class_info {
    const char *name;
    enum error_retry retry;
    bool spends_attempt; /* one of the task's maxAttempts; if it cools down, see core/retry.h */
    bool cools_down;     /* the profile cools down */
    bool counts;         /* for health and rates */
    bool halves_slots;   /* of a profile with minConcurrentTasks */
};

/* NULL-terminated lists of names: all classes, those that a worker may report, and those that
 * `retry.on` may contain. tests/unit/core compares them with the table. */
extern const char *const error_class_names[];
extern const char *const error_class_of_workers[];
extern const char *const error_class_configurable[];

/** The row of the class; ERROR_NONE has the name NULL. */
const struct error_class_info *error_class_info(enum error_class class);
/** NULL: ERROR_NONE; an unknown name: ERROR_UNKNOWN. */
enum error_class error_class_parse(const char *name);
