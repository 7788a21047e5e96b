/* SPDX-License-Identifier: MIT */
#pragma once

#include "core/settings.h"
#include "core/task.h"

/* A task that acpd's own ends interrupted this often in a row is taken to be their cause. */
#define RETRY_INTERRUPTIONS_MAX 10

/* What cools a profile down is taken to be the profile's fault this often. Further attempts of the
 * task that end so are spent, provided that another task has succeeded since. */
#define RETRY_COOLDOWNS_FREE 3

/**
 * Decides what follows an attempt that ended with `class`, and notes it in the task (spent,
 * retries, interruptions, cooldowns). `completed` counts the tasks that the profile has completed
 * so far. Returns the status to go to: TASK_FAILED, TASK_QUEUED (at once, or when the profile's
 * cooldown lets it) or TASK_SCHEDULED with *ret_delay_ms to wait.
 *
 * The delay is exponential backoff with full jitter: a uniform choice between 0 and
 * min(maxBackoff, backoff * 2^retries) ("Exponential Backoff And Jitter", AWS Architecture Blog,
 * 2015). `chance` is that choice, in [0, 1).
 */
enum task_status retry_decide(struct task *task, enum error_class class,
                              const struct profile_config *profile, int64_t completed,
                              double chance, int64_t *ret_delay_ms);
