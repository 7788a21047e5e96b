/* SPDX-License-Identifier: MIT */
/*
 * The last line of a stream that is not empty, as far as it may be an object of JSON: of a line
 * that begins like one, byte order mark included, up to `limit` bytes; of another its first.
 */
#pragma once

#include "common/buf.h"

struct last_line {
    struct buf text; /* without the white space before it, nor its end */
    size_t limit;
    bool is_open; /* its end has not been seen */
    bool is_over; /* it begins like an object and is longer than the limit */
};

void last_line_deinit(struct last_line *line);
void last_line_add(struct last_line *line, const char *data, size_t len);
