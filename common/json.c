/* SPDX-License-Identifier: MIT */
#include "common/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/alloc.h"

struct json_reader {
    struct json_tokener *tokener;
};

struct json_reader *json_reader_new(void)
{
    struct json_reader *reader = xcalloc(1, sizeof(*reader));

    reader->tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    if (!reader->tokener)
        abort();
    json_tokener_set_flags(reader->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
                                                JSON_TOKENER_ALLOW_TRAILING_CHARS);
    return reader;
}

void json_reader_free(struct json_reader *reader)
{
    if (!reader)
        return;
    json_tokener_free(reader->tokener);
    free(reader);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* json-c reads NaN and Infinity, and 1e999 as infinity; none of them could be printed again. */
static bool all_finite(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_double:
        return isfinite(json_object_get_double(value));
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(value); i++)
            if (!all_finite(json_object_array_get_idx(value, i)))
                return false;
        return true;
    case json_type_object: {
        json_object_object_foreach(value, key, member)
        {
            (void)key;
            if (!all_finite(member))
                return false;
        }
        return true;
    }
    case json_type_null:
    case json_type_boolean:
    case json_type_int:
    case json_type_string:
        return true;
    }
    return true;
}

int json_reader_parse(struct json_reader *reader, const char *text, size_t len,
                      struct json_object **ret_value, const char **ret_reason, size_t *ret_offset)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    enum json_tokener_error error;
    size_t end;

    while (len && is_space(text[len - 1]))
        len--;
    if (len > INT32_MAX - 1)
        return -E2BIG;
    json_tokener_reset(reader->tokener);
    value = json_tokener_parse_ex(reader->tokener, text, (int)len);
    error = json_tokener_get_error(reader->tokener);
    end = json_tokener_get_parse_end(reader->tokener);
    if (error == json_tokener_continue) {
        /* A number or literal at the very end is only complete once something follows it. */
        if (!value && len) {
            value = json_tokener_parse_ex(reader->tokener, " ", 1);
            error = json_tokener_get_error(reader->tokener);
            end = len;
        }
        if (error == json_tokener_continue) {
            *ret_reason = len ? "the text ends before the value does" : "there is no value";
            *ret_offset = len;
            return -EINVAL;
        }
    }
    if (error != json_tokener_success) {
        *ret_reason = json_tokener_error_desc(error);
        *ret_offset = end;
        return -EINVAL;
    }
    if (end < len) {
        *ret_reason = "there is something after the value";
        *ret_offset = end;
        return -EINVAL;
    }
    if (!all_finite(value)) {
        *ret_reason = "a number is out of range";
        *ret_offset = 0;
        return -EINVAL;
    }
    *ret_value = STEAL(value);
    return 0;
}

void json_putp(struct json_object **value)
{
    json_object_put(*value);
}

struct json_object *json_get(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;

    json_object_object_get_ex(object, key, &value);
    return value;
}

const char *json_get_string(struct json_object *object, const char *key)
{
    return json_object_get_string(json_get(object, key));
}

const char *json_compact(struct json_object *value)
{
    return json_object_to_json_string_ext(value,
                                          JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}
