/* SPDX-License-Identifier: MIT */
#include "run/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/log.h"

#define LEAF "run-"

static int cgroup_write_text(const char *folder, const char *name, const char *text)
{
    CLEANUP(freep) char *path = xasprintf("%s/%s", folder, name);
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

/* The file's first bytes, as text. */
static void cgroup_read_text(const char *folder, const char *name, char *text, size_t size)
{
    CLEANUP(freep) char *path = xasprintf("%s/%s", folder, name);
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

    text[n < 0 ? 0 : n] = '\0';
}

/* The mount point of cgroup v2. */
static char *cgroup_find_mount(void)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL, *mount = NULL;
    size_t capacity = 0;

    while (mounts && !mount && getline(&line, &capacity, mounts) > 0) {
        char *type = strstr(line, " - cgroup2 ");
        char root[4096], at[4096];

        /* "36 35 0:30 ROOT MOUNTPOINT options - type …"; a mount of a subtree is no use. */
        if (type && sscanf(line, "%*s %*s %*s %4095s %4095s", root, at) == 2 &&
            strcmp(root, "/") == 0)
            mount = xstrdup(at);
    }
    free(line);
    if (mounts)
        fclose(mounts);
    return mount;
}

/* The group of this process below the mount, as "/a/b"; NULL: none. */
static char *cgroup_find_own(void)
{
    FILE *groups = fopen("/proc/self/cgroup", "re");
    char *line = NULL, *own = NULL;
    size_t capacity = 0;

    while (groups && !own && getline(&line, &capacity, groups) > 0)
        if (strncmp(line, "0::", 3) == 0)
            own = xstrndup(line + 3, strcspn(line + 3, "\n"));
    free(line);
    if (groups)
        fclose(groups);
    return own;
}

static bool cgroup_has_word(const char *text, const char *word)
{
    const char *at = strstr(text, word);
    size_t len = strlen(word);

    return at && (at == text || at[-1] == ' ') && (!at[len] || strchr(" \n", at[len]));
}

/* acpd may use a group that it may change and is alone in; a login session contains other
 * processes. */
void cgroup_find(struct cgroup *ret_cgroup)
{
    CLEANUP(freep) char *mount = cgroup_find_mount(), *own = cgroup_find_own();
    CLEANUP(freep) char *path = NULL, *procs = NULL, *self = xasprintf("%d\n", (int)getpid());
    char text[4096];

    *ret_cgroup = (struct cgroup){0};
    if (!mount || !own || strcmp(own, "/") == 0)
        return;
    path = xasprintf("%s%s", mount, own);
    procs = xasprintf("%s/cgroup.procs", path);
    cgroup_read_text(path, "cgroup.procs", text, sizeof(text));
    if (access(path, W_OK) < 0 || access(procs, W_OK) < 0 || strcmp(text, self) != 0)
        return;
    ret_cgroup->path = STEAL(path);
    cgroup_read_text(ret_cgroup->path, "cgroup.controllers", text, sizeof(text));
    ret_cgroup->has_memory = cgroup_has_word(text, "memory");
    ret_cgroup->has_pids = cgroup_has_word(text, "pids");
}

/* Removes leaves of killed keepers. */
static void cgroup_remove_leaves(const struct cgroup *cgroup)
{
    DIR *dir = opendir(cgroup->path);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, LEAF, strlen(LEAF)) == 0)
            unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    if (dir)
        closedir(dir);
}

void cgroup_divide(struct cgroup *cgroup)
{
    CLEANUP(freep) char *main_group = NULL;
    int r;

    if (!cgroup->path)
        return;
    main_group = xasprintf("%s/acpd", cgroup->path);
    r = mkdir(main_group, 0755) < 0 && errno != EEXIST ? -errno : 0;
    if (r == 0)
        r = cgroup_write_text(main_group, "cgroup.procs", "0");
    if (r < 0) {
        log_warning("cannot set up the control group %s: %s", cgroup->path, strerror(-r));
        cgroup_deinit(cgroup);
        return;
    }
    cgroup_remove_leaves(cgroup);
    cgroup->has_memory &= cgroup_write_text(cgroup->path, "cgroup.subtree_control", "+memory") == 0;
    cgroup->has_pids &= cgroup_write_text(cgroup->path, "cgroup.subtree_control", "+pids") == 0;
}

void cgroup_end_leaf(const struct cgroup *cgroup, pid_t keeper)
{
    CLEANUP(freep) char *leaf = NULL;

    if (!cgroup->path)
        return;
    leaf = xasprintf("%s/" LEAF "%d", cgroup->path, (int)keeper);
    cgroup_write_text(leaf, "cgroup.kill", "1");
    rmdir(leaf); /* fails while processes are dying in it; then the next start removes it */
}

void cgroup_deinit(struct cgroup *cgroup)
{
    free(cgroup->path);
    *cgroup = (struct cgroup){0};
}

static char *cgroup_leaf_path(const struct cgroup *cgroup)
{
    return xasprintf("%s/" LEAF "%d", cgroup->path, (int)getpid());
}

static int cgroup_set_limit(const char *leaf, const char *name, int64_t value)
{
    CLEANUP(freep) char *text = xasprintf("%lld", (long long)value);

    return cgroup_write_text(leaf, name, text);
}

int cgroup_enter_leaf(const struct cgroup *cgroup, int64_t memory, int64_t processes)
{
    CLEANUP(freep) char *leaf = cgroup_leaf_path(cgroup);
    int r;

    rmdir(leaf); /* left by a killed keeper with this id */
    r = mkdir(leaf, 0755) < 0 ? -errno : 0;
    if (r == 0 && memory && cgroup->has_memory) {
        r = cgroup_set_limit(leaf, "memory.max", memory);
        cgroup_set_limit(leaf, "memory.swap.max", 0);  /* missing on systems without swap */
        cgroup_set_limit(leaf, "memory.oom.group", 1); /* kill the whole family or nothing */
    }
    if (r == 0 && processes)
        r = cgroup_set_limit(leaf, "pids.max",
                             processes + 1); /* the keeper counts while it starts */
    if (r == 0)
        r = cgroup_write_text(leaf, "cgroup.procs", "0");
    if (r < 0)
        rmdir(leaf);
    return r;
}

int cgroup_leave_leaf(const struct cgroup *cgroup, int64_t processes)
{
    CLEANUP(freep)
    char *leaf = cgroup_leaf_path(cgroup), *home = xasprintf("%s/acpd", cgroup->path);
    int r = cgroup_write_text(home, "cgroup.procs", "0");

    if (r == 0 && processes)
        r = cgroup_set_limit(leaf, "pids.max", processes);
    return r;
}

void cgroup_kill_leaf(const struct cgroup *cgroup)
{
    CLEANUP(freep) char *leaf = cgroup_leaf_path(cgroup);

    cgroup_write_text(leaf, "cgroup.kill",
                      "1"); /* since Linux 5.14; without it, the family is found by scanning */
}

bool cgroup_remove_leaf(const struct cgroup *cgroup)
{
    CLEANUP(freep) char *leaf = cgroup_leaf_path(cgroup);
    const char *reached;
    char text[4096];

    /* "oom": this group's own limit was reached. Kills for other reasons are counted elsewhere. */
    cgroup_read_text(leaf, "memory.events", text, sizeof(text));
    reached = strstr(text, "\noom ");
    rmdir(leaf);
    return reached && strtoll(reached + strlen("\noom "), NULL, 10) > 0;
}

bool cgroup_has_leaf(const struct cgroup *cgroup)
{
    CLEANUP(freep) char *leaf = cgroup_leaf_path(cgroup);

    return access(leaf, F_OK) == 0 || errno != ENOENT;
}
