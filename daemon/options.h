/* SPDX-License-Identifier: MIT */
/* The command line of acpd. */
#pragma once

#include "common/macros.h"

struct options {
    char *config, *socket, *state_dir;
    bool config_is_default, socket_is_default, check;
    const char *command, *file; /* NULL: none, run the daemon */
    char *from, *to;            /* of `migrate` */
};

/** Parses the command line, sets up the log and fills in the defaults; prints an error, the usage
 *  or the version, and exits, if that is all there is to do. */
void options_parse(int argc, char **argv, struct options *options);
void options_deinit(struct options *options);
/** The configuration file; NULL: the built-in configuration, as the default file does not exist. */
const char *options_config_path(const struct options *options);
