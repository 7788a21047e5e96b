/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixture.h"

/* A family that never rests: each generation leaves its parent's session, forks and dies. */
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
    /* Children must not inherit these. */
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
    add_command_tests(with);
    add_log_tests(with);
    add_family_tests(with, without);
    tcase_add_checked_fixture(without, setup_folder, teardown_folder);
    tcase_set_timeout(with, 120);
    tcase_set_timeout(without, 120);
    suite_add_tcase(suite, with);
    suite_add_tcase(suite, without);
    runner = srunner_create(suite);
    /* One process for all tests, so leftovers of one affect the next. */
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
