/* SPDX-License-Identifier: MIT */
#include "run/oust.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "common/log.h"

#define PLACES ((off_t)1 << 22) /* above all process ids: PID_MAX_LIMIT */

void oust_mark_lock(int lock)
{
    struct flock mark = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)getpid(), .l_len = 1};

    if (fcntl(lock, F_SETLK, &mark) < 0)
        log_warning("cannot mark the supervisor's lock: %s", strerror(errno));
}

/* Any lock of another process in this range; false: none. */
static bool oust_find_mark(int lock, off_t from, off_t to, struct flock *ret_mark)
{
    *ret_mark = (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from};
    return from < to && fcntl(lock, F_GETLK, ret_mark) == 0 && ret_mark->l_type != F_UNLCK;
}

static bool oust_has_mark(int lock, pid_t pid)
{
    struct flock mark;

    return oust_find_mark(lock, pid, (off_t)pid + 1, &mark) && mark.l_pid == pid &&
           mark.l_start == pid && mark.l_len == 1;
}

/* The kernel reports any lock within a range, not the first. */
static void oust_find_holders(int lock, off_t from, off_t to, struct pid_set *holders)
{
    struct flock mark;

    while (oust_find_mark(lock, from, to, &mark)) {
        if (mark.l_pid > 0 && oust_has_mark(lock, mark.l_pid))
            pid_set_add(holders, mark.l_pid);
        oust_find_holders(lock, from, mark.l_start, holders);
        if (!mark.l_len)
            return;
        from = mark.l_start + mark.l_len;
    }
}

/* The pidfd makes sure that the signal does not reach another process with the same id. */
static void oust_kill_holder(int lock, pid_t pid)
{
    CLEANUP(closep) int process = pidfd_open(pid, 0);

    if (process >= 0 && oust_has_mark(lock, pid))
        pidfd_send_signal(process, SIGKILL, NULL, 0);
}

void oust_holders(struct oust *oust)
{
    struct pid_set holders = {0};
    size_t alive = 0;

    oust_find_holders(oust->lock, 1, PLACES, &holders);
    if (holders.count && !oust->is_told)
        log_warning("%zu processes of a previous acpd do not exit; killing them", holders.count);
    oust->is_told = oust->is_told || holders.count;
    /* Kill keepers only after their families, or nobody would be left to reap those. */
    oust->family.signalled.count = 0;
    for (size_t i = 0; i < holders.count; i++) {
        struct family_scan scan = {0};

        oust->family.root = holders.pids[i];
        if (family_signal(&oust->family, SIGKILL, &scan) < 0)
            alive++;
        alive += scan.alive;
    }
    oust->clean_scans = alive ? 0 : oust->clean_scans + 1;
    for (size_t i = 0; i < holders.count && oust->clean_scans > 1; i++)
        oust_kill_holder(oust->lock, holders.pids[i]);
    free(holders.pids);
}

void oust_deinit(struct oust *oust)
{
    family_deinit(&oust->family);
}
