/* SPDX-License-Identifier: MIT */
/*
 * Measures acknowledged durable puts per second into acpd, beanstalkd or a Redis list.
 *
 * A closed loop: each connection sends one request, waits for its acknowledgement, checks it, and
 * sends the next. One thread and one buffer copy per request keep the client cheap compared with
 * the server. `cpu` in the result is the share of one core that the client used; near 1.0, the
 * client was the bottleneck. `acknowledged` includes the warm-up, so it can be compared with the
 * number of jobs that the server reports.
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

#define WARMUP_US        500000
#define SILENCE_MS       10000 /* a server that is silent for this long has failed */
#define READ_SIZE        16384
#define EVENTS           256
#define DISK_BLOCK       4096
#define CONNECTIONS_MAX  10000
#define PAYLOAD_MAX      60000 /* beanstalkd takes jobs of up to 65,535 bytes */
#define SECONDS_MAX      3600.0
#define US_PER_SECOND    1000000.0
#define PERCENT(p, size) ((size_t)((double)((size)-1) * (p) / 100.0))

struct options {
    const char *peer, *socket, *dir;
    int port, connections, payload;
    double seconds;
    bool json;
};

/* The measured time span, and the latencies of the operations that ended in it. */
struct sample {
    int64_t begin_us, end_us; /* begin: after the warm-up */
    uint32_t *latencies;
    size_t count, capacity;
    uint64_t acknowledged; /* warm-up included */
    double cpu_begin;      /* negative until the warm-up is over */
};

struct peer {
    const char *name;
    void (*add_request)(struct buf *buf, uint64_t id, const struct buf *payload);
    bool (*is_acknowledgement)(const char *line, size_t len);
    bool fixed; /* all requests are identical, and printed once */
};

struct conn {
    int fd;
    bool writing; /* waits for EPOLLOUT */
    int64_t sent_us;
    struct buf in, out;
};

struct run {
    const struct options *options;
    const struct peer *peer;
    struct buf payload, request; /* request: the next one */
    struct conn *conns;
    int epoll;
    uint64_t last_id;
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

/* ---- the peers ---- */

static void acpd_add_request(struct buf *buf, uint64_t id, const struct buf *payload)
{
    buf_add_text(buf, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_int(buf, (int64_t)id);
    buf_add_text(buf,
                 ",\"method\":\"assign_task_to_profile\",\"params\":{\"profileName\":\"bench\","
                 "\"task\":{\"title\":\"bench\",\"description\":\"");
    buf_add(buf, payload->data, payload->len);
    buf_add_text(buf, "\"}}}\n");
}

/* Finds `"key":` and returns whether the text after it begins with `value`. */
static bool json_has(const char *line, size_t len, const char *key, const char *value,
                     bool *ret_has_key)
{
    const char *end = line + len, *at = memmem(line, len, key, strlen(key));

    *ret_has_key = at != NULL;
    if (!at)
        return false;
    at += strlen(key);
    while (at < end && *at == ' ')
        at++;
    return (size_t)(end - at) >= strlen(value) && memcmp(at, value, strlen(value)) == 0;
}

/* A task that has not failed may carry "error":null; anything else under that name is a failure. */
static bool acpd_is_acknowledgement(const char *line, size_t len)
{
    bool has_key, is_null;

    if (!json_has(line, len, "\"success\":", "true", &has_key))
        return false;
    is_null = json_has(line, len, "\"error\":", "null", &has_key);
    return is_null || !has_key;
}

static void beanstalkd_add_request(struct buf *buf, uint64_t id UNUSED, const struct buf *payload)
{
    buf_printf(buf, "put 0 0 60 %zu\r\n", payload->len);
    buf_add(buf, payload->data, payload->len);
    buf_add_text(buf, "\r\n");
}

static bool is_number(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    return len > 0;
}

static bool beanstalkd_is_acknowledgement(const char *line, size_t len)
{
    static const char word[] = "INSERTED ";
    size_t word_len = sizeof(word) - 1;

    return len > word_len && memcmp(line, word, word_len) == 0 &&
           is_number(line + word_len, len - word_len);
}

static void redis_add_request(struct buf *buf, uint64_t id UNUSED, const struct buf *payload)
{
    buf_printf(buf, "*3\r\n$5\r\nLPUSH\r\n$5\r\nbench\r\n$%zu\r\n", payload->len);
    buf_add(buf, payload->data, payload->len);
    buf_add_text(buf, "\r\n");
}

static bool redis_is_acknowledgement(const char *line, size_t len)
{
    return len > 1 && line[0] == ':' && is_number(line + 1, len - 1);
}

static const struct peer peers[] = {
    {"acpd", acpd_add_request, acpd_is_acknowledgement, false},
    {"beanstalkd", beanstalkd_add_request, beanstalkd_is_acknowledgement, true},
    {"redis", redis_add_request, redis_is_acknowledgement, true},
};

static const struct peer *peer_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
        if (strcmp(peers[i].name, name) == 0)
            return &peers[i];
    fail("unknown peer \"%s\": acpd, beanstalkd, redis or disk", name);
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

static void conn_open(struct run *run, struct conn *conn)
{
    const struct options *options = run->options;

    conn->fd = options->socket ? connect_unix(options->socket) : connect_loopback(options->port);
    if (fcntl(conn->fd, F_SETFL, O_NONBLOCK) < 0)
        fail("fcntl: %s", strerror(errno));
    conn_watch(run, conn, EPOLL_CTL_ADD, false);
}

/* Sends the bytes; keeps in conn->out what the socket does not take now. */
static void conn_send(struct run *run, struct conn *conn, const char *data, size_t len)
{
    ssize_t sent = send(conn->fd, data, len, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        fail("send: %s", strerror(errno));
    if (sent < 0)
        sent = 0;
    if ((size_t)sent < len)
        buf_add(&conn->out, data + sent, len - (size_t)sent);
    if (conn->writing != (conn->out.len > 0))
        conn_watch(run, conn, EPOLL_CTL_MOD, conn->out.len > 0);
}

static void conn_flush(struct run *run, struct conn *conn)
{
    struct buf CLEANUP(buf_deinit) rest = conn->out;

    conn->out = (struct buf){0};
    conn_send(run, conn, rest.data, rest.len);
}

static void conn_request(struct run *run, struct conn *conn, int64_t now_us)
{
    if (!run->peer->fixed) {
        buf_clear(&run->request);
        run->peer->add_request(&run->request, ++run->last_id, &run->payload);
    }
    conn->sent_us = now_us;
    conn_send(run, conn, run->request.data, run->request.len);
}

/* Reads what has arrived. A whole line must be the acknowledgement; nothing may follow it. */
static void conn_read(struct run *run, struct conn *conn)
{
    ssize_t got = recv(conn->fd, buf_reserve(&conn->in, READ_SIZE), READ_SIZE, 0);
    int64_t now_us = clock_mono_us();
    size_t len;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0)
        fail("recv: %s", strerror(errno));
    if (got == 0)
        fail("the server closed a connection");
    conn->in.len += (size_t)got;
    if (!memchr(conn->in.data + conn->in.len - (size_t)got, '\n', (size_t)got))
        return;

    len = conn->in.len - 1;
    if (len && conn->in.data[len - 1] == '\r')
        len--;
    if (memchr(conn->in.data, '\n', conn->in.len) != conn->in.data + conn->in.len - 1 ||
        !run->peer->is_acknowledgement(conn->in.data, len))
        fail("wrong reply: %.*s", (int)conn->in.len, conn->in.data);
    sample_add(&run->sample, conn->sent_us, now_us);
    buf_clear(&conn->in);
    conn_request(run, conn, now_us);
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

    if (run->peer->fixed)
        run->peer->add_request(&run->request, 0, &run->payload);
    sample_start(&run->sample, run->options->seconds);
    for (int i = 0; i < connections; i++)
        conn_request(run, &run->conns[i], clock_mono_us());

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
        buf_deinit(&run->conns[i].in);
        buf_deinit(&run->conns[i].out);
    }
    free(run->conns);
    closep(&run->epoll);
    buf_deinit(&run->payload);
    buf_deinit(&run->request);
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
        {"dir", required_argument, NULL, 'd'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    struct options options = {.connections = 1, .payload = 200, .seconds = 3};

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
        fail("usage: queue-client --peer acpd|beanstalkd|redis --socket PATH | --port N\n"
             "           [--connections C] [--seconds S] [--payload BYTES] [--json]\n"
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
        if (!options.socket == !options.port)
            fail("give either --socket or --port");
        run_queue(&run);
    }
    sample_print(&run.sample, options.json);
    return EXIT_SUCCESS;
}
