/* SPDX-License-Identifier: MIT */
#include "run/acp_session.h"

#include <string.h>
#include <strings.h>

#include "run/acp_codec.h"

static size_t acp_session_length_of(struct json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static struct json_object *acp_session_find_by(struct json_object *info, const char *key,
                                               const char *name)
{
    struct json_object *options = json_get(info, "configOptions");

    for (size_t i = 0; i < acp_session_length_of(options); i++) {
        struct json_object *option = json_object_array_get_idx(options, i);

        if (strcmp(acp_text_or(option, key, ""), name) == 0 && acp_text_or(option, "id", NULL))
            return option;
    }
    return NULL;
}

static struct json_object *acp_session_find(struct json_object *info, const char *name)
{
    struct json_object *option = acp_session_find_by(info, "category", name);

    return option ? option : acp_session_find_by(info, "id", name);
}

const char *acp_session_option(struct json_object *info, const char *name)
{
    return acp_text_or(acp_session_find(info, name), "id", NULL);
}

/* Adds a member of each element, and of the elements of its groups. */
static void acp_session_print_members(struct json_object *array, const char *key, struct buf *out)
{
    for (size_t i = 0; i < acp_session_length_of(array); i++) {
        struct json_object *element = json_object_array_get_idx(array, i);
        const char *text = acp_text_or(element, key, NULL);

        if (text)
            buf_printf(out, "%s%.200s", out->len ? ", " : "", text);
        else
            acp_session_print_members(json_get(element, "options"), key, out);
    }
}

void acp_session_print_values(struct json_object *info, const char *name, struct buf *out)
{
    struct json_object *option = acp_session_find(info, name);

    if (option)
        acp_session_print_members(json_get(option, "options"), "value", out);
    else if (strcmp(name, "mode") == 0)
        acp_session_print_members(json_get(json_get(info, "modes"), "availableModes"), "id", out);
    else if (strcmp(name, "model") == 0)
        acp_session_print_members(json_get(json_get(info, "models"), "availableModels"), "modelId",
                                  out);
}

void acp_session_print_names(struct json_object *info, struct buf *out)
{
    acp_session_print_members(json_get(info, "configOptions"), "id", out);
}

void acp_session_update(struct json_object *info, struct json_object *told)
{
    struct json_object *options = json_get(told, "configOptions"), *modes;
    const char *mode = acp_text_or(told, "currentModeId", NULL);

    if (json_object_is_type(options, json_type_array))
        json_object_object_add(info, "configOptions", json_object_get(options));
    modes = json_get(info, "modes");
    if (mode && json_object_is_type(modes, json_type_object))
        json_object_object_add(modes, "currentModeId", json_object_new_string(mode));
}

const char *acp_session_mode(struct json_object *info)
{
    struct json_object *option = acp_session_find(info, "mode");

    return option ? acp_text_or(option, "currentValue", NULL)
                  : acp_text_or(json_get(info, "modes"), "currentModeId", NULL);
}

bool acp_session_does_not_ask(struct json_object *agent, const char *mode)
{
    static const struct {
        const char *mode;
        const char *agent; /* part of its name, if other agents use the word differently */
    } modes[] = {
        {"auto", NULL}, /* Claude Code, Qwen Code */
        {"acceptEdits", NULL},
        {"bypassPermissions", NULL},
        {"dontAsk", NULL},
        {"auto-edit", NULL}, /* Gemini CLI, Qwen Code */
        {"autoEdit", NULL},
        {"yolo", NULL},
        {"agent", "codex"}, /* Codex */
        {"agent-full-access", NULL},
        {"full-access", NULL},
    };
    const char *name = acp_text_or(json_get(agent, "agentInfo"), "name", "");

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        if (strcasecmp(mode, modes[i].mode) == 0 &&
            (!modes[i].agent || strcasestr(name, modes[i].agent)))
            return true;
    return false;
}
