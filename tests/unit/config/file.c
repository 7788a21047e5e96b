/* SPDX-License-Identifier: MIT */
/* The file as a whole, and late failures. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/strv.h"
#include "fixture.h"

#define FILE_MAX (16 * 1024 * 1024)

/* The file */

/* No value is a default, and all numbers differ. */
static const char everything[] =
    "{'store': {'type': 'postgres', 'url': 'postgresql:///acpd', 'lease': 16,"
    " 'timeout': 2.5, 'pooler': 'transaction'}, 'node': {'name': 'here', 'url': 'http://here'},"
    " 'metricsRetention': 101, 'healthCheckInterval': 61.5, 'updateInterval': 6,"
    " 'agingInterval': 3601, 'taskRetention': {'days': 31, 'bytes': 1073741825},"
    " 'routing': {'capability': 0.41, 'load': 0.31, 'history': 0.21, 'priority': 0.11},"
    " 'health': {'wait': 3603, 'stuckFactor': 3.5, 'stuckMin': 63, 'lapse': 303},"
    " 'titleLimit': 1025, 'descriptionLimit': 262145, 'inputLimit': 1048577,"
    " 'lineLimit': 4194305, 'outputLimit': 8388609, 'connectionLimit': 4097,"
    " 'linesPerPass': 257, 'batchLimit': 1001, 'submitDepth': 9, 'logLimit': 16777217, "
    "'killGrace': 5.5, "
    "'eventBuffer': 10001,"
    " 'socketGroup': 'wheel', 'roles': {'7': 'read', '*': 'none', '8': 'operate'},"
    " 'auditLimit': 65537,"
    " 'profiles': ["
    "  {'runner': {'env': {'K': 'V', 'EMPTY': '', 'TWO': 'a=b c', 'GONE': null}, 'cwd': '/some "
    "where',"
    "              'command': ['prog', 'arg', ''], 'type': 'command'},"
    "   'retry': {'maxAttempts': 4, 'backoff': 1.5, 'maxBackoff': 302, 'on': ['limit']},"
    "   'cooldown': {'min': 5.5, 'max': 602},"
    "   'limits': {'memory': 16777217, 'processes': 7, 'cpuTime': 1.5, 'openFiles': 33},"
    "   'timeout': 3602.25, 'overflow': 'evict', 'queueLimit': 10001, 'icon': 'é',"
    "   'color': '#aBc', 'priority': 9, 'maxConcurrentTasks': 12, 'minConcurrentTasks': 11,"
    "   'maxConcurrentTasksPerNode': 10, 'nodes': ['a-*', 'b?'],"
    "   'systemPrompt': 'Be brief.',"
    "   'capabilities': ['coding', 'x.y_z-0', 'coding', '7'], 'role': 'Rôle', 'name': 'first'},"
    "  " NAMED("second", ", 'color': '#A0b1C2', 'capabilities': []") "]}";

static void check_first(const struct profile_config *profile)
{
    ck_assert_str_eq(profile->name, "first");
    ck_assert_str_eq(profile->role, "Rôle");
    ck_assert_str_eq(profile->system_prompt, "Be brief.");
    check_list(profile->capabilities, "coding", "x.y_z-0", "7");
    ck_assert_int_eq(profile->max_concurrent_tasks, 12);
    ck_assert_int_eq(profile->min_concurrent_tasks, 11);
    ck_assert_int_eq(profile->max_tasks_per_node, 10);
    check_list(profile->nodes, "a-*", "b?");
    ck_assert_int_eq(profile->priority, 9);
    ck_assert_str_eq(profile->color, "#aBc");
    ck_assert_str_eq(profile->icon, "é");
    ck_assert_int_eq(profile->queue_limit, 10001);
    ck_assert_int_eq(profile->overflow, OVERFLOW_EVICT);
    ck_assert_int_eq(profile->timeout_ms, 3602250);
    ck_assert_int_eq(profile->max_attempts, 4);
    ck_assert_int_eq(profile->backoff_ms, 1500);
    ck_assert_int_eq(profile->max_backoff_ms, 302000);
    check_list(profile->retry_on, "limit");
    ck_assert_int_eq(profile->cooldown_min_ms, 5500);
    ck_assert_int_eq(profile->cooldown_max_ms, 602000);
    ck_assert_int_eq(profile->limits.memory, 16777217);
    ck_assert_int_eq(profile->limits.processes, 7);
    ck_assert_int_eq(profile->limits.cpu_ms, 1500);
    ck_assert_int_eq(profile->limits.open_files, 33);
    ck_assert_int_eq(profile->runner.type, RUNNER_COMMAND);
    check_list(profile->runner.command, "prog", "arg", "");
    check_list(profile->runner.env, "K=V", "EMPTY=", "TWO=a=b c", "GONE");
    ck_assert_str_eq(profile->runner.cwd, "/some where");
}

START_TEST(file_with_everything)
{
    const struct profile_config *profile;

    load(everything);
    ck_assert_int_eq(settings.metrics_retention, 101);
    ck_assert_int_eq(settings.health_check_interval_ms, 61500);
    ck_assert_int_eq(settings.update_interval_ms, 6000);
    ck_assert_int_eq(settings.aging_interval_ms, 3601000);
    ck_assert_int_eq(settings.retention_days, 31);
    ck_assert_int_eq(settings.retention_bytes, 1073741825);
    ck_assert_double_eq(settings.routing.capability, 0.41);
    ck_assert_double_eq(settings.routing.load, 0.31);
    ck_assert_double_eq(settings.routing.history, 0.21);
    ck_assert_double_eq(settings.routing.priority, 0.11);
    ck_assert_int_eq(settings.health.wait_ms, 3603000);
    ck_assert_double_eq(settings.health.stuck_factor, 3.5);
    ck_assert_int_eq(settings.health.stuck_min_ms, 63000);
    ck_assert_int_eq(settings.health.lapse_ms, 303000);
    ck_assert_int_eq(settings.title_limit, 1025);
    ck_assert_int_eq(settings.description_limit, 262145);
    ck_assert_int_eq(settings.input_limit, 1048577);
    ck_assert_int_eq(settings.line_limit, 4194305);
    ck_assert_int_eq(settings.store.type, SETTINGS_POSTGRES);
    ck_assert_str_eq(settings.store.url, "postgresql:///acpd");
    ck_assert_int_eq(settings.store.timeout_ms, 2500);
    ck_assert_int_eq(settings.store.lease_ms, 16000);
    ck_assert_int_eq(settings.store.pooler, SETTINGS_TRANSACTION_POOLER);
    ck_assert_str_eq(settings.node.name, "here");
    ck_assert_str_eq(settings.node.url, "http://here");
    ck_assert_int_eq(settings.output_limit, 8388609);
    ck_assert_int_eq(settings.connection_limit, 4097);
    ck_assert_int_eq(settings.lines_per_pass, 257);
    ck_assert_int_eq(settings.batch_limit, 1001);
    ck_assert_int_eq(settings.submit_depth, 9);
    ck_assert_int_eq(settings.log_limit, 16777217);
    ck_assert_int_eq(settings.kill_grace_ms, 5500);
    ck_assert_int_eq(settings.event_buffer, 10001);
    ck_assert_str_eq(settings.socket_group, "wheel");
    ck_assert_int_eq(roles_find(&settings.roles, 7), ROLE_READ);
    ck_assert_int_eq(roles_find(&settings.roles, 8), ROLE_OPERATE);
    ck_assert_int_eq(roles_find(&settings.roles, 9), ROLE_NONE);
    ck_assert_int_eq(roles_find(&(struct roles){0}, 9), ROLE_OPERATE);
    ck_assert_int_eq(settings.audit_limit, 65537);
    ck_assert(!settings.is_demo);

    ck_assert_uint_eq(settings.profile_count, 2);
    check_first(&settings.profiles[0]);
    profile = &settings.profiles[1];
    ck_assert_str_eq(profile->name, "second");
    ck_assert_str_eq(profile->role, "second");
    ck_assert_str_eq(profile->color, "#A0b1C2");
    ck_assert_uint_eq(strv_length(profile->capabilities), 0);
    check_default_limits(profile);
}
END_TEST

/* The test above would not notice a new key. */
START_TEST(file_with_everything_has_every_key)
{
    for_each_row(row, is_profile)
    {
        const char *dot = strrchr(row->key, '.');
        CLEANUP(freep) char *key = xasprintf("'%s':", dot ? dot + 1 : row->key);

        ck_assert_msg(strstr(everything, key) != NULL, "%s", row->key);
    }
}
END_TEST

START_TEST(file_with_many_profiles)
{
    CLEANUP(buf_deinit) struct buf text = {0};

    buf_add_text(&text, "{'profiles': [");
    for (int i = 0; i < 300; i++)
        buf_printf(&text, "%s" NAMED("p%d", ", 'queueLimit': %d"), i ? ",\n" : "", i, i + 1);
    buf_add_text(&text, "]}");
    load(buf_text(&text));
    ck_assert_uint_eq(settings.profile_count, 300);
    for (int i = 0; i < 300; i++) {
        CLEANUP(freep) char *name = xasprintf("p%d", i);

        if (strcmp(settings.profiles[i].name, name) != 0 ||
            settings.profiles[i].queue_limit != i + 1)
            ck_abort_msg("profile %d is %s", i, settings.profiles[i].name);
    }
}
END_TEST

START_TEST(file_that_cannot_be_read)
{
    CLEANUP(freep) char *missing = xasprintf("%s: No such file or directory", file);
    CLEANUP(freep) char *no_file = xasprintf("%s: Is a directory", folder);
    CLEANUP(freep) char *error = refusal_of(file);

    ck_assert_str_eq(error, missing);
    free(error);
    error = refusal_of(folder);
    ck_assert_str_eq(error, no_file);
}
END_TEST

START_TEST(file_that_is_too_large)
{
    static const char start[] = "{\"updateInterval\": 9}";
    CLEANUP(freep) char *text = xmalloc(FILE_MAX + 1);
    CLEANUP(freep) char *error = NULL;
    CLEANUP(freep) char *expected = xasprintf("%s: is larger than 16777216 bytes", file);

    memset(text, ' ', FILE_MAX + 1);
    memcpy(text, start, strlen(start));
    write_bytes(text, FILE_MAX);
    load_file(file);
    ck_assert_int_eq(settings.update_interval_ms, 9000);
    write_bytes(text, FILE_MAX + 1);
    error = refusal_of(file);
    ck_assert_str_eq(error, expected);
}
END_TEST

START_TEST(file_with_syntax_errors)
{
    static const struct {
        const char *text;
        int line;
    } rows[] = {
        {"", 1},
        {" \n\n", 1},
        {"{", 1},
        {"{'updateInterval': 5\n\n 'batchLimit': 1}", 3},
        {"{'updateInterval': 5,\n 'batchLimit' 1}", 2},
        {"{'updateInterval':\n\n\n ]", 4},
        {"{\n 'updateInterval': 5\n", 2}, /* it ends there, except for white space */
        {"{\n 'updateInterval': 5,\n}\n", 3},
        {"{\r\n 'updateInterval': 05\r\n}", 2},
        {"{\n // what it says\n}", 2},
        {"{}\n\n{}", 3},
        {"{'socketGroup':\n 'a\nb'}", 2},
        {"{\n 'socketGroup': 'a\xff'}", 2},
        {"{\n\n\n\n 'updateInterval': NaN}", 5},
        {"{\n\n 'updateInterval': 1e999}", 3},
        {"[\n'a',\n", 2},
        {"\xef\xbb\xbf{}", 1},
        {"updateInterval = 5\n", 1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(freep) char *message = refuse(rows[i].text);
        CLEANUP(freep) char *line = xasprintf("%d: ", rows[i].line);

        if (strncmp(message, line, strlen(line)) != 0 || strlen(message) < strlen(line) + 5)
            ck_abort_msg("%s: \"%s\" is not of line %d", rows[i].text, message, rows[i].line);
    }
}
END_TEST

START_TEST(file_with_single_quotes)
{
    CLEANUP(freep) char *error = NULL;
    static const char text[] = "{\n'updateInterval': 5}";

    write_bytes(text, strlen(text));
    error = refusal_of(file);
    ck_assert_ptr_nonnull(strstr(error, "config.json:2: "));
}
END_TEST

START_TEST(file_with_nul_bytes)
{
    CLEANUP(freep) char *error = NULL;
    static const char text[] = "{}\n\0{\"unknown\": 1}";

    write_bytes(text, sizeof(text) - 1);
    error = refusal_of(file);
    ck_assert_ptr_nonnull(strstr(error, "config.json:2: "));
}
END_TEST

START_TEST(file_of_another_type)
{
    static const struct refusal rows[] = {
        {"[]", "the configuration: must be an object"},
        {"null", "the configuration: must be an object"},
        {"5", "the configuration: must be an object"},
        {"'profiles'", "the configuration: must be an object"},
        {"true", "the configuration: must be an object"},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
}
END_TEST

/* Failures */

/* A late failure frees all that was read, and the next file starts from scratch. */
START_TEST(failure_leaves_nothing_behind)
{
    static const char bad_end[] =
        "{'socketGroup': 'wheel', 'updateInterval': 9, 'profiles': ["
        "{'name': 'a', 'role': 'b', 'icon': 'c', 'color': '#fff', 'capabilities': ['d', 'e'],"
        " 'runner': {'type': 'command', 'command': ['x', 'y'], 'env': {'K': 'V'}, 'cwd': '/'}},"
        "{'name': 'b', 'role': 'b', 'capabilities': ['d', 'e', 'F'],"
        " 'runner': {'type': 'command', 'command': ['x']}}]}";
    static const char bad_env[] =
        RUNNER("'type': 'command', 'command': ['a'], 'cwd': '/', 'env': {'K': 'V', 'L': 1}");

    for (int i = 0; i < 3; i++) {
        CLEANUP(freep) char *first = refuse(bad_end), *second = refuse(bad_env);

        ck_assert_ptr_nonnull(strstr(first, "profiles[1].capabilities"));
        ck_assert_ptr_nonnull(strstr(second, "profiles[0].runner.env"));
        load("{}");
        check_default_settings();
        check_demo_profiles();
    }
}
END_TEST

START_TEST(settings_of_zeros_are_freed)
{
    struct settings nothing = {0};

    settings_deinit(&nothing);
    load(everything);
    settings_deinit(&settings);
    ck_assert_ptr_null(settings.profiles);
    ck_assert_uint_eq(settings.profile_count, 0);
    settings_deinit(&settings);
}
END_TEST

void add_file_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "file");

    tcase_add_test(tcase, file_with_everything);
    tcase_add_test(tcase, file_with_everything_has_every_key);
    tcase_add_test(tcase, file_with_many_profiles);
    tcase_add_test(tcase, file_that_cannot_be_read);
    tcase_add_test(tcase, file_that_is_too_large);
    tcase_add_test(tcase, file_with_syntax_errors);
    tcase_add_test(tcase, file_with_single_quotes);
    tcase_add_test(tcase, file_with_nul_bytes);
    tcase_add_test(tcase, file_of_another_type);
    tcase = add_case(suite, "failures");
    tcase_add_test(tcase, failure_leaves_nothing_behind);
    tcase_add_test(tcase, settings_of_zeros_are_freed);
}
