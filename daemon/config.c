/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <ctype.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/strv.h"
#include "config_table.h"
#include "core/word.h"

#define FILE_MAX (16 * 1024 * 1024)

/* Where a value goes and how errors name it. */
struct place {
    void *base; /* struct settings or struct profile_config */
    const struct config_row *rows;
    const char *prefix; /* of keys in messages, e.g. "profiles[1]." */
    char **error;
};

static int refuse(char **error, const char *prefix, const char *key, const char *format, ...)
    PRINTF_LIKE(4, 5);

static int refuse(char **error, const char *prefix, const char *key, const char *format, ...)
{
    CLEANUP(freep) char *reason = NULL;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&reason, format, args);
    va_end(args);
    *error = xasprintf("%s%s: %s", prefix, key, n < 0 ? "" : reason);
    return -EINVAL;
}

static int set_number(const struct place *place, const struct config_row *row,
                      struct json_object *value)
{
    double number = json_object_get_double(value);
    bool is_integer = row->type == CONFIG_INTEGER;
    char *at = (char *)place->base + row->offset;
    int64_t stored;

    if ((!json_object_is_type(value, json_type_int) &&
         (is_integer || !json_object_is_type(value, json_type_double))) ||
        !(number >= row->min && number <= row->max)) {
        CLEANUP(buf_deinit) struct buf bounds = {0};

        buf_add_json_number(&bounds, row->min);
        buf_add_text(&bounds, " to ");
        buf_add_json_number(&bounds, row->max);
        return refuse(place->error, place->prefix, row->key, "must be %s from %s",
                      is_integer ? "an integer" : "a number", buf_text(&bounds));
    }
    if (row->type == CONFIG_NUMBER) {
        memcpy(at, &number, sizeof(number));
        return 0;
    }
    /* Rounded up, but not for the last bits of a product such as 2.007 * 1000. */
    stored = is_integer ? (int64_t)number : (int64_t)ceil(number * 1000 - 1e-4);
    memcpy(at, &stored, sizeof(stored));
    return 0;
}

static bool is_color(const char *text)
{
    size_t len = strlen(text);

    return text[0] == '#' && (len == 4 || len == 7) &&
           strspn(text + 1, "0123456789abcdefABCDEF") == len - 1;
}

static const char *plain_string(struct json_object *value)
{
    const char *text = json_object_get_string(value);

    return json_object_is_type(value, json_type_string) &&
                   strlen(text) == (size_t)json_object_get_string_len(value)
               ? text
               : NULL;
}

static void store_text(void *at, const char *text)
{
    char *old, *copy = xstrdup(text);

    memcpy(&old, at, sizeof(old));
    free(old);
    memcpy(at, &copy, sizeof(copy));
}

static int set_text(const struct place *place, const struct config_row *row,
                    struct json_object *value)
{
    const char *text = plain_string(value);

    if (!text)
        return refuse(place->error, place->prefix, row->key, "must be a string");
    if (row->type == CONFIG_NAME && !word_is_valid(text))
        return refuse(place->error, place->prefix, row->key, "must be of the form " WORD_PATTERN);
    if (row->type == CONFIG_COLOR && !is_color(text))
        return refuse(place->error, place->prefix, row->key, "must be #rgb or #rrggbb");
    if (row->type == CONFIG_TEXT && (!text[0] || strlen(text) > (size_t)row->max))
        return refuse(place->error, place->prefix, row->key, "must have 1 to %.0f bytes", row->max);
    store_text((char *)place->base + row->offset, text);
    return 0;
}

static int set_words(const struct place *place, const struct config_row *row,
                     struct json_object *value)
{
    CLEANUP(strv_freep) char **words = NULL;
    char **old;

    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) > 64)
        return refuse(place->error, place->prefix, row->key,
                      "must be an array of at most 64 words");
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        const char *word = plain_string(json_object_array_get_idx(value, i));

        if (!word || !word_is_valid(word))
            return refuse(place->error, place->prefix, row->key,
                          "must hold words of the form " WORD_PATTERN);
        if (row->words && !strv_contains((char *const *)row->words, word))
            return refuse(place->error, place->prefix, row->key, "\"%s\" is not one of %s and %s",
                          word, row->words[0], row->words[1]);
        if (!strv_contains(words, word))
            strv_push(&words, xstrdup(word));
    }
    memcpy(&old, (char *)place->base + row->offset, sizeof(old));
    strv_free(old);
    memcpy((char *)place->base + row->offset, &words, sizeof(words));
    words = NULL;
    return 0;
}

static int set_choice(const struct place *place, const struct config_row *row,
                      struct json_object *value)
{
    const char *text = plain_string(value);
    CLEANUP(buf_deinit) struct buf all = {0};

    for (int i = 0; row->choices[i]; i++) {
        if (!text || strcmp(text, row->choices[i]) != 0)
            continue;
        if (row->offset != SIZE_MAX)
            memcpy((char *)place->base + row->offset, &i, sizeof(i));
        return 0;
    }
    for (int i = 0; row->choices[i]; i++)
        buf_printf(&all, "%s\"%s\"", i ? (row->choices[i + 1] ? ", " : " or ") : "",
                   row->choices[i]);
    return refuse(place->error, place->prefix, row->key, "must be %s", buf_text(&all));
}

static int set_command(const struct place *place, const struct config_row *row,
                       struct json_object *value)
{
    char ***command = (char ***)((char *)place->base + row->offset);

    if (!json_object_is_type(value, json_type_array) || !json_object_array_length(value))
        return refuse(place->error, place->prefix, row->key,
                      "must be an array of strings: the program and its arguments");
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        const char *word = plain_string(json_object_array_get_idx(value, i));

        if (!word || (i == 0 && !word[0]))
            return refuse(place->error, place->prefix, row->key,
                          "must hold strings, a program first");
        strv_push(command, xstrdup(word));
    }
    return 0;
}

static int set_env(const struct place *place, const struct config_row *row,
                   struct json_object *value)
{
    char ***env = (char ***)((char *)place->base + row->offset);

    if (!json_object_is_type(value, json_type_object))
        return refuse(place->error, place->prefix, row->key, "must be an object of strings");
    json_object_object_foreach(value, name, member)
    {
        const char *text = plain_string(member);

        if (!text || !name[0] || strchr(name, '='))
            return refuse(place->error, place->prefix, row->key,
                          "must hold strings under names without \"=\"");
        strv_push(env, xasprintf("%s=%s", name, text));
    }
    return 0;
}

static bool is_strings(struct json_object *array)
{
    if (!json_object_is_type(array, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(array); i++)
        if (!plain_string(json_object_array_get_idx(array, i)))
            return false;
    return true;
}

/* A server in the protocol's form: {name, command, args: [], env: [{name, value}]}; NULL: it cannot
 * be one. */
static struct json_object *server_of(struct json_object *value)
{
    CLEANUP(json_putp) struct json_object *server = json_object_new_object();
    struct json_object *args = json_get(value, "args"), *env = json_get(value, "env"), *list;
    const char *name = plain_string(json_get(value, "name"));
    const char *command = plain_string(json_get(value, "command"));

    if (!name || !command || !name[0] || !command[0] || (args && !is_strings(args)) ||
        (env && !json_object_is_type(env, json_type_object)))
        return NULL;
    json_object_object_foreach(value, key, member)
    {
        if (strcmp(key, "name") != 0 && strcmp(key, "command") != 0 && strcmp(key, "args") != 0 &&
            strcmp(key, "env") != 0)
            return NULL;
        (void)member;
    }
    json_object_object_add(server, "name", json_object_new_string(name));
    json_object_object_add(server, "command", json_object_new_string(command));
    json_object_object_add(server, "args", args ? json_object_get(args) : json_object_new_array());
    list = json_object_new_array();
    json_object_object_add(server, "env", list);
    if (!env)
        return STEAL(server);
    json_object_object_foreach(env, variable, text)
    {
        struct json_object *pair = json_object_new_object();

        json_object_array_add(list, pair);
        if (!plain_string(text))
            return NULL;
        json_object_object_add(pair, "name", json_object_new_string(variable));
        json_object_object_add(pair, "value", json_object_get(text));
    }
    return STEAL(server);
}

static int set_servers(const struct place *place, const struct config_row *row,
                       struct json_object *value)
{
    CLEANUP(json_putp) struct json_object *servers = json_object_new_array();

    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) > 64)
        return refuse(place->error, place->prefix, row->key,
                      "must be an array of at most 64 servers");
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct json_object *item = json_object_array_get_idx(value, i);
        struct json_object *server =
            json_object_is_type(item, json_type_object) ? server_of(item) : NULL;

        if (!server)
            return refuse(place->error, place->prefix, row->key,
                          "must hold objects of name, command, args (an array of strings) and env "
                          "(an object of strings)");
        json_object_array_add(servers, server);
    }
    store_text((char *)place->base + row->offset, json_compact(servers));
    return 0;
}

static int set_permissions(const struct place *place, const struct config_row *row,
                           struct json_object *value)
{
    static const char choices[] = "must be \"allow\", \"reject\" or \"ask\", or an object of "
                                  "these by kind of tool";
    struct permissions *permissions = (struct permissions *)((char *)place->base + row->offset);
    const char *name = plain_string(value);
    enum permission_policy policy;
    enum tool_kind kind;

    if (name && permission_policy_parse(name, &policy) == 0) {
        for (int i = 0; i < TOOL_KIND_COUNT; i++)
            permissions->by_kind[i] = policy;
        return 0;
    }
    if (!json_object_is_type(value, json_type_object))
        return refuse(place->error, place->prefix, row->key, choices);
    json_object_object_foreach(value, key, member)
    {
        name = plain_string(member);
        if (tool_kind_parse(key, &kind) < 0)
            return refuse(place->error, place->prefix, row->key,
                          "\"%s\" is no kind of tool: read, edit, delete, move, search, execute, "
                          "think, fetch, switch_mode, other",
                          key);
        if (!name || permission_policy_parse(name, &policy) < 0)
            return refuse(place->error, place->prefix, row->key, choices);
        permissions->by_kind[kind] = policy;
    }
    return 0;
}

static int find_user(const char *name, struct role_entry *ret_entry)
{
    const struct passwd *user;
    char *end;

    if (strcmp(name, "*") == 0) {
        ret_entry->is_everyone = true;
        return 0;
    }
    if (isdigit((unsigned char)name[0])) {
        unsigned long uid = strtoul(name, &end, 10);

        ret_entry->uid = (uid_t)uid;
        return *end || uid >= UINT32_MAX ? -EINVAL : 0;
    }
    user = getpwnam(name);
    if (!user)
        return -ESRCH;
    ret_entry->uid = user->pw_uid;
    return 0;
}

static int set_roles(const struct place *place, const struct config_row *row,
                     struct json_object *value)
{
    struct roles *roles = (struct roles *)((char *)place->base + row->offset);

    if (!json_object_is_type(value, json_type_object))
        return refuse(place->error, place->prefix, row->key, "must be an object of roles by user");
    json_object_object_foreach(value, name, member)
    {
        struct role_entry entry = {0};
        const char *role = plain_string(member);
        int r = find_user(name, &entry);

        if (r == -ESRCH)
            return refuse(place->error, place->prefix, row->key, "there is no user \"%s\"", name);
        if (r < 0)
            return refuse(place->error, place->prefix, row->key, "\"%s\" is no user's number",
                          name);
        if (!role || role_parse(role, &entry.role) < 0)
            return refuse(place->error, place->prefix, row->key,
                          "must be \"read\", \"operate\" or \"none\" for each user");
        roles_add(roles, &entry);
    }
    return 0;
}

static int set_value(const struct place *place, const struct config_row *row,
                     struct json_object *value);
static void set_defaults(void *base, const struct config_row *rows);

static int find_runner_type(const char *name, enum runner_type *ret_type)
{
    for (int i = 0; name && config_runner_types[i]; i++) {
        if (strcmp(config_runner_types[i], name) == 0) {
            *ret_type = (enum runner_type)i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool has_row(const struct config_row *row, enum runner_type type)
{
    return row->runners & CONFIG_RUNNER_BIT(type);
}

static int set_runner(const struct place *place, const struct config_row *row,
                      struct json_object *value)
{
    struct runner_config *runner = (struct runner_config *)((char *)place->base + row->offset);
    CLEANUP(freep) char *prefix = xasprintf("%srunner.", place->prefix);
    struct place inner = {.base = runner, .prefix = prefix, .error = place->error};

    if (!json_object_is_type(value, json_type_object))
        return refuse(place->error, place->prefix, row->key, "must be an object");
    if (find_runner_type(plain_string(json_get(value, "type")), &runner->type) < 0)
        return refuse(place->error, prefix, "type", "must be \"command\", \"acp\" or \"worker\"");
    set_defaults(runner, config_runner_rows);
    json_object_object_foreach(value, name, member)
    {
        const struct config_row *found = NULL;
        int r;

        if (strcmp(name, "type") == 0)
            continue;
        for (const struct config_row *at = config_runner_rows; at->key; at++)
            if (strcmp(at->key, name) == 0 && has_row(at, runner->type))
                found = at;
        if (!found)
            return refuse(place->error, place->prefix, "runner", "unknown key \"%s\"", name);
        r = set_value(&inner, found, member);
        if (r < 0)
            return r;
    }
    for (const struct config_row *at = config_runner_rows; at->key; at++)
        if (at->is_required && has_row(at, runner->type) && !json_get(value, at->key))
            return refuse(place->error, prefix, at->key, "is required");
    return 0;
}

static int set_value(const struct place *place, const struct config_row *row,
                     struct json_object *value)
{
    switch (row->type) {
    case CONFIG_INTEGER:
    case CONFIG_SECONDS:
    case CONFIG_NUMBER:
        return set_number(place, row, value);
    case CONFIG_TEXT:
    case CONFIG_NAME:
    case CONFIG_COLOR:
        return set_text(place, row, value);
    case CONFIG_WORDS:
        return set_words(place, row, value);
    case CONFIG_CHOICE:
        return set_choice(place, row, value);
    case CONFIG_ROLES:
        return set_roles(place, row, value);
    case CONFIG_RUNNER:
        return set_runner(place, row, value);
    case CONFIG_PATH:
        if (!plain_string(value) || plain_string(value)[0] != '/')
            return refuse(place->error, place->prefix, row->key, "must be an absolute path");
        store_text((char *)place->base + row->offset, plain_string(value));
        return 0;
    case CONFIG_COMMAND:
        return set_command(place, row, value);
    case CONFIG_ENV:
        return set_env(place, row, value);
    case CONFIG_SERVERS:
        return set_servers(place, row, value);
    case CONFIG_BOOLEAN:
        if (!json_object_is_type(value, json_type_boolean))
            return refuse(place->error, place->prefix, row->key, "must be true or false");
        *((bool *)place->base + row->offset) = json_object_get_boolean(value);
        return 0;
    case CONFIG_PERMISSIONS:
        return set_permissions(place, row, value);
    }
    return -EINVAL;
}

static void set_defaults(void *base, const struct config_row *rows)
{
    for (const struct config_row *row = rows; row->key; row++) {
        struct place place = {.base = base};

        switch (row->type) {
        case CONFIG_INTEGER:
        case CONFIG_SECONDS:
        case CONFIG_NUMBER: {
            struct json_object *number = row->type == CONFIG_INTEGER
                                             ? json_object_new_int64((int64_t)row->number)
                                             : json_object_new_double(row->number);

            set_number(&place, row, number);
            json_object_put(number);
            break;
        }
        case CONFIG_TEXT:
        case CONFIG_COLOR:
            if (row->text)
                store_text((char *)base + row->offset, row->text);
            break;
        case CONFIG_PERMISSIONS:
            *(struct permissions *)((char *)base + row->offset) = permissions_default();
            break;
        case CONFIG_NAME:
        case CONFIG_WORDS:
        case CONFIG_CHOICE:
        case CONFIG_ROLES:
        case CONFIG_RUNNER:
        case CONFIG_PATH:
        case CONFIG_COMMAND:
        case CONFIG_ENV:
        case CONFIG_SERVERS:
        case CONFIG_BOOLEAN:
            break;
        }
    }
}

/* Sets every member that has a row; goes into objects whose members have one. `path` is "" or ends
 * with a dot. */
static int set_members(const struct place *place, struct json_object *object, const char *path)
{
    json_object_object_foreach(object, name, value)
    {
        CLEANUP(freep) char *key = xasprintf("%s%s", path, name);
        CLEANUP(freep) char *inner = xasprintf("%s.", key);
        const struct config_row *found = NULL;
        bool has_inner = false;
        int r;

        if (!path[0] && place->rows == config_rows && strcmp(name, "profiles") == 0)
            continue;
        for (const struct config_row *row = place->rows; row->key; row++) {
            if (!strchr(name, '.') && strcmp(row->key, key) == 0)
                found = row;
            has_inner |= strncmp(row->key, inner, strlen(inner)) == 0;
        }
        if (found)
            r = set_value(place, found, value);
        else if (has_inner && json_object_is_type(value, json_type_object))
            r = set_members(place, value, inner);
        else if (has_inner)
            r = refuse(place->error, place->prefix, key, "must be an object");
        else
            r = refuse(place->error, place->prefix, key, "unknown key");
        if (r < 0)
            return r;
    }
    return 0;
}

static struct profile_config *add_profile(struct settings *settings)
{
    struct profile_config *profile;

    settings->profiles =
        xrealloc(settings->profiles, (settings->profile_count + 1) * sizeof(*settings->profiles));
    profile = &settings->profiles[settings->profile_count++];
    *profile = (struct profile_config){0};
    set_defaults(profile, config_profile_rows);
    return profile;
}

static int load_profile(struct json_object *object, size_t index, struct settings *settings,
                        char **ret_error)
{
    CLEANUP(freep) char *prefix = xasprintf("profiles[%zu].", index);
    struct place place = {.rows = config_profile_rows, .prefix = prefix, .error = ret_error};
    struct profile_config *profile;
    int r;

    if (!json_object_is_type(object, json_type_object))
        return refuse(ret_error, "", "profiles", "must hold objects");
    for (const struct config_row *row = config_profile_rows; row->key; row++)
        if (row->is_required && !json_get(object, row->key))
            return refuse(ret_error, prefix, row->key, "is required");
    profile = add_profile(settings);
    place.base = profile;
    r = set_members(&place, object, "");
    if (r < 0)
        return r;
    assert(profile->name); /* it is required */
    if (!profile->role)
        profile->role = xstrdup(profile->name);
    if (profile->max_backoff_ms < profile->backoff_ms)
        return refuse(ret_error, prefix, "retry.maxBackoff", "must not be less than retry.backoff");
    if (profile->min_concurrent_tasks > profile->max_concurrent_tasks)
        return refuse(ret_error, prefix, "minConcurrentTasks",
                      "must not be more than maxConcurrentTasks");
    if (profile->cooldown_max_ms < profile->cooldown_min_ms)
        return refuse(ret_error, prefix, "cooldown.max", "must not be less than cooldown.min");
    for (size_t i = 0; i < index; i++)
        if (strcmp(settings->profiles[i].name, profile->name) == 0)
            return refuse(ret_error, prefix, "name", "\"%s\" is there twice", profile->name);
    return 0;
}

/* The three profiles of the system, with the demo agent for a runner. */
static void add_builtin_profiles(const char *demo_path, struct settings *settings)
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
        struct profile_config *profile = add_profile(settings);

        profile->name = xstrdup(builtin[i].name);
        profile->role = xstrdup(builtin[i].role);
        store_text(&profile->color, builtin[i].color);
        store_text(&profile->icon, builtin[i].icon);
        for (size_t k = 0; builtin[i].capabilities[k]; k++)
            strv_push(&profile->capabilities, xstrdup(builtin[i].capabilities[k]));
        profile->max_concurrent_tasks = builtin[i].slots;
        profile->priority = builtin[i].priority;
        profile->runner.type = RUNNER_ACP;
        set_defaults(&profile->runner, config_runner_rows);
        strv_push(&profile->runner.command, xstrdup(demo_path));
    }
    settings->is_demo = true;
}

static int read_file(const char *path, struct buf *text, char **ret_error)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0) {
        n = read(fd, buf_reserve(text, 65536), 65536);
        if (n > 0)
            text->len += (size_t)n;
        if (text->len > FILE_MAX)
            return refuse(ret_error, path, "", "is larger than %d bytes", FILE_MAX);
    }
    return n < 0 ? refuse(ret_error, path, "", "%s", strerror(errno)) : 0;
}

static int load(struct json_object *root, const char *demo_path, struct settings *settings,
                char **ret_error)
{
    struct place place = {.base = settings, .rows = config_rows, .prefix = "", .error = ret_error};
    struct json_object *profiles = json_get(root, "profiles");
    int r;

    if (!json_object_is_type(root, json_type_object))
        return refuse(ret_error, "", "the configuration", "must be an object");
    r = set_members(&place, root, "");
    if (r < 0)
        return r;
    if (!json_object_object_get_ex(root, "profiles", NULL)) {
        add_builtin_profiles(demo_path, settings);
        return 0;
    }
    if (!json_object_is_type(profiles, json_type_array) || !json_object_array_length(profiles))
        return refuse(ret_error, "", "profiles", "must be an array of at least one profile");
    for (size_t i = 0; i < json_object_array_length(profiles); i++) {
        r = load_profile(json_object_array_get_idx(profiles, i), i, settings, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

int config_load(const char *path, const char *demo_path, struct settings *ret_settings,
                char **ret_error)
{
    CLEANUP(settings_deinit) struct settings settings = {0};
    CLEANUP(buf_deinit) struct buf text = {0};
    CLEANUP(json_putp) struct json_object *root = NULL;
    CLEANUP(freep) char *error = NULL;
    struct json_reader *reader;
    const char *reason;
    size_t offset, line = 1;
    int r;

    set_defaults(&settings, config_rows);
    if (!path) {
        add_builtin_profiles(demo_path, &settings);
        goto done;
    }
    r = read_file(path, &text, ret_error);
    if (r < 0)
        return r;
    reader = json_reader_new();
    r = json_reader_parse(reader, text.data, text.len, &root, &reason, &offset);
    json_reader_free(reader);
    if (r < 0) {
        for (size_t i = 0; i < offset && i < text.len; i++)
            line += text.data[i] == '\n';
        *ret_error = xasprintf("%s:%zu: %s", path, line, reason);
        return -EINVAL;
    }
    r = load(root, demo_path, &settings, &error);
    if (r < 0) {
        *ret_error = xasprintf("%s: %s", path, error);
        return r;
    }
done:
    *ret_settings = settings;
    settings = (struct settings){0};
    return 0;
}
