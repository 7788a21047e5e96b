/* SPDX-License-Identifier: MIT */
#include "run/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

/* Room for the descriptors of a start. */
union wire_control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * START_FDS)];
};

int wire_send(int fd, const void *message, size_t len)
{
    ssize_t n;

    do
        n = send(fd, message, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int wire_send_start(int fd, uint64_t id, const int fds[START_FDS])
{
    union wire_control control = {0};
    struct command_message message = {.id = id, .word = COMMAND_START};
    struct iovec part = {.iov_base = &message, .iov_len = sizeof(message)};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t n;

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int) * START_FDS);
    memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * START_FDS);
    do
        n = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int wire_receive_command(int fd, struct command_message *ret_message, int ret_fds[START_FDS])
{
    union wire_control control;
    struct iovec part = {.iov_base = ret_message, .iov_len = sizeof(*ret_message)};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    const struct cmsghdr *item;
    ssize_t n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    size_t count = 0;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -EAGAIN : 0;
    if (n == 0)
        return 0;
    if (ret_message->word != COMMAND_START)
        return 1;
    item = CMSG_FIRSTHDR(&header);
    if (item && item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS) {
        count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret_fds, CMSG_DATA(item), count * sizeof(int));
    }
    if (count == START_FDS)
        return 1;
    for (size_t i = 0; i < count; i++)
        close(ret_fds[i]);
    return -EMFILE;
}
