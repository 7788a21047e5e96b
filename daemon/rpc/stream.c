/* SPDX-License-Identifier: MIT */
#include "rpc/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE   (64 * 1024)
#define INPUT_AHEAD (256 * 1024) /* unhandled bytes at which reading pauses */
#define KEEP_BUFFER (64 * 1024)  /* capacity of each buffer that an idle stream may keep */

void stream_init(struct stream *stream, struct event_base *base, int fd,
                 event_callback_fn on_readable, event_callback_fn on_writable, void *data)
{
    *stream = (struct stream){
        .fd = fd,
        .readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, data),
        .writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, data),
    };
    event_add(stream->readable, NULL);
}

void stream_deinit(struct stream *stream)
{
    event_free(stream->readable);
    event_free(stream->writable);
    close(stream->fd);
    buf_deinit(&stream->in);
    buf_deinit(&stream->out);
}

size_t stream_unhandled(const struct stream *stream)
{
    return stream->in.len - stream->in_at;
}

int stream_read(struct stream *stream, size_t line_limit)
{
    char *room = buf_reserve(&stream->in, READ_SIZE);
    ssize_t n = read(stream->fd, room, READ_SIZE);
    size_t before = stream->in.len;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    stream->in.len += (size_t)n;
    if (n == 0)
        stream->at_eof = true;
    if (n == 0 || memchr(stream->in.data + before, '\n', (size_t)n) ||
        stream_unhandled(stream) > line_limit)
        return 1;
    if (stream->in_scanned == before)
        stream->in_scanned = stream->in.len;
    return 0;
}

bool stream_find_line(struct stream *stream, const char **ret_line, size_t *ret_len)
{
    const char *newline = NULL;

    if (stream->in_scanned < stream->in_at)
        stream->in_scanned = stream->in_at;
    if (stream->in_scanned < stream->in.len)
        newline =
            memchr(stream->in.data + stream->in_scanned, '\n', stream->in.len - stream->in_scanned);
    stream->in_scanned = newline ? (size_t)(newline - stream->in.data) : stream->in.len;
    if (!newline && !(stream->at_eof && stream_unhandled(stream)))
        return false;
    *ret_line = stream->in.data + stream->in_at;
    *ret_len = stream->in_scanned - stream->in_at;
    return true;
}

void stream_take_line(struct stream *stream)
{
    stream->in_at = stream->in_scanned;
    if (stream->in_at < stream->in.len)
        stream->in_at++; /* the newline */
}

void stream_drop_input(struct stream *stream)
{
    stream->in_at = stream->in.len;
}

void stream_tidy(struct stream *stream)
{
    /* At the half, so that each byte is moved once at most. */
    if (stream->in_at < stream->in.len / 2 || !stream->in_at)
        return;
    buf_consume(&stream->in, stream->in_at);
    stream->in_scanned -= stream->in_scanned < stream->in_at ? stream->in_scanned : stream->in_at;
    stream->in_at = 0;
    if (!stream->in.len && stream->in.capacity > KEEP_BUFFER)
        buf_deinit(&stream->in);
}

void stream_set_reading(struct stream *stream, bool wants)
{
    if (wants && !stream->at_eof &&
        (stream_unhandled(stream) < INPUT_AHEAD || stream->in_scanned == stream->in.len))
        event_add(stream->readable, NULL);
    else
        event_del(stream->readable);
}

int stream_send(struct stream *stream)
{
    struct buf *out = &stream->out;

    while (stream->out_sent < out->len) {
        ssize_t n = send(stream->fd, out->data + stream->out_sent, out->len - stream->out_sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return -errno;
        stream->out_sent += (size_t)n;
        stream->sent += (size_t)n;
    }
    /* At the half, so that each byte is moved once at most and what was sent is not kept. */
    if (stream->out_sent >= out->len / 2) {
        buf_consume(out, stream->out_sent);
        stream->out_sent = 0;
    }
    if (out->len) {
        event_add(stream->writable, NULL);
        return 0;
    }
    if (out->capacity > KEEP_BUFFER)
        buf_deinit(out);
    event_del(stream->writable);
    return 0;
}

size_t stream_pending(const struct stream *stream)
{
    return stream->out.len - stream->out_sent;
}

uint64_t stream_position(const struct stream *stream)
{
    return stream->sent + stream_pending(stream);
}

bool stream_has_hung_up(const struct stream *stream)
{
    struct pollfd polled = {.fd = stream->fd};

    return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR));
}
