/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/path.h"
#include "config/config.h"
#include "config/known_agents.h"
#include "loop.h"
#include "node.h"
#include "options.h"
#include "run/cgroup.h"
#include "run/run.h"
#include "store/migrate.h"
#include "store/postgres.h"
#include "store/sqlite_files.h"
#include "store/store.h"

enum { EXIT_CONFIG = 78, EXIT_IN_USE = 75 }; /* sysexits.h */

/* Opens closed standard streams, so that no other descriptor takes their place. */
static void main_occupy_standard_streams(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Kept for a reload. */
static struct {
    const struct options *options;
    const char *demo_path;
    struct cgroup cgroup;
} source;

/* The socket passed by a service manager, if any; it takes precedence. */
static int main_adopt_socket(struct options *options, struct listener *ret_listener,
                             char **ret_error)
{
    char *path;
    int r, count = notify_listeners();

    if (!count)
        return 0;
    if (count > 1) {
        *ret_error = xasprintf("acpd serves one socket, but %d were passed to it", count);
        return -EINVAL;
    }
    r = listener_adopt(NOTIFY_FIRST_LISTENER, ret_listener, &path, ret_error);
    if (r < 0)
        return r;
    free(options->socket);
    options->socket = path;
    return 0;
}

/* The folder of acpd's own socket. */
static bool main_prepare_folder(const struct options *options)
{
    int r = path_make_parent(options->socket, 0755);

    if (r < 0) {
        log_error("cannot create the folder of %s: %s", options->socket, strerror(-r));
        return false;
    }
    if (options->socket_is_default && !path_is_guarded(options->socket)) {
        log_error("the folder of %s can be changed by other users; see --socket", options->socket);
        return false;
    }
    return true;
}

/* Loads the configuration and checks that its group is known and its limits can be enforced here.
 */
static int main_load_settings(struct settings *settings, char **ret_error)
{
    const char *path = options_config_path(source.options);
    CLEANUP(freep) char *error = NULL;
    int r = config_load(path, source.demo_path, settings, ret_error);

    if (r < 0)
        return r;
    if (settings->socket_group && !getgrnam(settings->socket_group)) {
        *ret_error =
            xasprintf("%s: socketGroup: unknown group \"%s\"", path, settings->socket_group);
        return -ESRCH;
    }
    r = engine_check_limits(settings, &source.cgroup, &error);
    if (r < 0)
        *ret_error = xasprintf("%s: %s", path, error);
    return r;
}

/* Warns about profiles that cannot run at the moment; the file is valid anyway. */
static void main_tell_missing(const struct settings *settings, bool is_check)
{
    for (size_t i = 0; i < settings->profile_count * ENGINE_NEED_COUNT; i++) {
        const struct profile_config *profile = &settings->profiles[i / ENGINE_NEED_COUNT];
        enum engine_need need = i % ENGINE_NEED_COUNT;
        char what[4096];

        if (!engine_lacks(&profile->runner, need, what, sizeof(what)))
            continue;
        if (is_check)
            printf("warning: profile %s: %s was not found\n", profile->name, what);
        else
            log_warning("profile %s: %s was not found", profile->name, what);
    }
}

static int main_reload(struct engine *engine, char **ret_error)
{
    CLEANUP(settings_deinit) struct settings settings = {0};
    int r = main_load_settings(&settings, ret_error);

    if (r < 0)
        return r;
    main_tell_missing(&settings, false);
    return engine_configure(engine, &settings);
}

/* Creates the state directory and locks it: one daemon per database. */
static int main_lock_state(const char *dir)
{
    CLEANUP(freep) char *lock = xasprintf("%s/acpd.lock", dir);
    int fd, r = path_make_folder(dir, 0700);

    if (r < 0) {
        log_error("cannot create the state directory %s: %s", dir, strerror(-r));
        return r;
    }
    if (!path_folder_is_guarded(dir)) {
        log_error("the state directory %s can be changed by other users; it must belong to this "
                  "user or root, and only its owner may write to it (chmod go-w)",
                  dir);
        return -EPERM;
    }
    r = path_lock(lock, &fd);
    if (r == -EADDRINUSE)
        log_error("another acpd uses the state directory %s", dir);
    else if (r < 0)
        log_error("cannot lock %s: %s", lock, strerror(-r));
    return r < 0 ? r : fd; /* held until acpd ends */
}

/* Raises the limit of open files for connections and pipes; returns the limit to restore for
 * children. */
static rlim_t main_raise_file_limit(void)
{
    struct rlimit limit;
    rlim_t before;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_warning("cannot raise the limit of open files: %s", strerror(errno));
    return before;
}

static void main_on_stop_signal(evutil_socket_t signal_number UNUSED, short what UNUSED, void *data)
{
    ((struct loop *)data)->stop_requested = true;
}

static void main_on_reload_signal(evutil_socket_t signal_number UNUSED, short what UNUSED,
                                  void *data)
{
    ((struct loop *)data)->reload_requested = true;
}

static void main_on_supervisor_lost(void *data)
{
    struct loop *loop = data;

    log_error("cannot start processes any more; stopping, so that a restart can recover");
    loop->stop_requested = true;
    loop->exit_status = EXIT_FAILURE;
}

static char *main_database_path(const struct options *options)
{
    return xasprintf("%s/acpd.db", options->state_dir);
}

static struct store_postgres main_postgres(const struct settings *settings)
{
    return (struct store_postgres){
        .url = settings->store.url,
        .timeout_ms = settings->store.timeout_ms,
        .lease_ms = settings->store.lease_ms,
        .is_pooled = settings->store.pooler == SETTINGS_TRANSACTION_POOLER,
        .node_url = settings->node.url,
    };
}

static int main_open_postgres(const struct options *options, const struct settings *settings,
                              const char *node, struct store **ret_store, char **ret_error)
{
    struct store_postgres postgres = main_postgres(settings);
    CLEANUP(freep) char *place = node_place(options->state_dir);

    if (!place) {
        *ret_error = xasprintf("cannot use %s/place: %s", options->state_dir, strerror(errno));
        return -EIO;
    }
    postgres.name = node;
    postgres.place = place;
    return store_open_postgres(&postgres, ret_store, ret_error);
}

static int main_open_store(const struct options *options, const struct settings *settings,
                           const char *node, struct store **ret_store)
{
    CLEANUP(freep) char *database = main_database_path(options);
    CLEANUP(freep) char *error = NULL;
    int r = settings->store.type == SETTINGS_POSTGRES
                ? main_open_postgres(options, settings, node, ret_store, &error)
                : store_open(database, ret_store, &error);

    if (r < 0)
        log_error("%s", error);
    return r;
}

/* Opens the database, creates the profiles and recovers running attempts. */
static int main_open_engine(const struct options *options, struct settings *settings,
                            struct store **ret_store, struct engine **ret_engine)
{
    CLEANUP(freep) char *database = main_database_path(options), *node = node_name(settings);
    struct settings empty = {0};
    struct engine *engine;
    int r = main_open_store(options, settings, node, ret_store);

    if (r < 0)
        return r;
    engine = *ret_engine =
        engine_new(*ret_store, &empty, node, options->state_dir, options->socket);
    engine_set_reload(engine, main_reload);
    r = engine_start(engine, settings);
    if (r < 0)
        log_error("cannot recover from %s: %s",
                  settings->store.type == SETTINGS_POSTGRES ? "PostgreSQL" : database,
                  store_error(*ret_store));
    return r;
}

static bool main_is_configured(const struct settings *settings, const char *program)
{
    for (size_t i = 0; i < settings->profile_count; i++) {
        char *const *command = settings->profiles[i].runner.command;

        if (command && strcmp(command[0], program) == 0)
            return true;
    }
    return false;
}

/* Reports known agents on PATH that no profile runs; `say` gets one line. */
static void main_tell_agents(const struct settings *settings, void (*say)(const char *line))
{
    for (const struct known_agent *agent = known_agents; agent->program; agent++) {
        CLEANUP(freep) char *path = known_agents_find(agent), *line = NULL;

        if (!path || main_is_configured(settings, agent->program))
            continue;
        line = xasprintf("found the agent %s; a profile runs it with \"runner\": {\"type\": "
                         "\"acp\", \"command\": %s}",
                         path, agent->command);
        say(line);
    }
}

/* The meaning of a limit depends on acpd's control group. */
static void main_tell_limits(const struct settings *settings)
{
    for (size_t i = 0; i < settings->profile_count; i++)
        if (settings->profiles[i].limits.memory && !source.cgroup.has_memory)
            log_info("profile %s: limits.memory applies to each process, because acpd has no "
                     "control group",
                     settings->profiles[i].name);
}

static void main_say_in_log(const char *line)
{
    log_info("%s", line);
}

static void main_say_on_stdout(const char *line)
{
    puts(line);
}

static int main_serve(const struct options *options, struct settings *settings,
                      struct listener *listener, struct supervisor *supervisor)
{
    struct loop loop = {.exit_status = EXIT_SUCCESS};
    struct store *store = NULL;
    struct event *signals[3] = {0};
    CLEANUP(freep) char *error = NULL;
    bool is_demo = settings->is_demo;
    size_t profile_count = settings->profile_count;
    int status = EXIT_FAILURE;
    int r = 0;

    main_tell_agents(settings, main_say_in_log);
    main_tell_missing(settings, false);
    main_tell_limits(settings);
    loop.base = event_base_new();
    if (!loop.base || main_open_engine(options, settings, &store, &loop.engine) < 0)
        goto out;
    if (listener->fd < 0)
        r = listener_bind(options->socket, engine_settings(loop.engine)->socket_group, listener,
                          &error);
    if (r < 0) {
        log_error("%s", error);
        status = r == -EADDRINUSE ? EXIT_IN_USE : EXIT_FAILURE;
        goto out;
    }
    loop.server = rpc_server_new(loop.base, loop.engine, listener);
    r = supervisor_attach(supervisor, loop.base, main_on_supervisor_lost, &loop);
    if (r < 0) {
        log_error("cannot attach the supervisor: %s", strerror(-r));
        goto out;
    }
    engine_set_supervisor(loop.engine, supervisor);
    signals[0] = evsignal_new(loop.base, SIGTERM, main_on_stop_signal, &loop);
    signals[1] = evsignal_new(loop.base, SIGINT, main_on_stop_signal, &loop);
    signals[2] = evsignal_new(loop.base, SIGHUP, main_on_reload_signal, &loop);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        evsignal_add(signals[i], NULL);

    log_info("acpd " ACPD_VERSION " is ready on %s, state in %s, %zu profile%s", options->socket,
             options->state_dir, profile_count, PLURAL(profile_count));
    if (is_demo)
        log_info("no profiles are configured; the three built-in ones run the demo agent, which "
                 "only repeats its prompt");
    notify_systemd("READY=1");
    r = loop_run(&loop);
    notify_systemd("STOPPING=1");
    log_info("stopped");
    status = r < 0 ? EXIT_FAILURE : loop.exit_status;
out:
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (signals[i])
            event_free(signals[i]);
    rpc_server_free(loop.server);
    supervisor_free(supervisor);
    engine_free(loop.engine);
    store_close(store);
    if (loop.base)
        event_base_free(loop.base);
    return status;
}

/* The configuration is valid; checks the database too, if there is one. */
static int main_check(const struct options *options, const struct settings *settings)
{
    const struct store_postgres postgres = main_postgres(settings);
    CLEANUP(freep) char *database = main_database_path(options), *info = NULL, *error = NULL;
    int r;

    printf("%s: valid, %zu profile%s\n",
           options_config_path(options) ? options->config : "built-in defaults",
           settings->profile_count, PLURAL(settings->profile_count));
    main_tell_agents(settings, main_say_on_stdout);
    main_tell_missing(settings, true);
    if (settings->store.type == SETTINGS_SQLITE && access(database, F_OK) < 0)
        return EXIT_SUCCESS;
    r = settings->store.type == SETTINGS_POSTGRES ? store_check_postgres(&postgres, &info, &error)
                                                  : sqlite_files_verify(database, &info, &error);
    if (r < 0) {
        log_error("%s", error);
        return EXIT_FAILURE;
    }
    printf("%s: %s\n", settings->store.type == SETTINGS_POSTGRES ? "store" : database, info);
    return EXIT_SUCCESS;
}

/* Commands that create a new file from the database. */
static int main_copy(const struct options *options, int (*make)(const char *path, const char *to,
                                                                char **ret_info, char **ret_error))
{
    CLEANUP(freep) char *database = main_database_path(options), *info = NULL, *error = NULL;

    umask(0077);
    if (make(database, options->file, &info, &error) < 0) {
        log_error("%s", error);
        return EXIT_FAILURE;
    }
    printf("%s: %s\n", options->file, info);
    return EXIT_SUCCESS;
}

static int main_backup(const struct options *options)
{
    return main_copy(options, sqlite_files_backup);
}

static int main_recover(const struct options *options)
{
    return main_copy(options, sqlite_recover);
}

/* acpd could not use files that another user makes there. */
static int main_lock_state_as_owner(const char *dir, const char *verb)
{
    struct stat st;

    if (stat(dir, &st) < 0 || st.st_uid == geteuid())
        return main_lock_state(dir);
    log_error("%s belongs to user %u; only that user can %s it", dir, (unsigned)st.st_uid, verb);
    return -EPERM;
}

static int main_restore(const struct options *options)
{
    CLEANUP(freep) char *database = main_database_path(options), *info = NULL, *error = NULL;
    CLEANUP(closep) int lock = main_lock_state_as_owner(options->state_dir, "restore");

    if (lock < 0)
        return lock == -EADDRINUSE ? EXIT_IN_USE : EXIT_FAILURE;
    umask(0077);
    if (sqlite_files_restore(database, options->file, &info, &error) < 0) {
        log_error("%s", error);
        return EXIT_FAILURE;
    }
    printf("%s: %s\n", database, info);
    return EXIT_SUCCESS;
}

/* The text behind the prefix; NULL: it has another one, or there is none. */
static const char *main_behind(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 && text[len] ? text + len : NULL;
}

/* "postgres:" and any connection string, or a URI, which begins like that itself. */
static const char *main_url_of(const char *store)
{
    return main_behind(store, "postgres://") || main_behind(store, "postgresql://")
               ? store
               : main_behind(store, "postgres:");
}

static int main_migrate_locked(const struct migrate_options *migration, const char *dir)
{
    CLEANUP(closep) int lock = -1;
    CLEANUP(freep) char *report = NULL, *error = NULL;
    int r;

    if (migration->is_to_postgres && access(migration->path, F_OK) < 0) {
        log_error("%s: %s", migration->path, strerror(errno));
        return EXIT_FAILURE;
    }
    lock = main_lock_state_as_owner(dir, "migrate");
    if (lock < 0)
        return lock == -EADDRINUSE ? EXIT_IN_USE : EXIT_FAILURE;
    umask(0077);
    r = migrate_run(migration, &report, &error);
    if (r < 0) {
        log_error("%s", error);
        return r == -EBUSY ? EXIT_IN_USE : EXIT_FAILURE;
    }
    fputs(report, stdout);
    if (migration->is_to_postgres)
        puts("done; set store.type to \"postgres\" and store.url to that URL, and start acpd");
    else
        printf("done; set store.type to \"sqlite\", and start acpd with --state-dir %s\n", dir);
    return EXIT_SUCCESS;
}

static int main_migrate(const struct options *options)
{
    const char *from = options->from ? options->from : "", *to = options->to ? options->to : "";
    const char *from_dir = main_behind(from, "sqlite:"), *to_dir = main_behind(to, "sqlite:");
    const char *from_url = main_url_of(from), *to_url = main_url_of(to);
    const char *dir = from_dir ? from_dir : to_dir;
    CLEANUP(freep) char *path = dir ? xasprintf("%s/acpd.db", dir) : NULL;
    const struct migrate_options migration = {
        .path = path, .url = from_url ? from_url : to_url, .is_to_postgres = to_url};

    if ((from_dir && to_url) || (from_url && to_dir))
        return main_migrate_locked(&migration, dir);
    fputs("acpd: migrate needs --from and --to, one of them sqlite:DIR, the other one "
          "postgres:URL\n",
          stderr);
    return EXIT_FAILURE;
}

static const struct {
    const char *name;
    int (*run)(const struct options *options);
    bool has_file;
} commands[] = {{"backup", main_backup, true},
                {"restore", main_restore, true},
                {"recover", main_recover, true},
                {"migrate", main_migrate, false}};

static int main_run_command(const struct options *options)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, options->command) != 0)
            continue;
        if (!commands[i].has_file == !options->file)
            return commands[i].run(options);
        fprintf(stderr, "acpd: %s %s file\n", options->command,
                commands[i].has_file ? "needs a" : "takes no");
        return EXIT_FAILURE;
    }
    fprintf(stderr, "acpd: unexpected argument '%s'\n", options->command);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    CLEANUP(options_deinit) struct options options = {0};
    CLEANUP(settings_deinit) struct settings settings = {0};
    CLEANUP(listener_deinit) struct listener listener = {.fd = -1, .lock_fd = -1};
    CLEANUP(freep) char *error = NULL, *lock_path = NULL, *demo_path = NULL;
    struct supervisor *supervisor;
    int lock_fd, status, r;

    notify_setup();
    main_occupy_standard_streams();
    options_parse(argc, argv, &options);
    if (options.command)
        return main_run_command(&options);
    demo_path = path_find_own("acpd-demo", ACPD_LIBEXECDIR "/acpd-demo");
    source.options = &options;
    source.demo_path = demo_path;
    cgroup_find(&source.cgroup);
    r = main_load_settings(&settings, &error);
    if (r < 0) {
        log_error("%s", error);
        return EXIT_CONFIG;
    }
    if (options.check)
        return main_check(&options, &settings);
    signal(SIGPIPE, SIG_IGN);
    lock_fd = main_lock_state(options.state_dir);
    if (lock_fd < 0)
        return lock_fd == -EADDRINUSE ? EXIT_IN_USE : EXIT_FAILURE;
    if (main_adopt_socket(&options, &listener, &error) < 0) {
        log_error("%s", error);
        return EXIT_FAILURE;
    }
    if (listener.fd < 0 && !main_prepare_folder(&options))
        return EXIT_FAILURE;
    /* Forked now, while this process is small. */
    lock_path = xasprintf("%s/supervisor.lock", options.state_dir);
    cgroup_divide(&source.cgroup);
    if (engine_check_limits(&settings, &source.cgroup, &error) < 0) {
        log_error("%s", error); /* what the group promised it does not keep */
        return EXIT_CONFIG;
    }
    r = supervisor_new(lock_path, main_raise_file_limit(), &source.cgroup, &supervisor);
    if (r < 0) {
        log_error("cannot start the supervisor: %s", strerror(-r));
        return EXIT_FAILURE;
    }
    umask(0077); /* not the supervisor's: children have their user's */
    status = main_serve(&options, &settings, &listener, supervisor);
    close(lock_fd);
    cgroup_deinit(&source.cgroup);
    return status;
}
