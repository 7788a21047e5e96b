/* SPDX-License-Identifier: MIT */
#include "core/retry.h"

#include <math.h>

#include "common/strv.h"

/* Whether this end uses up one of the task's attempts. An error that cools the profile down does
 * not while it may be the profile's fault, e.g. an expired login with which no task succeeds. */
static bool retry_spends_attempt(struct task *task, const struct error_class_info *info,
                                 int64_t completed)
{
    if (!info->cools_down)
        return info->spends_attempt;
    if (task->cooldowns >= RETRY_COOLDOWNS_FREE)
        return completed > task->completed_then;
    if (++task->cooldowns == RETRY_COOLDOWNS_FREE)
        task->completed_then = completed;
    return false;
}

enum task_status retry_decide(struct task *task, enum error_class class,
                              const struct profile_config *profile, int64_t completed,
                              double chance, int64_t *ret_delay_ms)
{
    const struct error_class_info *info = error_class_info(class);
    int64_t max_attempts = task->max_attempts ? task->max_attempts : profile->max_attempts;
    bool spends = retry_spends_attempt(task, info, completed);
    double ceiling;

    task->spent += spends;
    task->interruptions = class == ERROR_INTERRUPTED ? task->interruptions + 1 : 0;
    switch (info->retry) {
    case RETRY_NEVER:
        return TASK_FAILED;
    case RETRY_IF_CONFIGURED:
        if (!strv_contains(profile->retry_on, info->name))
            return TASK_FAILED;
        break;
    case RETRY_AT_ONCE:
        return task->interruptions >= RETRY_INTERRUPTIONS_MAX ? TASK_FAILED : TASK_QUEUED;
    case RETRY_AFTER_COOLDOWN:
    case RETRY_BACKOFF:
        break;
    }
    if (spends && task->spent >= max_attempts)
        return TASK_FAILED;
    if (info->retry == RETRY_AFTER_COOLDOWN)
        return TASK_QUEUED;
    ceiling =
        fmin((double)profile->max_backoff_ms,
             ldexp((double)profile->backoff_ms, (int)(task->retries < 60 ? task->retries : 60)));
    task->retries++;
    *ret_delay_ms = (int64_t)(chance * ceiling);
    return TASK_SCHEDULED;
}
