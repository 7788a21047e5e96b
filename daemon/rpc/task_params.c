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

static void task_params_print_words(struct json_object *json, const char *member, struct buf *body)
{
    struct json_object *words = json_get(json, member);

    json_out_raw(body, member, words ? json_compact(words) : "[]");
}

/* The members that never change, in the order of the documentation. */
static char *task_params_print_body(struct json_object *json)
{
    struct json_object *title = json_get(json, "title");
    struct json_object *description = json_get(json, "description");
    struct json_object *input = json_get(json, "input");
    struct json_object *depends_on = json_get(json, "dependsOn");
    struct json_object *options = json_get(json, "options");
    struct buf body = {0};

    json_out_string(&body, "title", json_object_get_string(title),
                    (size_t)json_object_get_string_len(title));
    json_out_string(&body, "description", json_object_get_string(description),
                    description ? (size_t)json_object_get_string_len(description) : 0);
    task_params_print_words(json, "capabilities", &body);
    task_params_print_words(json, "prefers", &body);
    task_params_print_words(json, "avoid", &body);
    json_out_raw(&body, "input", input ? json_compact(input) : NULL);
    json_out_text(&body, "model", json_get_string(json, "model"));
    json_out_text(&body, "mode", json_get_string(json, "mode"));
    json_out_raw(&body, "options", options ? json_compact(options) : NULL);
    json_out_raw(&body, "dependsOn", depends_on ? json_compact(depends_on) : "[]");
    return buf_take(&body);
}

static void task_params_task_from_json(struct json_object *json, struct task *ret_task)
{
    struct task task = {.priority = PRIORITY_MEDIUM};
    const char *priority = json_get_string(json, "priority"), *key = json_get_string(json, "key");
    const char *run_at = json_get_string(json, "runAt"), *type = json_get_string(json, "type");
    struct json_object *timeout = json_get(json, "timeout");

    if (priority)
        task_priority_parse(priority, &task.priority);
    if (type)
        task.type = xstrdup(type);
    if (key)
        task.key = xstrdup(key);
    if (run_at)
        clock_parse_iso(run_at, &task.run_at);
    if (timeout)
        task.timeout_ms = (int64_t)ceil(json_object_get_double(timeout) * 1000 - 1e-4);
    task.max_attempts = json_object_get_int64(json_get(json, "maxAttempts"));
    task.body = task_params_print_body(json);
    *ret_task = task;
}

/* Appends the words of the member that are not in `known`, each once. */
static char **task_params_add_words(char **words, struct json_object *json, const char *member,
                                    char *const *known)
{
    struct json_object *array = json_get(json, member);
    size_t count = array ? json_object_array_length(array) : 0, n = strv_length(words);

    words = xrealloc(words, (n + count + 1) * sizeof(*words));
    words[n] = NULL;
    for (size_t i = 0; i < count; i++) {
        char *word = (char *)json_object_get_string(json_object_array_get_idx(array, i));

        if (strv_contains(words, word) || strv_contains(known, word))
            continue;
        words[n++] = word;
        words[n] = NULL;
    }
    return words;
}

void admission_from_json(struct json_object *json, struct task *ret_task,
                         struct engine_admission *ret_admission)
{
    struct json_object *ids = json_get(json, "dependsOn");
    size_t count = ids ? json_object_array_length(ids) : 0;
    const char *type = json_get_string(json, "type");
    char **capabilities = NULL;
    struct engine_admission admission = {
        .task = ret_task,
        .request.type = metrics_type(type),
        .depends_on = xcalloc(count + 1, sizeof(*admission.depends_on)),
        .depends_on_count = count,
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
    for (size_t i = 0; i < count; i++)
        admission.depends_on[i] = json_object_get_int64(json_object_array_get_idx(ids, i));
    task_params_task_from_json(json, ret_task);
    *ret_admission = admission;
}

void admission_deinit(struct engine_admission *admission)
{
    free((void *)admission->request.capabilities);
    free((void *)admission->request.prefers);
    free((void *)admission->request.avoid);
    free(admission->depends_on);
}
