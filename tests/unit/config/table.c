/* SPDX-License-Identifier: MIT */
/* Defaults, bounds and types of each row of the table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/strv.h"
#include "core/router.h"
#include "fixture.h"

/* The rows, for tests that are the same for each */

static bool is_number(const struct config_row *row)
{
    return row->type == CONFIG_INTEGER || row->type == CONFIG_SECONDS || row->type == CONFIG_NUMBER;
}

/* A document in which the key has this value, with the keys that must match it. */
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

/* The defaults without a file */

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
    ck_assert_str_eq(profile->role, "a"); /* default: its name */
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
        if (is_integer && strncmp(row->key, "limits.", 7) != 0) /* small ones are rejected */
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
        double min, max; /* -1: not given */
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

/* Values, and the types of keys that accept them; all other keys reject them. */
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

static const char *const type_names[] = {
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

/* Prints the row of this key in the table of docs/configuration.md. */
static void print_doc_row(const struct config_row *row, struct buf *out)
{
    buf_printf(out, "| `%s` | %s | ", row->key, type_names[row->type]);
    if (row->is_required)
        buf_add_text(out, "required");
    else if (row->text)
        buf_printf(out, "`%s`", row->text);
    else if (row->choices)
        buf_printf(out, "`%s`", row->choices[(int)row->number]);
    else if (row->type <= CONFIG_NUMBER)
        buf_add_number(out, row->number);
    buf_add_text(out, " | ");
    switch (row->type) {
    case CONFIG_INTEGER:
    case CONFIG_SECONDS:
    case CONFIG_NUMBER:
        buf_add_number(out, row->min);
        buf_add_text(out, " to ");
        buf_add_number(out, row->max);
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
            buf_add_text(out, row->are_patterns ? "`[a-z0-9._*?-]{1,64}` each"
                                                : "`[a-z0-9][a-z0-9._-]{0,63}` each");
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

START_TEST(routing_has_a_weight_for_every_term)
{
    for (size_t i = 0; router_term_names[i]; i++) {
        const struct config_row *row = config_rows;
        char key[64];

        snprintf(key, sizeof(key), "routing.%s", router_term_names[i]);
        while (row->key && strcmp(row->key, key) != 0)
            row++;
        ck_assert_msg(row->key != NULL, "there is no setting %s", key);
    }
}
END_TEST

void add_table_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "defaults");

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
    tcase = add_case(suite, "docs");
    tcase_add_test(tcase, docs_have_every_setting);
    tcase_add_test(tcase, routing_has_a_weight_for_every_term);
}
