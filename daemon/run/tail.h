/* SPDX-License-Identifier: MIT */
/* The last bytes of a stream, in memory bounded by twice their number. */
#pragma once

#include "common/buf.h"

struct tail {
    struct buf bytes;
    size_t limit;
    bool is_cut;
};

void tail_deinit(struct tail *tail);
void tail_add(struct tail *tail, const char *data, size_t len);
/** At most `limit` bytes of valid UTF-8, put into `text`; the tail is empty then. */
void tail_take(struct tail *tail, struct buf *text);
