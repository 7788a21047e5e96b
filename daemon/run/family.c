/* SPDX-License-Identifier: MIT */
/*
 * Finds a family.
 *
 * The caller is a child subreaper: a descendant whose parent dies becomes its child. So every
 * member stays reachable from the caller through parents, whatever sessions and process groups it
 * creates. /proc lists processes by ascending id, and a child's id is nearly always above its
 * parent's, so one walk meets parents first and can signal each member as soon as it is seen. This
 * short delay between finding and killing is what beats a family that keeps forking. The few
 * members whose id is below their parent's (ids wrap around) are visited again at the end of the
 * walk.
 *
 * A scan never proves that a family is gone. The keeper's proof is that wait() finds no child.
 *
 * An open folder of /proc is a handle on one process, like a pidfd. So if an id is reused before
 * the signal is sent, the signal cannot reach another process.
 */
#include "run/family.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "common/alloc.h"

static size_t family_pid_set_index(const struct pid_set *set, pid_t pid)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->pids[middle] < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool pid_set_has(const struct pid_set *set, pid_t pid)
{
    size_t index = family_pid_set_index(set, pid);

    return index < set->count && set->pids[index] == pid;
}

bool pid_set_add(struct pid_set *set, pid_t pid)
{
    size_t index = family_pid_set_index(set, pid);

    if (index < set->count && set->pids[index] == pid)
        return false;
    if (set->count == set->capacity) {
        set->capacity = set->capacity ? set->capacity * 2 : 32;
        set->pids = xrealloc(set->pids, set->capacity * sizeof(*set->pids));
    }
    memmove(set->pids + index + 1, set->pids + index, (set->count - index) * sizeof(*set->pids));
    set->pids[index] = pid;
    set->count++;
    return true;
}

void pid_set_remove(struct pid_set *set, pid_t pid)
{
    size_t index = family_pid_set_index(set, pid);

    if (index == set->count || set->pids[index] != pid)
        return;
    set->count--;
    memmove(set->pids + index, set->pids + index + 1, (set->count - index) * sizeof(*set->pids));
}

static void family_pid_set_deinit(struct pid_set *set)
{
    free(set->pids);
    *set = (struct pid_set){0};
}

void family_deinit(struct family *family)
{
    family_pid_set_deinit(&family->spared);
    family_pid_set_deinit(&family->signalled);
}

static void family_closedirp(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* The parent's id; negative if the process is gone or hidden. ret_state may be NULL. */
static pid_t family_read_parent(int folder, const char *path, char *ret_state)
{
    CLEANUP(closep) int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
    char text[512];
    const char *at;
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return n < 0 ? -errno : -ESRCH;
    text[n] = '\0';
    /* "id (name) state parent ..."; the name may contain anything, even parentheses. */
    at = strrchr(text, ')');
    if (!at || strlen(at) < 5)
        return -ESRCH;
    if (ret_state)
        *ret_state = at[2];
    return (pid_t)strtol(at + 4, NULL, 10);
}

int family_parent(pid_t pid, pid_t *ret_parent)
{
    char path[64];
    pid_t parent;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    parent = family_read_parent(AT_FDCWD, path, NULL);
    if (parent < 0)
        return (int)parent;
    *ret_parent = parent;
    return 0;
}

bool family_is_stopped(pid_t pid)
{
    char path[64], state = '\0';

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return family_read_parent(AT_FDCWD, path, &state) >= 0 && state == 'T';
}

int family_children(struct pid_set *ret_children)
{
    CLEANUP(family_closedirp) DIR *dir = NULL;
    const struct dirent *entry;
    siginfo_t info;

    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 && errno == ECHILD)
        return 0;
    dir = opendir("/proc");
    while (dir && (entry = readdir(dir))) {
        pid_t parent, pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

        if (pid > 0 && family_parent(pid, &parent) == 0 && parent == getpid())
            pid_set_add(ret_children, pid);
    }
    return dir ? 0 : -errno;
}

struct walk {
    struct family *family;
    int proc, signal;
    pid_t root;
    struct pid_set members;
    struct family_scan scan;
};

static bool family_walk_has(const struct walk *walk, pid_t pid, pid_t parent)
{
    if (parent == walk->root)
        return !pid_set_has(&walk->family->spared, pid);
    return pid_set_has(&walk->members, parent);
}

static void family_process_signal(int process, pid_t pid, int signal)
{
    if (pidfd_send_signal(process, signal, NULL, 0) < 0 && errno == ENOSYS)
        kill(pid, signal);
}

/* Returns the parent's id, 0 if the process is gone. */
static pid_t family_walk_visit(struct walk *walk, pid_t pid)
{
    CLEANUP(closep) int process = -1;
    char path[32];
    char state = 'Z';
    pid_t parent;
    bool fresh;

    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    parent = family_read_parent(walk->proc, path, NULL);
    if (!parent || !family_walk_has(walk, pid, parent))
        return parent;
    snprintf(path, sizeof(path), "%d", (int)pid);
    process = openat(walk->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return 0;
    parent = family_read_parent(process, "stat", &state);
    if (!parent || !family_walk_has(walk, pid, parent))
        return parent;
    fresh = pid_set_add(&walk->family->signalled, pid);
    if (walk->signal == SIGKILL || fresh)
        family_process_signal(process, pid, walk->signal);
    if (walk->signal == SIGTERM && fresh)
        family_process_signal(process, pid, SIGCONT);
    if (pid_set_add(&walk->members, pid)) {
        walk->scan.found++;
        walk->scan.alive += state != 'Z';
    }
    walk->scan.fresh += fresh;
    return parent;
}

/* Whether /proc is of this process's PID namespace. */
static bool family_proc_is_ours(int proc, pid_t self)
{
    char text[32] = "";

    return readlinkat(proc, "self", text, sizeof(text) - 1) > 0 && atoi(text) == self;
}

int family_signal(struct family *family, int signal, struct family_scan *ret_scan)
{
    CLEANUP(family_closedirp) DIR *dir = opendir("/proc");
    struct walk walk = {.family = family, .signal = signal};
    struct pid_set later = {0};
    const struct dirent *entry;
    size_t before;

    if (!dir)
        return -errno;
    walk.root = family->root ? family->root : getpid();
    walk.proc = dirfd(dir);
    if (!family_proc_is_ours(walk.proc, getpid()))
        return -ENXIO;
    while ((entry = readdir(dir))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

        if (pid > 0 && pid != walk.root && family_walk_visit(&walk, pid) > pid)
            pid_set_add(&later, pid);
    }
    do {
        before = walk.members.count;
        for (size_t i = 0; i < later.count; i++)
            if (!pid_set_has(&walk.members, later.pids[i]))
                family_walk_visit(&walk, later.pids[i]);
    } while (walk.members.count > before);
    family_pid_set_deinit(&later);
    family_pid_set_deinit(&walk.members);
    *ret_scan = walk.scan;
    return 0;
}
