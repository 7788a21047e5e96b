/* SPDX-License-Identifier: MIT */
#include "common/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/alloc.h"

#define LISTENERS_MAX   1024
#define WATCHDOG_MAX_US (86400 * 1000000LL)

static struct {
    char *socket;
    int64_t watchdog_ms;
    int listeners;
} said;

/* A number from 1 to `max`; 0 for anything else. */
static int64_t notify_number(const char *variable, int64_t max)
{
    const char *text = getenv(variable);
    char *end;
    long long value;

    if (!text || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    value = strtoll(text, &end, 10);
    return *end || errno || value > max ? 0 : value;
}

static bool notify_is_own_pid(const char *variable)
{
    return notify_number(variable, INT32_MAX) == getpid();
}

void notify_setup(void)
{
    static const char *const variables[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                            "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};
    const char *socket = getenv("NOTIFY_SOCKET");

    if (socket)
        said.socket = xstrdup(socket);
    if (!getenv("WATCHDOG_PID") || notify_is_own_pid("WATCHDOG_PID"))
        said.watchdog_ms = notify_number("WATCHDOG_USEC", WATCHDOG_MAX_US) / 1000;
    if (notify_is_own_pid("LISTEN_PID"))
        said.listeners = (int)notify_number("LISTEN_FDS", LISTENERS_MAX);
    for (int i = 0; i < said.listeners; i++)
        fcntl(NOTIFY_FIRST_LISTENER + i, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        unsetenv(variables[i]);
}

void notify_systemd(const char *state)
{
    const char *path = said.socket;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(closep) int fd = -1;
    socklen_t len;

    if (!path || strlen(path) >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len);
}

int64_t notify_watchdog_ms(void)
{
    return said.watchdog_ms;
}

int notify_listeners(void)
{
    return said.listeners;
}
