/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/strv.h"
#include "config/digest.h"
#include "config/value.h"

#define FILE_MAX (16 * 1024 * 1024)

/* Below these, no program could start. */
#define LIMIT_MEMORY_MIN (16 * 1024 * 1024)
#define LIMIT_FILES_MIN  32

static int config_set_members(const struct config_target *target, struct json_object *object,
                              const char *path);

/* `key` is the member's with its path. */
static int config_set_member(const struct config_target *target, const char *key,
                             struct json_object *value)
{
    size_t len = strlen(key);
    bool has_inner = false;

    for (const struct config_row *row = target->rows; row->key; row++) {
        if (strncmp(row->key, key, len) != 0)
            continue;
        if (!row->key[len])
            return config_set_value(target, row, value);
        has_inner |= row->key[len] == '.';
    }
    if (!has_inner)
        return config_refuse(target->error, target->prefix, key, "unknown key");
    if (!json_object_is_type(value, json_type_object))
        return config_refuse(target->error, target->prefix, key, "must be an object");
    return config_set_members(target, value, key);
}

/* Sets every member that has a row; descends into objects whose members have one. `path` is the
 * object's own key, or "". */
static int config_set_members(const struct config_target *target, struct json_object *object,
                              const char *path)
{
    json_object_object_foreach(object, name, value)
    {
        CLEANUP(freep) char *key = path[0] ? xasprintf("%s.%s", path, name) : NULL;
        int r;

        if (!path[0] && target->rows == config_rows && strcmp(name, "profiles") == 0)
            continue;
        if (strchr(name, '.'))
            r = config_refuse(target->error, target->prefix, key ? key : name, "unknown key");
        else
            r = config_set_member(target, key ? key : name, value);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct profile_config *config_add_profile(struct settings *settings)
{
    struct profile_config *profile;

    settings->profiles =
        xrealloc(settings->profiles, (settings->profile_count + 1) * sizeof(*settings->profiles));
    profile = &settings->profiles[settings->profile_count++];
    *profile = (struct profile_config){0};
    config_set_defaults(profile, config_profile_rows);
    return profile;
}

static int config_load_profile(struct json_object *object, size_t index, struct settings *settings,
                               char **ret_error)
{
    CLEANUP(freep) char *prefix = xasprintf("profiles[%zu].", index);
    struct config_target target = {
        .rows = config_profile_rows, .prefix = prefix, .error = ret_error};
    struct profile_config *profile;
    int r;

    if (!json_object_is_type(object, json_type_object))
        return config_refuse(ret_error, "", "profiles", "must contain objects");
    for (const struct config_row *row = config_profile_rows; row->key; row++)
        if (row->is_required && !json_get(object, row->key))
            return config_refuse(ret_error, prefix, row->key, "is required");
    profile = config_add_profile(settings);
    target.base = profile;
    r = config_set_members(&target, object, "");
    if (r < 0)
        return r;
    assert(profile->name); /* it is required */
    if (!profile->role)
        profile->role = xstrdup(profile->name);
    if (profile->max_backoff_ms < profile->backoff_ms)
        return config_refuse(ret_error, prefix, "retry.maxBackoff",
                             "must not be less than retry.backoff");
    if (profile->min_concurrent_tasks > profile->max_concurrent_tasks)
        return config_refuse(ret_error, prefix, "minConcurrentTasks",
                             "must not be more than maxConcurrentTasks");
    if (profile->cooldown_max_ms < profile->cooldown_min_ms)
        return config_refuse(ret_error, prefix, "cooldown.max",
                             "must not be less than cooldown.min");
    if (profile->limits.memory && profile->limits.memory < LIMIT_MEMORY_MIN)
        return config_refuse(ret_error, prefix, "limits.memory", "must be 0 or at least %d",
                             LIMIT_MEMORY_MIN);
    if (profile->limits.open_files && profile->limits.open_files < LIMIT_FILES_MIN)
        return config_refuse(ret_error, prefix, "limits.openFiles", "must be 0 or at least %d",
                             LIMIT_FILES_MIN);
    if (profile->runner.type == RUNNER_WORKER &&
        (profile->limits.memory || profile->limits.processes || profile->limits.cpu_ms ||
         profile->limits.open_files))
        return config_refuse(ret_error, prefix, "limits",
                             "cannot be set for a worker, which is not a process of acpd");
    return 0;
}

static int config_compare_profiles(const void *a, const void *b)
{
    const struct profile_config *x = *(const struct profile_config *const *)a;
    const struct profile_config *y = *(const struct profile_config *const *)b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x > y) - (x < y);
}

static int config_check_names(const struct settings *settings, char **ret_error)
{
    size_t count = settings->profile_count;
    CLEANUP(freep)
    const struct profile_config **sorted = xcalloc(count, sizeof(*sorted));

    for (size_t i = 0; i < count; i++)
        sorted[i] = &settings->profiles[i];
    qsort(sorted, count, sizeof(*sorted), config_compare_profiles);
    for (size_t i = 1; i < count; i++) {
        CLEANUP(freep) char *prefix = NULL;

        if (strcmp(sorted[i - 1]->name, sorted[i]->name) != 0)
            continue;
        prefix = xasprintf("profiles[%zu].", (size_t)(sorted[i] - settings->profiles));
        return config_refuse(ret_error, prefix, "name", "duplicate profile name \"%s\"",
                             sorted[i]->name);
    }
    return 0;
}

/* The three profiles of the system, with the demo agent for a runner. */
static void config_add_builtin_profiles(const char *demo_path, struct settings *settings)
{
    static const struct {
        const char *name, *role, *color, *icon;
        const char *capabilities[5];
        int64_t slots, priority;
    } builtin[] = {
        {"product-manager",
         "Product Manager",
         "#8b5cf6",
         "📋",
         {"analysis", "feature-identification", "prioritization"},
         1,
         1},
        {"refinement",
         "Refinement Specialist",
         "#f59e0b",
         "🔍",
         {"task-breakdown", "dependency-analysis", "estimation"},
         1,
         2},
        {"development",
         "Developer",
         "#10b981",
         "💻",
         {"coding", "testing", "debugging", "documentation"},
         2,
         3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(builtin); i++) {
        struct profile_config *profile = config_add_profile(settings);

        profile->name = xstrdup(builtin[i].name);
        profile->role = xstrdup(builtin[i].role);
        config_store_text(&profile->color, builtin[i].color);
        config_store_text(&profile->icon, builtin[i].icon);
        for (size_t k = 0; builtin[i].capabilities[k]; k++)
            strv_push(&profile->capabilities, xstrdup(builtin[i].capabilities[k]));
        profile->max_concurrent_tasks = builtin[i].slots;
        profile->priority = builtin[i].priority;
        profile->runner.type = RUNNER_ACP;
        config_set_defaults(&profile->runner, config_runner_rows);
        strv_push(&profile->runner.command, xstrdup(demo_path));
    }
    settings->is_demo = true;
}

static int config_read_file(const char *path, struct buf *text, char **ret_error)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0) {
        n = read(fd, buf_reserve(text, 65536), 65536);
        if (n > 0)
            text->len += (size_t)n;
        if (text->len > FILE_MAX)
            return config_refuse(ret_error, path, "", "is larger than %d bytes", FILE_MAX);
    }
    return n < 0 ? config_refuse(ret_error, path, "", "%s", strerror(errno)) : 0;
}

static int config_load_root(struct json_object *root, const char *demo_path,
                            struct settings *settings, char **ret_error)
{
    struct config_target target = {
        .base = settings, .rows = config_rows, .prefix = "", .error = ret_error};
    struct json_object *profiles = json_get(root, "profiles");
    int r;

    if (!json_object_is_type(root, json_type_object))
        return config_refuse(ret_error, "", "the configuration", "must be an object");
    r = config_set_members(&target, root, "");
    if (r < 0)
        return r;
    if (settings->store.type == SETTINGS_POSTGRES && !settings->store.url)
        return config_refuse(ret_error, "", "store.url", "is required for postgres");
    if (settings->store.type == SETTINGS_POSTGRES &&
        settings->store.lease_ms <= 2 * settings->store.timeout_ms)
        return config_refuse(ret_error, "", "store.lease", "must be more than twice store.timeout");
    if (!json_object_object_get_ex(root, "profiles", NULL)) {
        config_add_builtin_profiles(demo_path, settings);
        return 0;
    }
    if (!json_object_is_type(profiles, json_type_array) || !json_object_array_length(profiles))
        return config_refuse(ret_error, "", "profiles", "must be an array of at least one profile");
    for (size_t i = 0; i < json_object_array_length(profiles); i++) {
        r = config_load_profile(json_object_array_get_idx(profiles, i), i, settings, ret_error);
        if (r < 0)
            return r;
    }
    return config_check_names(settings, ret_error);
}

static size_t config_line_of(const struct buf *text, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset && i < text->len; i++)
        line += text->data[i] == '\n';
    return line;
}

static int config_parse(const char *path, const struct buf *text, struct json_object **ret_root,
                        char **ret_error)
{
    CLEANUP(json_putp) struct json_object *root = NULL;
    CLEANUP(freep) char *twin = NULL;
    const char *reason;
    size_t offset;
    int r = json_parse(text->data, text->len, &root, &reason, &offset);

    if (r < 0) {
        *ret_error = xasprintf("%s:%zu: %s", path, config_line_of(text, offset), reason);
        return -EINVAL;
    }
    twin = json_find_twin(text->data, text->len, &offset);
    if (twin) {
        *ret_error =
            xasprintf("%s:%zu: duplicate key \"%s\"", path, config_line_of(text, offset), twin);
        return -EINVAL;
    }
    *ret_root = STEAL(root);
    return 0;
}

int config_load(const char *path, const char *demo_path, struct settings *ret_settings,
                char **ret_error)
{
    CLEANUP(settings_deinit) struct settings settings = {0};
    CLEANUP(buf_deinit) struct buf text = {0};
    CLEANUP(json_putp) struct json_object *root = NULL;
    CLEANUP(freep) char *error = NULL;
    int r;

    config_set_defaults(&settings, config_rows);
    config_set_defaults(&settings.defaults, config_profile_rows);
    if (!path) {
        config_add_builtin_profiles(demo_path, &settings);
        goto done;
    }
    r = config_read_file(path, &text, ret_error);
    if (r < 0)
        return r;
    r = config_parse(path, &text, &root, ret_error);
    if (r < 0)
        return r;
    r = config_load_root(root, demo_path, &settings, &error);
    if (r < 0) {
        *ret_error = xasprintf("%s: %s", path, error);
        return r;
    }
done:
    for (size_t i = 0; settings.store.type == SETTINGS_POSTGRES && i < settings.profile_count; i++)
        settings.profiles[i].digest = config_digest(&settings.profiles[i]);
    *ret_settings = settings;
    settings = (struct settings){0};
    return 0;
}
