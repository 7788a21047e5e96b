/* SPDX-License-Identifier: MIT */
/* The command of a run, as a keeper reads it from acpd and executes it. */
#pragma once

#include "run/wire.h"

struct command {
    char *map; /* into which the strings point */
    size_t map_len;
    struct run_limits limits;
    char **argv, **env; /* NULL-terminated */
    const char *cwd;
    int64_t grace_ms;
};

/** Reads it from a memory file; see struct wire_spec. Returns a negative errno on failure. */
MUST_CHECK int command_load(int fd, struct command *ret_command);
void command_deinit(struct command *command);

/** Starts it in the folder of the caller, with the caller's environment as the command changes it,
 *  in a session of its own, with default signals, and with only the descriptors 0 to 2: all others
 *  must be O_CLOEXEC. Returns a negative errno on failure. */
MUST_CHECK int command_spawn(const struct command *command, const int fds[START_FDS],
                             pid_t *ret_pid);
