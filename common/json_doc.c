/* SPDX-License-Identifier: MIT */
#include "common/json_doc.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "common/utf8.h"

#define CHUNK      32   /* nodes */
#define TEXT_USUAL 4096 /* bytes; a longer buffer is not kept */

struct json_chunk {
    struct json_chunk *next;
    struct json_value values[CHUNK];
};

/* A text that is being read. */
struct reading {
    struct json_doc *doc;
    char *text; /* the document's copy; strings before `at` are decoded */
    size_t len, at;
    size_t depth;
    const char *reason; /* what is wrong at `at` */
    /* If the text is only checked, all values are this one in turn. */
    bool is_only_checked;
    struct json_value any;
};

static struct json_value *json_doc_read_value(struct reading *in);

static struct json_value *json_doc_new_value(struct json_doc *doc, enum json_kind kind)
{
    struct json_chunk *chunk = doc->chunks;
    struct json_value *value;

    if (!chunk || doc->used == CHUNK) {
        chunk = doc->spare ? doc->spare : xmalloc(sizeof(*chunk));
        doc->spare = doc->spare ? chunk->next : NULL;
        chunk->next = doc->chunks;
        doc->chunks = chunk;
        doc->used = 0;
    }
    value = &chunk->values[doc->used++];
    *value = (struct json_value){.kind = kind};
    return value;
}

struct json_value *json_doc_add_object(struct json_doc *doc)
{
    return json_doc_new_value(doc, JSON_OBJECT);
}

static struct json_value *json_doc_begin_value(struct reading *in, enum json_kind kind)
{
    if (!in->is_only_checked)
        return json_doc_new_value(in->doc, kind);
    in->any = (struct json_value){.kind = kind};
    return &in->any;
}

static void *json_doc_fail(struct reading *in, size_t at, const char *reason)
{
    in->at = at;
    in->reason = reason;
    return NULL;
}

static void *json_doc_fail_unexpected(struct reading *in, size_t at)
{
    return json_doc_fail(in, at < in->len ? at : in->len,
                         at < in->len ? "unexpected character"
                                      : "the text ends before the value does");
}

static bool json_doc_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void json_doc_skip_space(struct reading *in)
{
    while (in->at < in->len && json_doc_is_space(in->text[in->at]))
        in->at++;
}

/* Whether this character is next; skips it. */
static bool json_doc_take(struct reading *in, char c)
{
    if (in->at == in->len || in->text[in->at] != c)
        return false;
    in->at++;
    return true;
}

static size_t json_doc_skip_digits(const struct reading *in, size_t at)
{
    while (at < in->len && in->text[at] >= '0' && in->text[at] <= '9')
        at++;
    return at;
}

/* Where the number at in->at ends, or 0 if it is none. */
static size_t json_doc_find_number_end(const struct reading *in, bool *ret_is_integer)
{
    size_t first = in->at + (in->text[in->at] == '-'), start;
    size_t end = json_doc_skip_digits(in, first);

    *ret_is_integer = true;
    if (end == first || (in->text[first] == '0' && end - first > 1))
        return 0;
    if (end < in->len && in->text[end] == '.') {
        *ret_is_integer = false;
        start = end + 1;
        end = json_doc_skip_digits(in, start);
        if (end == start)
            return 0;
    }
    if (end < in->len && (in->text[end] == 'e' || in->text[end] == 'E')) {
        *ret_is_integer = false;
        start = end + 1;
        if (start < in->len && (in->text[start] == '+' || in->text[start] == '-'))
            start++;
        end = json_doc_skip_digits(in, start);
        if (end == start)
            return 0;
    }
    return end;
}

static void json_doc_set_integer(struct json_value *value)
{
    bool is_negative = value->text[0] == '-', fits = true;
    const uint64_t most = is_negative ? (uint64_t)INT64_MAX + 1 : UINT64_MAX;
    uint64_t magnitude = 0;

    for (size_t i = is_negative; i < value->len; i++) {
        uint64_t digit = (uint64_t)(value->text[i] - '0');

        fits = fits && magnitude <= (most - digit) / 10;
        magnitude = fits ? magnitude * 10 + digit : most;
    }
    if (is_negative)
        value->integer = (int64_t)(0 - magnitude);
    else
        value->integer = magnitude > INT64_MAX ? INT64_MAX : (int64_t)magnitude;
    value->number = is_negative ? -(double)magnitude : (double)magnitude;
}

static struct json_value *json_doc_read_number(struct reading *in)
{
    bool is_integer;
    size_t end = json_doc_find_number_end(in, &is_integer);
    struct json_value *value;

    if (!end)
        return json_doc_fail(in, in->at, "number expected");
    value = json_doc_begin_value(in, is_integer ? JSON_INTEGER : JSON_NUMBER);
    value->text = in->text + in->at;
    value->len = end - in->at;
    if (is_integer)
        json_doc_set_integer(value);
    else
        value->number = strtod(value->text, NULL); /* ends there, too */
    if (!isfinite(value->number))
        return json_doc_fail(in, in->at, "a number is out of range");
    in->at = end;
    return value;
}

/* The UTF-16 code unit of the escape at `at`, or -1. */
static int json_doc_code_unit(const char *text, size_t len, size_t at)
{
    int unit = 0;

    if (len - at < 6 || text[at] != '\\' || text[at + 1] != 'u')
        return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        if (!isxdigit((unsigned char)text[i]))
            return -1;
        unit = unit * 16 + (text[i] <= '9' ? text[i] - '0' : (text[i] | 32) - 'a' + 10);
    }
    return unit;
}

static bool json_doc_is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool json_doc_is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* Returns the end of what it wrote. */
static char *json_doc_put_utf8(char *out, int c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c >= 0x10000)
        *out++ = (char)(0xf0 | c >> 18);
    if (c >= 0x800)
        *out++ = (char)(c >= 0x10000 ? 0x80 | (c >> 12 & 0x3f) : 0xe0 | c >> 12);
    *out++ = (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6);
    *out++ = (char)(0x80 | (c & 0x3f));
    return out;
}

/* Decodes the escape \u at in->at, which is longer than its character, to *out; U+FFFD for half a
 * pair. */
static bool json_doc_read_code_point(struct reading *in, char **out)
{
    int unit = json_doc_code_unit(in->text, in->len, in->at), low;
    size_t width = 6;

    if (unit < 0) {
        size_t end = in->at + 2;

        while (end < in->len && end < in->at + 6 && isxdigit((unsigned char)in->text[end]))
            end++;
        return json_doc_fail_unexpected(in, end);
    }
    if (json_doc_is_high_surrogate(unit)) {
        low = json_doc_code_unit(in->text, in->len, in->at + 6);
        if (json_doc_is_low_surrogate(low)) {
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            width = 12;
        }
    }
    if (width == 6 && (json_doc_is_high_surrogate(unit) || json_doc_is_low_surrogate(unit)))
        unit = 0xfffd;
    *out = json_doc_put_utf8(*out, unit);
    in->at += width;
    return true;
}

/* Decodes the escape at in->at to *out, and skips it. */
static bool json_doc_read_escape(struct reading *in, char **out)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    char c = in->at + 1 < in->len ? in->text[in->at + 1] : 0;

    if (c == 'u')
        return json_doc_read_code_point(in, out);
    for (size_t i = 0; escapes[i]; i += 2) {
        if (escapes[i] == c) {
            *(*out)++ = escapes[i + 1];
            in->at += 2;
            return true;
        }
    }
    return json_doc_fail_unexpected(in, in->at + 1);
}

/* The width of the character at in->at, or of several that need no care; 0: it is wrong. */
static size_t json_doc_width(struct reading *in)
{
    const char *text = in->text + in->at;
    size_t left = in->len - in->at, width = json_out_plain_length(text, left);

    if (width)
        return width;
    if ((unsigned char)text[0] < 0x20)
        json_doc_fail(in, in->at, "a control character in a string");
    else
        width = (unsigned char)text[0] < 0x80 ? 1 : utf8_width(text, left);
    if (!width && !in->reason)
        json_doc_fail(in, in->at, "invalid utf-8 string");
    return width;
}

/* Decodes the string after the quote at in->at. NULL: it is wrong. */
static char *json_doc_read_characters(struct reading *in, size_t *ret_len)
{
    char *string = in->text + ++in->at, *out;

    in->at += json_out_plain_length(string, in->len - in->at);
    out = in->text + in->at;
    while (in->at < in->len && in->text[in->at] != '"') {
        size_t width;

        if (in->text[in->at] == '\\') {
            if (!json_doc_read_escape(in, &out))
                return NULL;
            continue;
        }
        width = json_doc_width(in);
        if (!width)
            return NULL;
        memmove(out, in->text + in->at, width);
        out += width;
        in->at += width;
    }
    if (in->at == in->len)
        return json_doc_fail_unexpected(in, in->at);
    in->at++;
    *out = '\0'; /* at the closing quote, or before it */
    *ret_len = (size_t)(out - string);
    return string;
}

static struct json_value *json_doc_read_string(struct reading *in)
{
    size_t len;
    char *string = json_doc_read_characters(in, &len);
    struct json_value *value;

    if (!string)
        return NULL;
    value = json_doc_begin_value(in, JSON_STRING);
    value->text = string;
    value->len = len;
    return value;
}

/* The name of a member, and its colon. */
static char *json_doc_read_name(struct reading *in)
{
    size_t start = in->at, len;
    char *name;

    if (start == in->len || in->text[start] != '"')
        return json_doc_fail_unexpected(in, start);
    name = json_doc_read_characters(in, &len);
    if (!name)
        return NULL;
    if (memchr(name, 0, len))
        return json_doc_fail(in, start, "U+0000 in a key");
    json_doc_skip_space(in);
    return json_doc_take(in, ':') ? name : json_doc_fail_unexpected(in, in->at);
}

/* A member, or an element. */
static struct json_value *json_doc_read_item(struct reading *in, bool is_member)
{
    const char *name = is_member ? json_doc_read_name(in) : NULL;
    struct json_value *item = is_member && !name ? NULL : json_doc_read_value(in);

    if (item)
        item->name = name;
    return item;
}

/* The items after the opening bracket. */
static struct json_value *json_doc_read_items(struct reading *in, enum json_kind kind)
{
    const char end = kind == JSON_OBJECT ? '}' : ']';
    struct json_value *container = json_doc_begin_value(in, kind);
    struct json_value **next = &container->first;

    json_doc_skip_space(in);
    if (json_doc_take(in, end))
        return container;
    for (;;) {
        json_doc_skip_space(in);
        *next = json_doc_read_item(in, kind == JSON_OBJECT);
        if (!*next)
            return NULL;
        next = &(*next)->next;
        container->count++;
        json_doc_skip_space(in);
        if (json_doc_take(in, end))
            return container;
        if (!json_doc_take(in, ','))
            return json_doc_fail_unexpected(in, in->at);
    }
}

static struct json_value *json_doc_read_container(struct reading *in, enum json_kind kind)
{
    struct json_value *container;

    if (in->depth == JSON_DEPTH_MAX)
        return json_doc_fail(in, in->at, "nested too deeply");
    in->depth++;
    in->at++;
    container = json_doc_read_items(in, kind);
    in->depth--;
    return container;
}

static struct json_value *json_doc_read_literal(struct reading *in, const char *literal,
                                                enum json_kind kind)
{
    struct json_value *value;

    for (const char *c = literal; *c; c++)
        if (!json_doc_take(in, *c))
            return json_doc_fail_unexpected(in, in->at);
    value = json_doc_begin_value(in, kind);
    value->is_true = literal[0] == 't';
    return value;
}

static struct json_value *json_doc_read_value(struct reading *in)
{
    json_doc_skip_space(in);
    switch (in->at < in->len ? in->text[in->at] : 0) {
    case '{':
        return json_doc_read_container(in, JSON_OBJECT);
    case '[':
        return json_doc_read_container(in, JSON_ARRAY);
    case '"':
        return json_doc_read_string(in);
    case 't':
        return json_doc_read_literal(in, "true", JSON_BOOLEAN);
    case 'f':
        return json_doc_read_literal(in, "false", JSON_BOOLEAN);
    case 'n':
        return json_doc_read_literal(in, "null", JSON_NULL);
    case '-':
    case '0' ... '9':
        return json_doc_read_number(in);
    default:
        return json_doc_fail_unexpected(in, in->at);
    }
}

/* The only value of the text. */
static struct json_value *json_doc_read_whole(struct reading *in)
{
    struct json_value *value;

    if (in->len > INT32_MAX - 1)
        return json_doc_fail(in, INT32_MAX, "it is too long");
    if (!in->len)
        return json_doc_fail(in, 0, "there is no value");
    value = json_doc_read_value(in);
    if (!value)
        return NULL;
    json_doc_skip_space(in);
    return in->at == in->len ? value
                             : json_doc_fail(in, in->at, "there is something after the value");
}

/* `in` says how. */
static struct json_value *json_doc_read_as(struct reading *in, struct json_doc *doc,
                                           const char *text, size_t len,
                                           struct json_error *ret_error)
{
    struct json_value *value;

    json_doc_clear(doc);
    while (len && json_doc_is_space(text[len - 1]))
        len--;
    buf_add(&doc->text, text, len);
    buf_text(&doc->text); /* ends with NUL, as strtod() needs it */
    in->doc = doc;
    in->text = doc->text.data;
    in->len = len;
    value = json_doc_read_whole(in);
    if (!value)
        *ret_error = (struct json_error){.reason = in->reason, .offset = in->at};
    return value;
}

struct json_value *json_doc_read(struct json_doc *doc, const char *text, size_t len,
                                 struct json_error *ret_error)
{
    return json_doc_read_as(&(struct reading){0}, doc, text, len, ret_error);
}

static void json_doc_free_chunks(struct json_chunk *chunk)
{
    while (chunk) {
        struct json_chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
}

void json_doc_clear(struct json_doc *doc)
{
#ifdef HAS_ASAN
    json_doc_deinit(doc); /* so that it sees the use of a value that is gone */
#else
    if (doc->chunks && !doc->spare) { /* keeps one of them */
        doc->spare = doc->chunks;
        doc->chunks = doc->chunks->next;
        doc->spare->next = NULL;
    }
    json_doc_free_chunks(doc->chunks);
    doc->chunks = NULL;
    doc->used = 0;
    if (doc->text.capacity > TEXT_USUAL)
        buf_deinit(&doc->text);
    buf_clear(&doc->text);
#endif
}

void json_doc_deinit(struct json_doc *doc)
{
    json_doc_free_chunks(doc->chunks);
    json_doc_free_chunks(doc->spare);
    buf_deinit(&doc->text);
    *doc = (struct json_doc){0};
}

size_t json_doc_offset_of(const struct json_doc *doc, const struct json_value *member)
{
    return (size_t)(member->name - doc->text.data) - 1;
}

/* Copies a string, except lone surrogates, which many parsers reject. Returns its length. */
static size_t json_doc_copy_string(struct buf *out, const char *text, size_t len, size_t start)
{
    size_t at = start + 1, width;

    buf_add_char(out, '"');
    for (; text[at] != '"'; at += width) {
        int unit = json_doc_code_unit(text, len, at);
        bool is_high = json_doc_is_high_surrogate(unit);

        width = unit >= 0 ? 6 : text[at] == '\\' ? 2 : 1;
        if (is_high && json_doc_is_low_surrogate(json_doc_code_unit(text, len, at + 6)))
            width = 12;
        if (width == 6 && (is_high || json_doc_is_low_surrogate(unit)))
            buf_add_text(out, "\\ufffd");
        else
            buf_add(out, text + at, width);
    }
    buf_add_char(out, '"');
    return at + 1 - start;
}

char *json_doc_compact_text(const char *text, size_t len, struct json_error *ret_error)
{
    CLEANUP(json_doc_deinit) struct json_doc doc = {0};
    struct reading in = {.is_only_checked = true};
    struct buf out = {0};

    if (!json_doc_read_as(&in, &doc, text, len, ret_error))
        return NULL;
    for (size_t at = 0; at < len;) {
        if (text[at] == '"') {
            at += json_doc_copy_string(&out, text, len, at);
            continue;
        }
        if (!json_doc_is_space(text[at]))
            buf_add_char(&out, text[at]);
        at++;
    }
    return buf_take(&out);
}
