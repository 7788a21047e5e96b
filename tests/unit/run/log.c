/* SPDX-License-Identifier: MIT */
/* The output of commands: log and result. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fixture.h"
#include "run/run_log.h"

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

/* Adds each piece; "" shows unfinished lines. */
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
    /* Characters are never cut, and an incomplete one at the end is not waited for. */
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
    /* A state that was shown partially is written to its end. */
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

void add_log_tests(TCase *tcase)
{
    tcase_add_test(tcase, logs_lines);
    tcase_add_test(tcase, shows_lines_without_their_end);
    tcase_add_test(tcase, shows_the_last_of_what_is_drawn_over);
    tcase_add_test(tcase, waits_before_it_shows);
    tcase_add_test(tcase, cuts_long_lines);
    tcase_add_test(tcase, cuts_the_log);
    tcase_add_test(tcase, makes_the_log_folder);
    tcase_add_test(tcase, keeps_the_tail);
}
