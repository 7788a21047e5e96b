/* SPDX-License-Identifier: MIT */
#include "config/value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/strv.h"
#include "core/word.h"

int config_refuse(char **error, const char *prefix, const char *key, const char *format, ...)
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

static int value_set_number(const struct config_target *target, const struct config_row *row,
                            struct json_object *value)
{
    double number = json_object_get_double(value);
    bool is_integer = row->type == CONFIG_INTEGER;
    char *at = (char *)target->base + row->offset;
    int64_t stored;

    if ((!json_object_is_type(value, json_type_int) &&
         (is_integer || !json_object_is_type(value, json_type_double))) ||
        !(number >= row->min && number <= row->max)) {
        CLEANUP(buf_deinit) struct buf bounds = {0};

        buf_add_number(&bounds, row->min);
        buf_add_text(&bounds, " to ");
        buf_add_number(&bounds, row->max);
        return config_refuse(target->error, target->prefix, row->key, "must be %s from %s",
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

static bool value_is_color(const char *text)
{
    size_t len = strlen(text);

    return text[0] == '#' && (len == 4 || len == 7) &&
           strspn(text + 1, "0123456789abcdefABCDEF") == len - 1;
}

static const char *value_plain_string(struct json_object *value)
{
    const char *text = json_object_get_string(value);

    return json_object_is_type(value, json_type_string) &&
                   strlen(text) == (size_t)json_object_get_string_len(value)
               ? text
               : NULL;
}

void config_store_text(void *at, const char *text)
{
    char *old, *copy = xstrdup(text);

    memcpy(&old, at, sizeof(old));
    free(old);
    memcpy(at, &copy, sizeof(copy));
}

static int value_set_text(const struct config_target *target, const struct config_row *row,
                          struct json_object *value)
{
    const char *text = value_plain_string(value);

    if (!text)
        return config_refuse(target->error, target->prefix, row->key, "must be a string");
    if (row->type == CONFIG_NAME && !word_is_valid(text))
        return config_refuse(target->error, target->prefix, row->key,
                             "must be of the form " WORD_PATTERN);
    if (row->type == CONFIG_COLOR && !value_is_color(text))
        return config_refuse(target->error, target->prefix, row->key, "must be #rgb or #rrggbb");
    if (row->type == CONFIG_TEXT && (!text[0] || strlen(text) > (size_t)row->max))
        return config_refuse(target->error, target->prefix, row->key, "must have 1 to %.0f bytes",
                             row->max);
    config_store_text((char *)target->base + row->offset, text);
    return 0;
}

static int value_set_words(const struct config_target *target, const struct config_row *row,
                           struct json_object *value)
{
    CLEANUP(strv_freep) char **words = NULL;
    char **old;

    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) > 64)
        return config_refuse(target->error, target->prefix, row->key,
                             "must be an array of at most 64 words");
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        const char *word = value_plain_string(json_object_array_get_idx(value, i));

        if (!word || !(row->are_patterns ? word_is_pattern : word_is_valid)(word))
            return config_refuse(target->error, target->prefix, row->key,
                                 row->are_patterns
                                     ? "must contain words; * and ? are wildcards"
                                     : "must contain words of the form " WORD_PATTERN);
        if (row->words && !strv_contains((char *const *)row->words, word))
            return config_refuse(target->error, target->prefix, row->key,
                                 "\"%s\" is not one of %s and %s", word, row->words[0],
                                 row->words[1]);
        if (!strv_contains(words, word))
            strv_push(&words, xstrdup(word));
    }
    memcpy(&old, (char *)target->base + row->offset, sizeof(old));
    strv_free(old);
    memcpy((char *)target->base + row->offset, &words, sizeof(words));
    words = NULL;
    return 0;
}

static int value_set_choice(const struct config_target *target, const struct config_row *row,
                            struct json_object *value)
{
    const char *text = value_plain_string(value);
    CLEANUP(buf_deinit) struct buf all = {0};

    for (int i = 0; row->choices[i]; i++) {
        if (!text || strcmp(text, row->choices[i]) != 0)
            continue;
        memcpy((char *)target->base + row->offset, &i, sizeof(i));
        return 0;
    }
    for (int i = 0; row->choices[i]; i++)
        buf_printf(&all, "%s\"%s\"", i ? (row->choices[i + 1] ? ", " : " or ") : "",
                   row->choices[i]);
    return config_refuse(target->error, target->prefix, row->key, "must be %s", buf_text(&all));
}

static int value_set_command(const struct config_target *target, const struct config_row *row,
                             struct json_object *value)
{
    char ***command = (char ***)((char *)target->base + row->offset);

    if (!json_object_is_type(value, json_type_array) || !json_object_array_length(value))
        return config_refuse(target->error, target->prefix, row->key,
                             "must be an array of strings: the program and its arguments");
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        const char *word = value_plain_string(json_object_array_get_idx(value, i));

        if (!word || (i == 0 && !word[0]))
            return config_refuse(target->error, target->prefix, row->key,
                                 "must contain strings, starting with the program");
        strv_push(command, xstrdup(word));
    }
    return 0;
}

static int value_set_env(const struct config_target *target, const struct config_row *row,
                         struct json_object *value)
{
    char ***env = (char ***)((char *)target->base + row->offset);

    if (!json_object_is_type(value, json_type_object))
        return config_refuse(target->error, target->prefix, row->key,
                             "must be an object of strings");
    json_object_object_foreach(value, name, member)
    {
        const char *text = value_plain_string(member);

        if ((member && !text) || !name[0] || strchr(name, '='))
            return config_refuse(target->error, target->prefix, row->key,
                                 "must map names without \"=\" to strings or null");
        strv_push(env, text ? xasprintf("%s=%s", name, text) : xstrdup(name));
    }
    return 0;
}

static bool value_is_strings(struct json_object *array)
{
    if (!json_object_is_type(array, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(array); i++)
        if (!value_plain_string(json_object_array_get_idx(array, i)))
            return false;
    return true;
}

/* An object of strings as the protocol has it: [{name, value}]. NULL: invalid. */
static struct json_object *value_pairs_of(struct json_object *object)
{
    CLEANUP(json_putp) struct json_object *list = json_object_new_array();

    if (!object)
        return STEAL(list);
    if (!json_object_is_type(object, json_type_object))
        return NULL;
    json_object_object_foreach(object, name, text)
    {
        struct json_object *pair = json_object_new_object();

        json_object_array_add(list, pair);
        if (!value_plain_string(text))
            return NULL;
        json_object_object_add(pair, "name", json_object_new_string(name));
        json_object_object_add(pair, "value", json_object_get(text));
    }
    return STEAL(list);
}

static bool value_has_only(struct json_object *object, const char *const *keys)
{
    json_object_object_foreach(object, key, member)
    {
        (void)member;
        if (!strv_contains((char *const *)keys, key))
            return false;
    }
    return true;
}

/* A server in the protocol's form, {name, command, args, env} or {type, name, url, headers}; NULL:
 * invalid. */
static struct json_object *value_server_of(struct json_object *value)
{
    static const char *const local[] = {"name", "type", "command", "args", "env", NULL};
    static const char *const remote[] = {"name", "type", "url", "headers", NULL};
    const char *type = value_plain_string(json_get(value, "type"));
    const char *name = value_plain_string(json_get(value, "name"));
    bool is_remote = type && (strcmp(type, "http") == 0 || strcmp(type, "sse") == 0);
    const char *at_key = is_remote ? "url" : "command";
    const char *at = value_plain_string(json_get(value, at_key));
    struct json_object *args = json_get(value, "args"), *pairs;
    struct json_object *server;

    if (!name || !name[0] || !at || !at[0] || (args && !value_is_strings(args)) ||
        (!is_remote && json_get(value, "type") && (!type || strcmp(type, "stdio") != 0)) ||
        !value_has_only(value, is_remote ? remote : local))
        return NULL;
    pairs = value_pairs_of(json_get(value, is_remote ? "headers" : "env"));
    if (!pairs)
        return NULL;
    server = json_object_new_object();
    if (is_remote)
        json_object_object_add(server, "type", json_object_new_string(type));
    json_object_object_add(server, "name", json_object_new_string(name));
    json_object_object_add(server, at_key, json_object_new_string(at));
    if (!is_remote)
        json_object_object_add(server, "args",
                               args ? json_object_get(args) : json_object_new_array());
    json_object_object_add(server, is_remote ? "headers" : "env", pairs);
    return server;
}

static int value_set_servers(const struct config_target *target, const struct config_row *row,
                             struct json_object *value)
{
    CLEANUP(json_putp) struct json_object *servers = json_object_new_array();

    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) > 64)
        return config_refuse(target->error, target->prefix, row->key,
                             "must be an array of at most 64 servers");
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct json_object *item = json_object_array_get_idx(value, i);
        struct json_object *server =
            json_object_is_type(item, json_type_object) ? value_server_of(item) : NULL;

        if (!server)
            return config_refuse(
                target->error, target->prefix, row->key,
                "must contain objects of name, command, args (an array of strings) and env (an "
                "object "
                "of strings), or of type (\"http\" or \"sse\"), name, url and headers (an object "
                "of strings)");
        json_object_array_add(servers, server);
    }
    config_store_text((char *)target->base + row->offset, json_compact(servers));
    return 0;
}

static int value_set_options(const struct config_target *target, const struct config_row *row,
                             struct json_object *value)
{
    static const char shape[] = "must be an object of at most 64 strings";

    if (!json_object_is_type(value, json_type_object) || json_object_object_length(value) > 64)
        return config_refuse(target->error, target->prefix, row->key, shape);
    json_object_object_foreach(value, name, text)
    {
        if (!name[0] || !value_plain_string(text))
            return config_refuse(target->error, target->prefix, row->key, shape);
    }
    config_store_text((char *)target->base + row->offset, json_compact(value));
    return 0;
}

static int value_set_reuse(const struct config_target *target, const struct config_row *row,
                           struct json_object *value)
{
    int64_t number = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;

    if (json_object_is_type(value, json_type_boolean))
        number = json_object_get_boolean(value) ? INT64_MAX : 0;
    else if (number < 1 || number > 1000000)
        return config_refuse(target->error, target->prefix, row->key,
                             "must be true, false or an integer from 1 to 1000000");
    memcpy((char *)target->base + row->offset, &number, sizeof(number));
    return 0;
}

static int value_set_permissions(const struct config_target *target, const struct config_row *row,
                                 struct json_object *value)
{
    static const char choices[] =
        "must be \"allow\", \"reject\" or \"ask\", or an object that maps kinds of tools to these";
    struct permissions *permissions = (struct permissions *)((char *)target->base + row->offset);
    const char *name = value_plain_string(value);
    enum permission_policy policy;
    enum tool_kind kind;

    if (name && permission_policy_parse(name, &policy) == 0) {
        for (int i = 0; i < TOOL_KIND_COUNT; i++)
            permissions->by_kind[i] = policy;
        return 0;
    }
    if (!json_object_is_type(value, json_type_object))
        return config_refuse(target->error, target->prefix, row->key, choices);
    json_object_object_foreach(value, key, member)
    {
        name = value_plain_string(member);
        if (tool_kind_parse(key, &kind) < 0)
            return config_refuse(
                target->error, target->prefix, row->key,
                "\"%s\" is not a kind of tool: read, edit, delete, move, search, execute, "
                "think, fetch, switch_mode, other",
                key);
        if (!name || permission_policy_parse(name, &policy) < 0)
            return config_refuse(target->error, target->prefix, row->key, choices);
        permissions->by_kind[kind] = policy;
    }
    return 0;
}

static int value_find_user(const char *name, struct role_entry *ret_entry)
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

static int value_set_roles(const struct config_target *target, const struct config_row *row,
                           struct json_object *value)
{
    struct roles *roles = (struct roles *)((char *)target->base + row->offset);

    if (!json_object_is_type(value, json_type_object) || !json_object_object_length(value))
        return config_refuse(target->error, target->prefix, row->key,
                             "must be an object that maps at least one user to a role");
    json_object_object_foreach(value, name, member)
    {
        struct role_entry entry = {0};
        const char *role = value_plain_string(member);
        int r = value_find_user(name, &entry);

        if (r == -ESRCH)
            return config_refuse(target->error, target->prefix, row->key, "unknown user \"%s\"",
                                 name);
        if (r < 0)
            return config_refuse(target->error, target->prefix, row->key,
                                 "\"%s\" is not a valid user number", name);
        if (!role || role_parse(role, &entry.role) < 0)
            return config_refuse(target->error, target->prefix, row->key,
                                 "must be \"read\", \"operate\" or \"none\" for each user");
        roles_add(roles, &entry);
    }
    return 0;
}

static int value_find_runner_type(const char *name, enum runner_type *ret_type)
{
    for (int i = 0; name && runner_type_names[i]; i++) {
        if (strcmp(runner_type_names[i], name) == 0) {
            *ret_type = (enum runner_type)i;
            return 0;
        }
    }
    return -EINVAL;
}

static bool value_has_row(const struct config_row *row, enum runner_type type)
{
    return row->runners & CONFIG_RUNNER_BIT(type);
}

static int value_set_runner(const struct config_target *target, const struct config_row *row,
                            struct json_object *value)
{
    struct runner_config *runner = (struct runner_config *)((char *)target->base + row->offset);
    CLEANUP(freep) char *prefix = xasprintf("%srunner.", target->prefix);
    struct config_target inner = {
        .base = runner, .rows = config_runner_rows, .prefix = prefix, .error = target->error};

    if (!json_object_is_type(value, json_type_object))
        return config_refuse(target->error, target->prefix, row->key, "must be an object");
    if (value_find_runner_type(value_plain_string(json_get(value, "type")), &runner->type) < 0)
        return config_refuse(target->error, prefix, "type",
                             "must be \"command\", \"acp\" or \"worker\"");
    config_set_defaults(runner, config_runner_rows);
    json_object_object_foreach(value, name, member)
    {
        const struct config_row *found = NULL;
        int r;

        if (strcmp(name, "type") == 0)
            continue;
        for (const struct config_row *at = config_runner_rows; at->key; at++)
            if (strcmp(at->key, name) == 0 && value_has_row(at, runner->type))
                found = at;
        if (!found)
            return config_refuse(inner.error, inner.prefix, name, "unknown key");
        r = config_set_value(&inner, found, member);
        if (r < 0)
            return r;
    }
    for (const struct config_row *at = config_runner_rows; at->key; at++)
        if (at->is_required && value_has_row(at, runner->type) && !json_get(value, at->key))
            return config_refuse(target->error, prefix, at->key, "is required");
    return 0;
}

int config_set_value(const struct config_target *target, const struct config_row *row,
                     struct json_object *value)
{
    switch (row->type) {
    case CONFIG_INTEGER:
    case CONFIG_SECONDS:
    case CONFIG_NUMBER:
        return value_set_number(target, row, value);
    case CONFIG_TEXT:
    case CONFIG_NAME:
    case CONFIG_COLOR:
        return value_set_text(target, row, value);
    case CONFIG_WORDS:
        return value_set_words(target, row, value);
    case CONFIG_CHOICE:
        return value_set_choice(target, row, value);
    case CONFIG_ROLES:
        return value_set_roles(target, row, value);
    case CONFIG_RUNNER:
        return value_set_runner(target, row, value);
    case CONFIG_PATH:
        if (!value_plain_string(value) || value_plain_string(value)[0] != '/')
            return config_refuse(target->error, target->prefix, row->key,
                                 "must be an absolute path");
        config_store_text((char *)target->base + row->offset, value_plain_string(value));
        return 0;
    case CONFIG_COMMAND:
        return value_set_command(target, row, value);
    case CONFIG_ENV:
        return value_set_env(target, row, value);
    case CONFIG_SERVERS:
        return value_set_servers(target, row, value);
    case CONFIG_OPTIONS:
        return value_set_options(target, row, value);
    case CONFIG_REUSE:
        return value_set_reuse(target, row, value);
    case CONFIG_PERMISSIONS:
        return value_set_permissions(target, row, value);
    }
    return -EINVAL;
}

void config_set_defaults(void *base, const struct config_row *rows)
{
    for (const struct config_row *row = rows; row->key; row++) {
        struct config_target target = {.base = base};

        switch (row->type) {
        case CONFIG_INTEGER:
        case CONFIG_SECONDS:
        case CONFIG_NUMBER: {
            struct json_object *number = row->type == CONFIG_INTEGER
                                             ? json_object_new_int64((int64_t)row->number)
                                             : json_object_new_double(row->number);

            value_set_number(&target, row, number);
            json_object_put(number);
            break;
        }
        case CONFIG_TEXT:
        case CONFIG_COLOR:
            if (row->text)
                config_store_text((char *)base + row->offset, row->text);
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
        case CONFIG_OPTIONS:
        case CONFIG_REUSE:
            break;
        }
    }
}
