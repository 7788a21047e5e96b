/* SPDX-License-Identifier: MIT */
/* acpd's handle on the supervisor process, which is in supervisor_main.c. */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "run/family.h"
#include "run/run_impl.h"
#include "run/supervisor_main.h"

/* How soon to try again when the kernel holds as many descriptors in flight as it likes. */
#define RETRY_US 10000

int supervisor_new(const char *lock_path, uint64_t children_nofile, const struct cgroup *cgroup,
                   struct supervisor **ret_supervisor)
{
    CLEANUP(closep) int lock = -1;
    struct supervisor *supervisor;
    int pair[2];
    pid_t pid;

    lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return -errno;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        supervisor_main(pair[1], lock, children_nofile, cgroup);
    close(pair[1]);
    if (pid < 0) {
        int error = errno;

        close(pair[0]);
        return -error;
    }
    supervisor = xcalloc(1, sizeof(*supervisor));
    supervisor->pid = pid;
    supervisor->command = pair[0];
    list_init(&supervisor->runs);
    list_init(&supervisor->unsent);
    *ret_supervisor = supervisor;
    return 0;
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

static void supervisor_on_death(struct supervisor *supervisor)
{
    event_del(&supervisor->readable);
    event_del(&supervisor->writable);
    event_del(&supervisor->retry);
    close(supervisor->command);
    supervisor->command = -1;
    supervisor->ready = false;
    /* Its end of the socket closes only when it exits. */
    while (waitpid(supervisor->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    while (!list_is_empty(&supervisor->unsent))
        run_settle_not_started(list_entry(supervisor->unsent.next, struct run, unsent_link), EPIPE);
    /* The others end when their keepers, which go on without it, have killed their families. */
    for (struct list *link = supervisor->runs.next; link != &supervisor->runs; link = link->next) {
        struct run *run = list_entry(link, struct run, link);

        if (run->control < 0)
            run_settle(run, RUN_LOST, 0);
    }
    if (supervisor->on_lost)
        supervisor->on_lost(supervisor->data);
}

static void supervisor_on_message(evutil_socket_t fd, short what UNUSED, void *data)
{
    struct supervisor *supervisor = data;
    struct supervisor_message message;
    bool became_ready = false;
    struct run *run;
    ssize_t n;

    while ((n = recv(fd, &message, sizeof(message), MSG_DONTWAIT)) == sizeof(message)) {
        switch (message.word) {
        case SUPERVISOR_READY:
            supervisor->ready = became_ready = true;
            break;
        case SUPERVISOR_NOT_FORKED:
            run = supervisor_find(supervisor, message.id);
            if (run)
                run_settle_not_started(run, message.error);
            break;
        case SUPERVISOR_LOST:
            run = supervisor_find(supervisor, message.id);
            if (run)
                run_lose(run);
            break;
        }
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (became_ready && supervisor->on_ready)
            supervisor->on_ready(supervisor->data);
        return;
    }
    supervisor_on_death(supervisor);
}

/* Outcome: 0 sent; -EAGAIN, or -ETOOMANYREFS and its like: later; else: never. */
static int send_start(int command, const struct run *run)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * START_FDS)];
    } control = {0};
    struct start_message message = {.id = run->id};
    struct iovec part = {.iov_base = &message, .iov_len = sizeof(message)};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t n;

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(run->start_fds));
    memcpy(CMSG_DATA(&control.header), run->start_fds, sizeof(run->start_fds));
    do
        n = sendmsg(command, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static void supervisor_flush(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct supervisor *supervisor = data;

    while (!list_is_empty(&supervisor->unsent)) {
        struct run *run = list_entry(supervisor->unsent.next, struct run, unsent_link);
        int r = send_start(supervisor->command, run);

        if (r == -EAGAIN) {
            event_add(&supervisor->writable, NULL);
            return;
        }
        if (r == -ETOOMANYREFS || r == -ENOBUFS || r == -ENOMEM) {
            event_add(&supervisor->retry, &(struct timeval){.tv_usec = RETRY_US});
            return;
        }
        list_remove(&run->unsent_link);
        run_close_start_fds(run);
        if (r < 0)
            run_settle_not_started(run, -r);
    }
}

void supervisor_send_start(struct supervisor *supervisor, struct run *run)
{
    bool others_wait = !list_is_empty(&supervisor->unsent);

    list_append(&supervisor->unsent, &run->unsent_link);
    if (!others_wait)
        supervisor_flush(-1, 0, supervisor);
}

int supervisor_attach(struct supervisor *supervisor, struct event_base *base,
                      void (*on_ready)(void *data), void (*on_lost)(void *data), void *data)
{
    supervisor->on_ready = on_ready;
    supervisor->on_lost = on_lost;
    supervisor->data = data;
    event_assign(&supervisor->readable, base, supervisor->command, EV_READ | EV_PERSIST,
                 supervisor_on_message, supervisor);
    event_assign(&supervisor->writable, base, supervisor->command, EV_WRITE, supervisor_flush,
                 supervisor);
    event_assign(&supervisor->retry, base, -1, 0, supervisor_flush, supervisor);
    if (event_add(&supervisor->readable, NULL) < 0)
        return -ENOMEM;
    supervisor->base = base;
    return 0;
}

bool supervisor_is_above(const struct supervisor *supervisor, pid_t pid, pid_t *ret_keeper)
{
    pid_t below = 0, parent;

    *ret_keeper = 0;
    /* Orphans are adopted by their keeper, so every descendant has it and the supervisor above it.
     * Of a process that has ended nobody knows. */
    for (; pid > 1 && pid != supervisor->pid; pid = parent) {
        if (family_parent(pid, &parent) < 0)
            return true;
        below = pid;
    }
    if (pid == supervisor->pid)
        *ret_keeper = below;
    return pid == supervisor->pid;
}

bool supervisor_is_ready(const struct supervisor *supervisor)
{
    return supervisor->ready;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    while (!list_is_empty(&supervisor->runs))
        run_free(list_entry(supervisor->runs.next, struct run, link));
    if (supervisor->command >= 0) {
        if (supervisor->base) {
            event_del(&supervisor->readable);
            event_del(&supervisor->writable);
            event_del(&supervisor->retry);
        }
        close(supervisor->command);
        waitpid(supervisor->pid, NULL, WNOHANG);
    }
    free(supervisor);
}
