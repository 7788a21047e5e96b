/* SPDX-License-Identifier: MIT */
/* The socket that clients connect to, and its file: acpd's own, or a service manager's. */
#pragma once

#include "common/macros.h"

struct listener {
    int fd, lock_fd; /* -1: none */
    char *path; /* of the file that acpd removes at its end; NULL: it belongs to the service manager
                 */
    bool is_shared; /* users other than its owner and root may connect, if they can open the file */
};

/**
 * Binds the path and listens. A lock file next to it ensures that only one daemon serves it; a
 * socket left by a crash is replaced. group: may also use it, or NULL. -EADDRINUSE: another daemon
 * has it. On failure *ret_error is a message for the user; the caller frees it.
 */
MUST_CHECK int listener_bind(const char *path, const char *group, struct listener *ret_listener,
                             char **ret_error);
/** Adopts a listening descriptor from a service manager. *ret_path is the path of its file; -EINVAL
 *  with a message if acpd cannot serve it. The caller frees both. */
MUST_CHECK int listener_adopt(int fd, struct listener *ret_listener, char **ret_path,
                              char **ret_error);
/** Stops listening. Clients of a service manager's socket wait for the next acpd. */
void listener_close(struct listener *listener);
void listener_deinit(struct listener *listener);
