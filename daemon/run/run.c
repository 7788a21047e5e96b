/* SPDX-License-Identifier: MIT */
/*
 * acpd's side of a run: three descriptors and what arrives on them.
 *
 * Whatever ends a run, run_settle() records it and activates the run's `ending` event. So on_end
 * is always called directly from the event loop, and nothing is freed while a caller still uses it.
 */
#include "run/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "run/cgroup.h"
#include "run/stderr_lines.h"
#include "run/run_impl.h"

/* Bounds what a callback reads, so that a flood of output does not starve others. */
#define CHUNK  65536
#define CHUNKS 4

#define ERRORS_TAIL (8 * STDERR_LINES_BYTES) /* of stderr, with room for escape sequences */
#define SHOW_MS     250                      /* before an unfinished line is shown */

static char chunk[CHUNK];

static void run_stream_close(struct stream *stream)
{
    if (stream->fd < 0)
        return;
    event_del(&stream->readable);
    close(stream->fd);
    stream->fd = -1;
}

static void run_order(struct run *run, char order)
{
    if (run->control < 0 || run->has_ended)
        return;
    /* If this fails, the keeper is gone, and its family soon will be; or it is not reading. */
    if (send(run->control, &order, sizeof(order), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return;
}

/* Whether the keeper should say something soon: that it has started, or, after an order or when all
 * of the streams are closed, that the run has ended. */
static bool run_is_due(const struct run *run)
{
    bool is_mute = true;

    for (size_t i = 0; i < RUN_STREAMS; i++)
        is_mute = is_mute && run->streams[i].fd < 0;
    return run->control >= 0 && !run->has_ended && (!run->pid || run->is_ordered || is_mute);
}

/* From then on, pings the keeper regularly: a command runs as the same user and could have stopped
 * it. */
static void run_expect(struct run *run)
{
    if (run_is_due(run) && !event_pending(&run->watch.tick, EV_TIMEOUT, NULL))
        event_add(&run->watch.tick, &(struct timeval)WATCH_TIME);
}

static void run_on_watch(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct run *run = data;

    if (!run_is_due(run))
        return;
    if (supervisor_watch_is_over(&run->watch, run->keeper))
        supervisor_condemn(run->supervisor, run);
    else if (!run->keeper && run->watch.asked >= WATCH_TRIES)
        supervisor_look(run->supervisor, run);
    else
        run_order(run, ORDER_ASK);
    run->watch.asked += list_is_empty(&run->unsent_link); /* else nobody knows of it yet */
    run_expect(run);
}

static void run_drop_input(struct run *run)
{
    if (run->input < 0)
        return;
    event_del(&run->writable);
    close(run->input);
    run->input = -1;
    buf_deinit(&run->unwritten);
}

static void run_on_writable(evutil_socket_t fd, short what UNUSED, void *data)
{
    struct run *run = data;
    ssize_t n = write(fd, run->unwritten.data, run->unwritten.len);

    if (n > 0)
        buf_consume(&run->unwritten, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        run_drop_input(run); /* nobody reads it */
    if (run->input < 0 || run->unwritten.len)
        return;
    if (run->input_ends)
        run_drop_input(run);
    else
        event_del(&run->writable);
}

void run_close_input(struct run *run)
{
    run->input_ends = true;
    if (!run->unwritten.len)
        run_drop_input(run);
}

void run_write(struct run *run, const void *data, size_t len)
{
    if (run->input < 0 || !len)
        return;
    buf_add(&run->unwritten, data, len);
    event_add(&run->writable, NULL);
}

size_t run_unread(const struct run *run)
{
    return run->unwritten.len;
}

struct run_log *run_get_log(struct run *run)
{
    return run->log;
}

void run_set_log(struct run *run, const char *path, int64_t limit)
{
    run_log_end(run->log);
    run_log_free(run->log);
    run->log = run_log_new(path, limit);
    buf_clear(&run->errors.bytes);
}

struct event_base *run_get_base(struct run *run)
{
    return run->supervisor->base;
}

static void run_close_control(struct run *run)
{
    if (run->control < 0)
        return;
    event_del(&run->controlled);
    close(run->control);
    run->control = -1;
}

static void run_free(struct run *run)
{
    if (!run)
        return;
    list_remove(&run->link);
    list_remove(&run->unsent_link);
    for (size_t i = 0; i < RUN_STREAMS; i++)
        run_stream_close(&run->streams[i]);
    run_close_control(run);
    supervisor_close_start_fds(run);
    run_drop_input(run);
    event_del(&run->ending);
    event_del(&run->showing);
    event_del(&run->watch.tick);
    run_log_free(run->log);
    tail_deinit(&run->tail);
    tail_deinit(&run->errors);
    last_line_deinit(&run->last_line);
    free(run->message);
    free(run->program);
    free(run);
}

/* Reads up to `len` bytes and returns their number; 0: no more for now. */
static size_t run_stream_read(struct stream *stream, size_t len)
{
    ssize_t n = read(stream->fd, chunk, len < CHUNK ? len : CHUNK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        run_stream_close(stream);
        run_expect(stream->run);
        return 0;
    }
    if (stream->which == RUN_STDOUT && stream->run->is_dialog) {
        stream->run->handler.on_output(stream->run, chunk, (size_t)n, stream->run->handler.data);
        return (size_t)n;
    }
    if (stream->which == RUN_STDOUT) {
        tail_add(&stream->run->tail, chunk, (size_t)n);
        last_line_add(&stream->run->last_line, chunk, (size_t)n);
    } else {
        tail_add(&stream->run->errors, chunk, (size_t)n);
    }
    run_log_add(stream->run->log, stream->which, chunk, (size_t)n);
    return (size_t)n;
}

/* Writes the log; unfinished lines follow after SHOW_MS. */
static void run_write_log(struct run *run)
{
    int64_t left = run_log_show(run->log, SHOW_MS);

    run_log_flush(run->log);
    if (left >= 0 && !event_pending(&run->showing, EV_TIMEOUT, NULL))
        event_add(&run->showing, &(struct timeval){left / 1000, left % 1000 * 1000});
    if (run->handler.on_log)
        run->handler.on_log(run, run->handler.data);
}

static void run_on_showing(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    run_write_log(data);
}

static void run_stream_on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct stream *stream = data;
    int left = CHUNKS;

    while (left-- && run_stream_read(stream, CHUNK)) {
    }
    if (stream->which == RUN_STDOUT && stream->run->is_dialog)
        run_log_flush(stream->run->log); /* what on_output added */
    else
        run_write_log(stream->run);
}

/* Reads only what is in the pipe now, which is all that the family wrote. It does not wait for end
 * of file: a process outside the family may hold the writing end. */
static void run_stream_drain(struct stream *stream)
{
    int held = 0;
    size_t left, n;

    if (stream->fd < 0 || ioctl(stream->fd, FIONREAD, &held) < 0)
        return;
    for (left = (size_t)held; left && (n = run_stream_read(stream, left)); left -= n) {
    }
}

static void run_on_ending(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct run *run = data;
    CLEANUP(buf_deinit) struct buf output = {0}, errors = {0};
    CLEANUP(freep) char *lines = NULL;
    const char *newline = NULL;

    for (size_t i = 0; i < RUN_STREAMS; i++)
        run_stream_drain(&run->streams[i]);
    run_log_end(run->log);
    tail_take(&run->tail, &output);
    run->end.output = buf_text(&output);
    run->end.output_len = output.len;
    tail_take(&run->errors, &errors);
    if (run->errors.is_cut &&
        errors.len > STDERR_LINES_BYTES) /* the cut may be within an escape sequence */
        newline = memchr(errors.data, '\n', errors.len - STDERR_LINES_BYTES);
    if (newline)
        buf_consume(&errors, (size_t)(newline - errors.data));
    lines = stderr_lines(buf_text(&errors), errors.len);
    run->end.stderr_lines = lines;
    run->end.line = run->last_line.text.data;
    run->end.line_len = run->last_line.text.len;
    run->end.line_is_over = run->last_line.is_over;
    run->end.message = run->message;
    list_remove(&run->link);
    run->handler.on_end(run, &run->end, run->handler.data);
    run_free(run);
}

static void run_settle(struct run *run, enum run_outcome outcome, int code)
{
    if (run->has_ended)
        return;
    run->has_ended = true;
    run->end.outcome = outcome;
    run->end.code = code;
    list_remove(&run->unsent_link);
    event_active(&run->ending, EV_TIMEOUT, 0);
}

/* With the usual message. */
static void run_refuse(struct run *run, int error)
{
    if (!run->has_ended)
        run->message = xasprintf("cannot start \"%s\": %s", run->program, strerror(error));
    run_settle(run, RUN_NOT_STARTED, error);
}

/* If the keeper had another run before, that has ended, even if its last word is still unread. */
static void run_take_keeper(struct run *run, pid_t keeper)
{
    list_for_each (link, &run->supervisor->runs) {
        struct run *other = list_entry(link, struct run, link);

        if (other->keeper == keeper)
            other->keeper = 0;
    }
    run->keeper = keeper;
}

static void run_take_word(struct run *run, const struct keeper_message *message)
{
    int status = message->value;

    run->watch.asked = 0;
    switch (message->word) {
    case KEEPER_STARTING:
        run->supervisor->watch.asked = 0; /* it has passed the run on, so it is alive */
        run_take_keeper(run, (pid_t)message->value);
        return;
    case KEEPER_STARTED:
        run->pid = (pid_t)message->value;
        if (!run_is_due(run))
            event_del(&run->watch.tick);
        return;
    case KEEPER_NOT_STARTED:
        if (!run->has_ended)
            run->message = xstrdup(message->text);
        run_settle(run, RUN_NOT_STARTED, message->value);
        return;
    case KEEPER_GONE:
        if (message->text[0] && !run->has_ended)
            run->message = xstrdup(message->text);
        if (WIFSIGNALED(status))
            run_settle(run, RUN_SIGNALED, WTERMSIG(status));
        else
            run_settle(run, RUN_EXITED, WEXITSTATUS(status));
        return;
    case KEEPER_ORPHANED:
        run_settle(run, RUN_LOST, 0);
        return;
    case KEEPER_ALIVE:
        return;
    }
}

static void run_on_control(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct run *run = data;
    struct keeper_message message = {0};
    ssize_t n;

    /* If a keeper exits without reading an order, the connection is reset. That error is reported
     * once, before the messages that the keeper sent. */
    while ((n = recv(run->control, &message, sizeof(message) - 1, MSG_DONTWAIT)) > 0 ||
           (n < 0 && errno == ECONNRESET)) {
        if (n < 0)
            continue;
        message.text[sizeof(message.text) - 1] = '\0';
        run_take_word(run, &message);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* The keeper is gone. If it did not report an end, it was killed: its family may be alive, and
     * the supervisor, or its burial, will report when it is gone. */
    run_close_control(run);
    if (!run->has_ended)
        supervisor_expect(run->supervisor);
}

static void run_hear(struct run *run)
{
    if (run->control >= 0)
        run_on_control(run->control, EV_READ, run);
}

static void run_lose(struct run *run)
{
    run_hear(run);
    run_settle(run, RUN_LOST, 0);
}

static int run_memory_file(const char *name, const void *data, size_t len, int *ret_fd)
{
    CLEANUP(closep) int fd = memfd_create(name, MFD_CLOEXEC);
    size_t done = 0;

    if (fd < 0)
        return -errno;
    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

static uint32_t run_add_strings(struct buf *buf, const char *const *strings)
{
    uint32_t count = 0;

    for (; strings && strings[count]; count++)
        buf_add(buf, strings[count], strlen(strings[count]) + 1);
    return count;
}

static int run_spec_file(const struct run_spec *spec, int *ret_fd)
{
    struct wire_spec header = {
        .limits = spec->limits, .grace_ms = spec->grace_ms, .has_cwd = spec->cwd != NULL};
    struct buf strings = {0};
    int r;

    buf_add(&strings, &header, sizeof(header));
    header.argc = run_add_strings(&strings, spec->argv);
    header.envc = run_add_strings(&strings, spec->env);
    if (spec->cwd)
        buf_add(&strings, spec->cwd, strlen(spec->cwd) + 1);
    memcpy(strings.data, &header, sizeof(header));
    r = run_memory_file("acpd-spec", strings.data, strings.len, ret_fd);
    buf_deinit(&strings);
    return r;
}

static int run_open_stream(struct run *run, enum run_stream which, int *ret_writer)
{
    struct stream *stream = &run->streams[which];
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ret_writer = ends[1];
    stream->fd = ends[0];
    event_assign(&stream->readable, run->supervisor->base, stream->fd, EV_READ | EV_PERSIST,
                 run_stream_on_readable, stream);
    /* Only this end: the command's stdout must be blocking. */
    if (fcntl(stream->fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return event_add(&stream->readable, NULL) < 0 ? -ENOMEM : 0;
}

/* The command's end is blocking, ours is not. */
static int run_open_dialog(struct run *run)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    run->start_fds[START_STDIN] = ends[0];
    run->input = ends[1];
    event_assign(&run->writable, run->supervisor->base, run->input, EV_WRITE | EV_PERSIST,
                 run_on_writable, run);
    return fcntl(run->input, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int run_open(struct run *run, const struct run_spec *spec)
{
    struct supervisor *supervisor = run->supervisor;
    int pair[2];
    int r;

    if (!spec->argv || !spec->argv[0])
        return -EINVAL;
    if (supervisor->command < 0)
        return -EPIPE;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    run->control = pair[0];
    run->start_fds[START_CONTROL] = pair[1];
    event_assign(&run->controlled, supervisor->base, run->control, EV_READ | EV_PERSIST,
                 run_on_control, run);
    if (event_add(&run->controlled, NULL) < 0)
        return -ENOMEM;
    r = run_open_stream(run, RUN_STDOUT, &run->start_fds[START_STDOUT]);
    if (r == 0)
        r = run_open_stream(run, RUN_STDERR, &run->start_fds[START_STDERR]);
    if (r == 0)
        r = spec->is_dialog ? run_open_dialog(run)
                            : run_memory_file("acpd-input", spec->input, spec->input_len,
                                              &run->start_fds[START_STDIN]);
    if (r == 0)
        r = run_spec_file(spec, &run->start_fds[START_SPEC]);
    return r;
}

static bool run_is_above(__rlimit_resource_t resource, int64_t value)
{
    struct rlimit limit;

    return value && (getrlimit(resource, &limit) < 0 || (rlim_t)value > limit.rlim_max);
}

const char *run_limits_check(const struct run_limits *limits, const struct cgroup *cgroup,
                             const char **ret_reason)
{
    *ret_reason =
        "it needs a control group (cgroup v2) that acpd may change, with the pids controller";
    if (limits->processes && !(cgroup->path && cgroup->has_pids))
        return "processes";
    *ret_reason = "it is above the hard limit of this system";
    if (run_is_above(RLIMIT_NOFILE, limits->open_files))
        return "openFiles";
    if (limits->cpu_s && run_is_above(RLIMIT_CPU, limits->cpu_s + RUN_CPU_GRACE_S))
        return "cpuTime";
    if (!(cgroup->path && cgroup->has_memory) && run_is_above(RLIMIT_AS, limits->memory))
        return "memory";
    return NULL;
}

static const struct run_ops run_ops = {
    .refuse = run_refuse, .hear = run_hear, .lose = run_lose, .free = run_free};

struct run *run_start(struct supervisor *supervisor, const struct run_spec *spec,
                      const struct run_handler *handler)
{
    struct run *run = xcalloc(1, sizeof(*run));
    int r;

    run->ops = &run_ops;
    run->supervisor = supervisor;
    run->id = ++supervisor->last_id;
    run->handler = *handler;
    run->control = -1;
    run->is_dialog = spec->is_dialog;
    run->input = -1;
    list_init(&run->unsent_link);
    for (size_t i = 0; i < START_FDS; i++)
        run->start_fds[i] = -1;
    for (size_t i = 0; i < RUN_STREAMS; i++)
        run->streams[i] = (struct stream){.run = run, .which = (enum run_stream)i, .fd = -1};
    event_assign(&run->ending, supervisor->base, -1, 0, run_on_ending, run);
    event_assign(&run->showing, supervisor->base, -1, 0, run_on_showing, run);
    event_assign(&run->watch.tick, supervisor->base, -1, 0, run_on_watch, run);
    run->tail.limit = spec->tail_limit;
    run->errors.limit = ERRORS_TAIL;
    run->last_line.limit = spec->line_limit;
    run->program = xstrdup(spec->argv && spec->argv[0] ? spec->argv[0] : "");
    run->log = run_log_new(spec->log_path, spec->log_limit);
    list_append(&supervisor->runs, &run->link);
    r = run_open(run, spec);
    if (r == 0)
        supervisor_send_start(supervisor, run);
    else
        run_refuse(run, -r);
    run_expect(run);
    return run;
}

void run_stop(struct run *run)
{
    if (!run->stop_sent)
        run_order(run, ORDER_STOP);
    run->stop_sent = run->is_ordered = true;
    run_expect(run);
}

void run_kill(struct run *run)
{
    run_order(run, ORDER_KILL);
    run->is_ordered = true;
    run_expect(run);
}

pid_t run_pid(const struct run *run)
{
    return run->pid;
}

uint64_t run_id(const struct run *run)
{
    return run->id;
}
