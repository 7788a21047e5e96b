/* SPDX-License-Identifier: MIT */
/* The last bytes of a stream, using at most twice as much memory. */
#pragma once

#include "common/buf.h"

struct tail {
    struct buf bytes;
    size_t limit;
    bool is_cut;
};

void tail_deinit(struct tail *tail);
void tail_add(struct tail *tail, const char *data, size_t len);
/** Moves at most `limit` bytes of valid UTF-8 into `text`; the tail is then empty. */
void tail_take(struct tail *tail, struct buf *text);
