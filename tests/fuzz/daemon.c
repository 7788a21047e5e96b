/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/alloc.h"
#include "common/log.h"
#include "config/config.h"
#include "engine/state.h"
#include "fuzz.h"
#include "rpc/connection.h"
#include "store/sqlite.h"

/* reload_config alternates between them. */
static const char *const configs[2] = {FUZZ_FOLDER "/daemon-1.json", FUZZ_FOLDER "/daemon-2.json"};

static char folder[] = "/tmp/acpd-fuzz-XXXXXX";
static char *socket_path;
static struct loop loop;
static struct store *store;
static size_t reloads;
static bool commits_fail; /* see daemon_set_failing() */
static bool has_failed;   /* a commit was made to fail, and nothing has been written since */

/* Replaces common/log.c's: nobody reads the log, and failing commits would fill it. */
void log_write(enum log_level level UNUSED, const char *format UNUSED, ...)
{
}

static void load(struct settings *ret_settings)
{
    char *error = NULL;

    PROMISE(config_load(configs[reloads++ % 2], "/bin/true", ret_settings, &error) == 0, "%s",
            error);
}

static int reload(struct engine *engine, char **ret_error UNUSED)
{
    CLEANUP(settings_deinit) struct settings settings = {0};

    load(&settings);
    return engine_configure(engine, &settings);
}

static void remove_folder(void)
{
    CLEANUP(freep) char *lock = xasprintf("%s.lock", socket_path);

    unlink(socket_path);
    unlink(lock);
    rmdir(folder);
}

static void make_folder(void)
{
    PROMISE(mkdtemp(folder));
    socket_path = xasprintf("%s/acpd.sock", folder);
    atexit(remove_folder);
}

static int on_commit(void *data UNUSED)
{
    has_failed |= commits_fail;
    return commits_fail;
}

static void start(void)
{
    CLEANUP(settings_deinit) struct settings settings = {0};
    struct settings empty = {0};
    struct listener listener;
    char *error = NULL;

    reloads = 0;
    loop = (struct loop){.base = event_base_new()};
    PROMISE(store_open(":memory:", &store, &error) == 0, "%s", error);
    sqlite3_commit_hook(sqlite_of(store)->db, on_commit, NULL);
    loop.engine = engine_new(store, &empty, "node", folder, socket_path);
    engine_set_reload(loop.engine, reload);
    load(&settings);
    PROMISE(engine_start(loop.engine, &settings) >= 0, "%s", store_error(store));
    PROMISE(listener_bind(socket_path, NULL, &listener, &error) == 0, "%s", error);
    loop.server = rpc_server_new(loop.base, loop.engine, &listener);
}

static void stop(void)
{
    rpc_server_free(loop.server);
    engine_free(loop.engine);
    store_close(store);
    event_base_free(loop.base);
}

/* The counters must match the tasks in the store. */
static void check_counters(void)
{
    for (size_t i = 0; i < loop.engine->profile_count; i++) {
        const struct profile *profile = loop.engine->profiles[i];
        struct task_filter filter = {.profile_id = profile->id, .page = {SIZE_MAX, SIZE_MAX}};
        CLEANUP(task_list_deinit) struct task_list tasks = {0};
        int64_t counts[TASK_STATUS_COUNT] = {0};

        PROMISE(store_list_tasks(store, &filter, &tasks) == STORE_STALE);
        for (size_t t = 0; t < tasks.count; t++)
            counts[tasks.tasks[t].status]++;
        for (int status = TASK_QUEUED; status < TASK_STATUS_COUNT; status++)
            PROMISE(profile_count(profile, (enum task_status)status) == counts[status],
                    "profile %s: %lld in status %d, counted %lld", profile->config.name,
                    (long long)profile_count(profile, (enum task_status)status), status,
                    (long long)counts[status]);
    }
}

bool daemon_prepare(void)
{
    static size_t inputs;

    if (inputs++ % DAEMON_INPUTS)
        return false;
    if (!loop.engine) {
        make_folder();
    } else {
        check_counters();
        stop();
    }
    start();
    return true;
}

const struct settings *daemon_settings(void)
{
    return &loop.engine->settings;
}

void daemon_set_failing(bool is_failing)
{
    commits_fail = is_failing;
}

bool daemon_pass(void)
{
    loop_pass(&loop, false);
    has_failed &= loop.storage_is_failing;
    PROMISE(!loop.storage_is_failing || has_failed, "%s", store_error(store));
    PROMISE(list_is_empty(&loop.server->dead));
    return rpc_has_backlog(loop.server) || loop.engine->has_more_work;
}

size_t daemon_connections(void)
{
    for (int i = 0; i < 10 && loop.server->connection_count; i++)
        daemon_pass();
    return loop.server->connection_count;
}

int daemon_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, socket_path);
    PROMISE(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "%s",
            strerror(errno));
    return fd;
}

bool daemon_receive(int fd, struct buf *received)
{
    static char data[65536];

    for (;;) {
        ssize_t n = recv(fd, data, sizeof(data), 0);

        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        buf_add(received, data, (size_t)n);
    }
}
