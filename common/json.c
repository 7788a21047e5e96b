/* SPDX-License-Identifier: MIT */
#include "common/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/utf8.h"

struct json_reader {
    struct json_tokener *tokener; /* NULL until needed */
};

static struct json_tokener *json_new_tokener(void)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);

    if (!tokener)
        abort();
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 |
                                        JSON_TOKENER_ALLOW_TRAILING_CHARS);
    return tokener;
}

struct json_reader *json_reader_new(void)
{
    return xcalloc(1, sizeof(struct json_reader));
}

void json_reader_free(struct json_reader *reader)
{
    if (!reader)
        return;
    if (reader->tokener)
        json_tokener_free(reader->tokener);
    free(reader);
}

static bool json_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t json_skip_digits(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

/* Whether the number, an integer or not, keeps its value: 64 bits or a finite double. */
static bool json_is_in_range(const char *text, size_t len, bool is_integer)
{
    CLEANUP(freep) char *number = xstrndup(text, len);

    errno = 0;
    if (!is_integer)
        return isfinite(strtod(number, NULL));
    if (number[0] == '-')
        strtoll(number, NULL, 10);
    else
        strtoull(number, NULL, 10);
    return errno != ERANGE;
}

/* How to treat integers over 64 bits: as errors, or hidden from json-c. */
enum integers { INTEGERS_OF_64_BITS, INTEGERS_OF_ANY_SIZE };

/* Skips the number at *at. Returns NULL, or the error. */
static const char *json_check_number(const char *text, size_t len, enum integers integers,
                                     size_t *at)
{
    static const char malformed[] = "number expected";
    size_t first = *at + (text[*at] == '-'), end = json_skip_digits(text, len, first), start;
    bool is_integer = true, is_suspect = end - first > 18;

    if (end == first || (text[first] == '0' && end - first > 1))
        return malformed;
    if (end < len && text[end] == '.') {
        start = end + 1;
        end = json_skip_digits(text, len, start);
        if (end == start)
            return malformed;
        is_integer = false;
    }
    if (end < len && (text[end] == 'e' || text[end] == 'E')) {
        start = end + 1;
        if (start < len && (text[start] == '+' || text[start] == '-'))
            start++;
        end = json_skip_digits(text, len, start);
        if (end == start)
            return malformed;
        is_integer = false;
        is_suspect = true;
    }
    if (is_suspect &&
        !json_is_in_range(text + *at, end - *at, is_integer && integers == INTEGERS_OF_64_BITS))
        return "a number is out of range";
    *at = end;
    return NULL;
}

/* Whether the string that ends here names a member. */
static bool json_is_key(const char *text, size_t len, size_t end)
{
    while (end < len && json_is_space(text[end]))
        end++;
    return end < len && text[end] == ':';
}

/*
 * json-c lets pass what RFC 8259 does not, and some of it would be printed again: strings in single
 * quotes or with bare control characters, bytes that are not UTF-8, numbers such as "1.", NaN, and
 * integers that it cuts down to 64 bits; keys it cuts at U+0000. So the text is looked at once
 * before; whether the tokens make a value is for json-c to say. NULL, or what is wrong at *at.
 */
static const char *json_check_tokens(const char *text, size_t len, enum integers integers,
                                     size_t *at)
{
    bool in_string = false, has_nul = false;

    while (*at < len) {
        unsigned char c = (unsigned char)text[*at];
        size_t width = utf8_width(text + *at, len - *at);

        if (!width)
            return "invalid utf-8 string";
        if (in_string) {
            if (c < 0x20)
                return "a control character in a string";
            if (c == '\\' && len - *at > 5 && memcmp(text + *at + 1, "u0000", 5) == 0)
                has_nul = true;
            if (c == '\\' && *at + 1 < len && (text[*at + 1] == '"' || text[*at + 1] == '\\'))
                width = 2;
            in_string = c != '"';
            if (!in_string && has_nul && json_is_key(text, len, *at + 1))
                return "U+0000 in a key";
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            const char *reason = json_check_number(text, len, integers, at);

            if (reason)
                return reason;
            continue;
        } else if ((c < 0x20 && !json_is_space((char)c)) || c == '\'' || c == 'N' || c == 'I') {
            return "unexpected character";
        } else {
            in_string = c == '"';
            has_nul = false;
        }
        *at += width;
    }
    return NULL;
}

/* Whether tokens that were checked make one value. */
static int json_parse_checked(struct json_reader *reader, const char *text, size_t len,
                              struct json_object **ret_value, const char **ret_reason,
                              size_t *ret_offset)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    enum json_tokener_error error;
    const char *reason;
    size_t end;

    if (!reader->tokener)
        reader->tokener = json_new_tokener();
    json_tokener_reset(reader->tokener);
    value = json_tokener_parse_ex(reader->tokener, text, (int)len);
    error = json_tokener_get_error(reader->tokener);
    end = json_tokener_get_parse_end(reader->tokener);
    if (error == json_tokener_continue && !value && len) {
        /* A number or literal at the very end is only complete once something follows it. */
        value = json_tokener_parse_ex(reader->tokener, " ", 1);
        error = json_tokener_get_error(reader->tokener);
        end = len;
    }
    if (error == json_tokener_success && end == len) {
        *ret_value = STEAL(value);
        return 0;
    }
    /* A reset leaves half of a surrogate pair behind, for the next text to find. */
    json_tokener_free(STEAL(reader->tokener));
    if (error == json_tokener_success)
        reason = "there is something after the value";
    else if (error == json_tokener_continue)
        reason = len ? "the text ends before the value does" : "there is no value";
    else
        reason = json_tokener_error_desc(error);
    *ret_reason = reason;
    *ret_offset = end;
    return -EINVAL;
}

static int json_check(const char *text, size_t *len, enum integers integers,
                      const char **ret_reason, size_t *ret_offset)
{
    const char *reason;
    size_t end = 0;

    while (*len && json_is_space(text[*len - 1]))
        --*len;
    if (*len > INT32_MAX - 1) {
        *ret_reason = "it is too long";
        *ret_offset = INT32_MAX;
        return -E2BIG;
    }
    reason = json_check_tokens(text, *len, integers, &end);
    if (!reason)
        return 0;
    *ret_reason = reason;
    *ret_offset = end;
    return -EINVAL;
}

int json_reader_parse(struct json_reader *reader, const char *text, size_t len,
                      struct json_object **ret_value, const char **ret_reason, size_t *ret_offset)
{
    int r = json_check(text, &len, INTEGERS_OF_64_BITS, ret_reason, ret_offset);

    return r < 0 ? r : json_parse_checked(reader, text, len, ret_value, ret_reason, ret_offset);
}

int json_reader_parse_leniently(struct json_reader *reader, const char *text, size_t len,
                                struct json_object **ret_value, const char **ret_reason,
                                size_t *ret_offset)
{
    int r = json_check(text, &len, INTEGERS_OF_ANY_SIZE, ret_reason, ret_offset);

    return r < 0 ? r : json_parse_checked(reader, text, len, ret_value, ret_reason, ret_offset);
}

/* json-c cuts integers to 64 bits; of a longer one it is shown the beginning. */
static void json_hide_integers(char *text, size_t len)
{
    for (size_t at = 0, end; at < len; at = end) {
        if (text[at] == '"') {
            for (end = at + 1; end < len && text[end] != '"'; end++)
                end += text[end] == '\\';
            end++;
            continue;
        }
        end = json_skip_digits(text, len, at);
        if (end - at > 18 && (end == len || !strchr(".eE", text[end])))
            memset(text + at + 18, ' ', end - at - 18);
        end += end == at;
    }
}

/* The UTF-16 code unit of the escape at the beginning of the text, 0 if it is not part of a pair.
 */
static unsigned json_surrogate(const char *text, size_t len)
{
    char digits[5] = {0};
    unsigned unit;

    if (len < 6 || text[0] != '\\' || text[1] != 'u')
        return 0;
    memcpy(digits, text + 2, 4);
    unit = (unsigned)strtoul(digits, NULL, 16);
    return unit >= 0xd800 && unit < 0xe000 ? unit : 0;
}

/* Copies a string, except lone surrogates, which many parsers reject. Returns its length. */
static size_t json_add_string(struct buf *out, const char *text, size_t len)
{
    size_t at = 1, width;

    buf_add_char(out, '"');
    for (; text[at] != '"'; at += width) {
        unsigned unit = json_surrogate(text + at, len - at);

        width = unit ? 6 : text[at] == '\\' ? 2 : 1;
        if (unit && unit < 0xdc00 && json_surrogate(text + at + 6, len - at - 6) >= 0xdc00)
            width = 12;
        if (unit && width == 6)
            buf_add_text(out, "\\ufffd");
        else
            buf_add(out, text + at, width);
    }
    buf_add_char(out, '"');
    return at + 1;
}

int json_reader_compact(struct json_reader *reader, const char *text, size_t len, char **ret_text,
                        const char **ret_reason, size_t *ret_offset)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    CLEANUP(freep) char *shown = NULL;
    struct buf out = {0};
    int r = json_check(text, &len, INTEGERS_OF_ANY_SIZE, ret_reason, ret_offset);

    if (r < 0)
        return r;
    shown = xstrndup(text, len);
    json_hide_integers(shown, len);
    r = json_parse_checked(reader, shown, len, &value, ret_reason, ret_offset);
    if (r < 0)
        return r;
    for (size_t at = 0; at < len;) {
        if (text[at] == '"') {
            at += json_add_string(&out, text + at, len - at);
            continue;
        }
        if (!json_is_space(text[at]))
            buf_add_char(&out, text[at]);
        at++;
    }
    *ret_text = buf_take(&out);
    return 0;
}

/* The string at *at, whose quotes and escapes are sound; *at is behind it then. */
static struct json_object *json_take_string(const char *text, size_t *at)
{
    CLEANUP(freep) char *literal = NULL;
    size_t end = *at + 1;

    while (text[end] != '"')
        end += text[end] == '\\' ? 2 : 1;
    end++;
    literal = xstrndup(text + *at, end - *at);
    *at = end;
    return json_tokener_parse(literal);
}

char *json_find_twin(const char *text, size_t len, size_t *ret_offset)
{
    /* Of each object that is open, or array. */
    struct json_object *members[JSON_DEPTH_MAX + 1] = {0};
    CLEANUP(freep) char *twin = NULL;
    size_t depth = 0, at = 0;

    while (at < len && !twin) {
        size_t start = at;

        if (text[at] == '"') {
            CLEANUP(json_putp) struct json_object *string = json_take_string(text, &at);
            const char *key = json_object_get_string(string);

            if (!depth || !json_is_key(text, len, at))
                continue;
            *ret_offset = start;
            if (json_object_object_get_ex(members[depth - 1], key, NULL))
                twin = xstrdup(key);
            else
                json_object_object_add(members[depth - 1], key, NULL);
            continue;
        }
        if (text[at] == '{' || text[at] == '[')
            members[depth++] = json_object_new_object();
        else if (depth && (text[at] == '}' || text[at] == ']'))
            json_object_put(members[--depth]);
        at++;
    }
    while (depth)
        json_object_put(members[--depth]);
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
