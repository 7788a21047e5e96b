/* SPDX-License-Identifier: MIT */
#pragma once

#include "core/settings.h"
#include "core/task.h"

/* A task that acpd's own ends interrupted this often in a row is taken to be their cause. */
#define RETRY_INTERRUPTIONS_MAX 10

/**
 * Decides what follows an attempt that ended with `class`, and notes it in the task (spent,
 * retries, interruptions). Returns the status to go to: TASK_FAILED, TASK_QUEUED (at once) or
 * TASK_SCHEDULED with *ret_delay_ms to wait.
 *
 * The delay is exponential backoff with full jitter: a uniform choice between 0 and
 * min(maxBackoff, backoff * 2^retries) ("Exponential Backoff And Jitter", AWS Architecture Blog,
 * 2015). `chance` is that choice, in [0, 1).
 */
enum task_status retry_decide(struct task *task, enum error_class class,
                              const struct profile_config *profile, double chance,
                              int64_t *ret_delay_ms);
