/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "run/cgroup.h"

struct event_base *base;
struct supervisor *supervisor;
char folder[64];
char env_t[80];
char flee_word[80]; /* makes this binary a fleeing family; names the test's folder */
int files_before;
bool was_lost;

int count_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* the two dots and the folder itself */
}

const char *in_folder(const char *name)
{
    static char path[4][128];
    static unsigned i;

    i = (i + 1) % ARRAY_SIZE(path);
    snprintf(path[i], sizeof(path[i]), "%s/%s", folder, name);
    return path[i];
}

static char *read_file(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct buf text = {0};
    ssize_t n;

    while (fd >= 0 && (n = read(fd, buf_reserve(&text, 4096), 4096)) > 0)
        text.len += (size_t)n;
    buf_add(&text, "\0", 2);
    return buf_take(&text);
}

pid_t read_pid(const char *name)
{
    CLEANUP(freep) char *text = read_file(in_folder(name));

    return (pid_t)atoi(text);
}

pid_t parent_of(pid_t pid)
{
    char path[64];
    CLEANUP(freep) char *text = NULL;
    const char *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    text = read_file(path);
    at = strrchr(text, ')');
    return at ? (pid_t)atoi(at + 4) : 0;
}

int count_processes(pid_t parent)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;
    int n = 0;

    while ((entry = readdir(dir))) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        char path[64];

        if (pid > 0 && parent) {
            n += parent_of(pid) == parent;
        } else if (pid > 0) {
            CLEANUP(freep) char *text = NULL;

            snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
            text = read_file(path);
            n += strcmp(text + strlen(text) + 1, flee_word) == 0;
        }
    }
    closedir(dir);
    return n;
}

bool is_alive(pid_t pid)
{
    return kill(pid, 0) == 0;
}

void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *data UNUSED)
{
}

static void on_lost(void *data UNUSED)
{
    was_lost = true;
}

static const struct cgroup no_group;

struct supervisor *new_supervisor(void)
{
    struct supervisor *made;

    ck_assert_int_eq(supervisor_new(in_folder("lock"), CHILDREN_FILES, &no_group, &made), 0);
    ck_assert_int_eq(supervisor_attach(made, base, on_lost, NULL), 0);
    ck_assert(!supervisor_is_ready(made));
    return made;
}

void setup_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/acpd-run-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(env_t, sizeof(env_t), "T=%s", folder);
    snprintf(flee_word, sizeof(flee_word), "flee%s", folder);
    was_lost = false;
    base = event_base_new();
    files_before = count_files();
}

void setup(void)
{
    setup_folder();
    supervisor = new_supervisor();
    wait_until(supervisor_is_ready(supervisor));
    files_before = count_files();
}

void teardown_folder(void)
{
    const char *const remove[] = {"rm", "-rf", folder, NULL};
    int status;
    pid_t pid;

    event_base_free(base);
    /* Supervisors are our children and exit last. */
    while (waitpid(-1, &status, 0) > 0)
        ck_assert(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    pid = fork();
    if (pid == 0) {
        execvp(remove[0], (char *const *)remove);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

void teardown(void)
{
    int files = count_files();

    supervisor_free(supervisor);
    teardown_folder();
    ck_assert_int_eq(files, files_before);
}

void result_deinit(struct result *result)
{
    free(result->message);
    buf_deinit(&result->output);
}

void on_end(struct run *run UNUSED, const struct run_end *end, void *data)
{
    struct result *result = data;

    ck_assert(!result->in_start);
    result->ended++;
    result->outcome = end->outcome;
    result->code = end->code;
    result->message = end->message ? xstrdup(end->message) : NULL;
    ck_assert_ptr_nonnull(end->output);
    buf_add(&result->output, end->output, end->output_len);
    if (result->stray < 0)
        result->stray = read_pid("pid");
    result->stray_was_alive = result->stray > 0 && is_alive(result->stray);
}

struct run_spec spec_of(const char *const *argv)
{
    static const char *env[2];

    env[0] = env_t;
    return (struct run_spec){
        .argv = argv,
        .env = env,
        .log_path = in_folder("log"),
        .log_limit = 1 << 20,
        .tail_limit = TAIL,
        .grace_ms = 100,
    };
}

struct run *start(const struct run_spec *spec, struct result *result)
{
    struct run_handler handler = {.on_end = on_end, .data = result};
    struct run *run;

    *result = (struct result){.in_start = true, .stray = result->stray};
    run = run_start(supervisor, spec, &handler);
    result->in_start = false;
    return run;
}

void finish(struct result *result)
{
    wait_until(result->ended);
    ck_assert_int_eq(result->ended, 1);
}

struct result run_spec(const struct run_spec *spec)
{
    struct result result = {0};

    start(spec, &result);
    finish(&result);
    return result;
}

struct result run_argv(const char *const *argv)
{
    struct run_spec spec = spec_of(argv);

    return run_spec(&spec);
}

char *read_log(const char *path)
{
    CLEANUP(freep) char *text = read_file(path);
    struct buf rest = {0};
    char *at = text;

    while (*at) {
        char *end = strchr(at, '\n');
        int64_t wall_ms;

        ck_assert_msg(end && strncmp(at, "{\"at\":\"", 7) == 0, "a broken entry: %s", at);
        at[31] = '\0';
        ck_assert_int_eq(clock_parse_iso(at + 7, &wall_ms), 0);
        ck_assert_int_lt(llabs(clock_wall_ms() - wall_ms), DEADLINE_MS);
        buf_add(&rest, at + 33, (size_t)(end + 1 - (at + 33)));
        at = end + 1;
    }
    return buf_take(&rest);
}
