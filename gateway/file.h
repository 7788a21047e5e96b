/* SPDX-License-Identifier: MIT */
/* Small files named on the command line. */
#pragma once

#include "common/buf.h"

/** Reads a whole file. is_secret: rejects it if users other than its owner and group may read or
 *  write it. -errno with a message that names the file; the caller frees it. */
int file_read(const char *path, bool is_secret, struct buf *ret_data, char **ret_error);
