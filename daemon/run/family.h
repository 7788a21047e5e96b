/* SPDX-License-Identifier: MIT */
/* The descendants of a process, as /proc shows them, and signals to all of them. */
#pragma once

#include <sys/types.h>

#include "common/macros.h"

/* Process ids in ascending order. */
struct pid_set {
    pid_t *pids;
    size_t count, capacity;
};

bool pid_set_has(const struct pid_set *set, pid_t pid);
/** False if it was already in the set. */
bool pid_set_add(struct pid_set *set, pid_t pid);

void pid_set_remove(struct pid_set *set, pid_t pid);

struct family {
    pid_t root;               /* whose descendants; 0: the caller's */
    struct pid_set spared;    /* children to spare, with their descendants */
    struct pid_set signalled; /* those signalled so far; the caller clears it */
};

struct family_scan {
    size_t found; /* members, including zombies */
    size_t alive; /* of these, not dead */
    size_t fresh; /* of these, not in family.signalled before */
};

/** The parent of any process; a negative errno if the process does not exist. */
MUST_CHECK int family_parent(pid_t pid, pid_t *ret_parent);
/** The children of the calling process. */
MUST_CHECK int family_children(struct pid_set *ret_children);
/** Whether the process is stopped (SIGSTOP or traced). */
bool family_is_stopped(pid_t pid);
void family_deinit(struct family *family);
/** Scans /proc once and sends the signal. SIGKILL goes to every member; SIGTERM, followed by
 *  SIGCONT, only to new ones, because many programs treat a second one as impatience. A negative
 *  errno if /proc cannot be used. */
MUST_CHECK int family_signal(struct family *family, int signal, struct family_scan *ret_scan);
