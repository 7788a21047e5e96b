/* SPDX-License-Identifier: MIT */
#include "core/cooldown.h"

#include <stdio.h>

bool cooldown_blocks(const struct cooldown *cooldown, int64_t now)
{
    return cooldown->length && (now < cooldown->until || cooldown->is_probing);
}

void cooldown_end(struct cooldown *cooldown)
{
    *cooldown = (struct cooldown){0};
}

void cooldown_note(struct cooldown *cooldown, enum error_class class, const char *message,
                   int64_t started, bool is_probe, int64_t min, int64_t max, int64_t now)
{
    const struct error_class_info *info = error_class_info(class);

    if (is_probe)
        cooldown->is_probing = false;
    if (!info->cools_down) {
        /* Neither of these two says anything about the profile. */
        if (class != ERROR_CANCELLED && class != ERROR_INTERRUPTED)
            cooldown_end(cooldown);
        return;
    }
    /* Attempts that ran together fail together: once is enough. */
    if (cooldown->length && started < cooldown->began)
        return;
    cooldown->length = cooldown->length ? 2 * cooldown->length : min;
    if (cooldown->length > max)
        cooldown->length = max;
    cooldown->began = now;
    cooldown->until = now + cooldown->length;
    snprintf(cooldown->reason, sizeof(cooldown->reason), "%s: %s", info->name,
             message ? message : "");
}
