/* SPDX-License-Identifier: MIT */
/*
 * The last non-empty line of a stream, kept if it may be a JSON object: up to `limit` bytes of a
 * line that starts like one (after a byte order mark), only the first byte of others.
 */
#pragma once

#include "common/buf.h"

struct last_line {
    struct buf text; /* without leading white space and line end */
    size_t limit;
    bool is_open; /* its end has not arrived */
    bool is_over; /* it starts like an object and exceeds the limit */
};

void last_line_deinit(struct last_line *line);
void last_line_add(struct last_line *line, const char *data, size_t len);
