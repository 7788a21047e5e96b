/* SPDX-License-Identifier: MIT */
#pragma once

#include "core/settings.h"
#include "core/task.h"

/* A task interrupted this often in a row is assumed to make acpd crash. */
#define RETRY_INTERRUPTIONS_MAX 10

/* An error that cools the profile down spends no attempt of a task this often. After that it does,
 * if another task has succeeded since. */
#define RETRY_COOLDOWNS_FREE 3

/**
 * Decides what follows an attempt that ended with `class`, and updates the task's counters (spent,
 * retries, interruptions, cooldowns). `completed` is the number of tasks that the profile has
 * completed. Returns the next status: TASK_FAILED, TASK_QUEUED (at once, or after the profile's
 * cooldown) or TASK_SCHEDULED with a delay of *ret_delay_ms.
 *
 * The delay is exponential backoff with full jitter: a uniform choice between 0 and min(maxBackoff,
 * backoff * 2^retries) ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). `chance` is
 * that choice, in [0, 1).
 */
enum task_status retry_decide(struct task *task, enum error_class class,
                              const struct profile_config *profile, int64_t completed,
                              double chance, int64_t *ret_delay_ms);
