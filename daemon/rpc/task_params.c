/* SPDX-License-Identifier: MIT */
#include "rpc/task_params.h"

#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/strv.h"

#define TITLE                                                                                      \
    .name = "title", .type = PARAM_STRING, .limit = offsetof(struct settings, title_limit),        \
    .doc = "What to do, in one line."
#define REST                                                                                       \
    {.name = "description",                                                                        \
     .type = PARAM_STRING,                                                                         \
     .limit = offsetof(struct settings, description_limit),                                        \
     .may_be_empty = true,                                                                         \
     .doc = "What to do, in full."},                                                               \
        {.name = "type",                                                                           \
         .type = PARAM_WORD,                                                                       \
         .doc = "The kind of work; counts as one required capability."},                           \
        {.name = "capabilities",                                                                   \
         .type = PARAM_WORDS,                                                                      \
         .doc = "Capabilities the profile must have to be chosen by routing."},                    \
        {.name = "prefers", .type = PARAM_WORDS, .doc = "Capabilities the profile should have."},  \
        {.name = "avoid", .type = PARAM_WORDS, .doc = "Profiles the task is never routed to."},    \
        {.name = "node",                                                                           \
         .type = PARAM_WORD,                                                                       \
         .doc = "Name of the only node that may run it; default: any."},                           \
        {.name = "priority",                                                                       \
         .type = PARAM_ENUM,                                                                       \
         .values = task_priority_names,                                                            \
         .doc = "Default `medium`."},                                                              \
        {.name = "input",                                                                          \
         .type = PARAM_ANY,                                                                        \
         .limit = offsetof(struct settings, input_limit),                                          \
         .doc = "Any JSON, passed to the runner."},                                                \
        {.name = "model",                                                                          \
         .type = PARAM_STRING,                                                                     \
         .max_bytes = 256,                                                                         \
         .doc = "Model the agent uses; default: the profile's."},                                  \
        {.name = "mode",                                                                           \
         .type = PARAM_STRING,                                                                     \
         .max_bytes = 256,                                                                         \
         .doc = "Mode of the agent's session; default: the profile's."},                           \
        {.name = "options",                                                                        \
         .type = PARAM_TEXTS,                                                                      \
         .max_bytes = 256,                                                                         \
         .doc = "Other options of the agent's session, by category or id."},                       \
        {.name = "key",                                                                            \
         .type = PARAM_STRING,                                                                     \
         .max_bytes = 256,                                                                         \
         .doc = "Idempotency key: using it again returns the first task."},                        \
        {.name = "runAt", .type = PARAM_TIME, .doc = "Earliest start."},                           \
        {.name = "dependsOn",                                                                      \
         .type = PARAM_IDS,                                                                        \
         .doc = "Tasks that must complete first; if one fails or is cancelled, this one is "       \
                "cancelled."},                                                                     \
        {.name = "timeout",                                                                        \
         .type = PARAM_NUMBER,                                                                     \
         .min = 0.001,                                                                             \
         .max = 31536000,                                                                          \
         .doc = "Time limit of an attempt, in seconds; default: the profile's."},                  \
        {.name = "maxAttempts",                                                                    \
         .type = PARAM_INTEGER,                                                                    \
         .min = 1,                                                                                 \
         .max = 1000,                                                                              \
         .doc = "Attempts before the task fails for good; default: the profile's."},               \
    {                                                                                              \
        .type = PARAM_END                                                                          \
    }

const struct param task_params[] = {{TITLE, .is_required = true}, REST};
const struct param task_query_params[] = {{TITLE, .may_be_empty = true}, REST};

/* A member as it was given; `otherwise` if it is missing. */
static void task_params_print_value(const struct json_value *json, const char *member,
                                    const char *otherwise, struct buf *body)
{
    const struct json_value *value = json_value_get(json, member);

    json_out_key(body, member);
    if (value)
        json_value_print(value, body);
    else
        buf_add_text(body, otherwise);
}

/* The members that never change, in the order of the documentation. */
static char *task_params_print_body(const struct json_value *json)
{
    const char *node = json_value_get_text(json, "node");
    struct buf body = {0};

    if (node) /* first, see TASK_ONLY_NODE */
        json_out_text(&body, "onlyNode", node);
    task_params_print_value(json, "title", "null", &body);
    task_params_print_value(json, "description", "null", &body);
    task_params_print_value(json, "capabilities", "[]", &body);
    task_params_print_value(json, "prefers", "[]", &body);
    task_params_print_value(json, "avoid", "[]", &body);
    task_params_print_value(json, "input", "null", &body);
    task_params_print_value(json, "model", "null", &body);
    task_params_print_value(json, "mode", "null", &body);
    task_params_print_value(json, "options", "null", &body);
    task_params_print_value(json, "dependsOn", "[]", &body);
    return buf_take(&body);
}

static void task_params_task_from_json(const struct json_value *json, struct task *ret_task)
{
    struct task task = {.priority = PRIORITY_MEDIUM};
    const char *priority = json_value_get_text(json, "priority");
    const char *key = json_value_get_text(json, "key");
    const char *run_at = json_value_get_text(json, "runAt");
    const char *type = json_value_get_text(json, "type");
    const struct json_value *timeout = json_value_get(json, "timeout");

    if (priority)
        task_priority_parse(priority, &task.priority);
    if (type)
        task.type = xstrdup(type);
    if (key)
        task.key = xstrdup(key);
    if (run_at)
        clock_parse_iso(run_at, &task.run_at);
    if (timeout)
        task.timeout_ms = (int64_t)ceil(timeout->number * 1000 - 1e-4);
    task.max_attempts = json_value_integer(json_value_get(json, "maxAttempts"));
    task.body = task_params_print_body(json);
    *ret_task = task;
}

/* Appends the words of the member that are not in `known`, each once. */
static char **task_params_add_words(char **words, const struct json_value *json, const char *member,
                                    char *const *known)
{
    const struct json_value *array = json_value_get(json, member);
    size_t n = strv_length(words);

    words = xrealloc(words, (n + json_value_count(array) + 1) * sizeof(*words));
    words[n] = NULL;
    json_value_for_each (word, array) {
        if (strv_contains(words, word->text) || strv_contains(known, word->text))
            continue;
        words[n++] = (char *)word->text;
        words[n] = NULL;
    }
    return words;
}

void task_params_admission(const struct json_value *json, struct task *ret_task,
                           struct engine_admission *ret_admission)
{
    const struct json_value *ids = json_value_get(json, "dependsOn");
    const char *type = json_value_get_text(json, "type");
    char **capabilities = NULL;
    size_t count = json_value_count(ids);
    struct engine_admission admission = {
        .task = ret_task,
        .request.type = metrics_type(type),
        .request.node = json_value_get_text(json, "node"),
        .depends_on = xcalloc(count + 1, sizeof(*admission.depends_on)),
        .is_blocked = count > 0,
    };

    if (type) {
        capabilities = xcalloc(2, sizeof(*capabilities));
        capabilities[0] = (char *)type;
    }
    capabilities = task_params_add_words(capabilities, json, "capabilities", NULL);
    admission.request.capabilities = capabilities;
    admission.request.prefers = task_params_add_words(NULL, json, "prefers", capabilities);
    admission.request.avoid = task_params_add_words(NULL, json, "avoid", NULL);
    json_value_for_each (id, ids)
        admission.depends_on[admission.depends_on_count++] = id->integer;
    task_params_task_from_json(json, ret_task);
    *ret_admission = admission;
}

void task_params_admission_deinit(struct engine_admission *admission)
{
    free((void *)admission->request.capabilities);
    free((void *)admission->request.prefers);
    free((void *)admission->request.avoid);
    free(admission->depends_on);
}
