/* SPDX-License-Identifier: MIT */
#include "engine/runner.h"

const struct runner *runner_of(enum runner_type type)
{
    static const struct runner *const runners[] = {
        [RUNNER_COMMAND] = &runner_command,
        [RUNNER_ACP] = &runner_acp,
        [RUNNER_WORKER] = &runner_lease,
    };

    return runners[type];
}
