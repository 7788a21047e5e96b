/* SPDX-License-Identifier: MIT */
#include "spec.h"

#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "draw.h"
#include "rpc/method.h"
#include "rpc/task_params.h"
#include "world.h"

#define ANYTHING  8   /* one value in as many is anything that the declaration allows */
#define LONG_KEYS 16  /* one in as many has all the bytes that it may have */
#define ROUTED    "w" /* a profile that some tasks need and some avoid */

static char *spec_usual_title(int64_t key)
{
    return xasprintf("\"t%lld\"", (long long)key);
}

static char *spec_usual_input(int64_t key)
{
    return xasprintf("\"%0*d%s\"", (int)(key % 17) * 40, 0,
                     key % 5 ? "" : "\u00e9 \xf0\x9f\x8c\x8d");
}

static char *spec_usual_priority(int64_t key)
{
    return xasprintf("\"%s\"", task_priority_name((enum task_priority)(key % PRIORITY_COUNT)));
}

/* Every so many tasks have the member. */
static const struct member {
    const char *name;
    int every;
    const char *json; /* its usual value, or what makes it */
    char *(*make)(int64_t key);
    const char *shown; /* the task's member, if it has another name */
} members[] = {
    {"title", 1, NULL, spec_usual_title},
    {"description", 4, "\"in full\"", NULL},
    {"type", 5, "\"build\"", NULL},
    {"capabilities", 6, "[\"build\",\"" ROUTED "\"]", NULL},
    {"prefers", 3, "[\"v\"]", NULL},
    {"avoid", 7, "[\"" ROUTED "\"]", NULL},
    {"priority", 1, NULL, spec_usual_priority},
    {"input", 1, NULL, spec_usual_input},
    {"model", 9, "\"m1\"", NULL},
    {"mode", 10, "\"default\"", NULL},
    {"options", 11, "{\"thought_level\":\"high\"}", NULL},
    {"timeout", 8, "20", NULL}, /* less than a lease */
    {"maxAttempts", 3, "2", NULL},
    {"node", 12, "\"" SPEC_NODE "\"", NULL, .shown = "onlyNode"},
};

static const struct member *spec_member(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    EXPECT(false, "there is no member %s", name);
    return NULL;
}

/* What is drawn for a member of the key. */
static uint64_t spec_lot(int64_t key, const struct member *member)
{
    return (uint64_t)key * ARRAY_SIZE(members) + (uint64_t)(member - members);
}

/* Other keys for each member. */
static bool spec_has(int64_t key, const struct member *member)
{
    return (key + (member - members)) % member->every == 0;
}

/* As JSON, or NULL: it has none. Attempts that are soon over are not made a thousand times. */
static char *spec_value(int64_t key, const char *name)
{
    const struct member *member = spec_member(name);
    uint64_t lot = spec_lot(key, member);
    bool is_usual = draw_below(&lot, ANYTHING) != 0;
    struct buf value = {0};

    if (!spec_has(key, member))
        return NULL;
    is_usual |= strcmp(name, "node") == 0; /* there is no other */
    if (strcmp(name, "maxAttempts") == 0)
        is_usual |= spec_has(key, spec_member("timeout"));
    if (is_usual)
        return member->json ? xstrdup(member->json) : member->make(key);
    draw_valid(draw_find(task_params, name), &lot, &value);
    return buf_take(&value);
}

/* NULL: it is null, or missing. */
static struct json_object *spec_parse(int64_t key, const char *name)
{
    CLEANUP(freep) char *value = spec_value(key, name);
    struct json_object *parsed = NULL;
    const char *reason = "";
    size_t offset;

    EXPECT(!value || json_parse(value, strlen(value), &parsed, &reason, &offset) == 0, "%s: %s",
           reason, value);
    return parsed;
}

enum task_priority spec_priority(int64_t key)
{
    CLEANUP(json_putp) struct json_object *value = spec_parse(key, "priority");
    enum task_priority priority = PRIORITY_MEDIUM;

    if (value)
        EXPECT(task_priority_parse(json_object_get_string(value), &priority) == 0);
    return priority;
}

int spec_max_attempts(int64_t key)
{
    CLEANUP(json_putp) struct json_object *value = spec_parse(key, "maxAttempts");

    return json_object_get_int(value);
}

int64_t spec_timeout_ms(int64_t key)
{
    CLEANUP(json_putp) struct json_object *value = spec_parse(key, "timeout");

    return llround(1000 * json_object_get_double(value));
}

void spec_print_key(int64_t key, char ret_key[SPEC_KEY_SIZE])
{
    int len = snprintf(ret_key, SPEC_KEY_SIZE, "k%lld", (long long)key);

    if (key % LONG_KEYS)
        return;
    memset(ret_key + len, '-', SPEC_KEY_SIZE - 1 - (size_t)len);
    ret_key[SPEC_KEY_SIZE - 1] = '\0';
}

/* Some of what it does not have is null. */
void spec_print(int64_t key, struct buf *out)
{
    char text[SPEC_KEY_SIZE];

    spec_print_key(key, text);
    json_out_text(out, "key", text);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        CLEANUP(freep) char *value = spec_value(key, members[i].name);
        uint64_t lot = spec_lot(key, &members[i]);

        if (value || draw_below(&lot, ANYTHING) == 0)
            json_out_raw(out, members[i].name, value);
    }
}

void spec_check(int64_t key, struct json_object *task)
{
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        const char *name = members[i].name;
        CLEANUP(json_putp) struct json_object *wanted = spec_parse(key, name);
        struct json_object *shown = json_get(task, members[i].shown ? members[i].shown : name);
        bool is_list = draw_find(task_params, name)->type == PARAM_WORDS;

        if (strcmp(name, "priority") == 0)
            continue;
        EXPECT(!wanted && is_list ? json_object_array_length(shown) == 0
                                  : strcmp(json_compact(shown), json_compact(wanted)) == 0,
               "%s is not %s: %s", name, json_compact(wanted), json_compact(task));
    }
}

static bool spec_names(int64_t key, const char *list, const char *word)
{
    CLEANUP(json_putp) struct json_object *words = spec_parse(key, list);

    for (size_t i = 0; words && i < json_object_array_length(words); i++)
        if (strcmp(json_object_get_string(json_object_array_get_idx(words, i)), word) == 0)
            return true;
    return false;
}

/* Every profile can build; nobody knows any other word that is drawn. */
static bool spec_is_known(struct json_object *word, const char *profile)
{
    const char *text = json_object_get_string(word);

    return !text || strcmp(text, "build") == 0 || strcmp(text, profile) == 0;
}

void spec_check_routing(int64_t key, struct json_object *task)
{
    CLEANUP(json_putp) struct json_object *type = spec_parse(key, "type");
    CLEANUP(json_putp) struct json_object *needed = spec_parse(key, "capabilities");
    const char *profile = json_get_string(task, "profile");

    EXPECT(!spec_names(key, "avoid", profile) && spec_is_known(type, profile), "%s",
           json_compact(task));
    for (size_t i = 0; needed && i < json_object_array_length(needed); i++)
        EXPECT(spec_is_known(json_object_array_get_idx(needed, i), profile), "%s",
               json_compact(task));
}

void spec_check_prompt(int64_t key, const char *model, const char *mode, const char *level)
{
    CLEANUP(json_putp) struct json_object *own_model = spec_parse(key, "model");
    CLEANUP(json_putp) struct json_object *own_mode = spec_parse(key, "mode");
    CLEANUP(json_putp) struct json_object *options = spec_parse(key, "options");
    const char *own_level = json_get_string(options, "thought_level");

    EXPECT(strcmp(model, own_model ? json_object_get_string(own_model) : "") == 0, "model %s",
           model);
    EXPECT(!own_mode || strcmp(mode, json_object_get_string(own_mode)) == 0, "mode %s", mode);
    EXPECT(strcmp(level, own_level ? own_level : "") == 0, "level %s", level);
}

/* --- results ------------------------------------------------------------------------------------
 */

void spec_print_result(int64_t id, struct buf *out)
{
    const struct param *result = draw_find(rpc_method_find("complete_task")->params, "result");
    uint64_t lot = (uint64_t)id;

    if (draw_below(&lot, ANYTHING))
        json_out_int(out, NULL, id);
    else
        draw_valid(result, &lot, out);
}

void spec_check_result(int64_t id, struct json_object *task)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    CLEANUP(json_putp) struct json_object *wanted = NULL;
    const char *reason;
    size_t offset;

    spec_print_result(id, &text);
    EXPECT(json_parse(text.data, text.len, &wanted, &reason, &offset) == 0);
    EXPECT(strcmp(json_compact(json_get(task, "result")), json_compact(wanted)) == 0,
           "its result is not %s: %s", json_compact(wanted), json_compact(task));
}
