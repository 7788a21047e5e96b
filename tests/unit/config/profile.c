/* SPDX-License-Identifier: MIT */
/* Keys and profiles. */
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/strv.h"
#include "fixture.h"

/* Keys */

START_TEST(keys_that_are_unknown)
{
    static const struct refusal rows[] = {
        {"{'metricRetention': 100}", "metricRetention: unknown key"},
        {"{'MetricsRetention': 100}", "MetricsRetention: unknown key"},
        {"{'updateInterval': 5, 'update interval': 5}", "update interval: unknown key"},
        {"{'comment': null}", "comment: unknown key"},
        {"{'Profiles': []}", "Profiles: unknown key"},
        {"{'store': {'type': 'sqlite', 'path': '/x'}}", "store.path: unknown key"},
        {"{'taskRetention': {'hours': 1}}", "taskRetention.hours: unknown key"},
        {"{'routing': {'load': 1, 'cost': 1}}", "routing.cost: unknown key"},
        {"{'routing': {'routing': {}}}", "routing.routing: unknown key"},
        {PROFILE(", 'colour': '#fff'"), "profiles[0].colour: unknown key"},
        {PROFILE(", 'retry': {'tries': 1}"), "profiles[0].retry.tries: unknown key"},
        {PROFILE(", 'profiles': []"), "profiles[0].profiles: unknown key"},
        {PROFILE(", 'updateInterval': 5"), "profiles[0].updateInterval: unknown key"},
        {"{'queueLimit': 5}", "queueLimit: unknown key"}, /* a profile's */
        {"{'profiles': [" NAMED("a", "") ", " NAMED("b", ", 'x': 1") "]}",
         "profiles[1].x: unknown key"},
        {RUNNER("'type': 'command', 'command': ['a'], 'shell': true"),
         "profiles[0].runner.shell: unknown key"},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
}
END_TEST

/* Dots are only for messages and docs; the file has objects. */
START_TEST(keys_with_dots)
{
    static const struct refusal rows[] = {
        {"{'routing.load': 0.5}", "routing.load: unknown key"},
        {PROFILE(", 'retry.backoff': 2"), "profiles[0].retry.backoff: unknown key"},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
}
END_TEST

START_TEST(keys_of_objects)
{
    static const struct refusal rows[] = {
        {"{'routing': 1}", "routing: must be an object"},
        {"{'routing': null}", "routing: must be an object"},
        {"{'taskRetention': [30]}", "taskRetention: must be an object"},
        {"{'store': 'sqlite'}", "store: must be an object"},
        {PROFILE(", 'retry': 3"), "profiles[0].retry: must be an object"},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
    /* Empty ones leave the defaults. */
    load("{'routing': {}, 'taskRetention': {}, 'store': {}}");
    check_default_settings();
}
END_TEST

START_TEST(choices)
{
    static const char *const rows[][2] = {
        {"{'store': {'type': 'mysql'}}", " store.type: must be \"sqlite\""},
        {"{'store': {'type': 'SQLite'}}", " store.type: must be \"sqlite\""},
        {"{'store': {'type': ''}}", " store.type: must be \"sqlite\""},
        {PROFILE(", 'overflow': 'drop'"), " profiles[0].overflow: must be \"reject\""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(freep) char *message = refuse(rows[i][0]);

        /* More choices may have been added. */
        ck_assert_msg(strncmp(message, rows[i][1], strlen(rows[i][1])) == 0, "%s", message);
    }
}
END_TEST

/* Profiles */

START_TEST(profiles_that_are_none)
{
    static const struct refusal rows[] = {
        {"{'profiles': []}", "profiles: must be an array of at least one profile"},
        {"{'profiles': null}", "profiles: must be an array of at least one profile"},
        {"{'profiles': {}}", "profiles: must be an array of at least one profile"},
        {"{'profiles': 'a'}", "profiles: must be an array of at least one profile"},
        {"{'profiles': [1]}", "profiles: must contain objects"},
        {"{'profiles': [null]}", "profiles: must contain objects"},
        {"{'profiles': [" NAMED("a", "") ", []]}", "profiles: must contain objects"},
        {"{'profiles': [{}]}", "profiles[0].name: is required"},
        {"{'profiles': [{'runner': {'type': 'command', 'command': ['a']}}]}",
         "profiles[0].name: is required"},
        {"{'profiles': [{'name': null, 'runner': {}}]}", "profiles[0].name: is required"},
        {"{'profiles': [{'name': 'a'}]}", "profiles[0].runner: is required"},
        {"{'profiles': [" NAMED("a", "") ", {'name': 'b', 'runner': null}]}",
         "profiles[1].runner: is required"},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
}
END_TEST

START_TEST(profiles_of_one_name)
{
    static const struct refusal rows[] = {
        {"{'profiles': [" NAMED("a", "") ", " NAMED("a", "") "]}",
         "profiles[1].name: duplicate profile name \"a\""},
        {"{'profiles': [" NAMED("a", "") ", " NAMED("b", "") ", " NAMED("a", "") "]}",
         "profiles[2].name: duplicate profile name \"a\""},
        {"{'profiles': [" NAMED("c", "") ", " NAMED("b", "") ", " NAMED("b", "") "]}",
         "profiles[2].name: duplicate profile name \"b\""},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
}
END_TEST

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16

START_TEST(keys_that_are_there_twice)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"{'agingInterval': 1, 'agingInterval': 1}", "1: duplicate key \"agingInterval\""},
        {"{'agingInterval': 1,\n 'aging\\u0049nterval': 2}", "2: duplicate key \"agingInterval\""},
        {"{'profiles': [" NAMED("a", "") "],\n\n'profiles': []}", "3: duplicate key \"profiles\""},
        {"{'profiles': [{'name': 'a', 'name': 'b'}]}", "1: duplicate key \"name\""},
        {"{'profiles': [" NAMED("a", ", 'retry': {'on': [],\n'backoff': 1, 'on': []}") "]}",
         "2: duplicate key \"on\""},
        {"{'profiles': [" NAMED("a", "") ", " NAMED("b", ", 'role': '{', 'role': '}'") "]}",
         "1: duplicate key \"role\""},
        {"{'x': {'': 1, '': 2}}", "1: duplicate key \"\""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(freep) char *message = refuse(rows[i].text);

        ck_assert_str_eq(message, rows[i].message);
    }
    /* A name in another object is not a duplicate. */
    load("{'profiles': [" NAMED("a", ", 'role': 'name'") ", " NAMED("b", ", 'role': 'role'") "]}");
    ck_assert_uint_eq(settings.profile_count, 2);
}
END_TEST

START_TEST(profile_names)
{
    static const char *const good[] = {"a", "0", "a-b", "v1.2", "x_y", "9-", X64};
    static const char *const bad[] = {"",     "A",   "aB", "-a",  ".a",    "_a",
                                      "a b",  " a",  "a ", "a/b", "é",     "aé",
                                      "a\\n", "a,b", "*",  "a:b", X64 "x", "a\\u0000"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CLEANUP(freep) char *text = xasprintf("{'profiles': [" NAMED("%s", "") "]}", good[i]);

        load(text);
        ck_assert_str_eq(settings.profiles[0].name, good[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(freep) char *text = xasprintf("{'profiles': [" NAMED("%s", "") "]}", bad[i]);
        CLEANUP(freep) char *message = refuse(text);

        if (strncmp(message, " profiles[0].name: must be ", 27) != 0)
            ck_abort_msg("\"%s\": %s", bad[i], message);
    }
}
END_TEST

START_TEST(profile_colors)
{
    static const char *const good[] = {"#fff", "#000", "#10b981", "#ABCDEF", "#aBc", "#012345"};
    static const char *const bad[] = {
        "",           "#",    "fff",     "#ff",     "#ffff",          "#fffff",
        "#fffffff",   "#ggg", "#12345g", "red",     "#ff ",           " #fff",
        "rgb(1,2,3)", "##ff", "#10B98-", "#fff;x:", "#fff\\u0000abc", "0fff"};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CLEANUP(freep) char *text = xasprintf(PROFILE(", 'color': '%s'"), good[i]);

        load(text);
        ck_assert_str_eq(settings.profiles[0].color, good[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(freep) char *text = xasprintf(PROFILE(", 'color': '%s'"), bad[i]);
        CLEANUP(freep) char *message = refuse(text);

        if (strncmp(message, " profiles[0].color: must be ", 28) != 0)
            ck_abort_msg("\"%s\": %s", bad[i], message);
    }
}
END_TEST

START_TEST(profile_capabilities)
{
    CLEANUP(buf_deinit) struct buf words = {0};
    CLEANUP(freep) char *text = NULL, *message = NULL;
    static const struct refusal rows[] = {
        {PROFILE(", 'capabilities': ['a', 'B']"),
         "profiles[0].capabilities: must contain words of the form [a-z0-9][a-z0-9._-]{0,63}"},
        {PROFILE(", 'capabilities': ['" X64 "x']"),
         "profiles[0].capabilities: must contain words of the form [a-z0-9][a-z0-9._-]{0,63}"},
        {PROFILE(", 'capabilities': 'coding'"),
         "profiles[0].capabilities: must be an array of at most 64 words"},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
    load(PROFILE(", 'capabilities': ['" X64 "']"));
    check_list(settings.profiles[0].capabilities, X64);

    for (int i = 0; i < 64; i++)
        buf_printf(&words, "%s'w%d'", i ? ", " : "", i);
    text = xasprintf(PROFILE(", 'capabilities': [%s]"), buf_text(&words));
    load(text);
    ck_assert_uint_eq(strv_length(settings.profiles[0].capabilities), 64);
    ck_assert_str_eq(settings.profiles[0].capabilities[63], "w63");
    free(text);
    text = xasprintf(PROFILE(", 'capabilities': [%s, 'w64']"), buf_text(&words));
    message = refuse(text);
    ck_assert_str_eq(message, " profiles[0].capabilities: must be an array of at most 64 words");
}
END_TEST

START_TEST(profile_backoffs)
{
    CLEANUP(freep) char *message = NULL;

    load(PROFILE(", 'retry': {'backoff': 5, 'maxBackoff': 5}"));
    ck_assert_int_eq(settings.profiles[0].backoff_ms, 5000);
    ck_assert_int_eq(settings.profiles[0].max_backoff_ms, 5000);
    message = refuse(PROFILE(", 'retry': {'maxBackoff': 4.999, 'backoff': 5}"));
    ck_assert_str_eq(message, " profiles[0].retry.maxBackoff: must not be less than retry.backoff");
    free(message);
    /* Compared with defaults, too. */
    message = refuse(PROFILE(", 'retry': {'maxBackoff': 0.5}"));
    ck_assert_str_eq(message, " profiles[0].retry.maxBackoff: must not be less than retry.backoff");
}
END_TEST

START_TEST(profile_limits_and_slots)
{
    static const struct refusal rows[] = {
        {PROFILE(", 'limits': {'openFiles': 31}"),
         "profiles[0].limits.openFiles: must be 0 or at least 32"},
        {PROFILE(", 'limits': {'memory': 16777215}"),
         "profiles[0].limits.memory: must be 0 or at least 16777216"},
        {"{'profiles': [{'name': 'a', 'runner': {'type': 'worker'}, 'limits': {'cpuTime': 1}}]}",
         "profiles[0].limits: cannot be set for a worker, which is not a process of acpd"},
        {PROFILE(", 'cooldown': {'min': 5, 'max': 4.999}"),
         "profiles[0].cooldown.max: must not be less than cooldown.min"},
        {PROFILE(", 'maxConcurrentTasks': 2, 'minConcurrentTasks': 3"),
         "profiles[0].minConcurrentTasks: must not be more than maxConcurrentTasks"},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
    load(PROFILE(
        ", 'limits': {'openFiles': 32, 'memory': 16777216},"
        "'cooldown': {'min': 5, 'max': 5}, 'maxConcurrentTasks': 2, 'minConcurrentTasks': 2"));
    ck_assert_int_eq(settings.profiles[0].limits.open_files, 32);
    ck_assert_int_eq(settings.profiles[0].limits.memory, 16777216);
    ck_assert_int_eq(settings.profiles[0].cooldown_max_ms, 5000);
    ck_assert_int_eq(settings.profiles[0].min_concurrent_tasks, 2);
}
END_TEST

START_TEST(profile_runners)
{
    static const char type[] =
        "profiles[0].runner.type: must be \"command\", \"acp\" or \"worker\"";
    static const char strings[] =
        "profiles[0].runner.command: must contain strings, starting with the program";
    static const char argv[] =
        "profiles[0].runner.command: must be an array of strings: the program and its arguments";
    static const char env[] =
        "profiles[0].runner.env: must map names without \"=\" to strings or null";
    const struct refusal rows[] = {
        {"{'profiles': [{'name': 'a', 'runner': 'x'}]}", "profiles[0].runner: must be an object"},
        {"{'profiles': [{'name': 'a', 'runner': ['command']}]}",
         "profiles[0].runner: must be an object"},
        {RUNNER(""), type},
        {RUNNER("'command': ['a']"), type},
        {RUNNER("'type': 'shell', 'command': ['a']"), type},
        {RUNNER("'type': null, 'command': ['a']"), type},
        {RUNNER("'type': ['command'], 'command': ['a']"), type},
        {RUNNER("'type': 'command'"), "profiles[0].runner.command: is required"},
        {RUNNER("'type': 'command', 'command': null"), argv},
        {RUNNER("'type': 'command', 'command': 'ls -l'"), argv},
        {RUNNER("'type': 'command', 'command': []"), argv},
        {RUNNER("'type': 'command', 'command': ['']"), strings},
        {RUNNER("'type': 'command', 'command': ['a', 1]"), strings},
        {RUNNER("'type': 'command', 'command': ['a', null]"), strings},
        {RUNNER("'type': 'command', 'command': ['a', 'b\\u0000c']"), strings},
        {RUNNER("'type': 'command', 'command': ['a'], 'cwd': 'here'"),
         "profiles[0].runner.cwd: must be an absolute path"},
        {RUNNER("'type': 'command', 'command': ['a'], 'cwd': ''"),
         "profiles[0].runner.cwd: must be an absolute path"},
        {RUNNER("'type': 'command', 'command': ['a'], 'cwd': null"),
         "profiles[0].runner.cwd: must be an absolute path"},
        {RUNNER("'type': 'command', 'command': ['a'], 'env': ['K=V']"),
         "profiles[0].runner.env: must be an object of strings"},
        {RUNNER("'type': 'command', 'command': ['a'], 'env': {'K': 1}"), env},
        {RUNNER("'type': 'acp', 'command': ['a'], 'mcpServers': [{'name': 'n', 'command': 'c',"
                " 'env': {'K': null}}]"),
         "profiles[0].runner.mcpServers: must contain objects of name, command, args (an array of "
         "strings) and env (an object of strings), or of type (\"http\" or \"sse\"), name, url and "
         "headers (an object of strings)"},
        {RUNNER("'type': 'acp', 'command': ['a'], 'mcpServers': [{'type': 'http', 'name': 'n'}]"),
         "profiles[0].runner.mcpServers: must contain objects of name, command, args (an array of "
         "strings) and env (an object of strings), or of type (\"http\" or \"sse\"), name, url and "
         "headers (an object of strings)"},
        {RUNNER("'type': 'acp', 'command': ['a'], 'options': {'a': 1}"),
         "profiles[0].runner.options: must be an object of at most 64 strings"},
        {RUNNER("'type': 'acp', 'command': ['a'], 'reuse': 0"),
         "profiles[0].runner.reuse: must be true, false or an integer from 1 to 1000000"},
        {RUNNER("'type': 'command', 'command': ['a'], 'env': {'K=L': null}"), env},
        {RUNNER("'type': 'command', 'command': ['a'], 'env': {'': 'V'}"), env},
        {RUNNER("'type': 'command', 'command': ['a'], 'env': {'K=L': 'V'}"), env},
        {RUNNER("'type': 'command', 'command': ['a'], 'env': {'K': 'V\\u0000'}"), env},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
}
END_TEST

/* A value that is valid only up to its first NUL is invalid. */
START_TEST(profile_runner_type_with_nul)
{
    CLEANUP(freep)
    char *message = refuse(RUNNER("'type': 'command\\u0000er', 'command': ['/bin/true']"));

    ck_assert_str_eq(message,
                     " profiles[0].runner.type: must be \"command\", \"acp\" or \"worker\"");
}
END_TEST

void add_profile_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "keys");

    tcase_add_test(tcase, keys_that_are_unknown);
    tcase_add_test(tcase, keys_with_dots);
    tcase_add_test(tcase, keys_of_objects);
    tcase_add_test(tcase, choices);
    tcase = add_case(suite, "profiles");
    tcase_add_test(tcase, profiles_that_are_none);
    tcase_add_test(tcase, profiles_of_one_name);
    tcase_add_test(tcase, keys_that_are_there_twice);
    tcase_add_test(tcase, profile_names);
    tcase_add_test(tcase, profile_colors);
    tcase_add_test(tcase, profile_capabilities);
    tcase_add_test(tcase, profile_backoffs);
    tcase_add_test(tcase, profile_limits_and_slots);
    tcase_add_test(tcase, profile_runners);
    tcase_add_test(tcase, profile_runner_type_with_nul);
}
