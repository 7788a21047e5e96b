/* SPDX-License-Identifier: MIT */
/* Default paths and operations on paths. The caller frees each path. */
#pragma once

#include <sys/types.h>

#include "common/macros.h"

/** $XDG_RUNTIME_DIR/acpd.sock; for root, or without that variable, /run/acpd/acpd.sock for root and
 *  /tmp/acpd-UID/acpd.sock for others. */
char *path_default_socket(void);
/** $XDG_STATE_HOME/acpd or ~/.local/state/acpd; for root /var/lib/acpd. */
char *path_default_state(void);
/** $XDG_CONFIG_HOME/acpd/config.json or ~/.config/acpd/config.json; for root
 *  /etc/acpd/config.json. */
char *path_default_config(void);
/** Creates the folder and its missing parents, and syncs the folders that contain them. Existing
 * ones are not changed. */
int path_make_folder(const char *path, mode_t mode);
/** Creates the file if necessary and locks it for as long as the descriptor is open. -EADDRINUSE:
 *  another process has held the lock for two seconds. A process just forked by acpd briefly has
 *  copies of its descriptors, and may outlive acpd by a moment. */
int path_lock(const char *path, int *ret_fd);
/** Finds a program as execvp() would: on `path` (folders separated by colons) or, if its name
 * contains a slash, relative to `cwd` (NULL: the working directory). NULL: not found or not
 * executable. */
char *path_find_program(const char *program, const char *path, const char *cwd);
bool path_is_folder(const char *path);
/** Finds a file installed with this program: the first of these paths that exists, relative to the
 * program's own folder, otherwise the last one. */
char *path_find_own(const char *built, const char *installed);
/** Whether the process runs this program, even if it has been replaced since. For another user's
 *  process, whose program cannot be read, only the name is compared. */
bool path_is_run_by(const char *path, pid_t pid);
/** Whether only this user and root can change the folder that contains `path`. */
bool path_is_guarded(const char *path);
/** The same for the folder itself, or for the target of a link. */
bool path_folder_is_guarded(const char *path);
/** Creates the folder that contains `path`. */
int path_make_parent(const char *path, mode_t mode);
