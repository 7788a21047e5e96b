/* SPDX-License-Identifier: MIT */
#include "socket.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "world.h"

/* Bytes that a client may leave unread before acpd's next ones have to wait. */
#define UNREAD_MAX 16384

/* How much a real socket takes depends on the machine, so acpd's see this instead. The clients that
 * are connected, by acpd's descriptor; accepted in the order in which they connected. */
static struct {
    int client_of[DESCRIPTORS_MAX];             /* 0: none */
    struct event *writable_of[DESCRIPTORS_MAX]; /* by acpd's descriptor; NULL: it may write */
    int waiting[DESCRIPTORS_MAX];
    size_t waiting_count;
} sockets;

int socket_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    EXPECT(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    EXPECT(fd < DESCRIPTORS_MAX && sockets.waiting_count < DESCRIPTORS_MAX);
    sockets.client_of[fd] = 0;
    sockets.waiting[sockets.waiting_count++] = fd;
    return fd;
}

void socket_hang_up(int client)
{
    for (size_t i = 0; i < DESCRIPTORS_MAX; i++) {
        if (sockets.client_of[i] == client)
            sockets.client_of[i] = 0;
        if (i < sockets.waiting_count && sockets.waiting[i] == client)
            sockets.waiting[i] = 0;
    }
    close(client);
}

int __real_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    int accepted = __real_accept4(fd, address, len, flags);

    if (accepted < 0)
        return accepted;
    EXPECT(accepted < DESCRIPTORS_MAX && sockets.waiting_count);
    sockets.client_of[accepted] = sockets.waiting[0];
    memmove(sockets.waiting, sockets.waiting + 1, --sockets.waiting_count * sizeof(int));
    return accepted;
}

/* Bytes that acpd may write at once. */
static size_t socket_room(int fd)
{
    int unread;

    EXPECT(ioctl(sockets.client_of[fd], FIONREAD, &unread) == 0);
    return unread < UNREAD_MAX ? (size_t)(UNREAD_MAX - unread) : 0;
}

static bool socket_is_limited(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX && sockets.client_of[fd];
}

ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    size_t room = socket_is_limited(fd) ? socket_room(fd) : len;

    if (len && !room) {
        errno = EAGAIN;
        return -1;
    }
    return __real_send(fd, bytes, len < room ? len : room, flags);
}

/* The real socket always has room. */
int __real_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout);
int __wrap_event_add(struct event *event, const struct timeval *timeout)
{
    int fd = (int)event_get_fd(event);

    if (!(event_get_events(event) & EV_WRITE) || !socket_is_limited(fd) || socket_room(fd))
        return __real_event_add(event, timeout);
    event_del(event);
    sockets.writable_of[fd] = event;
    return 0;
}

static void socket_forget(const struct event *event)
{
    int fd = (int)event_get_fd(event);

    if (fd >= 0 && fd < DESCRIPTORS_MAX && sockets.writable_of[fd] == event)
        sockets.writable_of[fd] = NULL;
}

int __real_event_del(struct event *event);
int __wrap_event_del(struct event *event);
int __wrap_event_del(struct event *event)
{
    socket_forget(event);
    return __real_event_del(event);
}

void __real_event_free(struct event *event);
void __wrap_event_free(struct event *event);
void __wrap_event_free(struct event *event)
{
    socket_forget(event);
    __real_event_free(event);
}

void socket_let_write(void)
{
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        if (sockets.writable_of[fd] && (!socket_is_limited(fd) || socket_room(fd)))
            event_add(STEAL(sockets.writable_of[fd]), NULL);
}

void socket_forget_waiting(void)
{
    sockets.waiting_count = 0;
}
