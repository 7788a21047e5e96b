/* SPDX-License-Identifier: MIT */
#include "rpc/param.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "core/word.h"

static bool param_fail(struct param_error *error, const char *field, const char *format, ...)
    PRINTF_LIKE(3, 4);

static bool param_fail(struct param_error *error, const char *field, const char *format, ...)
{
    va_list args;

    snprintf(error->field, sizeof(error->field), "%s", field);
    va_start(args, format);
    vsnprintf(error->reason, sizeof(error->reason), format, args);
    va_end(args);
    return false;
}

static size_t param_max_bytes(const struct param *param, const struct settings *settings)
{
    int64_t limit = 0;

    if (param->limit)
        memcpy(&limit, (const char *)settings + param->limit, sizeof(limit));
    return param->limit ? (size_t)limit : param->max_bytes;
}

static bool param_check_string(const struct param *param, const struct json_value *value,
                               const struct settings *settings, const char *field,
                               struct param_error *error)
{
    size_t max = param_max_bytes(param, settings);

    if (value->kind != JSON_STRING)
        return param_fail(error, field, "must be a string");
    if (!param->may_be_empty && !value->len)
        return param_fail(error, field, "must not be empty");
    if (max && value->len > max)
        return param_fail(error, field, "must be at most %zu byte%s", max, PLURAL(max));
    if (!param->is_any_text && !json_value_is_text(value))
        return param_fail(error, field, "must not contain U+0000");
    return true;
}

static bool param_check_word(const struct json_value *value, const char *field,
                             struct param_error *error)
{
    if (!json_value_is_text(value) || !word_is_valid(value->text))
        return param_fail(error, field, "must be a word of the form " WORD_PATTERN);
    return true;
}

#define PARAMS_MAX 32 /* of a method, or of an object in it */
#define WORDS_MAX  64
#define TEXTS_MAX  64

static bool param_check_words(const struct json_value *value, const char *field,
                              struct param_error *error)
{
    size_t i = 0;

    if (value->kind != JSON_ARRAY)
        return param_fail(error, field, "must be an array of words");
    if (value->count > WORDS_MAX)
        return param_fail(error, field, "must have at most %d words", WORDS_MAX);
    json_value_for_each (word, value) {
        if (!param_check_word(word, field, error)) {
            snprintf(error->field, sizeof(error->field), "%s[%zu]", field, i);
            return false;
        }
        i++;
    }
    return true;
}

static bool param_check_ids(const struct json_value *value, const char *field,
                            struct param_error *error)
{
    size_t i = 0;

    if (value->kind != JSON_ARRAY)
        return param_fail(error, field, "must be an array of ids");
    if (value->count > RPC_IDS_MAX)
        return param_fail(error, field, "must have at most %d ids", RPC_IDS_MAX);
    json_value_for_each (id, value) {
        if (id->kind != JSON_INTEGER || id->integer < 1 || id->integer > RPC_ID_MAX) {
            param_fail(error, field, "must be an integer from 1 to %lld", (long long)RPC_ID_MAX);
            snprintf(error->field, sizeof(error->field), "%s[%zu]", field, i);
            return false;
        }
        i++;
    }
    return true;
}

static bool param_check_texts(const struct param *param, const struct json_value *value,
                              const struct settings *settings, const char *field,
                              struct param_error *error)
{
    if (value->kind != JSON_OBJECT)
        return param_fail(error, field, "must be an object of strings");
    if (value->count > TEXTS_MAX)
        return param_fail(error, field, "must have at most %d members", TEXTS_MAX);
    json_value_for_each (text, value) {
        char inner[128];

        snprintf(inner, sizeof(inner), "%s.%s", field, text->name);
        if (!param_check_string(param, text, settings, inner, error))
            return false;
    }
    return true;
}

static bool param_check_number(const struct param *param, const struct json_value *value,
                               const char *field, struct param_error *error)
{
    const bool is_bounded = param->min != 0 || param->max != 0;
    const char *kind = param->type == PARAM_INTEGER ? "an integer" : "a number";
    CLEANUP(buf_deinit) struct buf bounds = {0};

    if ((value->kind == JSON_INTEGER ||
         (value->kind == JSON_NUMBER && param->type == PARAM_NUMBER)) &&
        (!is_bounded || (value->number >= param->min && value->number <= param->max)))
        return true;
    if (is_bounded) {
        buf_add_text(&bounds, " from ");
        buf_add_number(&bounds, param->min);
        buf_add_text(&bounds, " to ");
        buf_add_number(&bounds, param->max);
    }
    return param_fail(error, field, "must be %s%s", kind, buf_text(&bounds));
}

static bool param_check_enum(const struct param *param, const struct json_value *value,
                             const char *field, struct param_error *error)
{
    char all[120] = "";

    for (size_t i = 0; param->values[i]; i++) {
        size_t len = strlen(all);

        if (value->kind == JSON_STRING && strcmp(value->text, param->values[i]) == 0)
            return true;
        snprintf(all + len, sizeof(all) - len, "%s\"%s\"", i ? ", " : "", param->values[i]);
    }
    return param_fail(error, field, "must be one of %s", all);
}

static bool param_check_any(const struct param *param, const struct json_value *value,
                            const struct settings *settings, const char *field,
                            struct param_error *error)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    size_t max = param_max_bytes(param, settings);

    json_value_print(value, &text);
    if (max && text.len > max)
        return param_fail(error, field, "must be at most %zu byte%s of JSON", max, PLURAL(max));
    return true;
}

/* Names the object that the field is in. */
static bool param_fail_within(const char *object, struct param_error *error)
{
    char field[sizeof(error->field)];

    memcpy(field, error->field, sizeof(field));
    snprintf(error->field, sizeof(error->field), "%s.%s", object, field);
    return false;
}

static bool param_check_members(const struct param *params, struct json_value *object,
                                const struct settings *settings, struct param_error *error);

static bool param_check_value(const struct param *param, struct json_value *value,
                              const struct settings *settings, const char *field,
                              struct param_error *error)
{
    int64_t at;

    switch (param->type) {
    case PARAM_STRING:
        return param_check_string(param, value, settings, field, error);
    case PARAM_WORD:
        return param_check_word(value, field, error);
    case PARAM_WORDS:
        return param_check_words(value, field, error);
    case PARAM_IDS:
        return param_check_ids(value, field, error);
    case PARAM_TEXTS:
        return param_check_texts(param, value, settings, field, error);
    case PARAM_INTEGER:
    case PARAM_NUMBER:
        return param_check_number(param, value, field, error);
    case PARAM_BOOLEAN:
        if (value->kind != JSON_BOOLEAN)
            return param_fail(error, field, "must be true or false");
        return true;
    case PARAM_TIME:
        if (value->kind != JSON_STRING || clock_parse_iso(value->text, &at) < 0)
            return param_fail(error, field, "must be a time such as 2026-01-31T12:00:00Z");
        return true;
    case PARAM_ENUM:
        return param_check_enum(param, value, field, error);
    case PARAM_ANY:
        return param_check_any(param, value, settings, field, error);
    case PARAM_OBJECT:
        if (value->kind != JSON_OBJECT)
            return param_fail(error, field, "must be an object");
        return param_check_members(param->fields, value, settings, error) ||
               param_fail_within(field, error);
    case PARAM_END:
        break;
    }
    return false;
}

static const struct param *param_find_param(const struct param *params, const char *name)
{
    for (const struct param *p = params; p->type != PARAM_END; p++)
        if (strcmp(p->name, name) == 0 || (p->alias && strcmp(p->alias, name) == 0))
            return p;
    return NULL;
}

/* The value of a parameter, by its name or its alias; NULL: it is missing or null. False: the two
 * contradict each other. */
static bool param_choose_value(const struct param *param, const struct json_value *object,
                               struct json_value **ret_value, struct param_error *error)
{
    struct json_value *value = json_value_get(object, param->name);
    struct json_value *other = param->alias ? json_value_get(object, param->alias) : NULL;

    if (value && other && !json_value_equals(value, other))
        return param_fail(error, param->name, "contradicts \"%s\"", param->alias);
    *ret_value = value ? value : other;
    return true;
}

/* Leaves the object with what has been checked, in the order of the declaration, so that handlers
 * never meet another value, such as one of the same name or under an alias. */
static bool param_check_members(const struct param *params, struct json_value *object,
                                const struct settings *settings, struct param_error *error)
{
    struct json_value *checked[PARAMS_MAX], **next = &object->first;
    size_t count = 0;

    json_value_for_each (member, object)
        if (!param_find_param(params, member->name))
            return param_fail(error, member->name, "is not a known parameter");
    for (const struct param *p = params; p->type != PARAM_END; p++) {
        struct json_value *value = NULL;

        if (!param_choose_value(p, object, &value, error))
            return false;
        if (!value && p->is_required)
            return param_fail(error, p->name, "is required");
        if (value && !param_check_value(p, value, settings, p->name, error))
            return false;
        if (!value && p->takes_null)
            value = json_value_find(object, p->name);
        if (!value)
            continue;
        if (count == PARAMS_MAX)
            abort();
        value->name = p->name;
        checked[count++] = value;
    }
    for (size_t i = 0; i < count; i++) {
        *next = checked[i];
        next = &checked[i]->next;
    }
    *next = NULL;
    object->count = count;
    return true;
}

bool param_check(const struct param *params, struct json_value *object,
                 const struct settings *settings, struct param_error *ret_error)
{
    return param_check_members(params, object, settings, ret_error);
}

bool param_from_array(const struct param *params, struct json_value *array,
                      struct param_error *ret_error)
{
    struct json_value **at = &array->first;

    for (const struct param *p = params; *at; p++) {
        if (p->type == PARAM_END)
            return param_fail(ret_error, "params",
                              "has more elements than the method has parameters");
        (*at)->name = p->name;
        if ((*at)->kind == JSON_NULL) /* a placeholder */
            *at = (*at)->next;
        else
            at = &(*at)->next;
    }
    array->kind = JSON_OBJECT;
    return true;
}

static void param_print_bounds(const struct param *param, struct buf *out)
{
    if (param->min == 0 && param->max == 0)
        return;
    json_out_number(out, "minimum", param->min);
    json_out_number(out, "maximum", param->max);
}

static void param_print_object_schema(const struct param *params, const struct settings *settings,
                                      struct buf *out)
{
    json_out_text(out, "type", "object");
    json_out_bool(out, "additionalProperties", false);
    json_out_object(out, "properties");
    for (const struct param *p = params; p->type != PARAM_END; p++) {
        json_out_key(out, p->name);
        param_print_schema(p, settings, out);
    }
    json_out_end_object(out);
    json_out_array(out, "required");
    for (const struct param *p = params; p->type != PARAM_END; p++)
        if (p->is_required)
            json_out_text(out, NULL, p->name);
    json_out_end_array(out);
}

static void param_print_word_schema(struct buf *out)
{
    json_out_text(out, "type", "string");
    json_out_text(out, "pattern", "^" WORD_PATTERN "$");
}

static void param_print_string_schema(bool may_be_empty, size_t max_bytes, struct buf *out)
{
    json_out_text(out, "type", "string");
    if (!may_be_empty)
        json_out_int(out, "minLength", 1);
    if (max_bytes)
        json_out_int(out, "maxLength", (int64_t)max_bytes);
}

static void param_print_texts_schema(const struct param *param, struct buf *out)
{
    json_out_text(out, "type", "object");
    json_out_int(out, "maxProperties", TEXTS_MAX);
    json_out_object(out, "additionalProperties");
    param_print_string_schema(false, param->max_bytes, out);
    json_out_end_object(out);
}

static void param_print_words_schema(struct buf *out)
{
    json_out_text(out, "type", "array");
    json_out_int(out, "maxItems", WORDS_MAX);
    json_out_object(out, "items");
    param_print_word_schema(out);
    json_out_end_object(out);
}

static void param_print_ids_schema(struct buf *out)
{
    json_out_text(out, "type", "array");
    json_out_int(out, "maxItems", RPC_IDS_MAX);
    json_out_object(out, "items");
    json_out_text(out, "type", "integer");
    json_out_int(out, "minimum", 1);
    json_out_end_object(out);
}

static void param_print_time_schema(const struct param *param, struct buf *out)
{
    if (param->takes_null) {
        json_out_array(out, "type");
        json_out_text(out, NULL, "string");
        json_out_text(out, NULL, "null");
        json_out_end_array(out);
    } else {
        json_out_text(out, "type", "string");
    }
    json_out_text(out, "format", "date-time");
}

static void param_print_enum_schema(const struct param *param, struct buf *out)
{
    json_out_array(out, "enum");
    for (size_t i = 0; param->values[i]; i++)
        json_out_text(out, NULL, param->values[i]);
    json_out_end_array(out);
}

void param_print_schema(const struct param *param, const struct settings *settings, struct buf *out)
{
    json_out_object(out, NULL);
    json_out_text(out, "description", param->doc);
    switch (param->type) {
    case PARAM_STRING:
        param_print_string_schema(param->may_be_empty, param_max_bytes(param, settings), out);
        break;
    case PARAM_WORD:
        param_print_word_schema(out);
        break;
    case PARAM_WORDS:
        param_print_words_schema(out);
        break;
    case PARAM_IDS:
        param_print_ids_schema(out);
        break;
    case PARAM_TEXTS:
        param_print_texts_schema(param, out);
        break;
    case PARAM_INTEGER:
        json_out_text(out, "type", "integer");
        param_print_bounds(param, out);
        break;
    case PARAM_NUMBER:
        json_out_text(out, "type", "number");
        param_print_bounds(param, out);
        break;
    case PARAM_BOOLEAN:
        json_out_text(out, "type", "boolean");
        break;
    case PARAM_TIME:
        param_print_time_schema(param, out);
        break;
    case PARAM_ENUM:
        param_print_enum_schema(param, out);
        break;
    case PARAM_OBJECT:
        param_print_object_schema(param->fields, settings, out);
        break;
    case PARAM_ANY:
    case PARAM_END:
        break;
    }
    json_out_end_object(out);
}
