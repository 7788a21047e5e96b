/* SPDX-License-Identifier: MIT */
/* Paths, and the rest. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/path.h"
#include "common/strv.h"
#include "fixture.h"

/* Paths */

static char folder[64];

static void folder_open(void)
{
    strcpy(folder, "/tmp/acpd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void folder_close(void)
{
    CLEANUP(freep) char *command = xasprintf("rm -r '%s'", folder);

    ck_assert_int_eq(system(command), 0);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

START_TEST(path_makes_folders)
{
    CLEANUP(freep) char *deep = xasprintf("%s/a/b//c/", folder);
    CLEANUP(freep) char *file = xasprintf("%s/file", folder);
    CLEANUP(freep) char *below = xasprintf("%s/file/sub", folder);
    CLEANUP(freep) char *far_below = xasprintf("%s/file/sub/sub", folder);
    CLEANUP(freep) char *link = xasprintf("%s/link", folder);
    CLEANUP(freep) char *linked = xasprintf("%s/link/x", folder);
    CLEANUP(freep) char *socket = xasprintf("%s/p/q/acpd.sock", folder);
    CLEANUP(freep) char *holder = xasprintf("%s/p/q", folder);
    CLEANUP(freep) char *dangling = xasprintf("%s/dangling", folder);
    struct stat st;
    int fd;

    ck_assert_int_eq(path_make_folder(deep, 0700), 0);
    ck_assert(is_folder(deep));
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    /* Existing folders stay unchanged. */
    ck_assert_int_eq(chmod(deep, 0750), 0);
    ck_assert_int_eq(path_make_folder(deep, 0700), 0);
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0750);

    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(path_make_folder(file, 0700), -ENOTDIR);
    ck_assert_int_eq(path_make_folder(below, 0700), -ENOTDIR);
    ck_assert_int_eq(path_make_folder(far_below, 0700), -ENOTDIR);

    ck_assert_int_eq(symlink("a", link), 0);
    ck_assert_int_eq(path_make_folder(link, 0700), 0);
    ck_assert_int_eq(path_make_folder(linked, 0700), 0);
    ck_assert(is_folder(linked));
    ck_assert_int_eq(symlink("nowhere", dangling), 0);
    ck_assert_int_eq(path_make_folder(dangling, 0700), -ENOENT);

    ck_assert_int_eq(path_make_parent(socket, 0700), 0);
    ck_assert(is_folder(holder));
    ck_assert(!is_folder(socket));
    ck_assert_int_eq(path_make_parent("relative", 0700), 0);
    ck_assert_int_eq(path_make_parent("/", 0700), 0);
    ck_assert_int_eq(path_make_folder("/", 0700), 0);
    ck_assert_int_eq(path_make_folder("", 0700), -ENOENT);
}
END_TEST

static void expect_path(char *(*path)(void), const char *expected)
{
    CLEANUP(freep) char *made = path();

    ck_assert_str_eq(made, expected);
}

START_TEST(path_defaults)
{
    CLEANUP(freep) char *nobody = NULL;
    bool is_root = geteuid() == 0;

    if (is_root) {
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/x", 1), 0);
        expect_path(path_default_socket, "/run/acpd/acpd.sock");
        expect_path(path_default_state, "/var/lib/acpd");
        expect_path(path_default_config, "/etc/acpd/config.json");
        if (seteuid(65534) < 0)
            return; /* in a namespace that has only this one */
    }
    nobody = xasprintf("/tmp/acpd-%u/acpd.sock", (unsigned)geteuid());
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    setenv("XDG_STATE_HOME", "/s", 1);
    setenv("XDG_CONFIG_HOME", "/c", 1);
    setenv("HOME", "/h", 1);
    expect_path(path_default_socket, "/run/user/7/acpd.sock");
    expect_path(path_default_state, "/s/acpd");
    expect_path(path_default_config, "/c/acpd/config.json");
    setenv("XDG_RUNTIME_DIR", "relative", 1); /* must be ignored, by the specification */
    unsetenv("XDG_STATE_HOME");
    setenv("XDG_CONFIG_HOME", "", 1);
    expect_path(path_default_socket, nobody);
    expect_path(path_default_state, "/h/.local/state/acpd");
    expect_path(path_default_config, "/h/.config/acpd/config.json");
    if (is_root)
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* The rest */

START_TEST(strv_holds_strings)
{
    CLEANUP(strv_freep) char **strv = NULL;

    ck_assert_uint_eq(strv_length(strv), 0);
    ck_assert(!strv_contains(strv, "a"));
    strv_push(&strv, xstrdup("a"));
    strv_push(&strv, xasprintf("%s%d", "b", 1));
    strv_push(&strv, xstrndup("cd", 1));
    ck_assert_uint_eq(strv_length(strv), 3);
    ck_assert(strv_contains(strv, "a") && strv_contains(strv, "b1") && strv_contains(strv, "c"));
    ck_assert(!strv_contains(strv, "b") && !strv_contains(strv, ""));
    ck_assert_ptr_null(strv[3]);
}
END_TEST

START_TEST(log_levels)
{
    static const char *const bad[] = {"", "Error", "warn", "debug ", "4", "errors"};
    enum log_level level = LOG_LEVEL_DEBUG;

    ck_assert_int_eq(log_level_parse("error", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_ERROR);
    ck_assert_int_eq(log_level_parse("warning", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_WARNING);
    ck_assert_int_eq(log_level_parse("info", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_INFO);
    ck_assert_int_eq(log_level_parse("debug", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_int_eq(log_level_parse(bad[i], &level), -EINVAL);
        ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
    }
}
END_TEST

/* Captures what the log writes to stderr, NUL-terminated. */
static void log_capture(const char *message, char *ret_text, size_t size)
{
    int saved = dup(STDERR_FILENO), ends[2];
    ssize_t n;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    log_debug("too fine");
    log_warning("%s", message);
    dup2(saved, STDERR_FILENO);
    n = read(ends[0], ret_text, size - 1);
    ret_text[n < 0 ? 0 : n] = '\0';
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

START_TEST(log_writes_lines)
{
    char text[5000], message[4000];
    int64_t at;

    unsetenv("JOURNAL_STREAM");
    log_setup("tester", LOG_LEVEL_INFO);
    log_capture("it is hot", text, sizeof(text));
    ck_assert_str_eq(text + 24, " tester warning: it is hot\n");
    text[24] = '\0';
    ck_assert_int_eq(clock_parse_iso(text, &at), 0);

    memset(message, 'x', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    log_capture(message, text, sizeof(text));
    ck_assert_uint_eq(strlen(text), 2047);
    ck_assert_str_eq(text + 2045, "x\n");

    setenv("JOURNAL_STREAM", "8:1", 1);
    log_setup("tester", LOG_LEVEL_INFO);
    log_capture("it is hot", text, sizeof(text));
    ck_assert_str_eq(text, "<4>it is hot\n");
}
END_TEST

void add_path_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "path");

    tcase_add_checked_fixture(tcase, folder_open, folder_close);
    tcase_add_test(tcase, path_makes_folders);
    tcase_add_test(tcase, path_defaults);
    tcase = add_case(suite, "rest");
    tcase_add_test(tcase, strv_holds_strings);
    tcase_add_test(tcase, log_levels);
    tcase_add_test(tcase, log_writes_lines);
}
