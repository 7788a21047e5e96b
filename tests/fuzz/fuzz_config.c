/* SPDX-License-Identifier: MIT */
/* The configuration: if a text loads, its settings are within the bounds of the table; if not,
 * there is an error message and nothing changes. */
#include <string.h>
#include <sys/mman.h>

#include "common/alloc.h"
#include "common/strv.h"
#include "config/config.h"
#include "config/table.h"
#include "core/word.h"
#include "fuzz.h"

static const char *text_at(const void *base, size_t offset)
{
    const char *text;

    memcpy(&text, (const char *)base + offset, sizeof(text));
    return text;
}

static void check_number(const void *base, const struct config_row *row)
{
    bool is_seconds = row->type == CONFIG_SECONDS;
    int64_t integer;
    double number;

    memcpy(&number, (const char *)base + row->offset, sizeof(number));
    memcpy(&integer, (const char *)base + row->offset, sizeof(integer));
    if (row->type != CONFIG_NUMBER)
        number = is_seconds ? (double)integer / 1000 : (double)integer;
    /* Seconds are rounded up to milliseconds. */
    PROMISE(number >= row->min && number <= row->max + (is_seconds ? 0.001 : 0), "%s: %g", row->key,
            number);
}

static void check_words(const void *base, const struct config_row *row)
{
    char **words;

    memcpy(&words, (const char *)base + row->offset, sizeof(words));
    for (size_t i = 0; words && words[i]; i++) {
        PROMISE(row->are_patterns ? word_is_pattern(words[i]) : word_is_valid(words[i]), "%s: %s",
                row->key, words[i]);
        PROMISE(!row->words || strv_contains((char *const *)row->words, words[i]));
    }
}

static void check_servers(const void *base, const struct config_row *row)
{
    const char *servers = text_at(base, row->offset);

    if (servers)
        json_object_put(fuzz_must_parse(servers, strlen(servers)));
}

static void check_rows(const void *base, const struct config_row *rows, enum runner_type runner);

static void check_runner(const struct runner_config *runner)
{
    PROMISE(runner->type == RUNNER_WORKER || (runner->command && runner->command[0][0]));
    check_rows(runner, config_runner_rows, runner->type);
}

static void check_roles(const struct roles *roles)
{
    for (size_t i = 0; i < roles->count; i++)
        PROMISE(roles->entries[i].role >= ROLE_NONE && roles->entries[i].role <= ROLE_OPERATE);
}

static void check_text(const void *base, const struct config_row *row)
{
    const char *text = text_at(base, row->offset);

    PROMISE(!text || (text[0] && strlen(text) <= (size_t)row->max), "%s", row->key);
}

static void check_row(const void *base, const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_INTEGER:
    case CONFIG_SECONDS:
    case CONFIG_NUMBER:
        check_number(base, row);
        break;
    case CONFIG_NAME:
        PROMISE(!text_at(base, row->offset) ? !row->is_required
                                            : word_is_valid(text_at(base, row->offset)));
        break;
    case CONFIG_TEXT:
        check_text(base, row);
        break;
    case CONFIG_WORDS:
        check_words(base, row);
        break;
    case CONFIG_ROLES:
        check_roles((const struct roles *)((const char *)base + row->offset));
        break;
    case CONFIG_RUNNER:
        check_runner((const struct runner_config *)((const char *)base + row->offset));
        break;
    case CONFIG_SERVERS:
        check_servers(base, row);
        break;
    case CONFIG_COLOR:
        PROMISE(text_at(base, row->offset)[0] == '#');
        break;
    case CONFIG_PATH:
        PROMISE(!text_at(base, row->offset) || text_at(base, row->offset)[0] == '/');
        break;
    case CONFIG_CHOICE:
    case CONFIG_COMMAND:
    case CONFIG_ENV:
    case CONFIG_OPTIONS:
    case CONFIG_REUSE:
    case CONFIG_PERMISSIONS:
        break;
    }
}

static void check_rows(const void *base, const struct config_row *rows, enum runner_type runner)
{
    for (const struct config_row *row = rows; row->key; row++)
        if (!row->runners || row->runners & CONFIG_RUNNER_BIT(runner))
            check_row(base, row);
}

static void check_profile(const struct settings *settings, size_t index)
{
    const struct profile_config *profile = &settings->profiles[index];

    check_rows(profile, config_profile_rows, profile->runner.type);
    PROMISE(profile->role);
    PROMISE(profile->backoff_ms <= profile->max_backoff_ms);
    PROMISE(profile->min_concurrent_tasks <= profile->max_concurrent_tasks);
    PROMISE(profile->cooldown_min_ms <= profile->cooldown_max_ms);
    for (size_t i = 0; i < index; i++)
        PROMISE(strcmp(settings->profiles[i].name, profile->name) != 0);
}

/* A file in memory. */
static int make_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("config", MFD_CLOEXEC);

    PROMISE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(closep) int fd = make_file(data, size);
    CLEANUP(freep) char *path = xasprintf("/proc/self/fd/%d", fd), *error = NULL;
    CLEANUP(settings_deinit) struct settings settings = {0}, untouched = {0};
    int r = config_load(path, "/bin/true", &settings, &error);

    if (r < 0) {
        PROMISE(error && strncmp(error, path, strlen(path)) == 0, "%s", error);
        PROMISE(memcmp(&settings, &untouched, sizeof(settings)) == 0);
        return 0;
    }
    PROMISE(!error);
    PROMISE(settings.profile_count > 0);
    check_rows(&settings, config_rows, RUNNER_COMMAND);
    for (size_t i = 0; i < settings.profile_count; i++)
        check_profile(&settings, i);
    return 0;
}
