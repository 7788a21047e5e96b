/* SPDX-License-Identifier: MIT */
#include "rpc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/alloc.h"
#include "common/path.h"

#define BACKLOG 1024

/* The lock, not the socket's file, tells whether a daemon is there: a crash leaves the file and
 * releases the lock. */
static int listener_lock_path(const char *path, int *ret_fd, char **ret_error)
{
    CLEANUP(freep) char *lock = xasprintf("%s.lock", path);
    int r = path_lock(lock, ret_fd);

    if (r < 0)
        *ret_error = r == -EADDRINUSE ? xasprintf("another acpd is listening on %s", path)
                                      : xasprintf("cannot lock %s: %s", lock, strerror(-r));
    return r;
}

static int listener_remove_stale(const char *path, char **ret_error)
{
    struct stat st;
    int r;

    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        *ret_error = xasprintf("%s exists and is not a socket; it was left alone", path);
        return -EEXIST;
    }
    if (unlink(path) < 0 && errno != ENOENT) {
        r = -errno;
        *ret_error = xasprintf("cannot replace %s: %s", path, strerror(-r));
        return r;
    }
    return 0;
}

static int listener_set_access(const char *path, const char *group)
{
    const struct group *entry;

    if (!group)
        return chmod(path, 0600) < 0 ? -errno : 0;
    entry = getgrnam(group);
    if (!entry)
        return -ESRCH;
    return chown(path, (uid_t)-1, entry->gr_gid) < 0 || chmod(path, 0660) < 0 ? -errno : 0;
}

/* Makes the socket and its file. */
static int listener_open_socket(const char *path, const char *group, struct listener *listener)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int r;

    strcpy(address.sun_path, path);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return -errno;
    mask = umask(0177);
    r = bind(listener->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    umask(mask);
    if (r < 0)
        return r;
    listener->path = xstrdup(path);
    r = listener_set_access(path, group);
    return r < 0 ? r : listen(listener->fd, BACKLOG) < 0 ? -errno : 0;
}

int listener_bind(const char *path, const char *group, struct listener *ret_listener,
                  char **ret_error)
{
    CLEANUP(listener_deinit)
    struct listener listener = {.fd = -1, .lock_fd = -1, .is_shared = group};
    const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    int r;

    if (strlen(path) > max) {
        *ret_error = xasprintf("socket path %s is longer than %zu bytes", path, max);
        return -ENAMETOOLONG;
    }
    r = listener_lock_path(path, &listener.lock_fd, ret_error);
    if (r == 0)
        r = listener_remove_stale(path, ret_error);
    if (r < 0)
        return r;
    r = listener_open_socket(path, group, &listener);
    if (r < 0) {
        *ret_error = r == -ESRCH ? xasprintf("socketGroup: unknown group \"%s\"", group)
                                 : xasprintf("cannot listen on %s: %s", path, strerror(-r));
        return r;
    }
    *ret_listener = listener;
    listener = (struct listener){.fd = -1, .lock_fd = -1};
    return 0;
}

static int listener_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

int listener_adopt(int fd, struct listener *ret_listener, char **ret_path, char **ret_error)
{
    struct sockaddr_un address = {0};
    socklen_t len = sizeof(address) - 1; /* it stays terminated */
    struct stat st;

    if (listener_option(fd, SO_DOMAIN) != AF_UNIX || listener_option(fd, SO_TYPE) != SOCK_STREAM ||
        listener_option(fd, SO_ACCEPTCONN) != 1 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0 || address.sun_path[0] != '/' ||
        stat(address.sun_path, &st) < 0) {
        *ret_error =
            xasprintf("descriptor %d is not a listening Unix stream socket with a path", fd);
        return -EINVAL;
    }
    if (st.st_mode & S_IWOTH) { /* to connect is to write */
        *ret_error = xasprintf("%s is open to every user of this machine: set SocketMode=0660 in "
                               "its unit, or 0600",
                               address.sun_path);
        return -EPERM;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    *ret_listener = (struct listener){.fd = fd, .lock_fd = -1, .is_shared = st.st_mode & S_IWGRP};
    *ret_path = xstrdup(address.sun_path);
    return 0;
}

void listener_close(struct listener *listener)
{
    if (listener->path)
        unlink(listener->path);
    free(STEAL(listener->path));
    if (listener->fd >= 0)
        close(steal_fd(&listener->fd));
}

void listener_deinit(struct listener *listener)
{
    listener_close(listener);
    if (listener->lock_fd >= 0)
        close(steal_fd(&listener->lock_fd));
}
