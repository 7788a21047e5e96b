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
    char *path; /* GROUP; NULL: none was given to acpd */
    bool has_memory, has_pids;
};

/** Finds out whether acpd was given a group; `has_*` are what it could limit there. */
void cgroup_find(struct cgroup *ret_cgroup);
/** Divides the group: to be called before the supervisor is forked. A group that cannot be divided
 * is none. */
void cgroup_divide(struct cgroup *cgroup);
void cgroup_deinit(struct cgroup *cgroup);

/** Makes the leaf of this process and moves into it; limits of 0 are none. A negative errno when a
 * limit cannot be set; then it did not move. */
int cgroup_enter_leaf(const struct cgroup *cgroup, int64_t memory, int64_t processes);
/** Moves back; what was started meanwhile stays in the leaf. */
int cgroup_leave_leaf(const struct cgroup *cgroup, int64_t processes);
/** SIGKILL to everyone in the leaf of this process, in one step that no fork escapes. */
void cgroup_kill_leaf(const struct cgroup *cgroup);
/** Of a keeper that was killed: SIGKILL to its family, and the end of its leaf if it is empty. */
void cgroup_end_leaf(const struct cgroup *cgroup, pid_t keeper);
/** Removes the empty leaf; returns whether its limit of memory was exceeded. */
bool cgroup_remove_leaf(const struct cgroup *cgroup);
