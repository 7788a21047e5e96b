/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

struct json_object *fuzz_parse(const char *text, size_t len, bool *ret_is_json)
{
    struct json_object *value = NULL;
    const char *reason;
    size_t offset;

    *ret_is_json = json_parse(text, len, &value, &reason, &offset) == 0;
    return value;
}

struct json_object *fuzz_must_parse(const char *text, size_t len)
{
    bool is_json;
    struct json_object *value = fuzz_parse(text, len, &is_json);

    PROMISE(is_json, "%.*s", (int)len, text);
    return value;
}
