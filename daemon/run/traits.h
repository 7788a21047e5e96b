/* SPDX-License-Identifier: MIT */
/* What a process hands on to its children, and another one of the same user can change: limits,
 * priorities and the processors that it may use. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>

struct traits {
    struct rlimit limits[RLIM_NLIMITS];
    int nice, policy, io;
    cpu_set_t processors;
};

/** Reads those of the calling process. */
void traits_read(struct traits *ret_traits);
/** Whether those of the calling process differ from these. */
bool traits_have_changed(const struct traits *traits);
