/* SPDX-License-Identifier: MIT */
/* acpd's side of the supervisor process; the other side is supervisor_main.c. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/log.h"
#include "run/cgroup.h"
#include "run/family.h"
#include "run/run_impl.h"
#include "run/supervisor_main.h"

/* When to retry after the kernel's limit of descriptors in flight was reached. */
#define RETRY_US 10000

#define DEADLINE_STEP_MS 50

static const struct timeval watch_time = WATCH_TIME;

static int supervisor_listen(struct supervisor *supervisor);

static void supervisor_deinit(struct supervisor *supervisor)
{
    family_deinit(&supervisor->orphans);
    free(supervisor->lock_path);
    free(supervisor);
}

/* The child uses nothing of acpd but what is passed on. Signals are blocked, so that none runs
 * acpd's handlers in it. */
static int supervisor_fork(struct supervisor *supervisor)
{
    CLEANUP(closep) int lock = -1;
    sigset_t all, before;
    int pair[2];
    pid_t pid;

    lock = open(supervisor->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return -errno;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        umask(supervisor->umask);
        supervisor_main(pair[1], lock, supervisor->children_nofile, supervisor->cgroup);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(pair[1]);
    if (pid < 0) {
        int error = errno;

        close(pair[0]);
        return -error;
    }
    supervisor->pid = pid;
    supervisor->command = pair[0];
    return 0;
}

int supervisor_new(const char *lock_path, uint64_t children_nofile, const struct cgroup *cgroup,
                   struct supervisor **ret_supervisor)
{
    struct supervisor *supervisor = xcalloc(1, sizeof(*supervisor));
    int r;

    supervisor->lock_path = xstrdup(lock_path);
    supervisor->children_nofile = children_nofile;
    supervisor->cgroup = cgroup;
    supervisor->umask = umask(0);
    umask(supervisor->umask);
    list_init(&supervisor->runs);
    list_init(&supervisor->unsent);
    /* The process that executed acpd may have left it children. */
    r = family_children(&supervisor->orphans.spared);
    if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        r = -errno;
    if (r == 0)
        r = supervisor_fork(supervisor);
    if (r < 0) {
        supervisor_deinit(supervisor);
        return r;
    }
    *ret_supervisor = supervisor;
    return 0;
}

void supervisor_close_start_fds(struct run *run)
{
    for (size_t i = 0; i < START_FDS; i++) {
        closep(&run->start_fds[i]);
        run->start_fds[i] = -1;
    }
}

static struct run *supervisor_find(const struct supervisor *supervisor, uint64_t id)
{
    for (struct list *link = supervisor->runs.next; link != &supervisor->runs; link = link->next) {
        struct run *run = list_entry(link, struct run, link);

        if (run->id == id)
            return run;
    }
    return NULL;
}

/* Whether it has to report something: a start, or the end of a family whose keeper was killed. */
static bool supervisor_is_due(const struct supervisor *supervisor)
{
    list_for_each (link, &supervisor->runs) {
        const struct run *run = list_entry(link, struct run, link);

        if (!run->has_ended && (!run->pid || run->control < 0 || run->is_condemned))
            return supervisor->ready;
    }
    return false;
}

void supervisor_expect(struct supervisor *supervisor)
{
    if (supervisor_is_due(supervisor) && !event_pending(&supervisor->watch.tick, EV_TIMEOUT, NULL))
        event_add(&supervisor->watch.tick, &watch_time);
}

/* Returns a negative errno on failure. */
static int supervisor_tell(const struct supervisor *supervisor, enum command_word word, uint64_t id)
{
    const struct command_message message = {.id = id, .word = word};

    return send(supervisor->command, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0
               ? -errno
               : 0;
}

void supervisor_condemn(struct supervisor *supervisor, struct run *run)
{
    if (supervisor->command < 0)
        return;
    if (!run->is_condemned)
        log_warning("the keeper of \"%s\" does not respond; killing it and its family",
                    run->program);
    run->is_condemned = true;
    /* If this fails, the supervisor is not reading, which its watch notices. */
    (void)supervisor_tell(supervisor, COMMAND_END, run->id);
    supervisor_expect(supervisor);
}

void supervisor_look(const struct supervisor *supervisor, const struct run *run)
{
    if (supervisor->command >= 0)
        (void)supervisor_tell(supervisor, COMMAND_LOOK, run->id);
}

bool supervisor_watch_is_over(const struct watch *watch, pid_t pid)
{
    return watch->asked >= WATCH_TRIES_SLOW ||
           (watch->asked >= WATCH_TRIES && family_is_stopped(pid));
}

/* The supervisor, its keepers and their families are gone: starts another one. */
static void supervisor_succeed(struct supervisor *supervisor)
{
    int r;

    list_for_each (link, &supervisor->runs) {
        struct run *run = list_entry(link, struct run, link);

        run->ops->lose(run);
    }
    r = supervisor->was_ready ? supervisor_fork(supervisor) : -ECHILD;
    if (r == 0)
        r = supervisor_listen(supervisor);
    if (r == 0)
        return;
    log_error("cannot start another supervisor: %s", strerror(-r));
    if (supervisor->on_lost)
        supervisor->on_lost(supervisor->data);
}

/* False if no child is left. */
static bool supervisor_reap_orphans(struct supervisor *supervisor)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0) {
        cgroup_end_leaf(supervisor->cgroup, pid);
        pid_set_remove(&supervisor->orphans.spared, pid);
    }
    return pid == 0 || errno != ECHILD;
}

/* acpd, the next subreaper, inherits what the supervisor leaves: keepers, which end their families
 * unless they are stopped, and the families of killed keepers. Kills all of them before another
 * supervisor starts. */
static void supervisor_on_burial(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct supervisor *supervisor = data;
    struct family_scan scan = {0};
    int64_t wait_ms = supervisor->scans++ < 100 ? 2 : 200;
    int r = 0;

    if (supervisor_reap_orphans(supervisor)) {
        supervisor->orphans.signalled.count = 0;
        r = family_signal(&supervisor->orphans, SIGKILL, &scan);
        supervisor->clean_scans = r < 0 || scan.found ? 0 : supervisor->clean_scans + 1;
        if (supervisor->clean_scans < 2) {
            event_add(&supervisor->burial, &(struct timeval){.tv_usec = wait_ms * 1000});
            return;
        }
    }
    supervisor_succeed(supervisor);
}

static void supervisor_on_death(struct supervisor *supervisor)
{
    event_del(&supervisor->readable);
    event_del(&supervisor->writable);
    event_del(&supervisor->retry);
    event_del(&supervisor->watch.tick);
    close(supervisor->command);
    supervisor->command = -1;
    supervisor->was_ready = supervisor->ready;
    supervisor->ready = false;
    supervisor->scans = supervisor->clean_scans = 0;
    log_error(
        "the supervisor process is gone; its processes are killed and another one is started");
    list_for_each_safe (link, &supervisor->unsent) {
        struct run *run = list_entry(link, struct run, unsent_link);

        list_remove(&run->unsent_link);
        supervisor_close_start_fds(run);
    }
    event_active(&supervisor->burial, EV_TIMEOUT, 0);
}

/* A process that it had just forked, and that was stopped, may keep its socket open. */
static bool supervisor_is_dead(const struct supervisor *supervisor)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)supervisor->pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
           info.si_pid;
}

static void supervisor_on_watch(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct supervisor *supervisor = data;

    if (supervisor->command < 0 || !supervisor_is_due(supervisor))
        return;
    if (supervisor_is_dead(supervisor)) {
        supervisor_on_death(supervisor);
        return;
    }
    if (supervisor_watch_is_over(&supervisor->watch, supervisor->pid)) {
        log_error("the supervisor process does not respond; killing it");
        kill(supervisor->pid, SIGKILL); /* not reaped yet, so its id is not reused */
    } else {
        (void)supervisor_tell(supervisor, COMMAND_ASK, 0);
    }
    supervisor->watch.asked++;
    supervisor_expect(supervisor);
}

static void supervisor_on_message(evutil_socket_t fd, short what UNUSED, void *data)
{
    struct supervisor *supervisor = data;
    struct supervisor_message message;
    struct run *run;
    ssize_t n;

    while ((n = recv(fd, &message, sizeof(message), MSG_DONTWAIT)) == sizeof(message)) {
        supervisor->watch.asked = 0;
        switch (message.word) {
        case SUPERVISOR_ALIVE:
            break;
        case SUPERVISOR_READY:
            supervisor->ready = true;
            supervisor->told_deadline = 0;
            if (supervisor->deadline)
                supervisor_set_deadline(supervisor, supervisor->deadline);
            break;
        case SUPERVISOR_NOT_FORKED:
            run = supervisor_find(supervisor, message.id);
            if (run)
                run->ops->refuse(run, message.error);
            break;
        case SUPERVISOR_LOST:
            run = supervisor_find(supervisor, message.id);
            if (run)
                run->ops->lose(run);
            break;
        }
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    supervisor_on_death(supervisor);
}

static void supervisor_flush(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct supervisor *supervisor = data;

    while (!list_is_empty(&supervisor->unsent)) {
        struct run *run = list_entry(supervisor->unsent.next, struct run, unsent_link);
        int r = wire_send_start(supervisor->command, run->id, run->start_fds);

        if (r == -EAGAIN) {
            event_add(&supervisor->writable, NULL);
            return;
        }
        if (r == -ETOOMANYREFS || r == -ENOBUFS || r == -ENOMEM) {
            event_add(&supervisor->retry, &(struct timeval){.tv_usec = RETRY_US});
            return;
        }
        list_remove(&run->unsent_link);
        supervisor_close_start_fds(run);
        if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* otherwise it is dead, as is noticed next */
            run->ops->refuse(run, -r);
    }
}

void supervisor_send_start(struct supervisor *supervisor, struct run *run)
{
    bool others_wait = !list_is_empty(&supervisor->unsent);

    list_append(&supervisor->unsent, &run->unsent_link);
    if (!others_wait)
        supervisor_flush(-1, 0, supervisor);
    supervisor_expect(supervisor);
}

static int supervisor_listen(struct supervisor *supervisor)
{
    event_assign(&supervisor->readable, supervisor->base, supervisor->command, EV_READ | EV_PERSIST,
                 supervisor_on_message, supervisor);
    event_assign(&supervisor->writable, supervisor->base, supervisor->command, EV_WRITE,
                 supervisor_flush, supervisor);
    return event_add(&supervisor->readable, NULL) < 0 ? -ENOMEM : 0;
}

int supervisor_attach(struct supervisor *supervisor, struct event_base *base,
                      void (*on_lost)(void *data), void *data)
{
    supervisor->on_lost = on_lost;
    supervisor->data = data;
    supervisor->base = base;
    event_assign(&supervisor->retry, base, -1, 0, supervisor_flush, supervisor);
    event_assign(&supervisor->watch.tick, base, -1, 0, supervisor_on_watch, supervisor);
    event_assign(&supervisor->burial, base, -1, 0, supervisor_on_burial, supervisor);
    return supervisor_listen(supervisor);
}

/* The run that the keeper has now: it tells before it starts the command, so whoever asks for a
 * living process of a family finds the family's run. */
static uint64_t supervisor_find_run_of(const struct supervisor *supervisor, pid_t keeper)
{
    list_for_each_safe (link, &supervisor->runs) {
        struct run *run = list_entry(link, struct run, link);

        if (!run->keeper)
            run->ops->hear(run);
    }
    list_for_each (link, &supervisor->runs) {
        const struct run *run = list_entry(link, struct run, link);

        if (run->keeper == keeper)
            return run->id;
    }
    return 0;
}

bool supervisor_is_above(const struct supervisor *supervisor, pid_t pid, uint64_t *ret_run)
{
    pid_t self = getpid(), keeper = 0, child = 0, parent;

    *ret_run = 0;
    /* Orphans are adopted by their keeper, otherwise by the supervisor or, after its death, by
     * acpd. The ancestry of a process that has ended is unknown. */
    for (; pid > 1 && pid != self; pid = parent) {
        if (family_parent(pid, &parent) < 0)
            return true;
        if (parent == supervisor->pid)
            keeper = pid;
        child = pid;
    }
    if (!child || pid != self || pid_set_has(&supervisor->orphans.spared, child))
        return false;
    *ret_run = supervisor_find_run_of(supervisor, keeper ? keeper : child);
    return true;
}

/* A later deadline need not be sent until the previous one is near. */
void supervisor_set_deadline(struct supervisor *supervisor, int64_t boot_ms)
{
    supervisor->deadline = boot_ms;
    if (supervisor->command < 0 || boot_ms < supervisor->told_deadline + DEADLINE_STEP_MS)
        return;
    /* If it does not read, what it knows is earlier. */
    if (supervisor_tell(supervisor, COMMAND_DEADLINE, (uint64_t)boot_ms) == 0)
        supervisor->told_deadline = boot_ms;
}

bool supervisor_is_ready(const struct supervisor *supervisor)
{
    return supervisor->ready;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    while (!list_is_empty(&supervisor->runs)) {
        struct run *run = list_entry(supervisor->runs.next, struct run, link);

        run->ops->free(run);
    }
    if (supervisor->base) {
        event_del(&supervisor->readable);
        event_del(&supervisor->writable);
        event_del(&supervisor->retry);
        event_del(&supervisor->watch.tick);
        event_del(&supervisor->burial);
    }
    if (supervisor->command >= 0) {
        close(supervisor->command);
        waitpid(supervisor->pid, NULL, WNOHANG);
    }
    supervisor_deinit(supervisor);
}
