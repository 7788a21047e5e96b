/* SPDX-License-Identifier: MIT */
/*
 * A control group of the kernel's second kind (cgroup v2, Documentation/admin-guide/cgroup-v2.rst)
 * that acpd may divide, as systemd gives one to a service with Delegate=yes:
 *
 *   GROUP            acpd was started here, alone
 *     acpd           acpd, its supervisor and its keepers move here
 *     run-PID        a leaf for the family of the keeper PID
 */
#pragma once

#include <sys/types.h>

#include "common/macros.h"

struct cgroup {
    char *path; /* GROUP; NULL: none */
    bool has_memory, has_pids;
};

/** Finds acpd's group; `has_*` are the limits that it supports. */
void cgroup_find(struct cgroup *ret_cgroup);
/** Sets up the group; call it before the supervisor is forked. A group that cannot be set up is not
 * used. */
void cgroup_divide(struct cgroup *cgroup);
void cgroup_deinit(struct cgroup *cgroup);

/** Creates the leaf of this process and moves into it; 0: no limit. Returns a negative errno if a
 * limit cannot be set; then the process did not move. */
MUST_CHECK int cgroup_enter_leaf(const struct cgroup *cgroup, int64_t memory, int64_t processes);
/** Moves back; processes started meanwhile stay in the leaf. */
MUST_CHECK int cgroup_leave_leaf(const struct cgroup *cgroup, int64_t processes);
/** Kills everything in the leaf of this process, atomically, so that no fork escapes. */
void cgroup_kill_leaf(const struct cgroup *cgroup);
/** Kills the family of a killed keeper, and removes its leaf if it is empty. */
void cgroup_end_leaf(const struct cgroup *cgroup, pid_t keeper);
/** Removes the empty leaf; returns whether its memory limit was exceeded. */
bool cgroup_remove_leaf(const struct cgroup *cgroup);
/** Whether this process has a leaf, or one that could not be removed. */
bool cgroup_has_leaf(const struct cgroup *cgroup);
