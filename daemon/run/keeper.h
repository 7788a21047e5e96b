/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "run/cgroup.h"
#include "run/wire.h"

/* What the supervisor gives to a keeper. */
struct keeper_post {
    int orders;  /* the keeper's end of a socket on which further runs come; -1: none will */
    int notices; /* where it says that it waits for one */
    pid_t supervisor;
    const struct cgroup *cgroup;
};

/** Runs a keeper, in a child just forked by the supervisor, with its first run. All signals are
 *  blocked, the environment is the one to inherit, and the only open descriptors above 2 are these,
 *  those of the post and the lock. */
void keeper_main(const struct keeper_post *post, const int fds[START_FDS])
    __attribute__((noreturn));
