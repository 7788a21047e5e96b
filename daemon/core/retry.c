/* SPDX-License-Identifier: MIT */
#include "core/retry.h"

#include <math.h>

#include "common/strv.h"

enum task_status retry_decide(struct task *task, enum error_class class,
                              const struct profile_config *profile, double chance,
                              int64_t *ret_delay_ms)
{
    const struct error_class_info *info = error_class_info(class);
    int64_t max_attempts = task->max_attempts ? task->max_attempts : profile->max_attempts;
    double ceiling;

    task->spent += info->spends_attempt;
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
    case RETRY_BACKOFF:
        break;
    }
    if (info->spends_attempt && task->spent >= max_attempts)
        return TASK_FAILED;
    ceiling =
        fmin((double)profile->max_backoff_ms,
             ldexp((double)profile->backoff_ms, (int)(task->retries < 60 ? task->retries : 60)));
    task->retries++;
    *ret_delay_ms = (int64_t)(chance * ceiling);
    return TASK_SCHEDULED;
}
