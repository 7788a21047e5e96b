/* SPDX-License-Identifier: MIT */
/* Where things are when the user says nothing. The caller frees each path. */
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
/** Makes the folder and its missing parents, and syncs what they were made in. Existing ones are
 * left as they are. */
int path_make_folder(const char *path, mode_t mode);
/** Creates the file if need be and locks it for as long as the descriptor is open. -EADDRINUSE:
 *  somebody else holds it, and has for two seconds. A process that acpd has just forked has copies
 *  of its descriptors for a moment, and may have them a little longer than acpd lives. */
int path_lock(const char *path, int *ret_fd);
/** Where a program is, as execvp() would find it: on `path` (colons between folders), or, with a
 * slash in it, from `cwd` (NULL: the working directory) on. NULL: nowhere, or it may not be
 * executed. */
char *path_find_program(const char *program, const char *path, const char *cwd);
bool path_is_folder(const char *path);
/** Where something is that comes with this program: the first of these paths that is there, looked
 * for from the program's own folder on; the last one when none is. */
char *path_find_own(const char *built, const char *installed);
/** Whether the process runs this program, which may have been replaced since. Of another user's
 *  process, whose program may not be looked at, only its name is compared. */
bool path_is_run_by(const char *path, pid_t pid);
/** Whether only this user and root can change what is in the folder that holds `path`. */
bool path_is_guarded(const char *path);
/** The same of the folder itself, or of the one that a link names. */
bool path_folder_is_guarded(const char *path);
/** Makes the folder that holds `path`. */
int path_make_parent(const char *path, mode_t mode);
