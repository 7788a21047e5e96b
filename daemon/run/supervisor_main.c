/* SPDX-License-Identifier: MIT */
/*
 * The supervisor process.
 *
 * It forks keepers, reaps them, and cleans up after killed ones: as the nearest subreaper, it
 * inherits the family of a killed keeper. So a child of the supervisor that is not a live keeper is
 * a stray, and is killed with all of its descendants.
 *
 * A keeper that has finished its run waits a second for another one, because a fork costs more than
 * many a command.
 *
 * The lock belongs to an open file that the supervisor and all keepers share, but not acpd. So it
 * is held until the last of them exits, and each exits only when it has no children. A stopped one
 * does not exit: see oust.h.
 */
#include "run/supervisor_main.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "run/family.h"
#include "run/keeper.h"
#include "run/oust.h"
#include "run/wire.h"

#define LOCK_RETRY_MS    20
#define LOCK_PATIENCE_MS 5000
#define LOOK_MS          5000 /* interval of checks of acpd while something runs */
#define IDLE_MS          1000 /* for which an idle keeper is kept */

struct keeper_entry {
    pid_t pid;
    uint64_t id;        /* of its run; 0: it is idle */
    int orders;         /* our end of its socket; -1: it gets no other run, and ends */
    int64_t idle_since; /* mono ms */
};

struct home {
    int command;    /* -1: acpd is gone */
    int notices[2]; /* a socket that all keepers write to */
    int lock, signals, timer;
    int64_t deadline; /* of all keepers, boottime ms; 0: none */
    bool is_over;     /* it has passed: nothing is started before another one */
    pid_t self, acpd;
    const struct cgroup *cgroup;
    struct keeper_entry *keepers;
    size_t count, capacity;
    size_t busy;    /* keepers with a run */
    uint64_t *lost; /* runs whose keeper was killed and whose family may still be alive */
    size_t lost_count, lost_capacity;
    int scans;       /* since a keeper was lost */
    int clean_scans; /* consecutive scans without strays */
    struct family strays;
};

static void supervisor_main_home_send(const struct home *home, enum supervisor_word word,
                                      uint64_t id, int error)
{
    struct supervisor_message message = {.id = id, .word = word, .error = error};

    /* If this fails, acpd is gone, which the loop notices. */
    if (home->command >= 0)
        (void)wire_send(home->command, &message, sizeof(message));
}

/* Moves its descriptors above 2: 0 and 1 become /dev/null, 2 stays for the log. Blocks signals
 * rather than ignoring them; only SIGKILL, SIGSTOP and faults get through. Commands run as the same
 * user: a process that is not dumpable cannot be traced by them, and its descriptors cannot be
 * taken. */
static void supervisor_main_home_furnish(int *command, int *lock, uint64_t children_nofile)
{
    struct rlimit limit;
    sigset_t blocked;
    int null, first, second;

    /* acpd was started without a stderr, so descriptor 2 is in use. */
    bool was_stderr = *command == STDERR_FILENO || *lock == STDERR_FILENO;

    setsid();
    prctl(PR_SET_NAME, "acpd-supervisor");
    prctl(PR_SET_DUMPABLE, 0);
    sigfillset(&blocked);
    sigprocmask(SIG_SETMASK, &blocked, NULL);

    *command = fcntl(*command, F_DUPFD_CLOEXEC, 5);
    *lock = fcntl(*lock, F_DUPFD_CLOEXEC, 5);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (*command < 0 || *lock < 0 || null < 0)
        _exit(EXIT_FAILURE);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (was_stderr || fcntl(STDERR_FILENO, F_GETFD) < 0)
        dup2(null, STDERR_FILENO);
    first = *command < *lock ? *command : *lock;
    second = *command < *lock ? *lock : *command;
    close_range(3, (unsigned)first - 1, 0);
    if (second > first + 1)
        close_range((unsigned)first + 1, (unsigned)second - 1, 0);
    close_range((unsigned)second + 1, ~0U, 0);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && children_nofile) {
        limit.rlim_cur = children_nofile < limit.rlim_max ? children_nofile : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Polls, because flock() could not be interrupted when acpd dies. Holders left by a previous acpd
 * notice its end and exit; any that have not by `ousting_at` cannot, and are killed. */
static void supervisor_main_home_lock(struct home *home, int lock)
{
    struct pollfd polled = {.fd = home->command};
    int64_t ousting_at = clock_mono_ms() + LOCK_PATIENCE_MS;
    struct oust oust = {.lock = lock};

    while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            log_error("cannot lock the supervisor's lock file: %s", strerror(errno));
            _exit(EXIT_FAILURE);
        }
        if (clock_mono_ms() >= ousting_at)
            oust_holders(&oust);
        if (poll(&polled, 1, LOCK_RETRY_MS) > 0)
            _exit(EXIT_SUCCESS);
    }
    oust_deinit(&oust);
    oust_mark_lock(lock);
}

static void supervisor_main_home_add_keeper(struct home *home, struct keeper_entry entry)
{
    if (home->count == home->capacity) {
        home->capacity = home->capacity ? home->capacity * 2 : 32;
        home->keepers = xrealloc(home->keepers, home->capacity * sizeof(*home->keepers));
    }
    home->keepers[home->count++] = entry;
    home->busy++;
}

static void supervisor_main_home_become_keeper(const struct home *home, int orders,
                                               const int fds[START_FDS])
{
    close(home->command);
    close(home->signals);
    close(home->timer);
    close(home->notices[0]);
    for (size_t i = 0; i < home->count; i++)
        closep(&home->keepers[i].orders);
    oust_mark_lock(home->lock);
    keeper_main(&(struct keeper_post){.orders = orders,
                                      .notices = home->notices[1],
                                      .supervisor = home->self,
                                      .cgroup = home->cgroup},
                fds);
}

/* It gets no other run. An idle one has no family, and may have been stopped by a command of this
 * user: it is killed. */
static void supervisor_main_dismiss_keeper(struct keeper_entry *keeper)
{
    closep(&keeper->orders);
    keeper->orders = -1;
    if (!keeper->id)
        kill(keeper->pid, SIGKILL);
}

/* Without a socket, if there are too many descriptors, it ends after its run. */
static void supervisor_main_home_fork_keeper(struct home *home, uint64_t id,
                                             const int fds[START_FDS])
{
    int ends[2] = {-1, -1}, error;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        ends[0] = ends[1] = -1;
    pid = fork();
    error = errno;
    if (pid == 0) {
        closep(&ends[0]);
        supervisor_main_home_become_keeper(home, ends[1], fds);
    }
    closep(&ends[1]);
    if (pid < 0) {
        closep(&ends[0]);
        supervisor_main_home_send(home, SUPERVISOR_NOT_FORKED, id, error);
        return;
    }
    supervisor_main_home_add_keeper(home,
                                    (struct keeper_entry){.pid = pid, .id = id, .orders = ends[0]});
}

/* The keeper that became idle last, so that the others end; NULL: none. */
static struct keeper_entry *supervisor_main_home_find_idle(const struct home *home)
{
    struct keeper_entry *found = NULL;

    if (home->busy == home->count)
        return NULL;
    for (size_t i = 0; i < home->count; i++) {
        struct keeper_entry *keeper = &home->keepers[i];

        if (!keeper->id && keeper->orders >= 0 &&
            (!found || keeper->idle_since > found->idle_since))
            found = keeper;
    }
    return found;
}

/* Gives the run to an idle keeper. False: there is none. */
static bool supervisor_main_home_reuse_keeper(struct home *home, uint64_t id,
                                              const int fds[START_FDS])
{
    struct keeper_entry *keeper = supervisor_main_home_find_idle(home);
    int r = keeper ? wire_send_start(keeper->orders, id, fds) : -ENOENT;

    if (r == -EPIPE || r == -ECONNRESET)
        supervisor_main_dismiss_keeper(keeper); /* it has been killed */
    if (r < 0)
        return false;
    kill(keeper->pid, SIGCONT); /* a command of this user may have stopped it */
    keeper->id = id;
    home->busy++;
    return true;
}

/* Notes which keepers have become idle. */
static void supervisor_main_home_take_notices(struct home *home)
{
    struct keeper_notice notice;

    while (recv(home->notices[0], &notice, sizeof(notice), MSG_DONTWAIT) == sizeof(notice)) {
        for (size_t i = 0; i < home->count; i++) {
            struct keeper_entry *keeper = &home->keepers[i];

            if (keeper->pid != notice.keeper || !keeper->id)
                continue;
            keeper->id = 0;
            keeper->idle_since = clock_mono_ms();
            home->busy--;
            if (home->command < 0)
                supervisor_main_dismiss_keeper(keeper);
        }
    }
}

/* Dismisses those that have waited long enough. Returns the ms until the next one has; -1: none
 * waits. */
static int supervisor_main_home_dismiss_idle(struct home *home)
{
    int64_t now = clock_mono_ms(), left = IDLE_MS;
    bool waits = false;

    for (size_t i = 0; i < home->count && home->busy < home->count; i++) {
        struct keeper_entry *keeper = &home->keepers[i];
        int64_t rest = keeper->idle_since + IDLE_MS - now;

        if (keeper->id || keeper->orders < 0)
            continue;
        if (rest <= 0) {
            supervisor_main_dismiss_keeper(keeper);
            continue;
        }
        waits = true;
        left = rest < left ? rest : left;
    }
    return waits ? (int)left : -1;
}

static void supervisor_main_home_leave_acpd(struct home *home)
{
    close(home->command);
    home->command = -1;
    /* Keepers notice acpd's end by themselves, unless they are stopped. */
    for (size_t i = 0; i < home->count; i++) {
        supervisor_main_dismiss_keeper(&home->keepers[i]);
        kill(home->keepers[i].pid, SIGCONT);
    }
}

/* This process then inherits its family. */
static void supervisor_main_home_end_keeper(const struct home *home, uint64_t id, bool if_stopped)
{
    for (size_t i = 0; i < home->count; i++) {
        pid_t pid = home->keepers[i].pid;

        if (home->keepers[i].id != id)
            continue;
        if (!if_stopped || family_is_stopped(pid))
            kill(pid, SIGKILL);
        return;
    }
    for (size_t i = 0; i < home->lost_count; i++)
        if (home->lost[i] == id)
            return;                                          /* its family may still be alive */
    supervisor_main_home_send(home, SUPERVISOR_LOST, id, 0); /* acpd has not noticed its end */
}

static void supervisor_main_home_set_deadline(struct home *home, int64_t boot_ms)
{
    const struct itimerspec at = {
        .it_value = {.tv_sec = boot_ms / 1000, .tv_nsec = boot_ms % 1000 * 1000000}};

    home->deadline = boot_ms;
    timerfd_settime(home->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* Another node may run their tasks from now on. */
static void supervisor_main_home_enforce_deadline(struct home *home)
{
    if (!home->deadline || clock_boot_ms() < home->deadline)
        return;
    for (size_t i = 0; i < home->count; i++) {
        supervisor_main_dismiss_keeper(&home->keepers[i]);
        kill(home->keepers[i].pid, SIGKILL);
    }
    if (home->busy)
        log_error("the store was unreachable for too long; killing all processes");
    supervisor_main_home_set_deadline(home, 0);
    home->is_over = true;
}

/* An order may come late, if this process or acpd was stopped in between. */
static void supervisor_main_home_start(struct home *home, uint64_t id, const int fds[START_FDS])
{
    supervisor_main_home_enforce_deadline(home);
    if (home->is_over)
        supervisor_main_home_send(home, SUPERVISOR_NOT_FORKED, id, EAGAIN);
    else if (!supervisor_main_home_reuse_keeper(home, id, fds))
        supervisor_main_home_fork_keeper(home, id, fds);
    for (size_t i = 0; i < START_FDS; i++)
        close(fds[i]);
}

static void supervisor_main_home_obey(struct home *home, const struct command_message *message,
                                      const int fds[START_FDS])
{
    switch (message->word) {
    case COMMAND_START:
        supervisor_main_home_start(home, message->id, fds);
        return;
    case COMMAND_ASK:
        supervisor_main_home_send(home, SUPERVISOR_ALIVE, 0, 0);
        return;
    case COMMAND_DEADLINE:
        home->is_over = false;
        supervisor_main_home_set_deadline(home, (int64_t)message->id);
        return;
    case COMMAND_END:
    case COMMAND_LOOK:
        supervisor_main_home_end_keeper(home, message->id, message->word == COMMAND_LOOK);
        return;
    }
}

static void supervisor_main_home_take_orders(struct home *home)
{
    /* Bounded, so that dead children are reaped in time. */
    for (int i = 0; i < 32; i++) {
        struct command_message message;
        int fds[START_FDS];
        int r = wire_receive_command(home->command, &message, fds);

        if (r == -EAGAIN)
            return;
        if (r == 0) {
            supervisor_main_home_leave_acpd(home);
            return;
        }
        if (r < 0)
            supervisor_main_home_send(home, SUPERVISOR_NOT_FORKED, message.id, -r);
        else
            supervisor_main_home_obey(home, &message, fds);
    }
}

static void supervisor_main_home_forget_keeper(struct home *home, pid_t pid, int status)
{
    bool has_failed = !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS;
    size_t i = 0;

    while (i < home->count && home->keepers[i].pid != pid)
        i++;
    if (i == home->count)
        return; /* a stray */
    closep(&home->keepers[i].orders);
    if (home->keepers[i].id)
        home->busy--;
    if (home->keepers[i].id && has_failed) {
        if (home->lost_count == home->lost_capacity) {
            home->lost_capacity = home->lost_capacity ? home->lost_capacity * 2 : 8;
            home->lost = xrealloc(home->lost, home->lost_capacity * sizeof(*home->lost));
        }
        home->lost[home->lost_count++] = home->keepers[i].id;
        cgroup_end_leaf(home->cgroup, pid);
        home->scans = home->clean_scans = 0;
    }
    home->keepers[i] = home->keepers[--home->count];
}

/* False if no child is left. */
static bool supervisor_main_home_reap(struct home *home)
{
    struct signalfd_siginfo drained[4];
    int status;
    pid_t pid;

    if (read(home->signals, drained, sizeof(drained)) < 0 && errno != EAGAIN && errno != EINTR)
        _exit(EXIT_FAILURE);
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
        supervisor_main_home_forget_keeper(home, pid, status);
    return pid == 0 || errno != ECHILD;
}

/* One round of killing strays. They are gone when wait() finds no child or, as keepers live on,
 * when two consecutive scans find none. */
static void supervisor_main_home_kill_strays(struct home *home, bool has_children)
{
    struct family_scan scan = {0};
    int r = 0;

    if (has_children) {
        home->strays.spared.count = 0;
        home->strays.signalled.count = 0;
        for (size_t i = 0; i < home->count; i++)
            pid_set_add(&home->strays.spared, home->keepers[i].pid);
        home->scans++;
        r = family_signal(&home->strays, SIGKILL, &scan);
        if (r < 0)
            log_error("cannot look for processes left by a killed keeper: %s", strerror(-r));
        home->clean_scans = r < 0 || scan.found ? 0 : home->clean_scans + 1;
        if (home->clean_scans < 2)
            return;
    }
    for (size_t i = 0; i < home->lost_count; i++)
        supervisor_main_home_send(home, SUPERVISOR_LOST, home->lost[i], 0);
    home->lost_count = 0;
}

/* Continues a stopped acpd, because running attempts have deadlines. */
static void supervisor_main_home_wake_acpd(const struct home *home)
{
    if (getppid() == home->acpd && family_is_stopped(home->acpd))
        kill(home->acpd, SIGCONT);
}

/* Milliseconds until the next scan, longer if strays do not die (another user's, or stuck in the
 * kernel); else until the next idle keeper has waited for long enough. */
static int supervisor_main_poll_timeout(const struct home *home, int idle_ms)
{
    if (home->lost_count)
        return home->scans < 100 ? 2 : 200;
    if (idle_ms >= 0)
        return idle_ms;
    return home->busy && home->command >= 0 ? LOOK_MS : -1;
}

void supervisor_main(int command, int lock, uint64_t children_nofile, const struct cgroup *cgroup)
{
    struct home home = {.self = getpid(), .acpd = getppid(), .cgroup = cgroup};
    bool has_children = true;
    sigset_t watched;

    supervisor_main_home_furnish(&command, &lock, children_nofile);
    home.command = command;
    home.lock = lock;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        _exit(EXIT_FAILURE);
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, home.notices) < 0)
        _exit(EXIT_FAILURE);
    home.signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    home.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (home.signals < 0 || home.timer < 0)
        _exit(EXIT_FAILURE);
    supervisor_main_home_lock(&home, lock);
    supervisor_main_home_send(&home, SUPERVISOR_READY, 0, 0);
    while (has_children || home.command >= 0) {
        struct pollfd polled[] = {
            {.fd = home.command, .events = POLLIN},
            {.fd = home.signals, .events = POLLIN},
            {.fd = home.timer, .events = POLLIN},
            {.fd = home.notices[0], .events = POLLIN},
        };

        int idle_ms = supervisor_main_home_dismiss_idle(&home);

        if (poll(polled, ARRAY_SIZE(polled), supervisor_main_poll_timeout(&home, idle_ms)) == 0 &&
            home.busy)
            supervisor_main_home_wake_acpd(&home);
        supervisor_main_home_take_notices(&home);
        supervisor_main_home_reap(&home);
        if (polled[0].revents)
            supervisor_main_home_take_orders(&home);
        supervisor_main_home_enforce_deadline(&home);
        has_children = supervisor_main_home_reap(&home);
        if (home.lost_count)
            supervisor_main_home_kill_strays(&home, has_children);
    }
    _exit(EXIT_SUCCESS);
}
