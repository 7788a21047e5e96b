/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "run/cgroup.h"
#include "run/wire.h"

/** The whole life of a keeper, in the child that the supervisor has just forked. All signals are
 *  blocked, the environment is the one to inherit, and of the descriptors above 2 only these and
 *  the lock are open. */
void keeper_main(const int fds[START_FDS], pid_t supervisor, const struct cgroup *cgroup)
    __attribute__((noreturn));
