/* SPDX-License-Identifier: MIT */
/*
 * JSON as json-c's values. Texts are read by common/json_doc.c: json-c's own tokener lets pass what
 * RFC 8259 does not, and some of it would be printed again: strings in single quotes or with bare
 * control characters, bytes that are not UTF-8, numbers such as "1.", NaN, integers that it cuts
 * down to 64 bits, and keys that it cuts at U+0000.
 */
#include "common/json.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"

/* As everywhere, running out of memory ends the program. */
static struct json_object *json_made(struct json_object *value)
{
    if (!value)
        abort();
    return value;
}

/* Keeps the digits as they were written. */
static struct json_object *json_make_double(const struct json_value *value)
{
    CLEANUP(freep) char *digits = xstrndup(value->text, value->len);

    return json_made(json_object_new_double_s(value->number, digits));
}

/* One that does not fit 64 bits is a double, for the sake of its digits. */
static struct json_object *json_make_integer(const struct json_value *value)
{
    bool is_negative = value->text[0] == '-';
    uint64_t magnitude;

    errno = 0;
    magnitude = strtoull(value->text + is_negative, NULL, 10);
    if (errno == ERANGE || (is_negative && magnitude > (uint64_t)INT64_MAX + 1))
        return json_make_double(value);
    return json_made(is_negative || magnitude <= INT64_MAX ? json_object_new_int64(value->integer)
                                                           : json_object_new_uint64(magnitude));
}

static struct json_object *json_make(const struct json_value *value);

static struct json_object *json_make_array(const struct json_value *value)
{
    struct json_object *array = json_made(json_object_new_array_ext((int)value->count + 1));

    json_value_for_each (element, value)
        if (json_object_array_add(array, json_make(element)) < 0)
            abort();
    return array;
}

static struct json_object *json_make_object(const struct json_value *value)
{
    struct json_object *object = json_made(json_object_new_object());

    json_value_for_each (member, value)
        if (json_object_object_add(object, member->name, json_make(member)) < 0)
            abort();
    return object;
}

static struct json_object *json_make(const struct json_value *value)
{
    switch (value->kind) {
    case JSON_NULL:
        break;
    case JSON_BOOLEAN:
        return json_made(json_object_new_boolean(value->is_true));
    case JSON_INTEGER:
        return json_make_integer(value);
    case JSON_NUMBER:
        return json_make_double(value);
    case JSON_STRING:
        return json_made(json_object_new_string_len(value->text, (int)value->len));
    case JSON_ARRAY:
        return json_make_array(value);
    case JSON_OBJECT:
        return json_make_object(value);
    }
    return NULL;
}

int json_parse(const char *text, size_t len, struct json_object **ret_value,
               const char **ret_reason, size_t *ret_offset)
{
    CLEANUP(json_doc_deinit) struct json_doc doc = {0};
    struct json_error error;
    const struct json_value *value = json_doc_read(&doc, text, len, &error);

    if (!value) {
        *ret_reason = error.reason;
        *ret_offset = error.offset;
        return -EINVAL;
    }
    *ret_value = json_make(value);
    return 0;
}

static const struct json_value *json_find_twin_in(const struct json_value *container)
{
    CLEANUP(json_putp) struct json_object *names = NULL;
    const struct json_value *twin = NULL;

    if (!container->first)
        return NULL;
    names = json_made(json_object_new_object());
    json_value_for_each (item, container) {
        if (item->name && json_object_object_get_ex(names, item->name, NULL))
            return item;
        if (item->name && json_object_object_add(names, item->name, NULL) < 0)
            abort();
        twin = json_find_twin_in(item);
        if (twin)
            break;
    }
    return twin;
}

char *json_find_twin(const char *text, size_t len, size_t *ret_offset)
{
    CLEANUP(json_doc_deinit) struct json_doc doc = {0};
    struct json_error error;
    const struct json_value *root = json_doc_read(&doc, text, len, &error);
    const struct json_value *twin = root ? json_find_twin_in(root) : NULL;

    if (!twin)
        return NULL;
    *ret_offset = json_doc_offset_of(&doc, twin);
    return xstrdup(twin->name);
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
