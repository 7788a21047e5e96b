/* SPDX-License-Identifier: MIT */
/* The small files that the command line names. */
#pragma once

#include "common/buf.h"

/** Reads a whole file. is_secret: it is refused when others than its owner and group may read or
 *  write it. -errno with a message, to be freed, that names the file. */
int file_read(const char *path, bool is_secret, struct buf *ret_data, char **ret_error);
