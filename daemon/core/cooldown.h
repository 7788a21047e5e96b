/* SPDX-License-Identifier: MIT */
/*
 * The cooldown of a profile whose attempts cannot work for now (a rate limit, no login, the program
 * is missing): a circuit breaker. For a while nothing is started; then it is half open: one attempt
 * at a time may probe. A probe that fails the same way begins a cooldown twice as long, any other
 * end closes the breaker. Times are monotonic ms.
 */
#pragma once

#include "core/error_class.h"

struct cooldown {
    int64_t length; /* of the last one, 0: the breaker is closed */
    int64_t began, until;
    bool is_probing;
    char reason[120]; /* the class and the message that began it */
};

/** Whether nothing may be started at this moment. */
bool cooldown_blocks(const struct cooldown *cooldown, int64_t now);
/** Notes the end of an attempt: `started` says when it began, `is_probe` whether it was let through
 *  as one. min and max bound the length, in ms. */
void cooldown_note(struct cooldown *cooldown, enum error_class class, const char *message,
                   int64_t started, bool is_probe, int64_t min, int64_t max, int64_t now);
/** Somebody says that it works again. */
void cooldown_end(struct cooldown *cooldown);
