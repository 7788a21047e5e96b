/* SPDX-License-Identifier: MIT */
/*
 * A client's bytes: whole lines in, output out. It does not know what they mean.
 *
 * The owner gives the callbacks of both events; they call stream_read() and stream_send().
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
    bool at_eof;       /* the client sends nothing more */

    struct buf out;
    size_t out_sent; /* of it */
    uint64_t sent;   /* bytes that have left, ever */
};

/** Takes the descriptor over. */
void stream_init(struct stream *stream, struct event_base *base, int fd,
                 event_callback_fn on_readable, event_callback_fn on_writable, void *data);
void stream_deinit(struct stream *stream);

/** Reads what there is. 1: a line may be complete, or the input has ended, or more than
 * `line_limit` bytes have come without a newline. -errno: the stream is broken. */
int stream_read(struct stream *stream, size_t line_limit);
/** The next whole line, without its newline, or what is left at the end of the input. */
bool stream_find_line(struct stream *stream, const char **ret_line, size_t *ret_len);
/** The line that was found has been handled. */
void stream_take_line(struct stream *stream);
/** Ignores whatever else has come. */
void stream_drop_input(struct stream *stream);
/** Gives back the room of lines that were handled. */
void stream_tidy(struct stream *stream);
/** Bytes that were read and not handled. */
size_t stream_unhandled(const struct stream *stream);
/** Reads on, or stops: a line that is not complete is read to its end in any case. */
void stream_set_reading(struct stream *stream, bool wants);

/** Sends what there is; what the socket does not take waits for on_writable. -errno: broken. */
int stream_send(struct stream *stream);
/** Bytes that have yet to leave. */
size_t stream_pending(const struct stream *stream);
/** What `sent` will be once all that was added so far has left. */
uint64_t stream_position(const struct stream *stream);
/** Whether the client has closed its end for good. */
bool stream_has_hung_up(const struct stream *stream);
