/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "run/cgroup.h"
#include "run/run.h"
#include "run/run_log.h"

#define DEADLINE_MS    60000
#define CHILDREN_FILES 777
#define TAIL           65536
#define ARGV(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define SH(script) ARGV("sh", "-c", (script))
/* A grandchild in its own session whose parent is gone; its id is in $T/pid. */
#define STRAY                                                                                      \
    "setsid sh -c 'setsid sleep 1000 & echo $! > $T/new; mv $T/new $T/pid' & "                     \
    "until test -s $T/pid; do sleep 0.01; done; "

static struct event_base *base;
static struct supervisor *supervisor;
static char folder[64];
static char env_t[80];
static char flee_word[80]; /* makes this binary a family that flees; names the test's folder */
static int files_before;
static bool was_lost;

struct result {
    bool in_start; /* run_start has not returned yet */
    int ended;     /* how often on_end was called */
    pid_t stray;   /* looked at in on_end */
    bool stray_was_alive;
    enum run_outcome outcome;
    int code;
    char *message;
    struct buf output;
};

static int count_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* the two dots and the folder itself */
}

static const char *in_folder(const char *name)
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

static pid_t read_pid(const char *name)
{
    CLEANUP(freep) char *text = read_file(in_folder(name));

    return (pid_t)atoi(text);
}

static pid_t parent_of(pid_t pid)
{
    char path[64];
    CLEANUP(freep) char *text = NULL;
    const char *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    text = read_file(path);
    at = strrchr(text, ')');
    return at ? (pid_t)atoi(at + 4) : 0;
}

/* How many processes have this parent, or, when it is 0, flee. */
static int count_processes(pid_t parent)
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

static bool is_alive(pid_t pid)
{
    return kill(pid, 0) == 0;
}

static void on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *data UNUSED)
{
}

/* Runs the loop until the condition holds. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        struct event *tick_ = event_new(base, -1, EV_PERSIST, on_tick, NULL);                      \
        int64_t end_ = clock_mono_ms() + DEADLINE_MS;                                              \
        bool holds_;                                                                               \
        event_add(tick_, &(struct timeval){.tv_usec = 5000});                                      \
        while (!(holds_ = (condition)) && clock_mono_ms() < end_)                                  \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        event_free(tick_);                                                                         \
        ck_assert_msg(holds_, "still not: %s", #condition);                                        \
    } while (0)

static void on_lost(void *data UNUSED)
{
    was_lost = true;
}

static const struct cgroup no_group;

static struct supervisor *new_supervisor(void)
{
    struct supervisor *made;

    ck_assert_int_eq(supervisor_new(in_folder("lock"), CHILDREN_FILES, &no_group, &made), 0);
    ck_assert_int_eq(supervisor_attach(made, base, NULL, on_lost, NULL), 0);
    ck_assert(!supervisor_is_ready(made));
    return made;
}

static void setup_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/acpd-run-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(env_t, sizeof(env_t), "T=%s", folder);
    snprintf(flee_word, sizeof(flee_word), "flee%s", folder);
    was_lost = false;
    base = event_base_new();
    files_before = count_files();
}

static void setup(void)
{
    setup_folder();
    supervisor = new_supervisor();
    wait_until(supervisor_is_ready(supervisor));
    files_before = count_files();
}

static void teardown_folder(void)
{
    const char *const remove[] = {"rm", "-rf", folder, NULL};
    int status;
    pid_t pid;

    event_base_free(base);
    /* Supervisors are our children and leave last. */
    while (waitpid(-1, &status, 0) > 0)
        ck_assert(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    pid = fork();
    if (pid == 0) {
        execvp(remove[0], (char *const *)remove);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static void teardown(void)
{
    int files = count_files();

    supervisor_free(supervisor);
    teardown_folder();
    ck_assert_int_eq(files, files_before);
}

static void result_deinit(struct result *result)
{
    free(result->message);
    buf_deinit(&result->output);
}

static void on_end(struct run *run UNUSED, const struct run_end *end, void *data)
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

static struct run_spec spec_of(const char *const *argv)
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

static struct run *start(const struct run_spec *spec, struct result *result)
{
    struct run_handler handler = {.on_end = on_end, .data = result};
    struct run *run;

    *result = (struct result){.in_start = true, .stray = result->stray};
    run = run_start(supervisor, spec, &handler);
    result->in_start = false;
    return run;
}

static void finish(struct result *result)
{
    wait_until(result->ended);
    ck_assert_int_eq(result->ended, 1);
}

static struct result run_spec(const struct run_spec *spec)
{
    struct result result = {0};

    start(spec, &result);
    finish(&result);
    return result;
}

static struct result run_argv(const char *const *argv)
{
    struct run_spec spec = spec_of(argv);

    return run_spec(&spec);
}

/* The log without its times, which are checked on the way. */
static char *read_log(const char *path)
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

#define assert_log(expected)                                                                       \
    do {                                                                                           \
        CLEANUP(freep) char *log_ = read_log(in_folder("log"));                                    \
        ck_assert_str_eq(log_, expected);                                                          \
    } while (0)
#define LINE(stream, text) "\"stream\":\"" stream "\",\"text\":\"" text "\"}\n"

#define assert_end(result, expected, number)                                                       \
    do {                                                                                           \
        ck_assert_int_eq((result).outcome, (expected));                                            \
        ck_assert_int_eq((result).code, (number));                                                 \
    } while (0)
#define assert_output(result, text) ck_assert_str_eq(buf_text(&(result).output), text)

START_TEST(exits)
{
    CLEANUP(result_deinit) struct result a = run_argv(SH("echo out; echo err >&2; exit 7"));
    CLEANUP(result_deinit) struct result b = run_argv(ARGV("true"));

    assert_end(a, RUN_EXITED, 7);
    assert_output(a, "out\n");
    ck_assert_ptr_null(a.message);
    assert_end(b, RUN_EXITED, 0);
    assert_output(b, "");
}
END_TEST

START_TEST(dies_of_a_signal)
{
    CLEANUP(result_deinit) struct result a = run_argv(SH("kill -USR2 $$"));

    assert_end(a, RUN_SIGNALED, SIGUSR2);
}
END_TEST

START_TEST(is_not_found)
{
    CLEANUP(result_deinit) struct result a = run_argv(ARGV("no-such-program", "x"));
    CLEANUP(result_deinit) struct result b = run_argv(ARGV("/etc/passwd"));
    CLEANUP(result_deinit) struct result c = run_argv(&(const char *const){NULL});

    assert_end(a, RUN_NOT_STARTED, ENOENT);
    ck_assert_str_eq(a.message, "cannot start \"no-such-program\": No such file or directory");
    assert_end(b, RUN_NOT_STARTED, EACCES);
    assert_end(c, RUN_NOT_STARTED, EINVAL);
}
END_TEST

START_TEST(enters_its_folder)
{
    struct run_spec spec = spec_of(ARGV("pwd"));
    CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {0};

    spec.cwd = folder;
    a = run_spec(&spec);
    buf_add_char(&a.output, '\0');
    ck_assert_int_eq(strncmp(a.output.data, folder, strlen(folder)), 0);
    spec.cwd = "/no/such";
    b = run_spec(&spec);
    assert_end(b, RUN_NOT_STARTED, ENOENT);
    ck_assert_str_eq(b.message, "cannot enter \"/no/such\": No such file or directory");
}
END_TEST

START_TEST(gets_input_and_environment)
{
    struct run_spec spec = spec_of(SH("cat; echo \"$T|$HOME|$EXTRA|$ODD\""));
    const char *const env[] = {"HOME=/replaced", "EXTRA=a=b c\n", "ODD", NULL};
    CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {0};
    size_t len = 3 << 20;
    CLEANUP(freep) char *input = xmalloc(len);

    setenv("T", "inherited?", 1); /* too late: the supervisor has its environment */
    spec.env = env;
    spec.input = "one\ntwo";
    spec.input_len = 7;
    a = run_spec(&spec);
    unsetenv("T");
    assert_output(a, "one\ntwo|/replaced|a=b c\n|\n");

    memset(input, 'x', len);
    spec = spec_of(ARGV("wc", "-c"));
    spec.env = NULL;
    spec.input = input;
    spec.input_len = len;
    b = run_spec(&spec);
    assert_output(b, "3145728\n");
}
END_TEST

START_TEST(gets_its_arguments)
{
    CLEANUP(result_deinit)
    struct result a = run_argv(ARGV("printf", "[%s]", "", " a  b ", "\n", "$HOME", "\"'", "*"));

    assert_output(a, "[][ a  b ][\n][$HOME][\"'][*]");
}
END_TEST

START_TEST(starts_clean)
{
    CLEANUP(result_deinit)
    struct result a = {0}, CLEANUP(result_deinit) b = {0}, CLEANUP(result_deinit) c = {0},
                  CLEANUP(result_deinit) d = {0};
    const char *status;

    a = run_argv(ARGV("cat", "/proc/self/status"));
    status = buf_text(&a.output);
    ck_assert_ptr_nonnull(strstr(status, "SigBlk:\t0000000000000000"));
    status = strstr(status, "SigIgn:\t");
    ck_assert_ptr_nonnull(status);
    /* glibc's posix_spawn always ignores its two internal signals. */
    ck_assert_uint_eq(strtoull(status + 8, NULL, 16) & ~UINT64_C(0x180000000), 0);
    b = run_argv(SH("ulimit -Sn"));
    assert_output(b, "777\n");
    c = run_argv(SH("ls /proc/$$/fd; true"));
    assert_output(c, "0\n1\n2\n");
    d = run_argv(SH("test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo own session"));
    assert_output(d, "own session\n");
}
END_TEST

START_TEST(logs_lines)
{
    CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {0};

    a = run_argv(SH("echo one; echo; printf 'two\\r\\n'; printf '\"\\\\\\t\\r'; printf '\\nrest'"));
    assert_log(LINE("stdout", "one") LINE("stdout", "") LINE("stdout", "two")
                   LINE("stdout", "\\\"\\\\\\t") LINE("stdout", "rest"));
    b = run_argv(
        SH("printf 'pa' >&2; printf '\\303\\244 \\377\\300 \\342\\202'; printf 'rt\\n' >&2"));
    {
        CLEANUP(freep) char *log = read_log(in_folder("log"));

        ck_assert_ptr_nonnull(strstr(log, LINE("stderr", "part")));
        ck_assert_ptr_nonnull(strstr(
            log, LINE("stdout", "\xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd")));
    }
    assert_output(b, "\xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
}
END_TEST

#define MORE(stream, text) "\"stream\":\"" stream "\",\"text\":\"" text "\",\"continues\":true}\n"

/* Each piece is added; "" shows what waits. */
static void logs_pieces(const char *const *pieces, const char *expected)
{
    struct run_log *log = run_log_new(in_folder("log"), 1 << 20);
    CLEANUP(freep) char *text = NULL;

    for (; *pieces; pieces++) {
        run_log_add(log, RUN_STDOUT, *pieces, strlen(*pieces));
        if (!**pieces)
            ck_assert_int_eq(run_log_show(log, 0), -1);
    }
    run_log_end(log);
    run_log_free(log);
    text = read_log(in_folder("log"));
    ck_assert_str_eq(text, expected);
}

START_TEST(shows_lines_without_their_end)
{
#define PIECES(...) ((const char *const[]){__VA_ARGS__, NULL})
    logs_pieces(PIECES("Password: ", "", "", "secret\n", "next"),
                LINE("stdout", "Password: ") MORE("stdout", "secret") LINE("stdout", "next"));
    logs_pieces(PIECES("whole", "", "\r\n", "\n"), LINE("stdout", "whole") LINE("stdout", ""));
    logs_pieces(PIECES("whole\r", "", "\n", "x\r\n\r\r\n"),
                LINE("stdout", "whole") LINE("stdout", "x") LINE("stdout", ""));
    /* No character is cut, and what is none is not waited for at the end. */
    logs_pieces(PIECES("a\xe2", "", "\x82", "", "\xac\xf0\x9f", "", "z\xc3", "", "\n"),
                LINE("stdout", "a") MORE("stdout", "\xe2\x82\xac")
                    MORE("stdout", "\xef\xbf\xbd\xef\xbf\xbdz") MORE("stdout", "\xef\xbf\xbd"));
}
END_TEST

START_TEST(shows_the_last_of_what_is_drawn_over)
{
    logs_pieces(PIECES("1%\r2%\r3%\r\n", "done\n"), LINE("stdout", "3%") LINE("stdout", "done"));
    logs_pieces(PIECES("1%\r2%\r", "", "3%\r", "4%\r", "", "5%\r", "6%\n"),
                LINE("stdout", "2%") LINE("stdout", "4%") LINE("stdout", "6%"));
    logs_pieces(PIECES("\r1%", "", "\r2%\r3%", "", "\r4%\n"),
                LINE("stdout", "1%") LINE("stdout", "3%") LINE("stdout", "4%"));
    /* One that was shown in the middle is told to its end. */
    logs_pieces(PIECES("1%\r2", "", "% of 9\r3% of 9\r4% of 9\r\n"),
                LINE("stdout", "2") MORE("stdout", "% of 9") LINE("stdout", "4% of 9"));
    logs_pieces(PIECES("1%", "", "\r", "\r", "\n", "x"), LINE("stdout", "1%") LINE("stdout", "x"));
}
END_TEST

START_TEST(waits_before_it_shows)
{
    struct run_log *log = run_log_new(in_folder("log"), 1 << 20);

    ck_assert_int_eq(run_log_show(log, 1000000), -1);
    run_log_add(log, RUN_STDERR, "half", 4);
    ck_assert_int_gt(run_log_show(log, 1000000), 900000);
    run_log_add(log, RUN_STDERR, "\n", 1);
    ck_assert_int_eq(run_log_show(log, 1000000), -1);
    run_log_end(log);
    run_log_free(log);
    assert_log(LINE("stderr", "half"));
}
END_TEST

static size_t count_lines(const char *text)
{
    size_t n = 0;

    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

START_TEST(cuts_long_lines)
{
    static const struct {
        const char *script;
        size_t entries;
    } cases[] = {
        {"head -c 16384 /dev/zero | tr '\\0' x; printf '\\r\\n'; echo y", 2},
        {"head -c 16384 /dev/zero | tr '\\0' x", 1},
        {"head -c 16385 /dev/zero | tr '\\0' x; echo", 2},
        {"head -c 163840 /dev/zero | tr '\\0' x; echo", 10},
        /* 3-byte characters: 16384 is no multiple, so pieces are a little shorter. */
        {"yes '\xe2\x82\xac' | head -n 11000 | tr -d '\\n'; echo", 3},
        {"head -c 40000 /dev/zero | tr '\\0' '\\200'", 3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(result_deinit) struct result a = run_argv(SH(cases[i].script));
        CLEANUP(freep) char *log = read_log(in_folder("log"));

        ck_assert_int_eq(a.code, 0);
        ck_assert_uint_eq(count_lines(log), cases[i].entries);
        if (strchr(cases[i].script, '\xe2'))
            ck_assert_ptr_null(strstr(log, "\xef\xbf\xbd"));
    }
}
END_TEST

START_TEST(cuts_the_log)
{
    struct run_spec spec = spec_of(SH("seq 100000; seq 100000 >&2"));
    CLEANUP(result_deinit) struct result a = {0};
    CLEANUP(freep) char *log = NULL;
    const char *mark = LINE("acpd", "log cut at 5000 bytes; later output was dropped");
    struct stat info;

    spec.log_limit = 5000;
    a = run_spec(&spec);
    assert_end(a, RUN_EXITED, 0);
    log = read_log(in_folder("log"));
    ck_assert_uint_gt(count_lines(log), 50);
    ck_assert_str_eq(log + strlen(log) - strlen(mark), mark);
    ck_assert_int_eq(stat(in_folder("log"), &info), 0);
    ck_assert_int_lt(info.st_size, 5200);
    ck_assert_int_gt(info.st_size, 4900);
    ck_assert_int_eq(info.st_mode & 07777, 0600);
    ck_assert_int_eq(strcmp(buf_text(&a.output) + a.output.len - 13, "99999\n100000\n"), 0);
}
END_TEST

START_TEST(makes_the_log_folder)
{
    struct run_spec spec = spec_of(SH("echo hi"));
    CLEANUP(result_deinit)
    struct result a = {0}, CLEANUP(result_deinit) b = {0}, CLEANUP(result_deinit) c = {0};
    CLEANUP(freep) char *log = NULL;
    struct stat info;

    spec.log_path = in_folder("one/two/log");
    a = run_spec(&spec);
    log = read_log(in_folder("one/two/log"));
    ck_assert_str_eq(log, LINE("stdout", "hi"));
    ck_assert_int_eq(stat(in_folder("one/two"), &info), 0);
    ck_assert_int_eq(info.st_mode & 07777, 0700);

    spec.log_path = "/dev/null/x/y/z";
    b = run_spec(&spec);
    assert_end(b, RUN_EXITED, 0);
    assert_output(b, "hi\n");
    spec.log_path = "/dev/full";
    c = run_spec(&spec);
    assert_end(c, RUN_EXITED, 0);
    assert_output(c, "hi\n");
}
END_TEST

START_TEST(keeps_the_tail)
{
    struct run_spec spec = spec_of(SH("seq 1000000"));
    CLEANUP(result_deinit)
    struct result a = {0}, CLEANUP(result_deinit) b = {0}, CLEANUP(result_deinit) c = {0},
                  CLEANUP(result_deinit) d = {0};

    spec.tail_limit = 15;
    a = run_spec(&spec);
    assert_output(a, "999999\n1000000\n");
    spec.argv = SH("printf 'abcdefgh\xe2\x82\xac'; sleep 0.01; printf 'abcdefghijklm'");
    b = run_spec(&spec);
    assert_output(b, "abcdefghijklm");
    spec.argv = SH("printf '\\377\\377\\377\\377\\377\\377\\377ab'");
    c = run_spec(&spec);
    assert_output(c, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                     "ab");
    spec.tail_limit = 0;
    d = run_spec(&spec);
    assert_output(d, "");
}
END_TEST

START_TEST(stops)
{
    struct run_spec spec = spec_of(SH("echo up; sleep 1000; echo no"));
    CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {0};
    struct run *run;

    spec.grace_ms = DEADLINE_MS * 2;
    run = start(&spec, &a);
    ck_assert_int_eq(run_pid(run), 0);
    run_stop(run); /* before it is up: the order waits */
    finish(&a);
    assert_end(a, RUN_SIGNALED, SIGTERM);

    spec.argv = SH("trap 'echo bye; exit 3' TERM; echo > $T/up; while :; do sleep 0.01; done");
    run = start(&spec, &b);
    wait_until(access(in_folder("up"), F_OK) == 0 && run_pid(run));
    ck_assert_int_gt(run_pid(run), 0);
    run_stop(run);
    run_stop(run);
    finish(&b);
    assert_end(b, RUN_EXITED, 3);
    assert_output(b, "bye\n");
}
END_TEST

START_TEST(stops_the_unwilling)
{
    struct run_spec spec = spec_of(SH("trap '' TERM; " STRAY "while :; do sleep 0.01; done"));
    CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {0};
    struct run *run;
    int64_t at;

    a.stray = -1;
    run = start(&spec, &a);
    wait_until(read_pid("pid"));
    at = clock_mono_ms();
    run_stop(run);
    finish(&a);
    assert_end(a, RUN_SIGNALED, SIGKILL);
    ck_assert_int_ge(clock_mono_ms() - at, 100);
    ck_assert(a.stray && !a.stray_was_alive);

    spec.grace_ms = DEADLINE_MS * 2;
    spec.argv = SH("trap '' TERM; echo > $T/up; sleep 1000");
    run = start(&spec, &b);
    wait_until(access(in_folder("up"), F_OK) == 0);
    run_stop(run);
    run_kill(run);
    finish(&b);
    assert_end(b, RUN_SIGNALED, SIGKILL);
}
END_TEST

START_TEST(stops_the_stopped)
{
    struct run_spec spec = spec_of(SH("echo > $T/up; kill -STOP $$; sleep 1000"));
    CLEANUP(result_deinit) struct result a = {0};
    struct run *run;

    spec.grace_ms = DEADLINE_MS * 2;
    run = start(&spec, &a);
    wait_until(access(in_folder("up"), F_OK) == 0);
    run_stop(run);
    finish(&a);
    assert_end(a, RUN_SIGNALED, SIGTERM);
}
END_TEST

START_TEST(ends_the_family)
{
    struct run_spec spec = spec_of(SH("exec 2>/dev/null; " STRAY "echo done; exit 4"));
    CLEANUP(result_deinit) struct result a = {.stray = -1};

    start(&spec, &a);
    finish(&a);
    assert_end(a, RUN_EXITED, 4);
    assert_output(a, "done\n");
    ck_assert(a.stray && !a.stray_was_alive);
}
END_TEST

START_TEST(ends_a_family_that_flees)
{
    char self[256] = "";

    ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
    for (int i = 0; i < 5; i++) {
        struct run_spec spec = spec_of(ARGV(self, flee_word));
        CLEANUP(result_deinit) struct result a = {0};

        start(&spec, &a);
        finish(&a);
        /* Several looks: one alone may miss who moves. */
        for (int look = 0; look < 5; look++)
            ck_assert_int_eq(count_processes(0), 0);
        assert_end(a, RUN_EXITED, 0);
    }
}
END_TEST

START_TEST(catches_a_family_that_flees_from_a_killed_keeper)
{
    char self[256] = "";

    ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
    for (int i = 0; i < 5; i++) {
        struct run_spec spec = spec_of(
            ARGV("sh", "-c", "\"$1\" \"$2\"; touch $T/up; sleep 1000", "-", self, flee_word));
        CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {0};
        struct run *run, *other;

        run = start(&spec, &a);
        spec.argv = ARGV("sleep", "1000");
        other = start(&spec, &b);
        wait_until(run_pid(run) && run_pid(other) && access(in_folder("up"), F_OK) == 0);
        unlink(in_folder("up"));
        kill(parent_of(run_pid(run)), SIGKILL);
        finish(&a);
        /* Several looks: one alone may miss who moves. */
        for (int look = 0; look < 5; look++)
            ck_assert_int_eq(count_processes(0), 0);
        ck_assert_int_eq(a.outcome, RUN_LOST);
        run_kill(other);
        finish(&b);
    }
}
END_TEST

START_TEST(families_end_apart)
{
    struct run_spec spec = spec_of(SH(STRAY "mv $T/pid $T/first; sleep 1000"));
    CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {.stray = -1};
    struct run *first;

    first = start(&spec, &a);
    wait_until(read_pid("first"));
    spec.argv = SH(STRAY);
    spec.log_path = NULL;
    start(&spec, &b);
    finish(&b);
    ck_assert(b.stray && !b.stray_was_alive);
    ck_assert_int_eq(a.ended, 0);
    a.stray = read_pid("first");
    ck_assert(is_alive(a.stray));
    run_kill(first);
    finish(&a);
    ck_assert(!a.stray_was_alive);
}
END_TEST

START_TEST(survives_a_killed_keeper)
{
    struct run_spec spec = spec_of(SH(STRAY "echo up; touch $T/up; sleep 1000"));
    CLEANUP(result_deinit)
    struct result a = {.stray = -1}, CLEANUP(result_deinit) b = {0}, CLEANUP(result_deinit) c = {0};
    struct run *run, *other;
    pid_t pid;

    run = start(&spec, &a);
    wait_until(access(in_folder("up"), F_OK) == 0 && run_pid(run));
    spec = spec_of(ARGV("sleep", "1000"));
    other = start(&spec, &b);
    wait_until(run_pid(other));
    pid = run_pid(run);
    ck_assert_int_eq(kill(parent_of(pid), SIGKILL), 0);
    finish(&a);
    ck_assert_int_eq(a.outcome, RUN_LOST);
    assert_output(a, "up\n");
    ck_assert(a.stray && !a.stray_was_alive);
    ck_assert(!is_alive(pid));
    ck_assert_int_eq(b.ended, 0);
    ck_assert(is_alive(run_pid(other)));
    run_kill(other);
    finish(&b);
    assert_end(b, RUN_SIGNALED, SIGKILL);
    c = run_argv(SH("exit 5"));
    assert_end(c, RUN_EXITED, 5);
}
END_TEST

START_TEST(survives_a_killed_supervisor)
{
    for (int i = 0; i < 5; i++) {
        struct run_spec spec = spec_of(SH(STRAY "touch $T/up; sleep 1000"));
        CLEANUP(result_deinit) struct result a = {.stray = -1}, CLEANUP(result_deinit) b = {0};
        struct run *run;
        pid_t keeper;

        run = start(&spec, &a);
        wait_until(access(in_folder("up"), F_OK) == 0 && run_pid(run));
        keeper = parent_of(run_pid(run));
        if (i % 2) /* what it kept falls to this process then */
            ck_assert_int_eq(kill(keeper, i == 1 ? SIGKILL : SIGSTOP), 0);
        ck_assert_int_eq(kill(parent_of(keeper), SIGKILL), 0);
        finish(&a);
        ck_assert_int_eq(a.outcome, RUN_LOST);
        ck_assert(a.stray && !a.stray_was_alive);
        wait_until(supervisor_is_ready(supervisor));
        ck_assert(!was_lost);
        b = run_argv(ARGV("true"));
        assert_end(b, RUN_EXITED, 0);
        unlink(in_folder("up"));
    }
}
END_TEST

START_TEST(kills_what_does_not_answer)
{
    struct run_spec spec = spec_of(SH(STRAY "touch $T/up; sleep 1000"));
    CLEANUP(result_deinit) struct result a = {.stray = -1}, CLEANUP(result_deinit) b = {0};
    struct run *run;
    pid_t keeper, old;

    run = start(&spec, &a);
    wait_until(access(in_folder("up"), F_OK) == 0 && run_pid(run));
    keeper = parent_of(run_pid(run));
    old = parent_of(keeper);
    ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
    run_stop(run);
    finish(&a);
    ck_assert_int_eq(a.outcome, RUN_LOST);
    ck_assert(a.stray && !a.stray_was_alive);
    ck_assert_int_eq(kill(old, SIGSTOP), 0);
    b = run_argv(ARGV("true"));
    ck_assert_int_eq(b.outcome, RUN_LOST);
    result_deinit(&b);
    wait_until(supervisor_is_ready(supervisor));
    b = run_argv(ARGV("true"));
    assert_end(b, RUN_EXITED, 0);
    ck_assert(!is_alive(old) && !was_lost);
}
END_TEST

START_TEST(frees_with_runs)
{
    struct run_spec spec = spec_of(SH(STRAY "touch $T/up; trap '' TERM; sleep 1000"));
    CLEANUP(result_deinit) struct result a = {0};
    pid_t stray;

    start(&spec, &a);
    wait_until(access(in_folder("up"), F_OK) == 0);
    stray = read_pid("pid");
    supervisor_free(supervisor);
    ck_assert_int_eq(a.ended, 0);
    supervisor = new_supervisor();
    wait_until(supervisor_is_ready(supervisor));
    ck_assert(stray && !is_alive(stray));
}
END_TEST

START_TEST(dies_with_its_parent)
{
    struct supervisor *next;
    int64_t until;
    pid_t pid, stray;

    pid = fork();
    if (pid == 0) {
        struct run_spec spec = spec_of(SH("trap '' TERM HUP; " STRAY "touch $T/up; sleep 1000"));
        struct result result = {0};

        event_reinit(base);
        supervisor = new_supervisor();
        start(&spec, &result);
        event_base_dispatch(base);
        _exit(1);
    }
    wait_until(access(in_folder("up"), F_OK) == 0);
    stray = read_pid("pid");
    next = new_supervisor();
    until = clock_mono_ms() + 100;
    wait_until(clock_mono_ms() > until);
    ck_assert(!supervisor_is_ready(next));
    ck_assert(is_alive(stray));
    kill(pid, SIGKILL);
    wait_until(supervisor_is_ready(next));
    ck_assert(stray && !is_alive(stray));
    supervisor_free(next);
}
END_TEST

START_TEST(leaves_while_it_waits_for_the_lock)
{
    struct supervisor *next = new_supervisor();

    supervisor_free(next);
    /* It is our child; the fixture's supervisor lives on. */
    ck_assert_int_gt(waitpid(-1, NULL, 0), 0);
    ck_assert(!was_lost);
}
END_TEST

START_TEST(does_not_wait_for_strangers)
{
    struct run_spec spec = spec_of(SH("echo up; touch $T/up; sleep 1000"));
    CLEANUP(result_deinit) struct result a = {0};
    CLEANUP(closep) int writer = -1;
    char path[64];
    struct run *run;

    run = start(&spec, &a);
    wait_until(access(in_folder("up"), F_OK) == 0 && run_pid(run));
    snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)run_pid(run));
    writer = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(writer, 0);
    run_kill(run);
    finish(&a);
    assert_output(a, "up\n");
    close(writer);
    writer = -1;
}
END_TEST

START_TEST(is_not_drowned)
{
    struct run_spec spec = spec_of(ARGV("yes"));
    CLEANUP(result_deinit) struct result a = {0};
    struct run *flood;

    spec.log_limit = 100000;
    flood = start(&spec, &a);
    wait_until(run_pid(flood));
    for (int i = 0; i < 20; i++) {
        struct run_spec small = spec_of(SH("echo hi"));
        CLEANUP(result_deinit) struct result b = {0};

        small.log_path = NULL;
        start(&small, &b);
        finish(&b);
        assert_output(b, "hi\n");
    }
    ck_assert_int_eq(a.ended, 0);
    run_kill(flood);
    finish(&a);
    assert_end(a, RUN_SIGNALED, SIGKILL);
    ck_assert_uint_eq(a.output.len, TAIL);
}
END_TEST

#define CROWD 300

/* This process has no other child. */
static pid_t supervisor_pid(void)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;
    pid_t pid = 0;

    while ((entry = readdir(dir)))
        if (atoi(entry->d_name) > 0 && parent_of((pid_t)atoi(entry->d_name)) == getpid())
            pid = (pid_t)atoi(entry->d_name);
    closedir(dir);
    ck_assert_int_gt(pid, 0);
    return pid;
}

static bool all_ended(const struct result *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!results[i].ended)
            return false;
    return true;
}

START_TEST(runs_a_crowd)
{
    static struct result results[CROWD];
    struct run *runs[CROWD];
    CLEANUP(closep) int go = -1;
    char log[32], input[32];
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    /* So the socket to it fills up, and the last starts wait on this side. */
    kill(supervisor_pid(), SIGSTOP);
    ck_assert_int_eq(mkfifo(in_folder("go"), 0600), 0);
    go = open(in_folder("go"), O_RDWR | O_CLOEXEC);
    for (int i = 0; i < CROWD; i++) {
        struct run_spec spec = spec_of(SH("cat; read go <$T/go; sleep 1000 & exit 9"));

        snprintf(log, sizeof(log), "logs/%d", i);
        snprintf(input, sizeof(input), "I am %d\n", i);
        spec.log_path = in_folder(log);
        spec.input = input;
        spec.input_len = strlen(input);
        runs[i] = start(&spec, &results[i]);
    }
    kill(supervisor_pid(), SIGCONT);
    for (int i = 0; i < CROWD; i++)
        wait_until(run_pid(runs[i]));
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(write(go, "\n", 1), 1);
    wait_until(all_ended(results, CROWD));
    for (int i = 0; i < CROWD; i++) {
        snprintf(input, sizeof(input), "I am %d\n", i);
        assert_end(results[i], RUN_EXITED, 9);
        assert_output(results[i], input);
        result_deinit(&results[i]);
    }
    close(go);
    go = -1;
}
END_TEST

/* Two slots that are refilled from on_end, as the daemon does it. */
static struct {
    int left, running;
} mill;

static void mill_on_end(struct run *run UNUSED, const struct run_end *end, void *data)
{
    struct run_spec spec = spec_of(ARGV("/bin/true"));
    struct run_handler handler = {.on_end = mill_on_end, .data = data};

    ck_assert_int_eq(end->outcome, RUN_EXITED);
    mill.running--;
    if (mill.left > 0) {
        mill.left--;
        mill.running++;
        run_start(supervisor, &spec, &handler);
    }
}

START_TEST(runs_a_thousand)
{
    int64_t at = clock_mono_us();
    const int count = 1000;
    int files;

    mill.left = count;
    mill.running = 2;
    mill_on_end(NULL, &(struct run_end){.outcome = RUN_EXITED}, NULL);
    mill_on_end(NULL, &(struct run_end){.outcome = RUN_EXITED}, NULL);
    wait_until(mill.left < 900);
    files = count_files();
    wait_until(mill.left == 0 && mill.running == 0);
    ck_assert_int_le(files, files_before + 2 * 3 + 2);
    wait_until(count_processes(supervisor_pid()) == 0);
    if (getenv("RUN_RATE"))
        printf("%.0f runs per second\n", (double)count * 1e6 / (double)(clock_mono_us() - at));
}
END_TEST

/* A family that never stands still: each generation leaves its parent's session and dies. */
static void flee(void)
{
    int64_t end = clock_mono_ms() + DEADLINE_MS / 2;

    while (clock_mono_ms() < end) {
        if (fork())
            _exit(0);
        setsid();
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("run");
    TCase *with = tcase_create("with a supervisor");
    TCase *without = tcase_create("without");
    SRunner *runner;
    sigset_t blocked;
    int failed;

    if (argc > 1 && strncmp(argv[1], "flee", 4) == 0)
        flee();
    /* What a child must not inherit. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    setenv("HOME", "/inherited", 1);
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
    if (dup2(STDERR_FILENO, 100) < 0) /* open over exec */
        return EXIT_FAILURE;

    tcase_add_checked_fixture(with, setup, teardown);
    tcase_add_test(with, exits);
    tcase_add_test(with, dies_of_a_signal);
    tcase_add_test(with, is_not_found);
    tcase_add_test(with, enters_its_folder);
    tcase_add_test(with, gets_input_and_environment);
    tcase_add_test(with, gets_its_arguments);
    tcase_add_test(with, starts_clean);
    tcase_add_test(with, logs_lines);
    tcase_add_test(with, shows_lines_without_their_end);
    tcase_add_test(with, shows_the_last_of_what_is_drawn_over);
    tcase_add_test(with, waits_before_it_shows);
    tcase_add_test(with, cuts_long_lines);
    tcase_add_test(with, cuts_the_log);
    tcase_add_test(with, makes_the_log_folder);
    tcase_add_test(with, keeps_the_tail);
    tcase_add_test(with, stops);
    tcase_add_test(with, stops_the_unwilling);
    tcase_add_test(with, stops_the_stopped);
    tcase_add_test(with, ends_the_family);
    tcase_add_test(with, ends_a_family_that_flees);
    tcase_add_test(with, catches_a_family_that_flees_from_a_killed_keeper);
    tcase_add_test(with, families_end_apart);
    tcase_add_test(with, survives_a_killed_keeper);
    tcase_add_test(with, survives_a_killed_supervisor);
    tcase_add_test(with, kills_what_does_not_answer);
    tcase_add_test(with, frees_with_runs);
    tcase_add_test(with, leaves_while_it_waits_for_the_lock);
    tcase_add_test(with, does_not_wait_for_strangers);
    tcase_add_test(with, is_not_drowned);
    tcase_add_test(with, runs_a_crowd);
    tcase_add_test(with, runs_a_thousand);
    tcase_add_checked_fixture(without, setup_folder, teardown_folder);
    tcase_add_test(without, dies_with_its_parent);
    tcase_set_timeout(with, 120);
    tcase_set_timeout(without, 120);
    suite_add_tcase(suite, with);
    suite_add_tcase(suite, without);
    runner = srunner_create(suite);
    /* One process for all: what one test leaves behind, the next one meets. */
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
