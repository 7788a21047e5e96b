/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/strv.h"
#include "config.h"
#include "config_table.h"

#define DEMO_PATH "/opt/acpd/demo agent"
#define FILE_MAX  (16 * 1024 * 1024)

/* A profile's object with what it cannot be without, and more members. */
#define NAMED(name, members)                                                                       \
    "{'name': '" name "', 'runner': {'type': 'command', 'command': ['/bin/true']}" members "}"
#define PROFILE(members) "{'profiles': [" NAMED("a", members) "]}"
#define RUNNER(members)  "{'profiles': [{'name': 'a', 'runner': {" members "}}]}"

static char folder[32];
static char *file;
static struct settings settings;

static void setup(void)
{
    strcpy(folder, "/tmp/acpd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    file = xasprintf("%s/config.json", folder);
}

static void teardown(void)
{
    settings_deinit(&settings);
    unlink(file);
    ck_assert_int_eq(rmdir(folder), 0);
    free(file);
}

static void write_bytes(const char *text, size_t len)
{
    FILE *out = fopen(file, "we");

    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(text, 1, len, out), len);
    ck_assert_int_eq(fclose(out), 0);
}

/* Text with ' for ", as the tables below have it. */
static void write_quoted(const char *text)
{
    CLEANUP(freep) char *copy = xstrdup(text);

    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    write_bytes(copy, strlen(copy));
}

/* The settings of the file that is there; NULL: of none. */
static void load_file(const char *path)
{
    char *error = NULL;
    int r;

    settings_deinit(&settings);
    r = config_load(path, DEMO_PATH, &settings, &error);
    if (r != 0 || error)
        ck_abort_msg("%d: %s", r, error ? error : "");
}

static const struct settings *load(const char *text)
{
    write_quoted(text);
    load_file(file);
    return &settings;
}

/* Expects that `path` is refused with nothing given back; returns the message. */
static char *refusal_of(const char *path)
{
    struct settings before, after;
    char *error = NULL;
    int r;

    memset(&before, 0xa5, sizeof(before));
    memset(&after, 0xa5, sizeof(after));
    r = config_load(path, DEMO_PATH, &after, &error);
    if (r != -EINVAL || !error)
        ck_abort_msg("%d, with%s message, for %s", r, error ? " a" : "out", path);
    ck_assert_mem_eq(&after, &before, sizeof(before));
    return error;
}

/* Expects that the text is refused; returns what the message says behind the file's name. */
static char *refuse(const char *text)
{
    CLEANUP(freep) char *error = NULL;

    write_quoted(text);
    error = refusal_of(file);
    if (strncmp(error, file, strlen(file)) != 0 || error[strlen(file)] != ':')
        ck_abort_msg("%s: \"%s\" does not name the file", text, error);
    return xstrdup(error + strlen(file) + 1);
}

struct refusal {
    const char *text, *message;
};

static void check_refusals(const struct refusal *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(freep) char *message = refuse(rows[i].text);

        if (message[0] != ' ' || strcmp(message + 1, rows[i].message) != 0)
            ck_abort_msg("%s:\n got     \"%s\"\n expected \" %s\"", rows[i].text, message,
                         rows[i].message);
    }
}

static void check_strv(char *const *strv, const char *const *expected)
{
    size_t n = 0;

    for (; expected[n]; n++) {
        ck_assert_uint_gt(strv_length(strv), n);
        ck_assert_str_eq(strv[n], expected[n]);
    }
    ck_assert_uint_eq(strv_length(strv), n);
}

#define check_list(strv, ...) check_strv(strv, (const char *const[]){__VA_ARGS__, NULL})

/* The rows, for tests that are the same for each */

static bool is_number(const struct config_row *row)
{
    return row->type == CONFIG_INTEGER || row->type == CONFIG_SECONDS || row->type == CONFIG_NUMBER;
}

/* A document in which the key has this value. Keys that have to agree with it are there too. */
static char *document(const struct config_row *row, bool is_profile, const char *value)
{
    CLEANUP(freep) char *outer = xstrdup(row->key);
    char *inner = strchr(outer, '.');
    CLEANUP(freep) char *member = NULL;
    const char *with = "";

    if (strcmp(row->key, "retry.backoff") == 0)
        with = ", 'maxBackoff': 31536000";
    else if (strcmp(row->key, "retry.maxBackoff") == 0)
        with = ", 'backoff': 0.01";
    else if (strcmp(row->key, "cooldown.min") == 0)
        with = ", 'max': 31536000";
    else if (strcmp(row->key, "cooldown.max") == 0)
        with = ", 'min': 0.01";
    else if (strcmp(row->key, "minConcurrentTasks") == 0)
        with = ", 'maxConcurrentTasks': 1000000";
    if (inner) {
        *inner++ = '\0';
        member = xasprintf("'%s': {'%s': %s%s}", outer, inner, value, with);
    } else {
        member = xasprintf("'%s': %s%s", outer, value, with);
    }
    if (!is_profile)
        return xasprintf("{%s}", member);
    if (strcmp(row->key, "name") == 0)
        return xasprintf("{'profiles': [{%s, 'runner': {'type': 'command', 'command': ['a']}}]}",
                         member);
    if (strcmp(row->key, "runner") == 0)
        return xasprintf("{'profiles': [{'name': 'a', %s}]}", member);
    return xasprintf(PROFILE(", %s"), member);
}

static double value_of(const struct config_row *row, const void *base)
{
    const char *at = (const char *)base + row->offset;
    int64_t integer;
    double number;

    if (row->type == CONFIG_NUMBER) {
        memcpy(&number, at, sizeof(number));
        return number;
    }
    memcpy(&integer, at, sizeof(integer));
    return (double)integer / (row->type == CONFIG_SECONDS ? 1000 : 1);
}

static const struct config_row *const tables[] = {config_rows, config_profile_rows,
                                                  config_runner_rows};

#define for_each_row(row, is_profile)                                                              \
    for (int is_profile = 0; is_profile < 2; is_profile++)                                         \
        for (const struct config_row *row = tables[is_profile]; row->key; row++)

/* What is there without a file */

/* The values of the design, not of the table. */
static void check_default_settings(void)
{
    ck_assert_int_eq(settings.metrics_retention, 100);
    ck_assert_int_eq(settings.health_check_interval_ms, 60000);
    ck_assert_int_eq(settings.update_interval_ms, 5000);
    ck_assert_int_eq(settings.aging_interval_ms, 3600000);
    ck_assert_int_eq(settings.retention_days, 30);
    ck_assert_int_eq(settings.retention_bytes, 1073741824);
    ck_assert_double_eq(settings.routing.capability, 0.3);
    ck_assert_double_eq(settings.routing.load, 0.4);
    ck_assert_double_eq(settings.routing.history, 0.2);
    ck_assert_double_eq(settings.routing.priority, 0.1);
    ck_assert_int_eq(settings.title_limit, 1024);
    ck_assert_int_eq(settings.description_limit, 256 * 1024);
    ck_assert_int_eq(settings.input_limit, 1024 * 1024);
    ck_assert_int_eq(settings.line_limit, 4 * 1024 * 1024);
    ck_assert_int_ge(settings.connection_limit, 4096);
    ck_assert_ptr_null(settings.socket_group);
}

static void check_default_limits(const struct profile_config *profile)
{
    ck_assert_int_eq(profile->queue_limit, 10000);
    ck_assert_int_eq(profile->overflow, OVERFLOW_REJECT);
    ck_assert_int_eq(profile->timeout_ms, 3600000);
    ck_assert_int_eq(profile->max_attempts, 3);
    ck_assert_int_eq(profile->backoff_ms, 1000);
    ck_assert_int_eq(profile->max_backoff_ms, 300000);
    ck_assert_int_eq(profile->limits.memory, 0);
    ck_assert_int_eq(profile->limits.processes, 0);
    ck_assert_int_eq(profile->limits.cpu_ms, 0);
    ck_assert_int_eq(profile->limits.open_files, 0);
}

static void check_demo_profiles(void)
{
    static const struct {
        const char *name, *role;
        const char *capabilities[5];
    } expected[] = {
        {"product-manager",
         "Product Manager",
         {"analysis", "feature-identification", "prioritization"}},
        {"refinement",
         "Refinement Specialist",
         {"task-breakdown", "dependency-analysis", "estimation"}},
        {"development", "Developer", {"coding", "testing", "debugging", "documentation"}},
    };

    ck_assert(settings.is_demo);
    ck_assert_uint_eq(settings.profile_count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        const struct profile_config *profile = &settings.profiles[i];

        ck_assert_str_eq(profile->name, expected[i].name);
        ck_assert_str_eq(profile->role, expected[i].role);
        check_strv(profile->capabilities, expected[i].capabilities);
        ck_assert_int_ge(profile->max_concurrent_tasks, 1);
        ck_assert_int_eq(profile->color[0], '#');
        ck_assert_str_ne(profile->icon, "");
        check_default_limits(profile);
        ck_assert_int_eq(profile->runner.type, RUNNER_ACP);
        check_list(profile->runner.command, DEMO_PATH);
        ck_assert_ptr_null(profile->runner.env);
        ck_assert_ptr_null(profile->runner.cwd);
    }
    /* The page tells them apart by it. */
    ck_assert_str_ne(settings.profiles[0].color, settings.profiles[1].color);
    ck_assert_str_ne(settings.profiles[1].color, settings.profiles[2].color);
    /* The ones that the design gives with every value. */
    ck_assert_int_eq(settings.profiles[2].max_concurrent_tasks, 2);
    ck_assert_int_eq(settings.profiles[2].priority, 3);
    ck_assert_str_eq(settings.profiles[2].color, "#10b981");
    ck_assert_str_eq(settings.profiles[2].icon, "💻");
}

START_TEST(defaults_without_a_file)
{
    load_file(NULL);
    check_default_settings();
    check_demo_profiles();
}
END_TEST

START_TEST(defaults_without_profiles)
{
    load("{}");
    check_default_settings();
    check_demo_profiles();
    load(" \n{'updateInterval': 7}\n");
    ck_assert_int_eq(settings.update_interval_ms, 7000);
    check_demo_profiles();
}
END_TEST

START_TEST(defaults_of_a_profile)
{
    const struct profile_config *profile;

    load(PROFILE());
    check_default_settings();
    ck_assert(!settings.is_demo);
    ck_assert_uint_eq(settings.profile_count, 1);
    profile = &settings.profiles[0];
    ck_assert_str_eq(profile->name, "a");
    ck_assert_str_eq(profile->role, "a"); /* its name unless told */
    ck_assert_uint_eq(strv_length(profile->capabilities), 0);
    ck_assert_int_eq(profile->max_concurrent_tasks, 2);
    ck_assert_int_eq(profile->priority, 3);
    ck_assert_str_eq(profile->color, "#10b981");
    ck_assert_str_eq(profile->icon, "💻");
    check_default_limits(profile);
    check_list(profile->runner.command, "/bin/true");
    ck_assert_uint_eq(strv_length(profile->runner.env), 0);
    ck_assert_ptr_null(profile->runner.cwd);
}
END_TEST

START_TEST(defaults_are_those_of_the_table)
{
    load(PROFILE());
    for_each_row(row, is_profile)
    {
        const void *base = is_profile ? (const void *)settings.profiles : &settings;

        if (is_number(row) && value_of(row, base) != row->number)
            ck_abort_msg("%s is %.17g, not %.17g", row->key, value_of(row, base), row->number);
    }
}
END_TEST

/* The table */

START_TEST(table_is_sound)
{
    for_each_row(row, is_profile)
    {
        const char *dot = strchr(row->key, '.');

        ck_assert_msg(row->doc && row->doc[0], "%s has no doc", row->key);
        ck_assert_msg(!dot || !strchr(dot + 1, '.'), "%s", row->key);
        if (is_number(row))
            ck_assert_msg(row->min <= row->number && row->number <= row->max && row->min < row->max,
                          "%s", row->key);
        if (row->type == CONFIG_TEXT)
            ck_assert_msg(row->max >= 1 && (!row->text || strlen(row->text) <= (size_t)row->max),
                          "%s", row->key);
        if (row->type == CONFIG_CHOICE)
            ck_assert_msg(row->choices && row->choices[0], "%s", row->key);
        for (const struct config_row *other = tables[is_profile]; other != row; other++) {
            ck_assert_msg(strcmp(other->key, row->key) != 0, "%s is there twice", row->key);
            ck_assert_msg(other->offset != row->offset, "%s and %s go to one place", other->key,
                          row->key);
        }
    }
}
END_TEST

/* Reads the key with this value; nothing but its own field may change. */
static void check_number_is_read(const struct config_row *row, bool is_profile, double value)
{
    CLEANUP(freep) char *text = xasprintf("%.17g", value);
    CLEANUP(freep) char *whole = document(row, is_profile, text);
    bool is_backoff = strncmp(row->key, "retry.", 6) == 0;
    bool is_cooldown = strncmp(row->key, "cooldown.", 9) == 0;
    bool is_scale = strcmp(row->key, "minConcurrentTasks") == 0;
    const void *base;

    load(whole);
    base = is_profile ? (const void *)settings.profiles : &settings;
    if (value_of(row, base) != value)
        ck_abort_msg("%s: %s is read as %.17g", row->key, text, value_of(row, base));
    for (const struct config_row *other = tables[is_profile]; other->key; other++)
        if (is_number(other) && other != row && !(is_backoff && strstr(other->key, "ackoff")) &&
            !(is_cooldown && strncmp(other->key, "cooldown.", 9) == 0) &&
            !(is_scale && strcmp(other->key, "maxConcurrentTasks") == 0) &&
            value_of(other, base) != other->number)
            ck_abort_msg("%s changes %s too", row->key, other->key);
}

static void check_number_is_refused(const struct config_row *row, bool is_profile, double value)
{
    CLEANUP(freep) char *text = xasprintf("%.17g", value);
    CLEANUP(freep) char *whole = document(row, is_profile, text);
    CLEANUP(freep) char *message = refuse(whole);
    CLEANUP(freep)
    char *expected = xasprintf(
        " %s%s: must be %s from %.15g to %.15g", is_profile ? "profiles[0]." : "", row->key,
        row->type == CONFIG_INTEGER ? "an integer" : "a number", row->min, row->max);

    if (strcmp(message, expected) != 0)
        ck_abort_msg("%s: \"%s\" instead of \"%s\"", text, message, expected);
}

START_TEST(bounds_of_numbers)
{
    for_each_row(row, is_profile)
    {
        bool is_integer = row->type == CONFIG_INTEGER;

        if (!is_number(row))
            continue;
        check_number_is_read(row, is_profile, row->min);
        check_number_is_read(row, is_profile, row->max);
        if (is_integer && strncmp(row->key, "limits.", 7) != 0) /* small ones are refused */
            check_number_is_read(row, is_profile, row->min + 1);
        check_number_is_refused(row, is_profile,
                                is_integer ? row->min - 1 : nextafter(row->min, -INFINITY));
        check_number_is_refused(row, is_profile,
                                is_integer ? row->max + 1 : nextafter(row->max, INFINITY));
        check_number_is_refused(row, is_profile, -1e300);
        check_number_is_refused(row, is_profile, 1e300);
        check_number_is_refused(row, is_profile, -9223372036854775808.0);
        check_number_is_refused(row, is_profile, 18446744073709549568.0); /* beyond int64_t */
    }
}
END_TEST

START_TEST(bounds_of_the_design)
{
    static const struct {
        const char *key;
        double min, max; /* -1: not said */
    } rows[] = {
        {"queueLimit", -1, 1e8},
        {"maxConcurrentTasks", -1, 1e6},
        {"retry.backoff", 0.01, -1},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct config_row *row = config_profile_rows;

        while (row->key && strcmp(row->key, rows[i].key) != 0)
            row++;
        ck_assert_msg(row->key != NULL, "%s is gone", rows[i].key);
        ck_assert(rows[i].min < 0 || row->min == rows[i].min);
        ck_assert(rows[i].max < 0 || row->max == rows[i].max);
    }
}
END_TEST

START_TEST(bounds_of_texts)
{
    for_each_row(row, is_profile)
    {
        CLEANUP(freep) char *longest = NULL, *value = NULL, *whole = NULL, *message = NULL;
        CLEANUP(freep) char *expected = NULL;
        const char *read;
        size_t max = (size_t)row->max;
        const char *base;

        if (row->type != CONFIG_TEXT)
            continue;
        longest = xmalloc(max + 2);
        memset(longest, 'x', max + 1);
        longest[max + 1] = '\0';
        value = xasprintf("'%s'", longest);
        whole = document(row, is_profile, value);
        message = refuse(whole);
        expected = xasprintf(" %s%s: must have 1 to %zu bytes", is_profile ? "profiles[0]." : "",
                             row->key, max);
        ck_assert_str_eq(message, expected);

        free(value);
        free(whole);
        longest[max] = '\0';
        value = xasprintf("'%s'", longest);
        whole = document(row, is_profile, value);
        load(whole);
        base = is_profile ? (const char *)settings.profiles : (const char *)&settings;
        memcpy(&read, base + row->offset, sizeof(read));
        ck_assert_str_eq(read, longest);

        free(whole);
        free(message);
        whole = document(row, is_profile, "''");
        message = refuse(whole);
        ck_assert_str_eq(message, expected);
    }
}
END_TEST

START_TEST(seconds_become_milliseconds)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1", 1000},
        {"1.5", 1500},
        {"0.001", 1},
        {"0.0011", 2}, /* rounded up */
        {"2.007", 2007},
        {"4.35", 4350},
        {"1e2", 100000},
        {"0.29", 290},
        {"1.005", 1005},
        {"1.0001", 1001},
        {"31536000", INT64_C(31536000000)},
        {"8.1e-2", 81},
        {"1234567.891", 1234567891},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(freep) char *whole = xasprintf(PROFILE(", 'timeout': %s"), rows[i].text);

        load(whole);
        if (settings.profiles[0].timeout_ms != rows[i].ms)
            ck_abort_msg("%s s: %lld ms", rows[i].text, (long long)settings.profiles[0].timeout_ms);
    }
    load("{'killGrace': 0, 'agingInterval': 0.0}");
    ck_assert_int_eq(settings.kill_grace_ms, 0);
    ck_assert_int_eq(settings.aging_interval_ms, 0);
}
END_TEST

/* Values, and the types of keys for which each is right; by any other key it is refused. */
static const struct {
    const char *value;
    const char *right_for; /* letters */
} wrong_values[] = {
    /* I: integer, S: seconds or number, T: text, W: words */
    {"null", ""},   {"true", ""},   {"{}", ""},    {"[]", "W"},       {"[1]", ""},
    {"[[]]", ""},   {"'2'", "T"},   {"2.5", "S"},  {"2", "IS"},       {"'a\\u0000b'", ""},
    {"'NaN'", "T"}, {"[null]", ""}, {"['A']", ""}, {"['a', '']", ""}, {"{'a': 1}", ""},
};

START_TEST(types_are_checked)
{
    for_each_row(row, is_profile)
    {
        static const char letters[] = {
            [CONFIG_INTEGER] = 'I', [CONFIG_SECONDS] = 'S', [CONFIG_NUMBER] = 'S',
            [CONFIG_TEXT] = 'T',    [CONFIG_NAME] = '-',    [CONFIG_COLOR] = '-',
            [CONFIG_WORDS] = 'W',   [CONFIG_CHOICE] = '-',  [CONFIG_RUNNER] = '-',
        };
        CLEANUP(freep)
        char *prefix = xasprintf(" %s%s", is_profile ? "profiles[0]." : "", row->key);

        for (size_t i = 0; i < ARRAY_SIZE(wrong_values); i++) {
            CLEANUP(freep) char *whole = NULL, *message = NULL;

            if (strchr(wrong_values[i].right_for, letters[row->type]))
                continue;
            if (row->type == CONFIG_NAME && strcmp(wrong_values[i].value, "'2'") == 0)
                continue; /* a word */
            whole = document(row, is_profile, wrong_values[i].value);
            message = refuse(whole);
            if (strncmp(message, prefix, strlen(prefix)) != 0)
                ck_abort_msg("%s: \"%s\" does not name %s", whole, message, prefix);
        }
    }
}
END_TEST

/* The file */

/* No value is a default, and no two numbers are the same. */
static const char everything[] =
    "{'store': {'type': 'sqlite'},"
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
    "   'systemPrompt': 'Be brief.',"
    "   'capabilities': ['coding', 'x.y_z-0', 'coding', '7'], 'role': 'Rôle', 'name': 'first'},"
    "  " NAMED("second", ", 'color': '#A0b1C2', 'capabilities': []") "]}";

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
    profile = &settings.profiles[0];
    ck_assert_str_eq(profile->name, "first");
    ck_assert_str_eq(profile->role, "Rôle");
    ck_assert_str_eq(profile->system_prompt, "Be brief.");
    check_list(profile->capabilities, "coding", "x.y_z-0", "7");
    ck_assert_int_eq(profile->max_concurrent_tasks, 12);
    ck_assert_int_eq(profile->min_concurrent_tasks, 11);
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
        {"{\n 'updateInterval': 5\n", 2}, /* it ends there, white space aside */
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
         "profiles[0].runner: unknown key \"shell\""},
    };

    check_refusals(rows, ARRAY_SIZE(rows));
}
END_TEST

/* The dots are of the messages and the docs; in the file there are objects. */
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

        /* There may be more choices by now. */
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
        {"{'profiles': [1]}", "profiles: must hold objects"},
        {"{'profiles': [null]}", "profiles: must hold objects"},
        {"{'profiles': [" NAMED("a", "") ", []]}", "profiles: must hold objects"},
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
         "profiles[1].name: \"a\" is there twice"},
        {"{'profiles': [" NAMED("a", "") ", " NAMED("b", "") ", " NAMED("a", "") "]}",
         "profiles[2].name: \"a\" is there twice"},
        {"{'profiles': [" NAMED("c", "") ", " NAMED("b", "") ", " NAMED("b", "") "]}",
         "profiles[2].name: \"b\" is there twice"},
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
        {"{'agingInterval': 1, 'agingInterval': 1}", "1: \"agingInterval\" is there twice"},
        {"{'agingInterval': 1,\n 'aging\\u0049nterval': 2}", "2: \"agingInterval\" is there twice"},
        {"{'profiles': [" NAMED("a", "") "],\n\n'profiles': []}", "3: \"profiles\" is there twice"},
        {"{'profiles': [{'name': 'a', 'name': 'b'}]}", "1: \"name\" is there twice"},
        {"{'profiles': [" NAMED("a", ", 'retry': {'on': [],\n'backoff': 1, 'on': []}") "]}",
         "2: \"on\" is there twice"},
        {"{'profiles': [" NAMED("a", "") ", " NAMED("b", ", 'role': '{', 'role': '}'") "]}",
         "1: \"role\" is there twice"},
        {"{'x': {'': 1, '': 2}}", "1: \"\" is there twice"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(freep) char *message = refuse(rows[i].text);

        ck_assert_str_eq(message, rows[i].message);
    }
    /* One name in several objects is none. */
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
         "profiles[0].capabilities: must hold words of the form [a-z0-9][a-z0-9._-]{0,63}"},
        {PROFILE(", 'capabilities': ['" X64 "x']"),
         "profiles[0].capabilities: must hold words of the form [a-z0-9][a-z0-9._-]{0,63}"},
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
    /* Against a default too. */
    message = refuse(PROFILE(", 'retry': {'maxBackoff': 0.5}"));
    ck_assert_str_eq(message, " profiles[0].retry.maxBackoff: must not be less than retry.backoff");
}
END_TEST

START_TEST(profile_runners)
{
    static const char type[] =
        "profiles[0].runner.type: must be \"command\", \"acp\" or \"worker\"";
    static const char strings[] = "profiles[0].runner.command: must hold strings, a program first";
    static const char argv[] =
        "profiles[0].runner.command: must be an array of strings: the program and its arguments";
    static const char env[] =
        "profiles[0].runner.env: must hold strings or null under names without \"=\"";
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
         "profiles[0].runner.mcpServers: must hold objects of name, command, args (an array of "
         "strings) and env (an object of strings), or of type (\"http\" or \"sse\"), name, url and "
         "headers (an object of strings)"},
        {RUNNER("'type': 'acp', 'command': ['a'], 'mcpServers': [{'type': 'http', 'name': 'n'}]"),
         "profiles[0].runner.mcpServers: must hold objects of name, command, args (an array of "
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

/* What looks right only up to its first NUL is not right. */
START_TEST(profile_runner_type_with_nul)
{
    CLEANUP(freep)
    char *message = refuse(RUNNER("'type': 'command\\u0000er', 'command': ['/bin/true']"));

    ck_assert_str_eq(message,
                     " profiles[0].runner.type: must be \"command\", \"acp\" or \"worker\"");
}
END_TEST

/* Failures */

/* A failure after much has been read gives all of it back, and the next file starts afresh. */
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

/* The table of docs/configuration.md has this row for it. */
static void print_doc_row(const struct config_row *row, struct buf *out)
{
    static const char *const types[] = {
        [CONFIG_INTEGER] = "integer", [CONFIG_SECONDS] = "seconds",
        [CONFIG_NUMBER] = "number",   [CONFIG_TEXT] = "text",
        [CONFIG_NAME] = "name",       [CONFIG_COLOR] = "color",
        [CONFIG_WORDS] = "words",     [CONFIG_CHOICE] = "choice",
        [CONFIG_RUNNER] = "object",   [CONFIG_PATH] = "path",
        [CONFIG_COMMAND] = "array",   [CONFIG_ENV] = "object",
        [CONFIG_SERVERS] = "array",   [CONFIG_PERMISSIONS] = "policy",
        [CONFIG_OPTIONS] = "object",  [CONFIG_REUSE] = "boolean or integer",
        [CONFIG_ROLES] = "object",
    };

    buf_printf(out, "| `%s` | %s | ", row->key, types[row->type]);
    if (row->is_required)
        buf_add_text(out, "required");
    else if (row->text)
        buf_printf(out, "`%s`", row->text);
    else if (row->choices)
        buf_printf(out, "`%s`", row->choices[(int)row->number]);
    else if (row->type <= CONFIG_NUMBER)
        buf_add_json_number(out, row->number);
    buf_add_text(out, " | ");
    switch (row->type) {
    case CONFIG_INTEGER:
    case CONFIG_SECONDS:
    case CONFIG_NUMBER:
        buf_add_json_number(out, row->min);
        buf_add_text(out, " to ");
        buf_add_json_number(out, row->max);
        break;
    case CONFIG_TEXT:
        buf_printf(out, "%.0f bytes", row->max);
        break;
    case CONFIG_NAME:
        buf_add_text(out, "`[a-z0-9][a-z0-9._-]{0,63}`");
        break;
    case CONFIG_COLOR:
        buf_add_text(out, "`#rgb`, `#rrggbb`");
        break;
    case CONFIG_WORDS:
        if (row->words)
            buf_printf(out, "`%s`, `%s`", row->words[0], row->words[1]);
        else
            buf_add_text(out, "`[a-z0-9][a-z0-9._-]{0,63}` each");
        break;
    case CONFIG_CHOICE:
        for (size_t i = 0; row->choices[i]; i++)
            buf_printf(out, "%s`%s`", i ? ", " : "", row->choices[i]);
        break;
    case CONFIG_ROLES:
    case CONFIG_RUNNER:
    case CONFIG_PATH:
    case CONFIG_COMMAND:
    case CONFIG_ENV:
    case CONFIG_SERVERS:
    case CONFIG_OPTIONS:
    case CONFIG_REUSE:
    case CONFIG_PERMISSIONS:
        break;
    }
    buf_printf(out, " | %s |\n", row->doc);
}

START_TEST(docs_have_every_setting)
{
    CLEANUP(freep) char *path = xasprintf("%s/configuration.md", getenv("ACPD_DOCS"));
    CLEANUP(buf_deinit) struct buf text = {0};
    FILE *docs = fopen(path, "r");

    ck_assert_msg(docs != NULL, "%s", path);
    text.len = fread(buf_reserve(&text, 1 << 20), 1, 1 << 20, docs);
    fclose(docs);
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct config_row *row = tables[i]; row->key; row++) {
            CLEANUP(buf_deinit) struct buf expected = {0};

            print_doc_row(row, &expected);
            ck_assert_msg(strstr(buf_text(&text), buf_text(&expected)) != NULL,
                          "docs/configuration.md has no row\n%s", buf_text(&expected));
        }
    }
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("config");
    SRunner *runner = srunner_create(suite);
    TCase *tcase;
    int failed;

    tcase = add_case(suite, "defaults");
    tcase_add_test(tcase, defaults_without_a_file);
    tcase_add_test(tcase, defaults_without_profiles);
    tcase_add_test(tcase, defaults_of_a_profile);
    tcase_add_test(tcase, defaults_are_those_of_the_table);
    tcase = add_case(suite, "table");
    tcase_add_test(tcase, table_is_sound);
    tcase_add_test(tcase, bounds_of_numbers);
    tcase_add_test(tcase, bounds_of_the_design);
    tcase_add_test(tcase, bounds_of_texts);
    tcase_add_test(tcase, seconds_become_milliseconds);
    tcase_add_test(tcase, types_are_checked);
    tcase = add_case(suite, "file");
    tcase_add_test(tcase, file_with_everything);
    tcase_add_test(tcase, file_with_everything_has_every_key);
    tcase_add_test(tcase, file_with_many_profiles);
    tcase_add_test(tcase, file_that_cannot_be_read);
    tcase_add_test(tcase, file_that_is_too_large);
    tcase_add_test(tcase, file_with_syntax_errors);
    tcase_add_test(tcase, file_with_single_quotes);
    tcase_add_test(tcase, file_with_nul_bytes);
    tcase_add_test(tcase, file_of_another_type);
    tcase = add_case(suite, "keys");
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
    tcase_add_test(tcase, profile_runners);
    tcase_add_test(tcase, profile_runner_type_with_nul);
    tcase = add_case(suite, "docs");
    tcase_add_test(tcase, docs_have_every_setting);
    tcase = add_case(suite, "failures");
    tcase_add_test(tcase, failure_leaves_nothing_behind);
    tcase_add_test(tcase, settings_of_zeros_are_freed);

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
