/* SPDX-License-Identifier: MIT */
/*
 * The cooldown of a profile whose attempts cannot work for now (a rate limit, no login, the program
 * is missing): a circuit breaker. For a while nothing is started; then it is half open: one attempt
 * at a time may probe, of another task than the one that failed last where there is one, since the
 * fault may be the task's. A probe that fails the same way begins a cooldown twice as long, or as
 * long as the provider says; any other end closes the breaker. Times are monotonic ms.
 */
#pragma once

#include "core/error_class.h"

struct cooldown {
    int64_t length; /* of the last one, 0: the breaker is closed */
    int64_t began, until;
    bool is_probing;
    int64_t task_id;  /* of the attempt that failed last */
    char reason[120]; /* the class and the message that began it */
};

/** Whether nothing may be started at this moment. */
bool cooldown_blocks(const struct cooldown *cooldown, int64_t now);

/* An attempt that has ended. */
struct cooldown_end {
    enum error_class class;
    const char *message; /* may be NULL */
    int64_t task_id;
    int64_t started, ended;
    int64_t retry_after_ms; /* as a provider asked for, 0: it did not */
    bool is_probe;          /* it was let through as one */
};

/** Takes an attempt's end into account. min and max bound the length, in ms; a provider's word
 *  counts up to max. */
void cooldown_note(struct cooldown *cooldown, const struct cooldown_end *end, int64_t min,
                   int64_t max);
/** Somebody says that it works again. */
void cooldown_reset(struct cooldown *cooldown);
