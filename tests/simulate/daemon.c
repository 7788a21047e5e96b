/* SPDX-License-Identifier: MIT */
#include "daemon.h"

#include <event2/event.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/log.h"
#include "config/config.h"
#include "disk.h"
#include "engine/state.h"
#include "loop.h"
#include "model.h"
#include "process.h"
#include "rpc/connection.h"
#include "socket.h"
#include "spec.h"
#include "store/sqlite_files.h"
#include "store/store.h"
#include "trail.h"
#include "world.h"

#define LOOKS_PER_PASS 500 /* at a clock, at most */

#define OUTPUT_AHEAD ((size_t)512 << 10) /* bytes */

static char folder[64];
static char *socket_path, *config_path, *database_path;
static struct loop loop;
static struct store *store;
static struct supervisor *supervisor;
static uint64_t failed_commits;

/* In the place of common/log.c's: a simulation fails often. */
void log_write(enum log_level level UNUSED, const char *format UNUSED, ...)
{
}

bool daemon_begin(void)
{
    /* In memory, if possible: nothing is really synced. */
    snprintf(folder, sizeof(folder), "%s/acpd-simulate-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        return false;
    socket_path = xasprintf("%s/acpd.sock", folder);
    config_path = xasprintf("%s/config.json", folder);
    database_path = xasprintf("%s/acpd.db", folder);
    return true;
}

void daemon_end(void)
{
    CLEANUP(freep) char *command = xasprintf("rm -rf %s", folder);

    if (system(command))
        fprintf(stderr, "%s is left\n", folder);
    free(STEAL(socket_path));
    free(STEAL(config_path));
    free(STEAL(database_path));
}

const char *daemon_folder(void)
{
    return folder;
}

void daemon_configure(const char *json)
{
    FILE *file = fopen(config_path, "we");

    EXPECT(file && fputs(json, file) >= 0 && fclose(file) == 0);
    world_note("configuration:", json, strlen(json));
}

static void daemon_load(struct settings *ret_settings)
{
    char *error = NULL;

    EXPECT(config_load(config_path, "/bin/true", ret_settings, &error) == 0, "%s", error);
}

static int daemon_on_reload(struct engine *engine, char **ret_error UNUSED)
{
    CLEANUP(settings_deinit) struct settings settings = {0};

    daemon_load(&settings);
    return engine_configure(engine, &settings);
}

static void daemon_free(void)
{
    trail_note_death();
    rpc_server_free(loop.server);
    process_end_all(STEAL(supervisor));
    engine_free(loop.engine);
    store_close(store);
    if (loop.base)
        event_base_free(loop.base);
    loop = (struct loop){0};
    store = NULL;
    socket_forget_waiting();
}

bool daemon_start(void)
{
    CLEANUP(settings_deinit) struct settings settings = {0};
    struct settings empty = {0};
    struct listener listener;
    CLEANUP(freep) char *error = NULL;

    if (store_open(database_path, &store, &error) < 0) {
        EXPECT(disk_get() != DISK_GOOD, "%s", error);
        return false;
    }
    loop.engine = engine_new(store, &empty, SPEC_NODE, folder, socket_path);
    engine_set_reload(loop.engine, daemon_on_reload);
    daemon_load(&settings);
    if (engine_start(loop.engine, &settings) < 0) {
        EXPECT(disk_get() != DISK_GOOD, "%s", store_error(store));
        daemon_free();
        return false;
    }
    loop.base = event_base_new(); /* epoll's order of events is always the same; poll's is not */
    EXPECT(loop.base);
    EXPECT(listener_bind(socket_path, NULL, &listener, &error) == 0, "%s", error);
    loop.server = rpc_server_new(loop.base, loop.engine, &listener);
    supervisor = process_supervisor(loop.base);
    engine_set_supervisor(loop.engine, supervisor);
    return true;
}

/* What clients have not read costs bounded memory: when the limit is reached, acpd does no more for
 * them, and one reply or a buffer full of events may have been added. */
static void daemon_check_output(void)
{
    static size_t limit; /* a lower one holds once all have read as much */
    size_t newest = (size_t)engine_settings(loop.engine)->output_limit, most = 0;

    list_for_each (link, &loop.server->connections) {
        const struct connection *connection = list_entry(link, struct connection, link);

        if (stream_pending(&connection->stream) > most)
            most = stream_pending(&connection->stream);
    }
    if (newest > limit || most <= newest + OUTPUT_AHEAD)
        limit = newest;
    EXPECT(most <= limit + OUTPUT_AHEAD, "%zu bytes wait for a client", most);
}

/* What is half done goes on by itself: a batch, or a result that is printed in parts. */
static void daemon_check_turns(void)
{
    list_for_each (link, &loop.server->connections) {
        const struct connection *connection = list_entry(link, struct connection, link);
        bool is_half_done = connection->batch || connection->partial;

        EXPECT(!is_half_done || connection->ready.index || !list_is_empty(&connection->spent) ||
                   connection->is_blocked,
               "a connection with something half done waits for nothing");
    }
}

/* No client is served out of its turn. */

static int handled[DESCRIPTORS_MAX]; /* by acpd in this pass, by its descriptor */

static bool daemon_note_request(const struct connection *connection, bool is_handled)
{
    EXPECT(connection->stream.fd < DESCRIPTORS_MAX);
    handled[connection->stream.fd] += is_handled;
    return is_handled;
}

bool __real_dispatch_line(struct connection *connection, const char *line, size_t len);
bool __wrap_dispatch_line(struct connection *connection, const char *line, size_t len);
bool __wrap_dispatch_line(struct connection *connection, const char *line, size_t len)
{
    return daemon_note_request(connection, __real_dispatch_line(connection, line, len));
}

bool __real_dispatch_batch(struct connection *connection);
bool __wrap_dispatch_batch(struct connection *connection);
bool __wrap_dispatch_batch(struct connection *connection)
{
    return daemon_note_request(connection, __real_dispatch_batch(connection));
}

static void daemon_check_requests(int64_t limit)
{
    for (size_t i = 0; i < DESCRIPTORS_MAX; i++)
        EXPECT(handled[i] <= limit, "%d requests in one pass, %lld are allowed", handled[i],
               (long long)limit);
    memset(handled, 0, sizeof(handled));
}

bool daemon_pass(void)
{
    uint64_t failures = disk_failures(), looks = world_looks();
    int64_t requests = engine_settings(loop.engine)->lines_per_pass;
    bool was_failing = loop.storage_is_failing;

    socket_let_write();
    loop_pass(&loop, false);
    daemon_check_requests(requests);
    trail_follow();
    if (disk_get() != DISK_GOOD || loop.storage_is_failing || loop.stop_requested)
        model_note_trouble();
    EXPECT(!loop.storage_is_failing || was_failing || disk_get() != DISK_GOOD ||
               disk_failures() > failures,
           "%s", store_error(store));
    daemon_check_output();
    daemon_check_turns();
    EXPECT(world_looks() - looks < LOOKS_PER_PASS, "a pass looks at a clock %llu times",
           (unsigned long long)(world_looks() - looks));
    return rpc_has_backlog(loop.server) || loop.engine->has_more_work;
}

void daemon_note_commit(int r)
{
    failed_commits += r < 0;
}

uint64_t daemon_failed_commits(void)
{
    return failed_commits;
}

void daemon_send_replies(void)
{
    if (loop.server)
        rpc_send_replies(loop.server);
}

void daemon_kill(void)
{
    disk_set(DISK_GONE);
    daemon_free();
    disk_set(DISK_GOOD);
}

void daemon_stop(void)
{
    loop.stop_requested = true;
}

/* As loop_run() decides. */
bool daemon_has_stopped(void)
{
    return engine_is_stopping(loop.engine) &&
           (engine_is_idle(loop.engine) ||
            (loop.storage_is_failing && !engine_has_runs(loop.engine)));
}

void daemon_leave(void)
{
    daemon_free();
}

void daemon_reload(void)
{
    loop.reload_requested = true;
}

static struct json_object *daemon_list_backup(const char *path)
{
    struct json_object *tasks = json_object_new_array();
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int r;

    EXPECT(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix") == SQLITE_OK &&
           sqlite3_prepare_v2(db, "SELECT id, key, status FROM task", -1, &stmt, NULL) ==
               SQLITE_OK);
    while ((r = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct json_object *task = json_object_new_object();
        int status = sqlite3_column_int(stmt, 2);

        json_object_object_add(task, "id", json_object_new_int64(sqlite3_column_int64(stmt, 0)));
        json_object_object_add(task, "key",
                               json_object_new_string((const char *)sqlite3_column_text(stmt, 1)));
        json_object_object_add(task, "status",
                               json_object_new_string(task_status_name((enum task_status)status)));
        json_object_array_add(tasks, task);
    }
    EXPECT(r == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return tasks;
}

/* Changes a row's checksum; *id: which, or 0: that of the first task in the profile's queue. */
static void daemon_change_checksum(const char *profile, int by, int64_t *id)
{
    static const char find[] = "SELECT task.id FROM task JOIN profile ON profile.id = profile_id "
                               "WHERE name = ?1 AND status = ?2 ORDER BY place LIMIT 1";
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;

    EXPECT(sqlite3_open_v2(database_path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    if (!*id) {
        EXPECT(sqlite3_prepare_v2(db, find, -1, &stmt, NULL) == SQLITE_OK, "%s",
               sqlite3_errmsg(db));
        sqlite3_bind_text(stmt, 1, profile, -1, SQLITE_STATIC);
        sqlite3_bind_int(stmt, 2, TASK_QUEUED);
        *id = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
        sqlite3_finalize(stmt);
    }
    EXPECT(sqlite3_prepare_v2(db, "UPDATE task SET crc = crc + ?1 WHERE id = ?2", -1, &stmt,
                              NULL) == SQLITE_OK,
           "%s", sqlite3_errmsg(db));
    sqlite3_bind_int(stmt, 1, by);
    sqlite3_bind_int64(stmt, 2, *id);
    EXPECT(sqlite3_step(stmt) == SQLITE_DONE, "%s", sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

int64_t daemon_damage(const char *profile)
{
    int64_t id = 0;

    daemon_change_checksum(profile, 1, &id);
    return id;
}

void daemon_repair(int64_t id)
{
    daemon_change_checksum(NULL, -1, &id);
}

/* Whether both databases say the same. */
static void daemon_compare_backup(const char *path)
{
    static const char *const tables[] = {"profile",    "task",    "attempt", "bucket",
                                         "dependency", "release", "uptime"};
    CLEANUP(freep) char *attach = xasprintf("ATTACH 'file:%s?vfs=unix' AS other", path);
    sqlite3 *db = NULL;

    EXPECT(sqlite3_open_v2(database_path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL) ==
                   SQLITE_OK &&
               sqlite3_exec(db, attach, NULL, NULL, NULL) == SQLITE_OK,
           "%s", sqlite3_errmsg(db));
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        CLEANUP(freep)
        char *differ = xasprintf("SELECT count(*) FROM (SELECT * FROM main.%s EXCEPT "
                                 "SELECT * FROM other.%s UNION ALL SELECT * FROM (SELECT * FROM "
                                 "other.%s EXCEPT SELECT * FROM main.%s))",
                                 tables[i], tables[i], tables[i], tables[i]);
        sqlite3_stmt *stmt = NULL;

        EXPECT(sqlite3_prepare_v2(db, differ, -1, &stmt, NULL) == SQLITE_OK &&
                   sqlite3_step(stmt) == SQLITE_ROW,
               "%s", sqlite3_errmsg(db));
        EXPECT(sqlite3_column_int(stmt, 0) == 0, "%d rows of %s differ",
               sqlite3_column_int(stmt, 0), tables[i]);
        sqlite3_finalize(stmt);
    }
    sqlite3_close(db);
}

struct json_object *daemon_back_up(void)
{
    CLEANUP(freep) char *info = NULL, *error = NULL, *to = xasprintf("%s/backup", folder);
    struct json_object *tasks = NULL;

    if (sqlite_files_backup(database_path, to, &info, &error) == 0)
        tasks = daemon_list_backup(to);
    else
        EXPECT(disk_get() != DISK_GOOD, "%s", error);
    if (tasks && disk_get() == DISK_GOOD)
        daemon_compare_backup(to);
    unlink(to);
    return tasks;
}

size_t daemon_connections(void)
{
    return loop.server->connection_count;
}

int daemon_connect(void)
{
    return socket_connect(socket_path);
}

/* Half of the steps that may handle hundreds of tasks handle one, and end for this pass. */

int __real_queue_release(struct engine *engine, int *budget);
int __wrap_queue_release(struct engine *engine, int *budget);
int __wrap_queue_release(struct engine *engine, int *budget)
{
    int one = 1, r;

    if (world_noise() & 1)
        return __real_queue_release(engine, budget);
    r = __real_queue_release(engine, &one);
    *budget = 0;
    return r;
}

int __real_queue_wake(struct engine *engine, struct profile *profile, int *budget);
int __wrap_queue_wake(struct engine *engine, struct profile *profile, int *budget);
int __wrap_queue_wake(struct engine *engine, struct profile *profile, int *budget)
{
    int one = 1, r;

    if (world_noise() & 1)
        return __real_queue_wake(engine, profile, budget);
    r = __real_queue_wake(engine, profile, &one);
    *budget = 0;
    return r;
}
