/* SPDX-License-Identifier: MIT */
/*
 * A client's bytes: whole lines in, output out. Does not interpret them.
 *
 * The owner provides the callbacks of both events, which call stream_read() and stream_send().
 */
#pragma once

#include <event2/event.h>

#include "common/buf.h"

struct stream {
    int fd;
    struct event *readable, *writable;

    struct buf in;
    size_t in_at;      /* where the next line starts */
    size_t in_scanned; /* no newline before this */
    bool at_eof;       /* the client has shut down writing */

    struct buf out;
    size_t out_sent; /* of it */
    uint64_t sent;   /* total bytes sent */
};

/** Takes ownership of the descriptor. */
void stream_init(struct stream *stream, struct event_base *base, int fd,
                 event_callback_fn on_readable, event_callback_fn on_writable, void *data);
void stream_deinit(struct stream *stream);

/** Reads what is available. 1: a line may be complete, the input has ended, or more than
 * `line_limit` bytes have arrived without a newline. -errno: the stream is broken. */
MUST_CHECK int stream_read(struct stream *stream, size_t line_limit);
/** The next whole line, without its newline, or what is left at the end of the input. */
bool stream_find_line(struct stream *stream, const char **ret_line, size_t *ret_len);
/** Marks the line as handled. */
void stream_take_line(struct stream *stream);
/** Discards all other input. */
void stream_drop_input(struct stream *stream);
/** Frees the space of handled lines. */
void stream_tidy(struct stream *stream);
/** Bytes read but not handled. */
size_t stream_unhandled(const struct stream *stream);
/** Starts or stops reading; an incomplete line is always read to its end. */
void stream_set_reading(struct stream *stream, bool wants);

/** Sends the output; the rest waits for on_writable. -errno: broken. */
MUST_CHECK int stream_send(struct stream *stream);
/** Bytes not sent yet. */
size_t stream_pending(const struct stream *stream);
/** The value of `sent` once everything added so far has been sent. */
uint64_t stream_position(const struct stream *stream);
/** Whether the client has closed the connection. */
bool stream_has_hung_up(const struct stream *stream);
