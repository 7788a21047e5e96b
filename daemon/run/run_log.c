/* SPDX-License-Identifier: MIT */
#include "run/run_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/log.h"
#include "common/utf8.h"

#define FLUSH_AT      65536
#define FOLDER_LEVELS 2

/* An unfinished line. Of a progress bar redrawn with CR, only the last state. */
struct half {
    struct buf text;   /* the part not written yet */
    bool is_continued; /* its beginning was written */
    int64_t since;     /* when `text` began, monotonic ms */
};

struct run_log {
    char *path;
    int fd; /* -1: no log, or abandoned */
    int64_t limit;
    int64_t written; /* bytes known to be in the file */
    bool is_cut;
    char now[CLOCK_ISO_SIZE];
    struct buf out;
    struct half halves[RUN_STREAMS];
};

static void run_log_give_up(struct run_log *log, const char *verb)
{
    log_warning("cannot %s the run's log %s: %s", verb, log->path, strerror(errno));
    closep(&log->fd);
    log->fd = -1;
}

static int run_log_make_folder_of(const char *path, int levels)
{
    CLEANUP(freep) char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    int r;

    if (!slash || slash == folder)
        return -ENOENT;
    *slash = '\0';
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT || levels <= 1)
        return -errno;
    r = run_log_make_folder_of(folder, levels - 1);
    if (r < 0)
        return r;
    return mkdir(folder, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int run_log_open_anew(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

struct run_log *run_log_new(const char *path, int64_t limit)
{
    struct run_log *log = xcalloc(1, sizeof(*log));

    log->limit = limit;
    log->fd = -1;
    if (!path)
        return log;
    log->path = xstrdup(path);
    log->fd = run_log_open_anew(path);
    if (log->fd < 0 && errno == ENOENT) {
        int r = run_log_make_folder_of(path, FOLDER_LEVELS);

        if (r == 0)
            log->fd = run_log_open_anew(path);
        else
            errno = -r;
    }
    if (log->fd < 0)
        run_log_give_up(log, "open");
    return log;
}

void run_log_free(struct run_log *log)
{
    if (!log)
        return;
    closep(&log->fd);
    buf_deinit(&log->out);
    for (size_t i = 0; i < RUN_STREAMS; i++)
        buf_deinit(&log->halves[i].text);
    free(log->path);
    free(log);
}

void run_log_flush(struct run_log *log)
{
    size_t done = 0;

    while (log->fd >= 0 && done < log->out.len) {
        ssize_t n = write(log->fd, log->out.data + done, log->out.len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = errno;

            /* Do not leave half an entry. */
            if (ftruncate(log->fd, log->written) < 0)
                log_debug("cannot truncate the run's log %s: %s", log->path, strerror(errno));
            errno = error;
            run_log_give_up(log, "write");
            break;
        }
        done += (size_t)n;
    }
    if (log->fd >= 0)
        log->written += (int64_t)done;
    buf_clear(&log->out);
}

static void run_log_print(struct run_log *log, const char *stream, const char *text, size_t len,
                          const char *member, const char *json)
{
    struct buf *out = &log->out;
    size_t cut = utf8_cut(text, len, RUN_LOG_ENTRY);
    bool has_room = !member || strlen(json) <= RUN_LOG_ENTRY;

    json_out_object(out, NULL);
    json_out_text(out, "at", log->now);
    json_out_text(out, "stream", stream);
    json_out_string(out, "text", text, cut);
    if (member && has_room)
        json_out_raw(out, member, json);
    if (cut < len || !has_room)
        json_out_bool(out, "truncated", true);
    json_out_end_object(out);
    buf_add_char(out, '\n');
}

static void run_log_put(struct run_log *log, const char *stream, const char *text, size_t len,
                        const char *member, const char *json)
{
    size_t before = log->out.len;

    if (log->is_cut)
        return;
    run_log_print(log, stream, text, len, member, json);
    if (log->written + (int64_t)log->out.len > log->limit) {
        char mark[96];
        int n = snprintf(mark, sizeof(mark), "log cut at %lld bytes; later output was dropped",
                         (long long)log->limit);

        log->out.len = before;
        run_log_print(log, "acpd", mark, (size_t)n, NULL, NULL);
        log->is_cut = true;
    }
    if (log->out.len >= FLUSH_AT)
        run_log_flush(log);
}

static void run_log_entry(struct run_log *log, enum run_stream stream, const char *text, size_t len,
                          bool is_continued)
{
    static const char *const names[] = {[RUN_STDOUT] = "stdout", [RUN_STDERR] = "stderr"};

    run_log_put(log, names[stream], text, len, is_continued ? "continues" : NULL, "true");
}

void run_log_note(struct run_log *log, const char *stream, const char *text, size_t len,
                  const char *member, const char *json)
{
    if (log->fd < 0)
        return;
    clock_format_iso(clock_wall_ms(), log->now);
    run_log_put(log, stream, text, len, member, json);
}

/* Where to cut without splitting a character: at RUN_LOG_LINE or up to three bytes before. */
static size_t run_log_piece_length(const char *text)
{
    for (size_t back = 1; back <= 3; back++) {
        unsigned char c = (unsigned char)text[RUN_LOG_LINE - back];
        size_t width = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

        if ((c & 0xc0) != 0x80)
            return width > back ? RUN_LOG_LINE - back : RUN_LOG_LINE;
    }
    return RUN_LOG_LINE;
}

/* Writes whole pieces of a long line until at most `keep` bytes are left; returns the bytes
 * written. */
static size_t run_log_pieces(struct run_log *log, enum run_stream stream, const char *text,
                             size_t len, size_t keep)
{
    struct half *half = &log->halves[stream];
    size_t done = 0;

    while (len - done > keep) {
        size_t piece = run_log_piece_length(text + done);

        run_log_entry(log, stream, text + done, piece, half->is_continued);
        half->is_continued = true;
        done += piece;
    }
    return done;
}

static size_t run_log_without_crs(const char *text, size_t len)
{
    while (len && text[len - 1] == '\r')
        len--;
    return len;
}

/* Skips overwritten text: all before the last CR that is followed by text. If the beginning of the
 * overwritten text is already written, writes its end. Returns the bytes consumed. */
static size_t run_log_overdraw(struct run_log *log, enum run_stream stream, const char *text,
                               size_t len)
{
    struct half *half = &log->halves[stream];
    const char *last = memrchr(text, '\r', run_log_without_crs(text, len)), *first;

    if (!last)
        return 0;
    first = memchr(text, '\r', len);
    if (half->is_continued && first > text)
        run_log_entry(log, stream, text, (size_t)(first - text), true);
    half->is_continued = false;
    return (size_t)(last - text) + 1;
}

/* Writes a complete line; `len` excludes its end. */
static void run_log_line(struct run_log *log, enum run_stream stream, const char *text, size_t len)
{
    struct half *half = &log->halves[stream];
    size_t done = run_log_overdraw(log, stream, text, len);

    len = run_log_without_crs(text, len);
    done += run_log_pieces(log, stream, text + done, len - done, RUN_LOG_LINE);
    if (len > done || !half->is_continued)
        run_log_entry(log, stream, text + done, len - done, half->is_continued);
    half->is_continued = false;
}

/* Adds to an unfinished line. May keep one byte more than a piece: the CR of a line that is
 * exactly full. */
static void run_log_grow(struct run_log *log, enum run_stream stream, const char *data, size_t len)
{
    struct half *half = &log->halves[stream];
    struct buf *text = &half->text;

    if (!text->len)
        half->since = clock_mono_ms();
    buf_add(text, data, len);
    len = run_log_without_crs(text->data, text->len);
    text->len = text->len > len ? len + 1 : len; /* several CRs count as one */
    buf_consume(text, run_log_overdraw(log, stream, text->data, text->len));
    buf_consume(text, run_log_pieces(log, stream, text->data, text->len, RUN_LOG_LINE + 1));
}

void run_log_add(struct run_log *log, enum run_stream stream, const char *data, size_t len)
{
    struct buf *text = &log->halves[stream].text;

    if (log->fd < 0 || log->is_cut)
        return;
    clock_format_iso(clock_wall_ms(), log->now);
    while (len && !log->is_cut) {
        size_t window = len < RUN_LOG_LINE ? len : RUN_LOG_LINE;
        const char *newline = memchr(data, '\n', window);
        size_t taken = newline ? (size_t)(newline - data) : window;

        if (newline && !text->len) {
            run_log_line(log, stream, data, taken);
        } else if (newline) {
            buf_add(text, data, taken);
            run_log_line(log, stream, text->data, text->len);
            buf_clear(text);
        } else {
            run_log_grow(log, stream, data, taken);
        }
        taken += newline != NULL;
        data += taken;
        len -= taken;
    }
}

/* The length without CRs at the end and without an incomplete character. */
static size_t run_log_shown_length(const char *text, size_t len)
{
    size_t end = run_log_without_crs(text, len);

    if (end < len)
        return end;
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)text[len - back];

        if ((c & 0xc0) == 0x80)
            continue;
        return c >= 0xc2 && (c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2) > back ? len - back : len;
    }
    return len;
}

int64_t run_log_show(struct run_log *log, int64_t wait_ms)
{
    int64_t now = clock_mono_ms(), next = -1;

    if (log->fd < 0 || log->is_cut)
        return -1;
    clock_format_iso(clock_wall_ms(), log->now);
    for (int stream = 0; stream < RUN_STREAMS; stream++) {
        struct half *half = &log->halves[stream];
        size_t shown = half->text.len ? run_log_shown_length(half->text.data, half->text.len) : 0;
        int64_t left = half->since + wait_ms - now;

        if (!shown)
            continue;
        if (left > 0) {
            next = next < 0 || left < next ? left : next;
            continue;
        }
        run_log_entry(log, (enum run_stream)stream, half->text.data, shown, half->is_continued);
        half->is_continued = true;
        buf_consume(&half->text, shown);
        half->since = now;
    }
    return next;
}

void run_log_end(struct run_log *log)
{
    clock_format_iso(clock_wall_ms(), log->now);
    for (int stream = 0; stream < RUN_STREAMS; stream++) {
        struct half *half = &log->halves[stream];

        if (log->fd >= 0 && half->text.len)
            run_log_line(log, (enum run_stream)stream, half->text.data, half->text.len);
        buf_clear(&half->text);
    }
    run_log_flush(log);
}
