/* SPDX-License-Identifier: MIT */
/* Why an attempt did not complete its task, and what follows from it. */
#pragma once

#include "common/macros.h"

enum error_class {
    ERROR_NONE,
    ERROR_EXIT,        /* the program's exit status */
    ERROR_SIGNAL,      /* the program was killed by a signal */
    ERROR_TIMEOUT,     /* longer than the task may take */
    ERROR_STALL,       /* no sign of life for too long */
    ERROR_REFUSAL,     /* the agent declined */
    ERROR_LIMIT,       /* the agent reached a limit of its own */
    ERROR_AUTH,        /* not allowed in */
    ERROR_RATE_LIMIT,  /* told to come back later */
    ERROR_UNAVAILABLE, /* could not be started, or said that it cannot work now */
    ERROR_INTERRUPTED, /* acpd stopped or crashed under it */
    ERROR_LOST_LEASE,  /* the worker did not extend its lease in time */
    ERROR_CANCELLED,   /* someone cancelled it */
    ERROR_INVALID,     /* the task can never work as it is */
    ERROR_CLASS_COUNT,
    ERROR_UNKNOWN =
        ERROR_CLASS_COUNT, /* one that a later acpd has written; struct task has its name */
};

enum error_retry {
    RETRY_NEVER,
    RETRY_BACKOFF,        /* after a delay that grows */
    RETRY_AFTER_COOLDOWN, /* the profile's; behind the tasks that have not met it */
    RETRY_IF_CONFIGURED,  /* never, unless the profile says so */
    RETRY_AT_ONCE,        /* but not for ever: see RETRY_INTERRUPTIONS_MAX */
};

struct error_class_info {
    const char *name;
    enum error_retry retry;
    bool spends_attempt; /* one of the task's maxAttempts */
    bool cools_down;     /* the profile is left alone for a while */
    bool counts;         /* for health and rates */
};

/* Names, each list ended by NULL: of all classes, of those that a worker may report, and of those
 * that `retry.on` may name. tests/unit/core compares them with the table. */
extern const char *const error_class_names[];
extern const char *const error_class_of_workers[];
extern const char *const error_class_configurable[];

/** The row of the class; ERROR_NONE has the name NULL. */
const struct error_class_info *error_class_info(enum error_class class);
