/* SPDX-License-Identifier: MIT */
#include "common/json_value.h"

#include <string.h>

#include "common/json_out.h"

struct json_value *json_value_find(const struct json_value *object, const char *name)
{
    struct json_value *found = NULL;

    if (!json_value_is(object, JSON_OBJECT))
        return NULL;
    for (struct json_value *member = object->first; member; member = member->next)
        if (member->name[0] == name[0] && strcmp(member->name, name) == 0)
            found = member;
    return found;
}

struct json_value *json_value_get(const struct json_value *object, const char *name)
{
    struct json_value *member = json_value_find(object, name);

    return json_value_is(member, JSON_NULL) ? NULL : member;
}

bool json_value_is(const struct json_value *value, enum json_kind kind)
{
    return value && value->kind == kind;
}

const char *json_value_text(const struct json_value *value)
{
    return json_value_is(value, JSON_STRING) ? value->text : NULL;
}

const char *json_value_get_text(const struct json_value *object, const char *name)
{
    return json_value_text(json_value_get(object, name));
}

bool json_value_is_text(const struct json_value *value)
{
    return json_value_is(value, JSON_STRING) && strlen(value->text) == value->len;
}

int64_t json_value_integer(const struct json_value *value)
{
    return value ? value->integer : 0;
}

double json_value_number(const struct json_value *value)
{
    return value ? value->number : 0;
}

size_t json_value_count(const struct json_value *value)
{
    return value ? value->count : 0;
}

bool json_value_equals(const struct json_value *a, const struct json_value *b)
{
    CLEANUP(buf_deinit) struct buf one = {0};
    CLEANUP(buf_deinit) struct buf other = {0};

    json_value_print(a, &one);
    json_value_print(b, &other);
    return strcmp(buf_text(&one), buf_text(&other)) == 0;
}

void json_value_print(const struct json_value *value, struct buf *out)
{
    switch (value ? value->kind : JSON_NULL) {
    case JSON_NULL:
        buf_add_text(out, "null");
        return;
    case JSON_BOOLEAN:
        buf_add_text(out, value->is_true ? "true" : "false");
        return;
    case JSON_INTEGER:
    case JSON_NUMBER:
        buf_add(out, value->text, value->len);
        return;
    case JSON_STRING:
        json_out_put_string(out, value->text, value->len);
        return;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    buf_add_char(out, value->kind == JSON_OBJECT ? '{' : '[');
    json_value_for_each (item, value) {
        if (item != value->first)
            buf_add_char(out, ',');
        if (item->name) {
            json_out_put_string(out, item->name, strlen(item->name));
            buf_add_char(out, ':');
        }
        json_value_print(item, out);
    }
    buf_add_char(out, value->kind == JSON_OBJECT ? '}' : ']');
}
