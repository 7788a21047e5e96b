/* SPDX-License-Identifier: MIT */
/*
 * What runs an attempt: a command, an agent that speaks ACP, or a worker that holds a lease. Adding
 * a runner is adding a file engine/runner_*.c, its row in engine/runner.c and its name and settings
 * in the configuration's tables.
 */
#pragma once

#include "engine/attempt.h"

/* The verbs of a runner. NULL: nothing to do. */
struct runner {
    /** Starts its processes, after the commit. */
    void (*launch)(struct attempt *attempt, const struct run_spec *spec);
    /** Stops it, after the commit. */
    void (*stop)(struct attempt *attempt);
    /** The alarm of attempt_arm() has fired. NULL: the runner has its own timers. */
    void (*expire)(struct attempt *attempt);
    /** The pass was committed: what it staged for the attempt takes effect. */
    void (*commit)(struct attempt *attempt);
    /** The pass failed: what it staged for the attempt is dropped. */
    void (*rollback)(struct attempt *attempt);
    /** The run of the attempt's family, or 0. */
    uint64_t (*run_id)(const struct attempt *attempt);
};

extern const struct runner runner_command, runner_acp, runner_lease;

/** That of a profile. */
const struct runner *runner_of(enum runner_type type);
