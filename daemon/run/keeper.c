/* SPDX-License-Identifier: MIT */
/*
 * The keeper: the process that owns one family.
 *
 * It starts the command, waits for it, and is done only when wait() finds no child. It is a child
 * subreaper: every descendant that loses its parent becomes its child, so "no child" means "no
 * descendant".
 *
 * Whatever ends the run (the command's exit, an order, acpd's death, the supervisor's death), it
 * ends in the same way: SIGKILL to all members until none is left. Only an order to stop sends
 * SIGTERM and allows a grace period first.
 *
 * Then it offers to own another family, unless something of the first one would stay with it: a
 * limit, a control group that could not be removed, or whatever a command, which runs as the same
 * user, has changed in it.
 */
#include "run/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "run/command.h"
#include "run/family.h"
#include "run/traits.h"

struct keeper {
    const struct keeper_post *post;
    int signals;
    int home;      /* the folder in which it was started; -1: unknown */
    bool is_spent; /* can have no other run */
    struct traits traits;
    /* What follows is of the present run. */
    int control;
    bool has_leaf;
    struct run_limits limits;
    pid_t child; /* the command, 0 once reaped */
    int status;  /* then its wait status */
    bool orphaned;
    int64_t deadline; /* of the grace period, 0 before an order to stop */
    struct family family;
};

static void keeper_send(const struct keeper *keeper, const struct keeper_message *message)
{
    size_t len = offsetof(struct keeper_message, text) + strlen(message->text) + 1;

    /* Exit status 0 tells the supervisor that acpd knows how the run ended. */
    if (wire_send(keeper->control, message, len) < 0)
        _exit(EXIT_FAILURE);
}

static __attribute__((noreturn)) void keeper_fail(const struct keeper *keeper, int error,
                                                  const char *verb, const char *name)
{
    struct keeper_message message = {.word = KEEPER_NOT_STARTED, .value = error};

    snprintf(message.text, sizeof(message.text), "cannot %s \"%.3800s\": %s", verb, name,
             strerror(error));
    keeper_send(keeper, &message);
    _exit(EXIT_SUCCESS);
}

static int keeper_set_rlimit(__rlimit_resource_t resource, int64_t soft, int64_t hard)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};

    return soft && setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* Sets the limits of the keeper itself, so that what it starts inherits them from the beginning.
 * The keeper needs little. */
static void keeper_limit(struct keeper *keeper)
{
    const struct run_limits *limits = &keeper->limits;
    bool by_group = keeper->post->cgroup->path && keeper->post->cgroup->has_memory;
    int r = keeper_set_rlimit(RLIMIT_NOFILE, limits->open_files, limits->open_files);

    if (r == 0)
        r = keeper_set_rlimit(RLIMIT_CPU, limits->cpu_s, limits->cpu_s + RUN_CPU_GRACE_S);
    if (r == 0 && !by_group)
        r = keeper_set_rlimit(RLIMIT_AS, limits->memory, limits->memory);
    if (r < 0)
        keeper_fail(keeper, -r, "set", "limits");
    keeper->is_spent |= limits->open_files || limits->cpu_s || (limits->memory && !by_group);
}

static void keeper_enter_leaf(struct keeper *keeper)
{
    const struct run_limits *limits = &keeper->limits;
    int r;

    if (!keeper->post->cgroup->path)
        return;
    r = cgroup_enter_leaf(keeper->post->cgroup, limits->memory, limits->processes);
    if (r < 0 && (limits->memory || limits->processes))
        keeper_fail(keeper, -r, "create the control group in", keeper->post->cgroup->path);
    keeper->has_leaf = r == 0;
    keeper->is_spent |= r < 0;
}

static void keeper_leave_leaf(const struct keeper *keeper)
{
    if (keeper->has_leaf && cgroup_leave_leaf(keeper->post->cgroup, keeper->limits.processes) < 0)
        log_error("a keeper cannot leave its control group");
}

/* Whether acpd still has the other end open. */
static bool keeper_control_is_open(int control)
{
    struct pollfd poll_control = {.fd = control};

    return poll(&poll_control, 1, 0) == 0;
}

/* Enters the folder of the command and lets it inherit what the keeper is given. */
static void keeper_equip(struct keeper *keeper, const struct command *command)
{
    if (command->cwd && chdir(command->cwd) < 0)
        keeper_fail(keeper, errno, "enter", command->cwd);
    if (!keeper_control_is_open(keeper->control))
        _exit(EXIT_FAILURE);
    keeper->limits = command->limits;
    keeper_limit(keeper);
    keeper_enter_leaf(keeper);
}

static void keeper_go_home(struct keeper *keeper, const struct command *command)
{
    if (command->cwd && (keeper->home < 0 || fchdir(keeper->home) < 0))
        keeper->is_spent = true;
}

static void keeper_start(struct keeper *keeper, const int fds[START_FDS], int64_t *ret_grace_ms)
{
    struct keeper_message message = {.word = KEEPER_STARTING};
    CLEANUP(command_deinit) struct command command = {0};
    int r;

    r = command_load(fds[START_SPEC], &command);
    if (!command.argv)
        keeper_fail(keeper, -r, "read", "the order to start");
    keeper_equip(keeper, &command);
    /* If this fails, acpd is gone, which the loop notices. */
    message.value = getpid();
    (void)wire_send(keeper->control, &message, offsetof(struct keeper_message, text) + 1);
    r = command_spawn(&command, fds, &keeper->child);
    keeper_leave_leaf(keeper);
    if (r < 0 && keeper->has_leaf)
        cgroup_remove_leaf(keeper->post->cgroup);
    if (r < 0)
        keeper_fail(keeper, -r, "start", command.argv[0]);
    keeper_go_home(keeper, &command);
    for (int i = START_SPEC; i < START_FDS; i++)
        close(fds[i]);
    *ret_grace_ms = command.grace_ms > 0 ? command.grace_ms : 0;
    message.word = KEEPER_STARTED;
    message.value = keeper->child;
    (void)wire_send(keeper->control, &message, offsetof(struct keeper_message, text) + 1);
}

static void keeper_drain_signals(const struct keeper *keeper)
{
    struct signalfd_siginfo drained[2]; /* for both watched signals */

    if (read(keeper->signals, drained, sizeof(drained)) < 0 && errno != EAGAIN && errno != EINTR)
        _exit(EXIT_FAILURE);
}

/* Reaps dead children. False if no child is left. */
static bool keeper_reap(struct keeper *keeper)
{
    int status;
    pid_t pid;

    keeper_drain_signals(keeper);
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        if (pid == keeper->child) {
            keeper->child = 0;
            keeper->status = status;
        }
    }
    return pid == 0 || errno != ECHILD;
}

/* Reaps dead adopted descendants. True if the command is dead; it is not reaped yet, so its id
 * stays in use. */
static bool keeper_child_ended(const struct keeper *keeper)
{
    for (;;) {
        siginfo_t info = {0};

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
            return true;
        if (info.si_pid == 0 || info.si_pid == keeper->child)
            return info.si_pid != 0;
        waitpid(info.si_pid, NULL, WNOHANG | __WALL);
    }
}

static void keeper_stop(struct keeper *keeper, int64_t grace_ms)
{
    struct family_scan scan;
    int rounds = 0;

    if (keeper->deadline)
        return;
    keeper->deadline = clock_mono_ms() + grace_ms;
    do {
        int r = family_signal(&keeper->family, SIGTERM, &scan);

        if (r < 0) {
            log_warning("cannot look for the descendants of %d: %s", (int)keeper->child,
                        strerror(-r));
            kill(-keeper->child, SIGTERM);
            kill(-keeper->child, SIGCONT);
            return;
        }
    } while (scan.fresh && ++rounds < 4);
}

/* If this fails, acpd is not reading or is gone. */
static void keeper_answer(const struct keeper *keeper)
{
    const struct keeper_message message = {.word = KEEPER_ALIVE};

    (void)send(keeper->control, &message, offsetof(struct keeper_message, text) + 1,
               MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Receives an order. True: kill the family now. */
static bool keeper_obey(struct keeper *keeper, int64_t grace_ms)
{
    char order;
    ssize_t n = recv(keeper->control, &order, sizeof(order), MSG_DONTWAIT);

    if (n < 0)
        return errno != EAGAIN && errno != EINTR;
    if (n == 0 || order == ORDER_KILL)
        return true;
    keeper_answer(keeper);
    if (order == ORDER_STOP)
        keeper_stop(keeper, grace_ms);
    return false;
}

/* While the family is being killed, orders are only answered. */
static void keeper_answer_all(const struct keeper *keeper)
{
    char order;

    while (recv(keeper->control, &order, sizeof(order), MSG_DONTWAIT) > 0)
        keeper_answer(keeper);
}

/* Waits for a reason to kill the family. */
static void keeper_watch(struct keeper *keeper, int64_t grace_ms)
{
    struct pollfd polled[] = {
        {.fd = keeper->control, .events = POLLIN},
        {.fd = keeper->signals, .events = POLLIN},
    };

    while (!keeper_child_ended(keeper)) {
        int64_t wait = -1;

        if (getppid() != keeper->post->supervisor) {
            keeper->orphaned = true;
            return;
        }
        if (keeper->deadline) {
            wait = keeper->deadline - clock_mono_ms();
            if (wait <= 0)
                return;
        }
        poll(polled, ARRAY_SIZE(polled), (int)(wait > INT32_MAX ? INT32_MAX : wait));
        keeper_drain_signals(keeper);
        if (polled[0].revents && keeper_obey(keeper, grace_ms))
            return;
    }
}

/* Waits for deaths, at most `ms`. False if no child is left. */
static bool keeper_await_deaths(struct keeper *keeper, int64_t ms)
{
    struct pollfd polled = {.fd = keeper->signals, .events = POLLIN};
    int64_t end = clock_mono_ms() + ms;

    for (int64_t left = ms; left > 0; left = end - clock_mono_ms()) {
        poll(&polled, 1, (int)left);
        if (!keeper_reap(keeper))
            return false;
    }
    return true;
}

static void keeper_kill(struct keeper *keeper)
{
    int64_t pause_ms = 1;

    if (keeper->has_leaf)
        cgroup_kill_leaf(keeper->post->cgroup);
    /* Until the command is reaped, its id cannot be reused, so its process group is the family's.
     * Killing a group is atomic: no fork escapes. */
    if (keeper->child)
        kill(-keeper->child, SIGKILL);
    keeper->family.signalled.count = 0;
    for (int round = 0; keeper_reap(keeper); round++) {
        struct family_scan scan = {0};
        int r = family_signal(&keeper->family, SIGKILL, &scan);

        keeper_answer_all(keeper);
        if (r < 0 && round == 0)
            log_error("cannot look for the descendants of a command: %s", strerror(-r));
        if (r == -EMFILE) /* a command has lowered the limit of this process */
            _exit(EXIT_FAILURE);
        if (scan.fresh)
            continue;
        /* All were signalled before: they are dying, or cannot be killed (another user's, or stuck
         * in the kernel). Wait for them. */
        if (!keeper_await_deaths(keeper, pause_ms))
            return;
        if (pause_ms < (round < 100 ? 10 : 200))
            pause_ms *= 2;
    }
}

static void keeper_end(struct keeper *keeper)
{
    struct keeper_message message = {
        .word = keeper->orphaned ? KEEPER_ORPHANED : KEEPER_GONE,
        .value = keeper->status,
    };

    if (keeper->has_leaf) {
        const struct cgroup *cgroup = keeper->post->cgroup;
        bool was_full = cgroup_remove_leaf(cgroup);

        if (was_full && keeper->limits.memory)
            snprintf(message.text, sizeof(message.text),
                     "its memory limit of %lld bytes was exceeded",
                     (long long)keeper->limits.memory);
        keeper->is_spent |= cgroup_has_leaf(cgroup);
    }
    keeper->is_spent |= traits_have_changed(&keeper->traits);
    keeper_send(keeper, &message);
    close(keeper->control);
}

static void keeper_run(struct keeper *keeper, const int fds[START_FDS])
{
    int64_t grace_ms;

    keeper->control = fds[START_CONTROL];
    if (traits_have_changed(&keeper->traits)) /* while it was idle */
        keeper_fail(keeper, EAGAIN, "prepare", "the keeper");
    keeper->has_leaf = keeper->orphaned = false;
    keeper->child = 0;
    keeper->status = 0;
    keeper->deadline = 0;
    keeper->family.signalled.count = 0;
    keeper_start(keeper, fds, &grace_ms);
    keeper_watch(keeper, grace_ms);
    keeper_kill(keeper);
    keeper_end(keeper);
}

/* Waits for another run. False: there will be none; a run that arrived nevertheless is lost, as the
 * exit status says. */
static bool keeper_await_run(struct keeper *keeper, int ret_fds[START_FDS])
{
    const struct keeper_notice notice = {.keeper = getpid()};
    struct pollfd polled[] = {
        {.fd = keeper->post->orders, .events = POLLIN},
        {.fd = keeper->signals, .events = POLLIN},
    };
    struct command_message message;
    int r;

    if (wire_send(keeper->post->notices, &notice, sizeof(notice)) < 0)
        return false;
    do {
        poll(polled, ARRAY_SIZE(polled), -1);
        keeper_drain_signals(keeper);
        if (getppid() != keeper->post->supervisor)
            return false;
        r = wire_receive_command(keeper->post->orders, &message, ret_fds);
    } while (r == -EAGAIN);
    return r > 0;
}

void keeper_main(const struct keeper_post *post, const int fds[START_FDS])
{
    struct keeper keeper = {.post = post, .control = fds[START_CONTROL]};
    int next[START_FDS];
    sigset_t watched;

    prctl(PR_SET_NAME, "acpd-keeper");
    /* The signal only wakes the loop, which then checks its parent. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGUSR1) < 0)
        keeper_fail(&keeper, errno, "prepare", "the keeper");
    if (getppid() != post->supervisor)
        _exit(EXIT_FAILURE);
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGUSR1);
    keeper.signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (keeper.signals < 0)
        keeper_fail(&keeper, errno, "prepare", "the keeper");
    keeper.home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    traits_read(&keeper.traits);
    keeper_run(&keeper, fds);
    while (!keeper.is_spent && post->orders >= 0) {
        if (!keeper_await_run(&keeper, next))
            _exit(EXIT_FAILURE);
        keeper_run(&keeper, next);
    }
    _exit(EXIT_SUCCESS);
}
