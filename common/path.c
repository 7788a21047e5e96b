/* SPDX-License-Identifier: MIT */
#include "common/path.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"

#define LOCK_PATIENCE_MS 2000
#define LOCK_RETRY_MS    20

/* $variable/tail, else $HOME/fallback/tail, else /tmp/acpd-UID/tail. */
static char *path_user_path(const char *variable, const char *fallback, const char *tail)
{
    const char *base = getenv(variable), *home = getenv("HOME");

    if (base && base[0] == '/')
        return xasprintf("%s/%s", base, tail);
    if (fallback && home && home[0] == '/')
        return xasprintf("%s/%s/%s", home, fallback, tail);
    return xasprintf("/tmp/acpd-%u/%s", (unsigned)geteuid(), tail);
}

static bool path_is_program(const char *path)
{
    struct stat st;

    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool path_is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *path_find_program(const char *program, const char *path, const char *cwd)
{
    CLEANUP(freep) char *folders = xstrdup(path ? path : "/usr/bin:/bin");
    char *rest = folders, *folder;

    if (strchr(program, '/')) {
        CLEANUP(freep)
        char *file =
            program[0] == '/' || !cwd ? xstrdup(program) : xasprintf("%s/%s", cwd, program);

        return path_is_program(file) ? STEAL(file) : NULL;
    }
    while ((folder = strsep(&rest, ":"))) {
        CLEANUP(freep)
        char *file = folder[0] == '/' || !cwd
                         ? xasprintf("%s/%s", folder[0] ? folder : ".", program)
                         : xasprintf("%s/%s/%s", cwd, folder, program);

        if (path_is_program(file))
            return STEAL(file);
    }
    return NULL;
}

/* Relative to the program's folder; an absolute path is unchanged. */
static char *path_own_path(const char *path)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    self[n < 0 ? 0 : n] = '\0';
    slash = strrchr(self, '/');
    if (path[0] == '/' || !slash)
        return xstrdup(path);
    return xasprintf("%.*s/%s", (int)(slash - self), self, path);
}

char *path_find_own(const char *built, const char *installed)
{
    CLEANUP(freep) char *beside = path_own_path(built), *whole = NULL;

    if (access(beside, F_OK) < 0) {
        free(beside);
        beside = path_own_path(installed);
    }
    whole = realpath(beside, NULL);
    return whole ? STEAL(whole) : STEAL(beside);
}

static bool path_has_name(pid_t pid, const char *name)
{
    CLEANUP(freep) char *path = xasprintf("/proc/%d/comm", (int)pid);
    char comm[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, comm, sizeof(comm) - 1);

    if (fd >= 0)
        close(fd);
    return n > 1 && strlen(name) == (size_t)n - 1 && strncmp(comm, name, (size_t)n - 1) == 0;
}

bool path_is_run_by(const char *path, pid_t pid)
{
    static const char deleted[] = " (deleted)";
    CLEANUP(freep) char *link = xasprintf("/proc/%d/exe", (int)pid);
    const char *slash = strrchr(path, '/');
    char program[4096];
    ssize_t n = readlink(link, program, sizeof(program) - 1);

    if (n < 0)
        return errno == EACCES && path_has_name(pid, slash ? slash + 1 : path);
    program[n] = '\0';
    if ((size_t)n > strlen(deleted) && strcmp(program + n - strlen(deleted), deleted) == 0)
        program[(size_t)n - strlen(deleted)] = '\0';
    return strcmp(program, path) == 0;
}

char *path_default_socket(void)
{
    return geteuid() == 0 ? xstrdup("/run/acpd/acpd.sock")
                          : path_user_path("XDG_RUNTIME_DIR", NULL, "acpd.sock");
}

char *path_default_state(void)
{
    return geteuid() == 0 ? xstrdup("/var/lib/acpd")
                          : path_user_path("XDG_STATE_HOME", ".local/state", "acpd");
}

char *path_default_config(void)
{
    return geteuid() == 0 ? xstrdup("/etc/acpd/config.json")
                          : path_user_path("XDG_CONFIG_HOME", ".config", "acpd/config.json");
}

/* A new folder survives a power cut. */
static int path_sync_parent(const char *path)
{
    CLEANUP(freep) char *above = xasprintf("%s/..", path);
    CLEANUP(closep) int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == EACCES ? 0 : -errno; /* a file may be writable but not readable */
    return fsync(fd) == 0 || errno == EINVAL ? 0 : -errno; /* not every file system can */
}

static int path_make_one(const char *path, mode_t mode)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return path_sync_parent(path);
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int path_make_folder(const char *path, mode_t mode)
{
    int r = path_make_one(path, mode);

    if (r != -ENOENT)
        return r;
    r = path_make_parent(path, mode);
    return r < 0 ? r : path_make_one(path, mode);
}

int path_make_parent(const char *path, mode_t mode)
{
    CLEANUP(freep) char *parent = xstrdup(path);
    char *slash = strrchr(parent, '/');

    if (!slash || slash == parent)
        return 0;
    *slash = '\0';
    return path_make_folder(parent, mode);
}

static bool path_stat_is_guarded(const struct stat *st)
{
    return S_ISDIR(st->st_mode) && (st->st_uid == geteuid() || st->st_uid == 0) &&
           !(st->st_mode & (S_IWGRP | S_IWOTH));
}

bool path_is_guarded(const char *path)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(freep) char *folder = xstrndup(path, slash ? (size_t)(slash - path) : 0);
    struct stat st;

    return lstat(*folder ? folder : "/", &st) == 0 && path_stat_is_guarded(&st);
}

bool path_folder_is_guarded(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && path_stat_is_guarded(&st);
}

int path_lock(const char *path, int *ret_fd)
{
    CLEANUP(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int64_t until = clock_mono_ms() + LOCK_PATIENCE_MS;

    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (clock_mono_ms() >= until)
            return -EADDRINUSE;
        poll(NULL, 0, LOCK_RETRY_MS);
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}
