/* SPDX-License-Identifier: MIT */
/* A client: pipelines calls, in lines and batches, whose bytes may arrive in pieces. */
#pragma once

#include "request.h"
#include "common/json.h"

#define BATCH_MAX 8

/* A line that was sent and is not answered yet. */
struct line {
    struct request requests[BATCH_MAX];
    size_t count;
    bool is_batch;
};

struct peer {
    int fd; /* -1: not connected */
    struct buf out, in;
    struct line *lines; /* the oldest first */
    size_t line_count;
    bool is_leaving; /* it has nothing more to say */
};

void peer_connect(struct peer *peer);
/** Hangs up: open calls may have taken effect. */
void peer_drop(struct peer *peer);
/** Asks nothing more: acpd closes the connection after its last reply. */
void peer_leave(struct peer *peer);
/** Adds calls to the output: a line each, or one batch. */
void peer_add(struct peer *peer, const struct request *requests, size_t count, bool is_batch);
/** Sends at most `max` bytes of the output. */
void peer_send(struct peer *peer, size_t max);
/** Reads and checks the replies that have arrived. */
void peer_read(struct peer *peer);
/** Sends a request, runs passes until it is answered, and returns the reply. */
struct json_object *peer_ask(struct peer *peer, const char *method, const char *params);
/** The same, and returns the result, which there must be. */
struct json_object *peer_call(struct peer *peer, const char *method, const char *params);
