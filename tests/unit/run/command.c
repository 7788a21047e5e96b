/* SPDX-License-Identifier: MIT */
/* Starting commands, and their ends. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fixture.h"

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

void add_command_tests(TCase *tcase)
{
    tcase_add_test(tcase, exits);
    tcase_add_test(tcase, dies_of_a_signal);
    tcase_add_test(tcase, is_not_found);
    tcase_add_test(tcase, enters_its_folder);
    tcase_add_test(tcase, gets_input_and_environment);
    tcase_add_test(tcase, gets_its_arguments);
    tcase_add_test(tcase, starts_clean);
}
