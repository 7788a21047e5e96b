/* SPDX-License-Identifier: MIT */
#include "run/traits.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1 /* of linux/ioprio.h, which has no prototype of ioprio_get() */

/* What cannot be read stays 0, for each reading alike. */
void traits_read(struct traits *ret_traits)
{
    memset(ret_traits, 0, sizeof(*ret_traits));
    for (int i = 0; i < RLIM_NLIMITS; i++)
        getrlimit((__rlimit_resource_t)i, &ret_traits->limits[i]);
    ret_traits->nice = getpriority(PRIO_PROCESS, 0);
    ret_traits->policy = sched_getscheduler(0);
    ret_traits->io = (int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
    sched_getaffinity(0, sizeof(ret_traits->processors), &ret_traits->processors);
}

bool traits_have_changed(const struct traits *traits)
{
    struct traits now;

    traits_read(&now);
    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (now.limits[i].rlim_cur != traits->limits[i].rlim_cur ||
            now.limits[i].rlim_max != traits->limits[i].rlim_max)
            return true;
    return now.nice != traits->nice || now.policy != traits->policy || now.io != traits->io ||
           !CPU_EQUAL(&now.processors, &traits->processors);
}
