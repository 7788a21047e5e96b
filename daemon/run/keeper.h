/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "run/cgroup.h"
#include "run/wire.h"

/** Runs a keeper, in a child just forked by the supervisor. All signals are blocked, the
 *  environment is the one to inherit, and the only open descriptors above 2 are these and the lock.
 */
void keeper_main(const int fds[START_FDS], pid_t supervisor, const struct cgroup *cgroup)
    __attribute__((noreturn));
