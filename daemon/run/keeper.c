/* SPDX-License-Identifier: MIT */
/*
 * The keeper: the process that owns one family.
 *
 * It starts the command, waits for it, and exits only when wait() finds no child. It is a child
 * subreaper: every descendant that loses its parent becomes its child, so "no child" means "no
 * descendant".
 *
 * Whatever ends the run (the command's exit, an order, acpd's death, the supervisor's death), it
 * ends in the same way: SIGKILL to all members until none is left. Only an order to stop sends
 * SIGTERM and allows a grace period first.
 */
#include "run/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "run/family.h"

struct keeper {
    const struct cgroup *cgroup;
    bool has_leaf;
    struct run_limits limits;
    int control, signals;
    pid_t supervisor;
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

struct command {
    struct run_limits limits;
    char **argv, **env; /* NULL-terminated */
    const char *cwd;
    int64_t grace_ms;
};

static char **keeper_take_strings(char **at, const char *end, uint32_t count)
{
    char **strings = xcalloc((size_t)count + 1, sizeof(*strings));

    for (uint32_t i = 0; i < count && *at < end; i++) {
        strings[i] = *at;
        *at += strlen(*at) + 1;
    }
    return strings;
}

/* Keeps the mapping, because the environment points into it. */
static int keeper_command_load(int fd, struct command *ret_command)
{
    struct wire_spec spec;
    struct stat info;
    char *map, *at;

    if (fstat(fd, &info) < 0)
        return -errno;
    map = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    memcpy(&spec, map, sizeof(spec));
    at = map + sizeof(spec);
    ret_command->argv = keeper_take_strings(&at, map + info.st_size, spec.argc);
    ret_command->env = keeper_take_strings(&at, map + info.st_size, spec.envc);
    ret_command->cwd = spec.has_cwd ? at : NULL;
    ret_command->grace_ms = spec.grace_ms;
    ret_command->limits = spec.limits;
    return 0;
}

/* Own session, default signals, and only descriptors 0 to 2: all others are O_CLOEXEC. */
static int keeper_command_spawn(const struct command *command, const int fds[START_FDS],
                                pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int r;

    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_init(&actions);
    r = posix_spawn_file_actions_adddup2(&actions, fds[START_STDIN], STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, fds[START_STDOUT], STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, fds[START_STDERR], STDERR_FILENO);
    if (r == 0)
        r = posix_spawnp(ret_pid, command->argv[0], &actions, &attributes, command->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return -r;
}

static int keeper_set_rlimit(__rlimit_resource_t resource, int64_t soft, int64_t hard)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};

    return soft && setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/* Sets the limits of the keeper itself, so that what it starts inherits them from the beginning.
 * The keeper needs little. */
static void keeper_limit(const struct keeper *keeper)
{
    const struct run_limits *limits = &keeper->limits;
    bool by_group = keeper->cgroup->path && keeper->cgroup->has_memory;
    int r = keeper_set_rlimit(RLIMIT_NOFILE, limits->open_files, limits->open_files);

    if (r == 0)
        r = keeper_set_rlimit(RLIMIT_CPU, limits->cpu_s, limits->cpu_s + RUN_CPU_GRACE_S);
    if (r == 0 && !by_group)
        r = keeper_set_rlimit(RLIMIT_AS, limits->memory, limits->memory);
    if (r < 0)
        keeper_fail(keeper, -r, "set", "limits");
}

static void keeper_enter_leaf(struct keeper *keeper)
{
    const struct run_limits *limits = &keeper->limits;
    int r;

    if (!keeper->cgroup->path)
        return;
    r = cgroup_enter_leaf(keeper->cgroup, limits->memory, limits->processes);
    if (r < 0 && (limits->memory || limits->processes))
        keeper_fail(keeper, -r, "create the control group in", keeper->cgroup->path);
    keeper->has_leaf = r == 0;
}

static void keeper_leave_leaf(const struct keeper *keeper)
{
    if (keeper->has_leaf && cgroup_leave_leaf(keeper->cgroup, keeper->limits.processes) < 0)
        log_error("a keeper cannot leave its control group");
}

/* Whether acpd still has the other end open. */
static bool keeper_control_is_open(int control)
{
    struct pollfd poll_control = {.fd = control};

    return poll(&poll_control, 1, 0) == 0;
}

/* Turns the inherited environment into the command's. */
static void keeper_set_environment(const char *cwd, char *const *entries)
{
    CLEANUP(freep) char *own = cwd ? NULL : getcwd(NULL, 0);

    unsetenv("OLDPWD");
    unsetenv("PWD");
    if (cwd || own)
        setenv("PWD", cwd ? cwd : own, true);
    for (; *entries; entries++) {
        if (!strchr(*entries, '='))
            unsetenv(*entries);
        else if (**entries != '=')
            putenv(*entries);
    }
}

static void keeper_start(struct keeper *keeper, const int fds[START_FDS], int64_t *ret_grace_ms)
{
    struct keeper_message message = {.word = KEEPER_STARTING};
    struct command command = {0};
    int r;

    r = keeper_command_load(fds[START_SPEC], &command);
    if (!command.argv)
        keeper_fail(keeper, -r, "read", "the order to start");
    if (command.cwd && chdir(command.cwd) < 0)
        keeper_fail(keeper, errno, "enter", command.cwd);
    keeper_set_environment(command.cwd, command.env);
    if (!keeper_control_is_open(keeper->control))
        _exit(EXIT_FAILURE);
    keeper->limits = command.limits;
    keeper_limit(keeper);
    keeper_enter_leaf(keeper);
    /* If this fails, acpd is gone, which the loop notices. */
    message.value = getpid();
    (void)wire_send(keeper->control, &message, offsetof(struct keeper_message, text) + 1);
    r = keeper_command_spawn(&command, fds, &keeper->child);
    keeper_leave_leaf(keeper);
    if (r < 0 && keeper->has_leaf)
        cgroup_remove_leaf(keeper->cgroup);
    if (r < 0)
        keeper_fail(keeper, -r, "start", command.argv[0]);
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

        if (getppid() != keeper->supervisor) {
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
        cgroup_kill_leaf(keeper->cgroup);
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

void keeper_main(const int fds[START_FDS], pid_t supervisor, const struct cgroup *cgroup)
{
    struct keeper keeper = {
        .cgroup = cgroup, .control = fds[START_CONTROL], .supervisor = supervisor};
    struct keeper_message message = {.word = KEEPER_GONE};
    int64_t grace_ms;
    sigset_t watched;

    prctl(PR_SET_NAME, "acpd-keeper");
    /* The signal only wakes the loop, which then checks its parent. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGUSR1) < 0)
        keeper_fail(&keeper, errno, "prepare", "the keeper");
    if (getppid() != supervisor)
        _exit(EXIT_FAILURE);
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGUSR1);
    keeper.signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (keeper.signals < 0)
        keeper_fail(&keeper, errno, "prepare", "the keeper");
    keeper_start(&keeper, fds, &grace_ms);
    keeper_watch(&keeper, grace_ms);
    keeper_kill(&keeper);
    message.word = keeper.orphaned ? KEEPER_ORPHANED : KEEPER_GONE;
    message.value = keeper.status;
    if (keeper.has_leaf && cgroup_remove_leaf(cgroup) && keeper.limits.memory)
        snprintf(message.text, sizeof(message.text), "its memory limit of %lld bytes was exceeded",
                 (long long)keeper.limits.memory);
    keeper_send(&keeper, &message);
    _exit(EXIT_SUCCESS);
}
