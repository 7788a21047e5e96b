/* SPDX-License-Identifier: MIT */
#pragma once

#include "run/cgroup.h"

/** Runs the supervisor, in a child just forked by acpd. `command` is its end of the command socket
 *  and `lock` the open lock file, not locked yet. */
void supervisor_main(int command, int lock, uint64_t children_nofile, const struct cgroup *cgroup)
    __attribute__((noreturn));
