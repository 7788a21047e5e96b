/* SPDX-License-Identifier: MIT */
/* The socket that clients connect to, and its file: acpd's own, or a service manager's. */
#pragma once

#include "common/macros.h"

struct listener {
    int fd, lock_fd; /* -1: none */
    char *path;      /* of the file that goes when acpd does; NULL: it is the service manager's */
    bool is_shared;  /* others than its owner and root may talk: whoever may open the file */
};

/**
 * Binds the path and listens. A lock file beside it makes sure that one daemon serves it; what a
 * crashed one left behind is replaced. group: may use it too, or NULL. -EADDRINUSE: another daemon
 * has it. On failure *ret_error is a message for the user, to be freed.
 */
int listener_bind(const char *path, const char *group, struct listener *ret_listener,
                  char **ret_error);
/** Takes a descriptor that a service manager listens on. *ret_path: the path of its file, to be
 *  freed. -EINVAL with a message, to be freed, when it is none that acpd can serve. */
int listener_adopt(int fd, struct listener *ret_listener, char **ret_path, char **ret_error);
/** Listens no more. Clients of a service manager's socket wait for the next acpd. */
void listener_close(struct listener *listener);
void listener_deinit(struct listener *listener);
