/* SPDX-License-Identifier: MIT */
/*
 * acp-gateway: HTTP in, JSON-RPC out, and the dashboard's files. It keeps no state: it can be
 * stopped and started at any time, and so can the daemon.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/path.h"
#include "common/strv.h"
#include "gateway/api.h"
#include "gateway/assets.h"
#include "gateway/body.h"
#include "gateway/kept.h"
#include "gateway/tls.h"

/* A connection occupies a thread, a silent one for REQUEST_TIMEOUT: five hundred of them must not
 * keep a new client out. An idle thread costs 20 KB. */
#define THREADS         600
#define SPARE           100    /* threads kept free for new connections by closing idle ones */
#define REQUEST_TIMEOUT "3000" /* ms */
#define STOP_MS         1700   /* time for requests in flight at shutdown */

static const char usage[] =
    "Usage: acp-gateway [OPTION]...\n"
    "Serves acpd's REST API and dashboard over HTTP.\n"
    "\n"
    "  --socket PATH      acpd's socket (default: $XDG_RUNTIME_DIR/acpd.sock,\n"
    "                     for root /run/acpd/acpd.sock)\n"
    "  --listen HOST:PORT where to listen (default: 127.0.0.1:8080); other than\n"
    "                     loopback addresses require --token-file\n"
    "  --dashboard DIR    the built dashboard (default: the installed one)\n"
    "  --token-file FILE  require one of the bearer tokens in this file, one per line:\n"
    "                     TOKEN [NAME [read|operate]]; SIGHUP reads it again\n"
    "  --tls-cert FILE    serve HTTPS only, with this certificate and its chain (PEM)\n"
    "  --tls-key FILE     the certificate's private key (PEM)\n"
    "  --allow-host H     an additional host name that requests may use\n"
    "  --version          print the version and exit\n"
    "  --help             print this and exit\n";

struct options {
    char *socket, *listen, *dashboard, *token_file, *tls_cert, *tls_key;
    struct http_policy policy;
};

struct gateway {
    struct http_policy *policy;
    struct upstream *upstream;
    struct events *events;
    struct assets *assets;
    int tls_fd; /* certificate and key; -1: no TLS */
    atomic_int in_flight;
    atomic_bool is_stopping;
};

static void main_options_deinit(struct options *options)
{
    free(options->socket);
    free(options->listen);
    free(options->dashboard);
    free(options->token_file);
    free(options->tls_cert);
    free(options->tls_key);
    http_policy_deinit(&options->policy);
}

static const struct option main_long_options[] = {
    {"socket", required_argument, NULL, 's'},
    {"listen", required_argument, NULL, 'l'},
    {"dashboard", required_argument, NULL, 'd'},
    {"token-file", required_argument, NULL, 't'},
    {"tls-cert", required_argument, NULL, 'c'},
    {"tls-key", required_argument, NULL, 'k'},
    {"allow-host", required_argument, NULL, 'a'},
    {"version", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void main_parse_options(int argc, char **argv, struct options *options)
{
    int c;

    while ((c = getopt_long(argc, argv, "", main_long_options, NULL)) != -1) {
        switch (c) {
        case 's':
            free(options->socket);
            options->socket = xstrdup(optarg);
            break;
        case 'l':
            free(options->listen);
            options->listen = xstrdup(optarg);
            break;
        case 'd':
            free(options->dashboard);
            options->dashboard = xstrdup(optarg);
            break;
        case 't':
            free(options->token_file);
            options->token_file = xstrdup(optarg);
            break;
        case 'c':
            free(options->tls_cert);
            options->tls_cert = xstrdup(optarg);
            break;
        case 'k':
            free(options->tls_key);
            options->tls_key = xstrdup(optarg);
            break;
        case 'a':
            strv_push(&options->policy.allow_hosts, xstrdup(optarg));
            break;
        case 'v':
            puts("acp-gateway " ACPD_VERSION);
            exit(EXIT_SUCCESS);
        case 'h':
            fputs(usage, stdout);
            exit(EXIT_SUCCESS);
        default:
            fputs("Try 'acp-gateway --help'.\n", stderr);
            exit(EXIT_FAILURE);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "acp-gateway: unexpected argument '%s'\n", argv[optind]);
        exit(EXIT_FAILURE);
    }
    if (!options->socket)
        options->socket = path_default_socket();
    if (!options->listen)
        options->listen = xstrdup("127.0.0.1:8080");
}

/* Splits HOST:PORT; -EINVAL unless HOST is an IPv4 address (or localhost) and PORT a port. */
static int main_parse_listen(const char *text, char **ret_host, int *ret_port)
{
    const char *colon = strrchr(text, ':');
    unsigned a, b, c, d;
    int port, end = 0;

    if (!colon || sscanf(colon + 1, "%5d%n", &port, &end) != 1 || colon[1 + end] || port < 0 ||
        port > 65535)
        return -EINVAL;
    if (strncmp(text, "localhost:", 10) == 0) {
        *ret_host = xstrdup("127.0.0.1");
    } else {
        end = 0;
        if (sscanf(text, "%3u.%3u.%3u.%3u%n", &a, &b, &c, &d, &end) != 4 || text + end != colon ||
            a > 255 || b > 255 || c > 255 || d > 255)
            return -EINVAL;
        *ret_host = xasprintf("%u.%u.%u.%u", a, b, c, d);
    }
    *ret_port = port;
    return 0;
}

static int main_handle(struct mg_connection *connection, struct gateway *gateway)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    CLEANUP(freep) char *path = NULL;

    if (!http_admit(connection, gateway->policy))
        return 400;
    path = xstrndup(info->request_uri, strcspn(info->request_uri, "?"));
    if (strncmp(path, "/api/", 5) == 0 || strcmp(path, "/metrics") == 0)
        return api_handle(connection, gateway->policy, gateway->upstream, gateway->events, path);
    return assets_handle(connection, gateway->assets, path);
}

static int main_on_request(struct mg_connection *connection)
{
    struct gateway *gateway = mg_get_user_data(mg_get_context(connection));
    int status;

    kept_work();
    body_begin(connection);
    atomic_fetch_add(&gateway->in_flight, 1);
    if (gateway->is_stopping)
        status =
            http_error(connection, 503, RPC_UNAVAILABLE, "Retry-After: 1\r\nConnection: close\r\n",
                       NULL, "acp-gateway is shutting down");
    else
        status = main_handle(connection, gateway);
    atomic_fetch_sub(&gateway->in_flight, 1);
    body_end(connection);
    return status;
}

static void main_on_end(const struct mg_connection *connection UNUSED, int status UNUSED)
{
    kept_wait();
}

static int main_on_open(const struct mg_connection *connection UNUSED, void **data UNUSED)
{
    kept_open();
    return 0;
}

static void main_on_closed(const struct mg_connection *connection UNUSED)
{
    kept_gone();
}

static int main_on_log(const struct mg_connection *connection UNUSED, const char *message)
{
    /* Failed handshakes are the clients' problem, and there may be many. */
    if (strncmp(message, "sslize", 6) != 0 && strncmp(message, "SSL syscall", 11) != 0)
        log_warning("%s", message);
    return 1;
}

static struct mg_context *main_start(struct gateway *gateway, const char *host, int port)
{
    bool is_tls = gateway->tls_fd >= 0;
    CLEANUP(freep) char *listen = xasprintf("%s:%d%s", host, port, is_tls ? "s" : "");
    CLEANUP(freep) char *threads = xasprintf("%d", THREADS);
    CLEANUP(freep) char *certificate = xasprintf("/proc/self/fd/%d", gateway->tls_fd);
    struct mg_callbacks callbacks = {
        .begin_request = main_on_request,
        .end_request = main_on_end,
        .init_connection = main_on_open,
        .connection_closed = main_on_closed,
        .http_error = http_on_error,
        .log_message = main_on_log,
    };
    const char *options[] = {
        "listening_ports",
        listen,
        "num_threads",
        threads,
        "request_timeout_ms",
        REQUEST_TIMEOUT,
        "enable_keep_alive",
        "yes",
        "keep_alive_timeout_ms",
        KEPT_MS,
        "tcp_nodelay",
        "1",
        "decode_url",
        "no",
        "max_request_size",
        "16384",
        "connection_queue",
        "128",
        "listen_backlog",
        "1024",
        "enable_directory_listing",
        "no",
        "access_control_allow_origin",
        "",
        "access_control_allow_methods",
        "",
        "access_control_allow_headers",
        "",
        is_tls ? "ssl_certificate" : NULL, /* without TLS the list ends here */
        certificate,
        "ssl_protocol_version",
        "4", /* TLS 1.2 or newer */
        "ssl_cipher_list",
        "ECDHE+AESGCM:ECDHE+CHACHA20", /* of TLS 1.2 */
        NULL,
    };

    return mg_start(&callbacks, gateway, options);
}

static void *main_stop_server(void *context)
{
    mg_stop(context);
    return NULL;
}

/* mg_stop() waits until its accepting thread looks up, which a connection makes it do. */
static void main_nudge(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    inet_pton(AF_INET, host, &address.sin_addr);
    if (fd >= 0)
        (void)!connect(fd, (struct sockaddr *)&address, sizeof(address));
}

/* Lets what is in flight finish, in bounded time: once mg_stop() was called civetweb sends nothing
 * any more, and threads that wait for silent clients would make it last longer than a service
 * manager's patience. */
static void main_stop(struct gateway *gateway, struct mg_context *context, const char *host,
                      int port)
{
    const struct timespec tick = {.tv_nsec = 10 * 1000000L};
    pthread_t stopper;
    bool is_started = false;

    gateway->is_stopping = true;
    events_stop(gateway->events);
    for (int ms = 0; ms < STOP_MS; ms += 10) {
        if (!is_started && (!gateway->in_flight || ms > STOP_MS * 3 / 4)) {
            if (pthread_create(&stopper, NULL, main_stop_server, context) != 0)
                break;
            is_started = true;
        }
        nanosleep(&tick, NULL);
        if (!is_started)
            continue;
        main_nudge(host, port);
        kept_close_all();
        if (pthread_tryjoin_np(stopper, NULL) == 0)
            return;
    }
    log_info("stopped; idle connections were closed");
    _exit(EXIT_SUCCESS);
}

static void main_reload(struct gateway *gateway)
{
    struct tokens *tokens = gateway->policy->tokens;
    CLEANUP(freep) char *error = NULL;

    if (!tokens)
        return;
    if (tokens_reload(tokens, &error) < 0) {
        log_error("the tokens are unchanged: %s", error);
        return;
    }
    events_renew(gateway->events); /* their tokens may be gone */
    log_info("tokens reloaded");
}

static int main_serve(struct gateway *gateway, const char *host, int port, const char *socket_path)
{
    struct mg_context *context;
    struct mg_server_port bound = {0};
    sigset_t signals;
    int received;

    /* Before civetweb's threads, which inherit it. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    body_setup();
    /* Those that are silent in TLS' handshake hold a thread, too, and are not counted. */
    kept_setup(gateway->tls_fd < 0 ? THREADS - SPARE : SPARE);
    if (gateway->tls_fd < 0)
        mg_init_library(0); /* else tls_load() has */
    context = main_start(gateway, host, port);
    if (!context) {
        log_error("cannot listen on %s:%d%s", host, port,
                  gateway->tls_fd < 0 ? ""
                                      : ", or cannot use --tls-cert with --tls-key; see above");
        return EXIT_FAILURE;
    }
    mg_get_server_ports(context, 1, &bound);
    port = bound.port ? bound.port : port;
    log_info("acp-gateway " ACPD_VERSION " is ready on http%s://%s:%d, acpd's socket is %s",
             gateway->tls_fd < 0 ? "" : "s", host, port, socket_path);
    notify_systemd("READY=1");
    while (sigwait(&signals, &received) == 0 && received == SIGHUP)
        main_reload(gateway);
    notify_systemd("STOPPING=1");
    main_stop(gateway, context, host, port);
    mg_exit_library();
    log_info("stopped");
    return EXIT_SUCCESS;
}

/* Loads the certificate and its key, if HTTPS is configured. False: failed and logged. */
static bool main_open_tls(const struct options *options, int *ret_fd)
{
    CLEANUP(freep) char *error = NULL;

    if (!options->tls_cert && !options->tls_key)
        return true;
    if (!options->tls_cert || !options->tls_key) {
        log_error("--tls-cert and --tls-key must be given together");
        return false;
    }
    if (tls_load(&error) == 0)
        *ret_fd = tls_join(options->tls_cert, options->tls_key, &error);
    if (error)
        log_error("%s", error);
    return !error;
}

int main(int argc, char **argv)
{
    CLEANUP(main_options_deinit) struct options options = {0};
    CLEANUP(freep) char *error = NULL;
    struct gateway gateway = {.policy = &options.policy, .tls_fd = -1};
    int port, status;

    notify_setup();
    main_parse_options(argc, argv, &options);
    log_setup("acp-gateway", LOG_LEVEL_INFO);
    if (main_parse_listen(options.listen, &options.policy.listen_host, &port) < 0) {
        log_error("--listen must be an IPv4 address and a port, as in 127.0.0.1:8080");
        return EXIT_FAILURE;
    }
    if (options.token_file && tokens_new(options.token_file, &options.policy.tokens, &error) < 0) {
        log_error("%s", error);
        return EXIT_FAILURE;
    }
    if (!options.policy.tokens && strncmp(options.policy.listen_host, "127.", 4) != 0) {
        log_error("%s is not a loopback address: listening on it requires tokens, see --token-file",
                  options.policy.listen_host);
        return EXIT_FAILURE;
    }
    if (!main_open_tls(&options, &gateway.tls_fd))
        return EXIT_FAILURE;
    if (!options.dashboard)
        options.dashboard = path_find_own("../dashboard/dist", ACPD_DATADIR "/dashboard");
    if (assets_load(options.dashboard, &gateway.assets, &error) < 0) {
        log_error("%s", error);
        return EXIT_FAILURE;
    }
    gateway.upstream = upstream_new(options.socket);
    gateway.events = events_new(options.socket);
    status = main_serve(&gateway, options.policy.listen_host, port, options.socket);
    events_free(gateway.events);
    upstream_free(gateway.upstream);
    assets_free(gateway.assets);
    return status;
}
