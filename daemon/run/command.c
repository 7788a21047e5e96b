/* SPDX-License-Identifier: MIT */
#include "run/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/alloc.h"

void command_deinit(struct command *command)
{
    free(command->argv);
    free(command->env);
    if (command->map)
        munmap(command->map, command->map_len);
}

static char **command_take_strings(char **at, const char *end, uint32_t count)
{
    char **strings = xcalloc((size_t)count + 1, sizeof(*strings));

    for (uint32_t i = 0; i < count && *at < end; i++) {
        strings[i] = *at;
        *at += strlen(*at) + 1;
    }
    return strings;
}

int command_load(int fd, struct command *ret_command)
{
    struct wire_spec spec;
    struct stat info;
    char *map, *at;

    if (fstat(fd, &info) < 0)
        return -errno;
    map = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    ret_command->map = map;
    ret_command->map_len = (size_t)info.st_size;
    memcpy(&spec, map, sizeof(spec));
    at = map + sizeof(spec);
    ret_command->argv = command_take_strings(&at, map + info.st_size, spec.argc);
    ret_command->env = command_take_strings(&at, map + info.st_size, spec.envc);
    ret_command->cwd = spec.has_cwd ? at : NULL;
    ret_command->grace_ms = spec.grace_ms;
    ret_command->limits = spec.limits;
    return 0;
}

/* The inherited environment, changed for a command. The array is allocated, its strings are not. */
struct environment {
    char **entries; /* NULL-terminated */
    size_t count;
};

/* Removes the variable of "NAME" or "NAME=value". */
static void command_environment_unset(struct environment *environment, const char *entry)
{
    size_t len = strcspn(entry, "="), kept = 0;

    for (size_t i = 0; i < environment->count; i++) {
        char *other = environment->entries[i];

        if (strncmp(other, entry, len) != 0 || other[len] != '=')
            environment->entries[kept++] = other;
    }
    environment->count = kept;
    environment->entries[kept] = NULL;
}

static void command_environment_set(struct environment *environment, char *entry)
{
    command_environment_unset(environment, entry);
    environment->entries[environment->count++] = entry;
    environment->entries[environment->count] = NULL;
}

/* pwd: "PWD=folder"; NULL: unknown. */
static void command_environment_init(struct environment *environment, char *pwd, char **changes)
{
    size_t inherited = 0, changed = 0;

    while (environ[inherited])
        inherited++;
    while (changes[changed])
        changed++;
    environment->entries = xcalloc(inherited + changed + 2, sizeof(*environment->entries));
    memcpy(environment->entries, environ, inherited * sizeof(*environment->entries));
    environment->count = inherited;
    command_environment_unset(environment, "OLDPWD");
    command_environment_unset(environment, "PWD");
    if (pwd)
        command_environment_set(environment, pwd);
    for (; *changes; changes++) {
        if (!strchr(*changes, '='))
            command_environment_unset(environment, *changes);
        else if (**changes != '=')
            command_environment_set(environment, *changes);
    }
}

/* With the command's own PATH, which posix_spawnp() takes from the caller's environment. */
static int command_execute(const struct command *command, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attributes, pid_t *ret_pid)
{
    CLEANUP(freep) char *folder = command->cwd ? NULL : getcwd(NULL, 0);
    CLEANUP(freep) char *pwd = NULL;
    char **inherited = environ;
    struct environment environment = {0};
    int r;

    if (command->cwd || folder)
        pwd = xasprintf("PWD=%s", command->cwd ? command->cwd : folder);
    command_environment_init(&environment, pwd, command->env);
    environ = environment.entries;
    r = posix_spawnp(ret_pid, command->argv[0], actions, attributes, command->argv, environ);
    environ = inherited;
    free(environment.entries);
    return r;
}

int command_spawn(const struct command *command, const int fds[START_FDS], pid_t *ret_pid)
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
        r = command_execute(command, &actions, &attributes, ret_pid);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return -r;
}
