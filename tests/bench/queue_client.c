/* SPDX-License-Identifier: MIT */
/*
 * Measures acknowledged durable operations per second of acpd and others: puts, or whole lives
 * (put, claim, complete). See queue_peers.c for who they are.
 *
 * A closed loop: each connection sends one request, waits for its acknowledgement, checks it, and
 * sends the next; with a depth, it keeps as many puts under way. One thread and one buffer copy per
 * request keep the client cheap compared with the server. `cpu` in the result is the share of one
 * core that the client used; near 1.0, the client was the bottleneck. `acknowledged` includes the
 * warm-up, so it can be compared with the number of jobs that the server reports.
 *
 * `--peer disk` measures the disk itself: append 4 KiB, fdatasync, repeat.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/macros.h"
#include "queue_peers.h"

#define WARMUP_US        500000
#define SILENCE_MS       10000 /* a server that is silent for this long has failed */
#define READ_SIZE        16384
#define EVENTS           256
#define DISK_BLOCK       4096
#define CONNECTIONS_MAX  10000
#define DEPTH_MAX        10000
#define PAYLOAD_MAX      60000 /* beanstalkd takes jobs of up to 65,535 bytes */
#define SECONDS_MAX      3600.0
#define US_PER_SECOND    1000000.0
#define PERCENT(p, size) ((size_t)((double)((size)-1) * (p) / 100.0))

struct options {
    const char *peer, *socket, *dir;
    int port, connections, payload, depth;
    double seconds;
    bool lives, json;
};

/* The measured time span, and the latencies of the operations that ended in it. */
struct sample {
    int64_t begin_us, end_us; /* begin: after the warm-up */
    uint32_t *latencies;
    size_t count, capacity;
    uint64_t acknowledged; /* warm-up included */
    double cpu_begin;      /* negative until the warm-up is over */
};

/* Replies come in the order of the requests. */
struct conn {
    int fd;
    bool writing; /* waits for EPOLLOUT */
    struct job job;
    size_t step;      /* whose reply comes next */
    int64_t *sent_us; /* a ring: when each operation that is under way began */
    size_t oldest;
    struct buf in, out;
};

struct run {
    const struct options *options;
    const struct peer *peer;
    struct buf payload;
    struct conn *conns;
    int epoll;
    uint64_t last_call;
    struct sample sample;
};

static _Noreturn PRINTF_LIKE(1, 2) void fail(const char *format, ...)
{
    va_list args;

    fputs("queue-client: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

/* ---- the sample ---- */

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / US_PER_SECOND;
}

static void sample_start(struct sample *sample, double seconds)
{
    sample->begin_us = clock_mono_us() + WARMUP_US;
    sample->end_us = sample->begin_us + (int64_t)(seconds * US_PER_SECOND);
    sample->cpu_begin = -1;
}

static void sample_add(struct sample *sample, int64_t start_us, int64_t now_us)
{
    sample->acknowledged++;
    if (now_us < sample->begin_us || now_us >= sample->end_us)
        return;
    if (sample->cpu_begin < 0)
        sample->cpu_begin = cpu_seconds();
    if (sample->count == sample->capacity) {
        sample->capacity = sample->capacity ? sample->capacity * 2 : 65536;
        sample->latencies =
            xrealloc(sample->latencies, sample->capacity * sizeof(*sample->latencies));
    }
    sample->latencies[sample->count++] = (uint32_t)(now_us - start_us);
}

static int compare_latencies(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static void sample_print(struct sample *sample, bool json)
{
    double seconds = (double)(sample->end_us - sample->begin_us) / US_PER_SECOND;
    double cpu = (cpu_seconds() - sample->cpu_begin) / seconds;
    uint32_t p50, p99;

    if (!sample->count)
        fail("nothing was acknowledged in the measured time");
    qsort(sample->latencies, sample->count, sizeof(*sample->latencies), compare_latencies);
    p50 = sample->latencies[PERCENT(50, sample->count)];
    p99 = sample->latencies[PERCENT(99, sample->count)];
    printf(json ? "{\"ops\": %zu, \"seconds\": %.3f, \"p50us\": %" PRIu32 ", \"p99us\": %" PRIu32
                  ", \"acknowledged\": %" PRIu64 ", \"cpu\": %.2f}\n"
                : "%zu operations in %.3f s; p50 %" PRIu32 " us, p99 %" PRIu32 " us; %" PRIu64
                  " with the warm-up; client %.2f of a core\n",
           sample->count, seconds, p50, p99, sample->acknowledged, cpu);
}

/* ---- connections ---- */

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        fail("%s: too long for a socket path", path);
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("%s: %s", path, strerror(errno));
    return fd;
}

static int connect_loopback(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("127.0.0.1:%d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void conn_watch(struct run *run, struct conn *conn, int operation, bool writing)
{
    struct epoll_event event = {
        .events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN,
        .data.ptr = conn,
    };

    if (epoll_ctl(run->epoll, operation, conn->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
    conn->writing = writing;
}

/* Says hello, and waits for the whole answer. */
static void conn_greet(const struct peer *peer, struct conn *conn)
{
    ssize_t n;

    if (!peer->add_greeting)
        return;
    peer->add_greeting(&conn->out);
    n = send(conn->fd, conn->out.data, conn->out.len, MSG_NOSIGNAL);
    if (n != (ssize_t)conn->out.len)
        fail("cannot send the greeting");
    buf_clear(&conn->out);
    while (peer->size_welcome && !peer->size_welcome(conn->in.data, conn->in.len)) {
        n = recv(conn->fd, buf_reserve(&conn->in, READ_SIZE), READ_SIZE, 0);
        if (n <= 0)
            fail("no answer to the greeting");
        conn->in.len += (size_t)n;
    }
    buf_clear(&conn->in);
}

static void conn_open(struct run *run, struct conn *conn)
{
    const struct options *options = run->options;

    conn->fd = options->socket ? connect_unix(options->socket) : connect_loopback(options->port);
    conn_greet(run->peer, conn);
    if (fcntl(conn->fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl: %s", strerror(errno));
    conn_watch(run, conn, EPOLL_CTL_ADD, false);
}

/* Sends what the socket takes now. */
static void conn_flush(struct run *run, struct conn *conn)
{
    ssize_t sent = send(conn->fd, conn->out.data, conn->out.len, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        fail("send: %s", strerror(errno));
    if (sent > 0)
        buf_consume(&conn->out, (size_t)sent);
    if (conn->writing != (conn->out.len > 0))
        conn_watch(run, conn, EPOLL_CTL_MOD, conn->out.len > 0);
}

static void conn_request(struct run *run, struct conn *conn)
{
    conn->job.call = ++run->last_call;
    run->peer->steps[conn->step].add_request(&conn->out, &conn->job);
}

/* Takes the first reply, and adds the request that follows it. */
static void conn_take(struct run *run, struct conn *conn, size_t size, int64_t now_us)
{
    const struct step *step = &run->peer->steps[conn->step];
    size_t depth = (size_t)run->options->depth;

    if (step->is_futile && step->is_futile(conn->in.data, size)) {
        buf_consume(&conn->in, size);
        conn_request(run, conn);
        return;
    }
    if (!step->take_reply(&conn->job, conn->in.data, size))
        fail("wrong reply: %.*s", (int)size, conn->in.data);
    buf_consume(&conn->in, size);
    conn->step = run->options->lives ? (conn->step + 1) % STEPS : 0;
    if (conn->step == 0) {
        sample_add(&run->sample, conn->sent_us[conn->oldest], now_us);
        conn->sent_us[conn->oldest] = now_us;
        conn->oldest = (conn->oldest + 1) % depth;
    }
    conn_request(run, conn);
}

static void conn_read(struct run *run, struct conn *conn)
{
    ssize_t got = recv(conn->fd, buf_reserve(&conn->in, READ_SIZE), READ_SIZE, 0);
    int64_t now_us = clock_mono_us();
    size_t size;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0)
        fail("recv: %s", strerror(errno));
    if (got == 0)
        fail("the server closed a connection");
    conn->in.len += (size_t)got;
    while (conn->in.len &&
           (size = run->peer->steps[conn->step].size_reply(conn->in.data, conn->in.len)))
        conn_take(run, conn, size, now_us);
    if (conn->out.len)
        conn_flush(run, conn);
}

static void conn_begin(struct run *run, struct conn *conn)
{
    int depth = run->options->depth;

    conn->job.payload = &run->payload;
    conn->sent_us = xcalloc((size_t)depth, sizeof(*conn->sent_us));
    for (int i = 0; i < depth; i++) {
        conn->sent_us[i] = clock_mono_us();
        conn_request(run, conn);
    }
    conn_flush(run, conn);
}

/* ---- the two measurements ---- */

static void run_queue(struct run *run)
{
    struct epoll_event events[EVENTS];
    int ready, connections = run->options->connections;

    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (run->epoll < 0)
        fail("epoll_create1: %s", strerror(errno));
    run->conns = xcalloc((size_t)connections, sizeof(*run->conns));
    for (int i = 0; i < connections; i++)
        conn_open(run, &run->conns[i]);

    sample_start(&run->sample, run->options->seconds);
    for (int i = 0; i < connections; i++)
        conn_begin(run, &run->conns[i]);

    while (clock_mono_us() < run->sample.end_us) {
        ready = epoll_wait(run->epoll, events, EVENTS, SILENCE_MS);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        if (ready == 0)
            fail("no reply in %d s", SILENCE_MS / 1000);
        for (int i = 0; i < ready; i++) {
            struct conn *conn = events[i].data.ptr;

            if (events[i].events & EPOLLOUT)
                conn_flush(run, conn);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                conn_read(run, conn);
        }
    }
}

static void run_deinit(struct run *run)
{
    for (int i = 0; run->conns && i < run->options->connections; i++) {
        closep(&run->conns[i].fd);
        free(run->conns[i].sent_us);
        buf_deinit(&run->conns[i].in);
        buf_deinit(&run->conns[i].out);
    }
    free(run->conns);
    closep(&run->epoll);
    buf_deinit(&run->payload);
    free(run->sample.latencies);
}

static void run_disk(struct run *run)
{
    static const char block[DISK_BLOCK] = {1};
    char *path CLEANUP(freep) = xasprintf("%s/disk.XXXXXX", run->options->dir);
    int fd CLEANUP(closep) = mkostemp(path, O_CLOEXEC);
    int64_t before_us, now_us;

    if (fd < 0)
        fail("%s: %s", path, strerror(errno));
    unlink(path);
    sample_start(&run->sample, run->options->seconds);
    for (now_us = clock_mono_us(); now_us < run->sample.end_us;) {
        before_us = now_us;
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block) || fdatasync(fd) < 0)
            fail("%s: %s", path, strerror(errno));
        now_us = clock_mono_us();
        sample_add(&run->sample, before_us, now_us);
    }
}

/* ---- the command line ---- */

static int parse_int(const char *name, const char *text, int min, int max)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < min || value > max)
        fail("--%s: a number from %d to %d, not \"%s\"", name, min, max, text);
    return (int)value;
}

static double parse_seconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value > 0 && value <= SECONDS_MAX))
        fail("--seconds: a number above 0 up to %g, not \"%s\"", SECONDS_MAX, text);
    return value;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"peer", required_argument, NULL, 'e'},
        {"socket", required_argument, NULL, 's'},
        {"port", required_argument, NULL, 'p'},
        {"connections", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 't'},
        {"payload", required_argument, NULL, 'b'},
        {"depth", required_argument, NULL, 'n'},
        {"lives", no_argument, NULL, 'l'},
        {"dir", required_argument, NULL, 'd'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    struct options options = {.connections = 1, .payload = 200, .depth = 1, .seconds = 3};

    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (o) {
        case 'e':
            options.peer = optarg;
            break;
        case 's':
            options.socket = optarg;
            break;
        case 'p':
            options.port = parse_int("port", optarg, 1, UINT16_MAX);
            break;
        case 'c':
            options.connections = parse_int("connections", optarg, 1, CONNECTIONS_MAX);
            break;
        case 't':
            options.seconds = parse_seconds(optarg);
            break;
        case 'b':
            options.payload = parse_int("payload", optarg, 1, PAYLOAD_MAX);
            break;
        case 'n':
            options.depth = parse_int("depth", optarg, 1, DEPTH_MAX);
            break;
        case 'l':
            options.lives = true;
            break;
        case 'd':
            options.dir = optarg;
            break;
        case 'j':
            options.json = true;
            break;
        default:
            exit(EXIT_FAILURE); /* getopt has printed why */
        }
    }
    if (optind < argc)
        fail("unexpected argument \"%s\"", argv[optind]);
    if (!options.peer)
        fail("usage: queue-client --peer acpd|beanstalkd|redis|redis-stream|postgres|gearmand\n"
             "           --socket PATH | --port N\n"
             "           [--connections C] [--seconds S] [--payload BYTES] [--json]\n"
             "           [--lives | --depth N]\n"
             "       queue-client --peer disk --dir DIR [--seconds S] [--json]");
    return options;
}

int main(int argc, char **argv)
{
    static const char letters[] = "the quick brown fox jumps over the lazy dog ";
    struct options options = parse_options(argc, argv);
    struct run CLEANUP(run_deinit) run = {.options = &options, .epoll = -1};

    for (int i = 0; i < options.payload; i++)
        buf_add_char(&run.payload, letters[(size_t)i % (sizeof(letters) - 1)]);
    if (strcmp(options.peer, "disk") == 0) {
        if (!options.dir)
            fail("--peer disk needs --dir");
        run_disk(&run);
    } else {
        run.peer = peer_find(options.peer);
        if (!run.peer)
            fail("unknown peer \"%s\"", options.peer);
        if (options.lives && options.depth > 1)
            fail("give either --lives or --depth");
        if (!options.socket == !options.port)
            fail("give either --socket or --port");
        run_queue(&run);
    }
    sample_print(&run.sample, options.json);
    return EXIT_SUCCESS;
}
