/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/strv.h"

char folder[32];
char *file;
struct settings settings;

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

void write_bytes(const char *text, size_t len)
{
    FILE *out = fopen(file, "we");

    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(text, 1, len, out), len);
    ck_assert_int_eq(fclose(out), 0);
}

/* Writes text with ' for ", as in the tables below. */
static void write_quoted(const char *text)
{
    CLEANUP(freep) char *copy = xstrdup(text);

    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    write_bytes(copy, strlen(copy));
}

void load_file(const char *path)
{
    char *error = NULL;
    int r;

    settings_deinit(&settings);
    r = config_load(path, DEMO_PATH, &settings, &error);
    if (r != 0 || error)
        ck_abort_msg("%d: %s", r, error ? error : "");
}

const struct settings *load(const char *text)
{
    write_quoted(text);
    load_file(file);
    return &settings;
}

char *refusal_of(const char *path)
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

char *refuse(const char *text)
{
    CLEANUP(freep) char *error = NULL;

    write_quoted(text);
    error = refusal_of(file);
    if (strncmp(error, file, strlen(file)) != 0 || error[strlen(file)] != ':')
        ck_abort_msg("%s: \"%s\" does not name the file", text, error);
    return xstrdup(error + strlen(file) + 1);
}

void check_refusals(const struct refusal *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(freep) char *message = refuse(rows[i].text);

        if (message[0] != ' ' || strcmp(message + 1, rows[i].message) != 0)
            ck_abort_msg("%s:\n got     \"%s\"\n expected \" %s\"", rows[i].text, message,
                         rows[i].message);
    }
}

void check_strv(char *const *strv, const char *const *expected)
{
    size_t n = 0;

    for (; expected[n]; n++) {
        ck_assert_uint_gt(strv_length(strv), n);
        ck_assert_str_eq(strv[n], expected[n]);
    }
    ck_assert_uint_eq(strv_length(strv), n);
}

void check_default_settings(void)
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

void check_default_limits(const struct profile_config *profile)
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

void check_demo_profiles(void)
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
    /* The page distinguishes them by colour. */
    ck_assert_str_ne(settings.profiles[0].color, settings.profiles[1].color);
    ck_assert_str_ne(settings.profiles[1].color, settings.profiles[2].color);
    /* Documented with every value. */
    ck_assert_int_eq(settings.profiles[2].max_concurrent_tasks, 2);
    ck_assert_int_eq(settings.profiles[2].priority, 3);
    ck_assert_str_eq(settings.profiles[2].color, "#10b981");
    ck_assert_str_eq(settings.profiles[2].icon, "💻");
}

const struct config_row *const tables[] = {config_rows, config_profile_rows, config_runner_rows};

TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}
