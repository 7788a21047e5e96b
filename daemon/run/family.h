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
/** False when it was in already. */
bool pid_set_add(struct pid_set *set, pid_t pid);

void pid_set_remove(struct pid_set *set, pid_t pid);

struct family {
    pid_t root;               /* whose descendants; 0: the caller's */
    struct pid_set spared;    /* children that are left alone with all that is below them */
    struct pid_set signalled; /* who was signalled so far; the caller empties it */
};

struct family_scan {
    size_t found; /* members, the dead that nobody has reaped included */
    size_t alive; /* of these, not dead */
    size_t fresh; /* of these, not in family.signalled before */
};

/** The parent of any process; a negative errno when there is no such process. */
int family_parent(pid_t pid, pid_t *ret_parent);
/** The children that the calling process has. */
int family_children(struct pid_set *ret_children);
/** Whether somebody has stopped the process. */
bool family_is_stopped(pid_t pid);
void family_deinit(struct family *family);
/** One look at /proc. SIGKILL goes to every member; SIGTERM, followed by SIGCONT, only to the fresh
 *  ones, since many programs take a second one for impatience. A negative errno when /proc cannot
 *  be used. */
int family_signal(struct family *family, int signal, struct family_scan *ret_scan);
