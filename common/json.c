/* SPDX-License-Identifier: MIT */
/*
 * Reads JSON into json-c's values. json-c's own tokener lets pass what RFC 8259 does not, and some
 * of it would be printed again: strings in single quotes or with bare control characters, bytes
 * that are not UTF-8, numbers such as "1.", NaN, integers that it cuts down to 64 bits, and keys
 * that it cuts at U+0000. It also takes twice the time.
 */
#include "common/json.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/utf8.h"

/* A text that is being read. */
struct reading {
    const char *text;
    size_t len, at;
    size_t depth;
    bool is_lenient;    /* integers may exceed 64 bits */
    bool is_building;   /* otherwise the text is only checked */
    struct buf scratch; /* a string without its escapes, or a number */
    const char *reason; /* what is wrong at `at` */
};

static bool json_read_value(struct reading *in, struct json_object **ret_value);

/* As everywhere, running out of memory ends the program. */
static struct json_object *json_made(struct json_object *value)
{
    if (!value)
        abort();
    return value;
}

static bool json_fail(struct reading *in, size_t at, const char *reason)
{
    in->at = at;
    in->reason = reason;
    return false;
}

static bool json_fail_unexpected(struct reading *in, size_t at)
{
    return json_fail(in, at < in->len ? at : in->len,
                     at < in->len ? "unexpected character" : "the text ends before the value does");
}

static bool json_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void json_skip_space(struct reading *in)
{
    while (in->at < in->len && json_is_space(in->text[in->at]))
        in->at++;
}

/* Whether this character is next; skips it. */
static bool json_take(struct reading *in, char c)
{
    if (in->at == in->len || in->text[in->at] != c)
        return false;
    in->at++;
    return true;
}

static size_t json_skip_digits(const struct reading *in, size_t at)
{
    while (at < in->len && in->text[at] >= '0' && in->text[at] <= '9')
        at++;
    return at;
}

/* Where the number at in->at ends, or 0 if it is none. */
static size_t json_find_number_end(const struct reading *in, bool *ret_is_integer)
{
    size_t first = in->at + (in->text[in->at] == '-'), start;
    size_t end = json_skip_digits(in, first);

    *ret_is_integer = true;
    if (end == first || (in->text[first] == '0' && end - first > 1))
        return 0;
    if (end < in->len && in->text[end] == '.') {
        *ret_is_integer = false;
        start = end + 1;
        end = json_skip_digits(in, start);
        if (end == start)
            return 0;
    }
    if (end < in->len && (in->text[end] == 'e' || in->text[end] == 'E')) {
        *ret_is_integer = false;
        start = end + 1;
        if (start < in->len && (in->text[start] == '+' || in->text[start] == '-'))
            start++;
        end = json_skip_digits(in, start);
        if (end == start)
            return 0;
    }
    return end;
}

static struct json_object *json_make_integer(const char *text, bool *ret_fits)
{
    uint64_t magnitude;
    int64_t number;

    errno = 0;
    if (text[0] == '-') {
        number = strtoll(text, NULL, 10);
        *ret_fits = errno != ERANGE;
        return json_made(json_object_new_int64(number));
    }
    magnitude = strtoull(text, NULL, 10);
    *ret_fits = errno != ERANGE;
    return json_made(magnitude <= INT64_MAX ? json_object_new_int64((int64_t)magnitude)
                                            : json_object_new_uint64(magnitude));
}

/* Keeps the digits as they were written. */
static struct json_object *json_make_double(const char *text, bool *ret_fits)
{
    double value = strtod(text, NULL);

    *ret_fits = isfinite(value);
    return json_made(json_object_new_double_s(value, text));
}

static bool json_read_number(struct reading *in, struct json_object **ret_value)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    bool is_integer, fits;
    size_t end = json_find_number_end(in, &is_integer);

    if (!end)
        return json_fail(in, in->at, "number expected");
    buf_clear(&in->scratch);
    buf_add(&in->scratch, in->text + in->at, end - in->at);
    value = is_integer ? json_make_integer(buf_text(&in->scratch), &fits)
                       : json_make_double(buf_text(&in->scratch), &fits);
    if (!fits && !(is_integer && in->is_lenient))
        return json_fail(in, in->at, "a number is out of range");
    in->at = end;
    if (in->is_building)
        *ret_value = STEAL(value);
    return true;
}

/* The UTF-16 code unit of the escape at `at`, or -1. */
static int json_code_unit(const struct reading *in, size_t at)
{
    int unit = 0;

    if (in->len - at < 6 || in->text[at] != '\\' || in->text[at + 1] != 'u')
        return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        if (!isxdigit((unsigned char)in->text[i]))
            return -1;
        unit = unit * 16 + (in->text[i] <= '9' ? in->text[i] - '0' : (in->text[i] | 32) - 'a' + 10);
    }
    return unit;
}

static bool json_is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool json_is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

static void json_add_utf8(struct buf *out, int c)
{
    if (c < 0x80) {
        buf_add_char(out, (char)c);
        return;
    }
    if (c >= 0x10000)
        buf_add_char(out, (char)(0xf0 | c >> 18));
    if (c >= 0x800)
        buf_add_char(out, (char)(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3f) : 0xe0 | c >> 12));
    buf_add_char(out, (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6));
    buf_add_char(out, (char)(0x80 | (c & 0x3f)));
}

/* Adds the character of the escape \u at `at`, U+FFFD for half a pair; returns its length, or 0. */
static size_t json_add_code_point(struct reading *in, size_t at)
{
    int unit = json_code_unit(in, at), low;
    size_t width = 6;

    if (unit < 0)
        return 0;
    if (json_is_high_surrogate(unit)) {
        low = json_code_unit(in, at + 6);
        if (json_is_low_surrogate(low)) {
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            width = 12;
        }
    }
    if (width == 6 && (json_is_high_surrogate(unit) || json_is_low_surrogate(unit)))
        unit = 0xfffd;
    json_add_utf8(&in->scratch, unit);
    return width;
}

/* What is wrong with the escape \u at `at`. */
static bool json_fail_escape(struct reading *in, size_t at)
{
    size_t end = at + 2;

    while (end < in->len && end < at + 6 && isxdigit((unsigned char)in->text[end]))
        end++;
    return json_fail_unexpected(in, end);
}

/* Adds the character of the escape at *at, and skips it. */
static bool json_read_escape(struct reading *in, size_t *at)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    char c = *at + 1 < in->len ? in->text[*at + 1] : 0;

    if (c == 'u') {
        size_t width = json_add_code_point(in, *at);

        if (!width)
            return json_fail_escape(in, *at);
        *at += width;
        return true;
    }
    for (size_t i = 0; escapes[i]; i += 2) {
        if (escapes[i] == c) {
            buf_add_char(&in->scratch, escapes[i + 1]);
            *at += 2;
            return true;
        }
    }
    return json_fail_unexpected(in, *at + 1);
}

/* The string after the quote at in->at: part of the text, or in->scratch if it has escapes. */
static bool json_read_characters(struct reading *in, const char **ret_string, size_t *ret_len)
{
    size_t at = in->at + 1, start = at;
    bool has_escapes = false;

    buf_clear(&in->scratch);
    while (at < in->len && in->text[at] != '"') {
        unsigned char c = (unsigned char)in->text[at];
        size_t width = c < 0x80 ? 1 : utf8_width(in->text + at, in->len - at);

        if (!width)
            return json_fail(in, at, "invalid utf-8 string");
        if (c < 0x20)
            return json_fail(in, at, "a control character in a string");
        if (c != '\\') {
            at += width;
            continue;
        }
        has_escapes = true;
        buf_add(&in->scratch, in->text + start, at - start);
        if (!json_read_escape(in, &at))
            return false;
        start = at;
    }
    if (at == in->len)
        return json_fail_unexpected(in, at);
    if (has_escapes)
        buf_add(&in->scratch, in->text + start, at - start);
    *ret_string = has_escapes ? in->scratch.data : in->text + start;
    *ret_len = has_escapes ? in->scratch.len : at - start;
    in->at = at + 1;
    return true;
}

static bool json_read_string(struct reading *in, struct json_object **ret_value)
{
    const char *string;
    size_t len;

    if (!json_read_characters(in, &string, &len))
        return false;
    if (in->is_building)
        *ret_value = json_made(json_object_new_string_len(string, (int)len));
    return true;
}

/* The name of a member and its colon; the caller frees it. */
static bool json_read_name(struct reading *in, char **ret_name)
{
    size_t start = in->at, len;
    const char *string;

    if (start == in->len || in->text[start] != '"')
        return json_fail_unexpected(in, start);
    if (!json_read_characters(in, &string, &len))
        return false;
    if (memchr(string, 0, len))
        return json_fail(in, start, "U+0000 in a key");
    *ret_name = xstrndup(string, len);
    json_skip_space(in);
    return json_take(in, ':') || json_fail_unexpected(in, in->at);
}

static bool json_read_member(struct reading *in, struct json_object *object)
{
    CLEANUP(freep) char *name = NULL;
    struct json_object *value = NULL;

    if (!json_read_name(in, &name) || !json_read_value(in, &value))
        return false;
    if (object && json_object_object_add(object, name, value) < 0)
        abort();
    return true;
}

static bool json_read_element(struct reading *in, struct json_object *array)
{
    struct json_object *value = NULL;

    if (!json_read_value(in, &value))
        return false;
    if (array && json_object_array_add(array, value) < 0)
        abort();
    return true;
}

/* The rest of an object or an array, after its opening bracket. */
static bool json_read_items(struct reading *in, char end,
                            bool (*read)(struct reading *in, struct json_object *container),
                            struct json_object *container)
{
    json_skip_space(in);
    if (json_take(in, end))
        return true;
    for (;;) {
        json_skip_space(in);
        if (!read(in, container))
            return false;
        json_skip_space(in);
        if (json_take(in, end))
            return true;
        if (!json_take(in, ','))
            return json_fail_unexpected(in, in->at);
    }
}

static bool json_read_container(struct reading *in, struct json_object **ret_value)
{
    CLEANUP(json_putp) struct json_object *container = NULL;
    bool is_object = in->text[in->at] == '{', is_good;

    if (in->depth == JSON_DEPTH_MAX)
        return json_fail(in, in->at, "nested too deeply");
    in->depth++;
    in->at++;
    if (in->is_building)
        container = json_made(is_object ? json_object_new_object() : json_object_new_array());
    is_good = is_object ? json_read_items(in, '}', json_read_member, container)
                        : json_read_items(in, ']', json_read_element, container);
    in->depth--;
    if (container && !is_object)
        json_object_array_shrink(container, 0); /* a new one has room for 32 */
    if (is_good)
        *ret_value = STEAL(container);
    return is_good;
}

static bool json_read_literal(struct reading *in, const char *literal)
{
    for (; *literal; literal++)
        if (!json_take(in, *literal))
            return json_fail_unexpected(in, in->at);
    return true;
}

static bool json_read_bool(struct reading *in, bool value, struct json_object **ret_value)
{
    if (!json_read_literal(in, value ? "true" : "false"))
        return false;
    if (in->is_building)
        *ret_value = json_made(json_object_new_boolean(value));
    return true;
}

/* *ret_value stays as it is for null, and if nothing is built. */
static bool json_read_value(struct reading *in, struct json_object **ret_value)
{
    json_skip_space(in);
    switch (in->at < in->len ? in->text[in->at] : 0) {
    case '{':
    case '[':
        return json_read_container(in, ret_value);
    case '"':
        return json_read_string(in, ret_value);
    case 't':
        return json_read_bool(in, true, ret_value);
    case 'f':
        return json_read_bool(in, false, ret_value);
    case 'n':
        return json_read_literal(in, "null");
    case '-':
    case '0' ... '9':
        return json_read_number(in, ret_value);
    default:
        return json_fail_unexpected(in, in->at);
    }
}

static bool json_expect_end(struct reading *in)
{
    json_skip_space(in);
    return in->at == in->len || json_fail(in, in->at, "there is something after the value");
}

/* Reads the only value of the text. */
static int json_read(struct reading *in, struct json_object **ret_value, const char **ret_reason,
                     size_t *ret_offset)
{
    struct json_object *value = NULL;
    bool is_good;

    while (in->len && json_is_space(in->text[in->len - 1]))
        in->len--;
    if (in->len > INT32_MAX - 1)
        is_good = json_fail(in, INT32_MAX, "it is too long");
    else if (!in->len)
        is_good = json_fail(in, 0, "there is no value");
    else
        is_good = json_read_value(in, &value) && json_expect_end(in);
    buf_deinit(&in->scratch);
    if (is_good) {
        *ret_value = value;
        return 0;
    }
    json_object_put(value);
    *ret_reason = in->reason;
    *ret_offset = in->at;
    return -EINVAL;
}

int json_parse(const char *text, size_t len, struct json_object **ret_value,
               const char **ret_reason, size_t *ret_offset)
{
    struct reading in = {.text = text, .len = len, .is_building = true};

    return json_read(&in, ret_value, ret_reason, ret_offset);
}

int json_parse_leniently(const char *text, size_t len, struct json_object **ret_value,
                         const char **ret_reason, size_t *ret_offset)
{
    struct reading in = {.text = text, .len = len, .is_lenient = true, .is_building = true};

    return json_read(&in, ret_value, ret_reason, ret_offset);
}

/* Copies a string, except lone surrogates, which many parsers reject. Returns its length. */
static size_t json_copy_string(struct buf *out, const struct reading *in, size_t start)
{
    size_t at = start + 1, width;

    buf_add_char(out, '"');
    for (; in->text[at] != '"'; at += width) {
        int unit = json_code_unit(in, at);
        bool is_high = json_is_high_surrogate(unit);

        width = unit >= 0 ? 6 : in->text[at] == '\\' ? 2 : 1;
        if (is_high && json_is_low_surrogate(json_code_unit(in, at + 6)))
            width = 12;
        if (width == 6 && (is_high || json_is_low_surrogate(unit)))
            buf_add_text(out, "\\ufffd");
        else
            buf_add(out, in->text + at, width);
    }
    buf_add_char(out, '"');
    return at + 1 - start;
}

int json_compact_text(const char *text, size_t len, char **ret_text, const char **ret_reason,
                      size_t *ret_offset)
{
    struct reading in = {.text = text, .len = len, .is_lenient = true};
    struct json_object *none;
    struct buf out = {0};
    int r = json_read(&in, &none, ret_reason, ret_offset);

    if (r < 0)
        return r;
    for (size_t at = 0; at < in.len;) {
        if (text[at] == '"') {
            at += json_copy_string(&out, &in, at);
            continue;
        }
        if (!json_is_space(text[at]))
            buf_add_char(&out, text[at]);
        at++;
    }
    *ret_text = buf_take(&out);
    return 0;
}

char *json_find_twin(const char *text, size_t len, size_t *ret_offset)
{
    /* One for each open object or array: the names seen so far. */
    struct json_object *members[JSON_DEPTH_MAX + 1] = {0};
    struct reading in = {.text = text, .len = len};
    CLEANUP(freep) char *twin = NULL;
    size_t depth = 0;

    while (in.at < len && !twin) {
        char c = text[in.at];

        if (c == '"') {
            CLEANUP(freep) char *key = NULL;
            size_t start = in.at, key_len = 0;
            const char *string = "";

            json_read_characters(&in, &string, &key_len); /* has been read before */
            key = xstrndup(string, key_len);
            json_skip_space(&in);
            if (!json_take(&in, ':') || !depth) /* it is a value */
                continue;
            *ret_offset = start;
            if (json_object_object_get_ex(members[depth - 1], key, NULL))
                twin = STEAL(key);
            else
                json_object_object_add(members[depth - 1], key, NULL);
            continue;
        }
        if (c == '{' || c == '[')
            members[depth++] = json_object_new_object();
        else if (depth && (c == '}' || c == ']'))
            json_object_put(members[--depth]);
        in.at++;
    }
    while (depth)
        json_object_put(members[--depth]);
    buf_deinit(&in.scratch);
    return STEAL(twin);
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
