/* SPDX-License-Identifier: MIT */
/* Ends of families and supervisors, and many concurrent runs. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fixture.h"

START_TEST(stops)
{
    struct run_spec spec = spec_of(SH("echo up; sleep 1000; echo no"));
    CLEANUP(result_deinit) struct result a = {0}, CLEANUP(result_deinit) b = {0};
    struct run *run;

    spec.grace_ms = DEADLINE_MS * 2;
    run = start(&spec, &a);
    ck_assert_int_eq(run_pid(run), 0);
    run_stop(run); /* before the start: the order waits */
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
        if (i % 2) /* this process then inherits its family */
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
    /* It is our child; the fixture's supervisor stays. */
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
    /* The socket to it fills up, and the last starts wait on this side. */
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

/* Two slots, refilled from on_end, as in the daemon. */
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

void add_family_tests(TCase *tcase, TCase *without)
{
    tcase_add_test(tcase, stops);
    tcase_add_test(tcase, stops_the_unwilling);
    tcase_add_test(tcase, stops_the_stopped);
    tcase_add_test(tcase, ends_the_family);
    tcase_add_test(tcase, ends_a_family_that_flees);
    tcase_add_test(tcase, catches_a_family_that_flees_from_a_killed_keeper);
    tcase_add_test(tcase, families_end_apart);
    tcase_add_test(tcase, survives_a_killed_keeper);
    tcase_add_test(tcase, survives_a_killed_supervisor);
    tcase_add_test(tcase, kills_what_does_not_answer);
    tcase_add_test(tcase, frees_with_runs);
    tcase_add_test(tcase, leaves_while_it_waits_for_the_lock);
    tcase_add_test(tcase, does_not_wait_for_strangers);
    tcase_add_test(tcase, is_not_drowned);
    tcase_add_test(tcase, runs_a_crowd);
    tcase_add_test(tcase, runs_a_thousand);
    tcase_add_test(without, dies_with_its_parent);
}
