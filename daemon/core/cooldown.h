/* SPDX-License-Identifier: MIT */
/*
 * The cooldown of a profile whose attempts cannot succeed for now (a rate limit, no login, a
 * missing program): a circuit breaker. For a while nothing is started. Then it is half open: one
 * attempt at a time may probe, preferably of a task other than the one that failed last, which may
 * be the cause. A probe that fails the same way starts a cooldown twice as long, or as long as the
 * provider says; any other end closes the breaker. Times are monotonic ms.
 */
#pragma once

#include "core/error_class.h"

struct cooldown {
    int64_t length; /* length of the last one; 0: the breaker is closed */
    int64_t began, until;
    bool is_probing;
    int64_t task_id;  /* of the attempt that failed last */
    char reason[120]; /* the class and message that caused it */
};

/** Whether nothing may be started now. */
bool cooldown_blocks(const struct cooldown *cooldown, int64_t now);

/* An attempt that has ended. */
struct cooldown_end {
    enum error_class class;
    const char *message; /* may be NULL */
    int64_t task_id;
    int64_t started, ended;
    int64_t retry_after_ms; /* as the provider asked; 0: it did not */
    bool is_probe;          /* it was started as a probe */
};

/** Records the end of an attempt. min and max limit the length, in ms; a provider's value counts up
 *  to max. */
void cooldown_note(struct cooldown *cooldown, const struct cooldown_end *end, int64_t min,
                   int64_t max);
/** Closes the breaker at a user's request. */
void cooldown_reset(struct cooldown *cooldown);
