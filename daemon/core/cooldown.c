/* SPDX-License-Identifier: MIT */
#include "core/cooldown.h"

#include <stdio.h>

bool cooldown_blocks(const struct cooldown *cooldown, int64_t now)
{
    return cooldown->length && (now < cooldown->until || cooldown->is_probing);
}

void cooldown_reset(struct cooldown *cooldown)
{
    *cooldown = (struct cooldown){0};
}

void cooldown_note(struct cooldown *cooldown, const struct cooldown_end *end, int64_t min,
                   int64_t max)
{
    const struct error_class_info *info = error_class_info(end->class);

    if (end->is_probe)
        cooldown->is_probing = false;
    if (!info->cools_down) {
        /* Cancelled and interrupted attempts say nothing about the profile. */
        if (end->class != ERROR_CANCELLED && end->class != ERROR_INTERRUPTED)
            cooldown_reset(cooldown);
        return;
    }
    cooldown->task_id = end->task_id;
    /* Attempts that ran together fail together: they count once, with the longest wait. */
    if (cooldown->length && end->started < cooldown->began) {
        int64_t asked = end->retry_after_ms < max ? end->retry_after_ms : max;

        if (asked && end->ended + asked > cooldown->until) {
            cooldown->length = asked;
            cooldown->until = end->ended + asked;
        }
        return;
    }
    cooldown->length = end->retry_after_ms ? end->retry_after_ms
                       : cooldown->length  ? 2 * cooldown->length
                                           : min;
    if (cooldown->length > max)
        cooldown->length = max;
    cooldown->began = end->ended;
    cooldown->until = end->ended + cooldown->length;
    snprintf(cooldown->reason, sizeof(cooldown->reason), "%s: %s", info->name,
             end->message ? end->message : "");
}
