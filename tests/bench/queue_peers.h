/* SPDX-License-Identifier: MIT */
/* What queue-client says to each server, and what it expects to hear. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

#define JOB_TEXT_MAX 128

/* What a connection knows of the job that it works on. */
struct job {
    uint64_t call; /* number of this request */
    const struct buf *payload;
    char id[JOB_TEXT_MAX];    /* of the job that was claimed */
    char lease[JOB_TEXT_MAX]; /* its token */
};

struct step {
    void (*add_request)(struct buf *buf, const struct job *job);
    /** Bytes of the first reply; 0: it has not arrived as a whole. */
    size_t (*size_reply)(const char *data, size_t len);
    /** Whether it acknowledges the request; takes from it what the next step needs. */
    bool (*take_reply)(struct job *job, const char *data, size_t len);
    /** Whether the request has to be made again; NULL: never. */
    bool (*is_futile)(const char *data, size_t len);
};

/* A put alone is the first step; a life is all of them. */
#define STEPS 3

struct peer {
    const char *name;
    struct step steps[STEPS]; /* put, claim, complete */
    /** What a new connection sends first; NULL: nothing. */
    void (*add_greeting)(struct buf *buf);
    /** Bytes of the reply to it; 0: it has not arrived as a whole. NULL: there is none. */
    size_t (*size_welcome)(const char *data, size_t len);
};

/** NULL: there is none. */
const struct peer *peer_find(const char *name);
