/* SPDX-License-Identifier: MIT */
#include "spec.h"

#include <string.h>

#include "common/alloc.h"
#include "world.h"

#define TIMEOUT_S    20 /* less than a lease */
#define MAX_ATTEMPTS 2
#define ROUTED       "w" /* a profile that some tasks need and some avoid */

#define TEXT_OF(number)       TEXT_OF_VALUE(number)
#define TEXT_OF_VALUE(number) #number

/* Every so many tasks have the member. */
static const struct {
    const char *name;
    int every;
    const char *json, *otherwise; /* shown without it */
} members[] = {
    {"description", 4, "\"in full\"", "null"},
    {"type", 5, "\"build\"", "null"},
    {"capabilities", 6, "[\"build\",\"" ROUTED "\"]", "[]"},
    {"prefers", 3, "[\"v\"]", "[]"},
    {"avoid", 7, "[\"" ROUTED "\"]", "[]"},
    {"model", 9, "\"m1\"", "null"},
    {"mode", 10, "\"default\"", "null"},
    {"options", 11, "{\"thought_level\":\"high\"}", "null"},
    {"timeout", 8, TEXT_OF(TIMEOUT_S), "null"},
    {"maxAttempts", 3, TEXT_OF(MAX_ATTEMPTS), "null"},
};

/* Other keys for each member. */
static bool spec_has(int64_t key, size_t member)
{
    return (key + (int64_t)member) % members[member].every == 0;
}

static bool spec_has_named(int64_t key, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (strcmp(members[i].name, name) == 0)
            return spec_has(key, i);
    EXPECT(false, "there is no member %s", name);
    return false;
}

enum task_priority spec_priority(int64_t key)
{
    return (enum task_priority)(key % PRIORITY_COUNT);
}

int spec_max_attempts(int64_t key)
{
    return spec_has_named(key, "maxAttempts") ? MAX_ATTEMPTS : 0;
}

int64_t spec_timeout_ms(int64_t key)
{
    return spec_has_named(key, "timeout") ? TIMEOUT_S * 1000 : 0;
}

static char *spec_input(int64_t key)
{
    return xasprintf("%0*d%s", (int)(key % 17) * 40, 0, key % 5 ? "" : "\u00e9 \xf0\x9f\x8c\x8d");
}

void spec_print(int64_t key, struct buf *out)
{
    CLEANUP(freep) char *input = spec_input(key);

    buf_printf(out, "\"title\":\"t%lld\",\"key\":\"k%lld\",\"priority\":\"%s\",\"input\":\"%s\"",
               (long long)key, (long long)key, task_priority_name(spec_priority(key)), input);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++)
        if (spec_has(key, i))
            buf_printf(out, ",\"%s\":%s", members[i].name, members[i].json);
}

void spec_check(int64_t key, struct json_object *task)
{
    CLEANUP(freep) char *title = xasprintf("t%lld", (long long)key), *input = spec_input(key);

    EXPECT(strcmp(json_get_string(task, "title"), title) == 0, "%s", json_compact(task));
    EXPECT(strcmp(json_get_string(task, "input"), input) == 0, "%s", json_compact(task));
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        const char *shown = json_compact(json_get(task, members[i].name)),
                   *wanted = spec_has(key, i) ? members[i].json : members[i].otherwise;

        EXPECT(strcmp(shown, wanted) == 0, "%s is not %s: %s", members[i].name, wanted,
               json_compact(task));
    }
}

void spec_check_routing(int64_t key, struct json_object *task)
{
    bool is_there = strcmp(json_get_string(task, "profile"), ROUTED) == 0;

    EXPECT(is_there ? !spec_has_named(key, "avoid") : !spec_has_named(key, "capabilities"), "%s",
           json_compact(task));
}

void spec_check_prompt(int64_t key, const char *model, const char *mode, const char *level)
{
    EXPECT(strcmp(model, spec_has_named(key, "model") ? "m1" : "") == 0, "model %s", model);
    EXPECT(!spec_has_named(key, "mode") || strcmp(mode, "default") == 0, "mode %s", mode);
    EXPECT(strcmp(level, spec_has_named(key, "options") ? "high" : "") == 0, "level %s", level);
}
