/* SPDX-License-Identifier: MIT */
/* JSON documents, and values in them; see json.c for what is a JSON text and what is not. */
#include <string.h>

#include "common/alloc.h"
#include "common/json_doc.h"
#include "fixture.h"

static struct json_value *read_doc(struct json_doc *doc, const char *text)
{
    struct json_error error = {.reason = "none"};
    struct json_value *value = json_doc_read(doc, text, strlen(text), &error);

    ck_assert_msg(value, "<%s>: %s at %zu", text, error.reason, error.offset);
    return value;
}

static void prints(const struct json_value *value, const char *expected)
{
    CLEANUP(buf_deinit) struct buf out = {0};

    json_value_print(value, &out);
    ck_assert_str_eq(buf_text(&out), expected);
}

START_TEST(json_doc_has_values)
{
    CLEANUP(json_doc_deinit) struct json_doc doc = {0};
    const struct json_value *root = read_doc(
        &doc, " {\"text\":\"a\\u0041\\ud83d\\ude00\\n/\",\"nul\":\"x\\u0000y\",\"none\":null,"
              "\"yes\":true,\"no\":false,\"int\":-12,\"num\":-1.50e1,\"list\":[1,[],{}]} ");
    const struct json_value *list = json_value_get(root, "list");

    ck_assert(json_value_is(root, JSON_OBJECT));
    ck_assert_uint_eq(json_value_count(root), 8);
    ck_assert_str_eq(json_value_get_text(root, "text"), "aA\xf0\x9f\x98\x80\n/");
    ck_assert(json_value_is_text(json_value_get(root, "text")));
    ck_assert_uint_eq(json_value_get(root, "nul")->len, 3);
    ck_assert(!json_value_is_text(json_value_get(root, "nul")));
    ck_assert_ptr_null(json_value_get(root, "none"));
    ck_assert(json_value_is(json_value_find(root, "none"), JSON_NULL));
    ck_assert_ptr_null(json_value_find(root, "missing"));
    ck_assert(json_value_get(root, "yes")->is_true);
    ck_assert(!json_value_get(root, "no")->is_true);
    ck_assert_int_eq(json_value_integer(json_value_get(root, "int")), -12);
    ck_assert(json_value_number(json_value_get(root, "int")) == -12);
    ck_assert(json_value_is(json_value_get(root, "num"), JSON_NUMBER));
    ck_assert(json_value_number(json_value_get(root, "num")) == -15);
    ck_assert_ptr_null(json_value_get_text(root, "int"));
    ck_assert_uint_eq(json_value_count(list), 3);
    ck_assert_ptr_null(json_value_get(list, "0"));
    ck_assert_ptr_null(json_value_get(NULL, "a"));
    ck_assert(!json_value_is(NULL, JSON_NULL));
    prints(root, "{\"text\":\"aA\xf0\x9f\x98\x80\\n/\",\"nul\":\"x\\u0000y\",\"none\":null,"
                 "\"yes\":true,\"no\":false,\"int\":-12,\"num\":-1.50e1,\"list\":[1,[],{}]}");
    prints(NULL, "null");
}
END_TEST

START_TEST(json_doc_reads_integers)
{
    static const struct {
        const char *text;
        int64_t integer;
        double number;
    } rows[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"9223372036854775807", INT64_MAX, 0x1p63},
        {"9223372036854775808", INT64_MAX, 0x1p63},
        {"18446744073709551615", INT64_MAX, 0x1p64},
        {"18446744073709551616", INT64_MAX, 0x1p64},
        {"-9223372036854775808", INT64_MIN, -0x1p63},
        {"-9223372036854775809", INT64_MIN, -0x1p63},
        {"-99999999999999999999999999", INT64_MIN, -0x1p63},
    };
    CLEANUP(json_doc_deinit) struct json_doc doc = {0};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *text = rows[i].text;
        struct json_error error;
        const struct json_value *value = json_doc_read(&doc, text, strlen(text), &error);

        ck_assert(json_value_is(value, JSON_INTEGER));
        ck_assert_msg(json_value_integer(value) == rows[i].integer, "%s", text);
        ck_assert_msg(json_value_number(value) == rows[i].number, "%s", text);
        prints(value, text);
    }
}
END_TEST

/* As parsers of most languages do. */
START_TEST(json_doc_takes_the_last_of_twins)
{
    CLEANUP(json_doc_deinit) struct json_doc doc = {0};
    const struct json_value *root = read_doc(&doc, "{\"a\":1,\"b\":2,\"a\":3,\"b\":null}");

    ck_assert_int_eq(json_value_integer(json_value_get(root, "a")), 3);
    ck_assert_ptr_null(json_value_get(root, "b"));
}
END_TEST

/* More values than fit a chunk, strings around the width of a word, and the same document again. */
START_TEST(json_doc_is_used_again)
{
    CLEANUP(json_doc_deinit) struct json_doc doc = {0};

    for (size_t count = 0; count < 200; count += count < 40 ? 1 : 17) {
        CLEANUP(buf_deinit) struct buf text = {0};
        const struct json_value *root;
        size_t n = 0;

        buf_add_char(&text, '[');
        for (size_t i = 0; i < count; i++) {
            buf_printf(&text, "%s\"%.*s\\u00e9%.*s\"", i ? "," : "", (int)(i % 20),
                       "abcdefghijklmnopqrst", (int)(i % 9), "123456789");
        }
        buf_add_char(&text, ']');
        root = read_doc(&doc, buf_text(&text));
        ck_assert_uint_eq(json_value_count(root), count);
        json_value_for_each (item, root) {
            CLEANUP(freep)
            char *expected = xasprintf("%.*s\xc3\xa9%.*s", (int)(n % 20), "abcdefghijklmnopqrst",
                                       (int)(n % 9), "123456789");

            ck_assert_str_eq(item->text, expected);
            n++;
        }
        ck_assert_uint_eq(n, count);
    }
    json_doc_clear(&doc);
    prints(read_doc(&doc, "7"), "7");
}
END_TEST

START_TEST(json_doc_can_be_moved)
{
    struct json_doc doc = {0}, moved;
    const struct json_value *root = read_doc(&doc, "{\"a\":[\"b\",1.5]}");

    moved = doc;
    doc = (struct json_doc){0};
    read_doc(&doc, "\"another one\"");
    prints(root, "{\"a\":[\"b\",1.5]}");
    json_doc_deinit(&moved);
    json_doc_deinit(&doc);
}
END_TEST

START_TEST(json_doc_compares)
{
    static const struct {
        const char *a, *b;
        bool are_equal;
    } rows[] = {
        {"1", "1", true},
        {"1", "1.0", false},
        {"1", "2", false},
        {"\"a\"", "\"\\u0061\"", true},
        {"\"a\"", "\"a\\u0000\"", false},
        {"true", "false", false},
        {"null", "null", true},
        {"[1,[\"x\"]]", "[1,[\"x\"]]", true},
        {"[1,[\"x\"]]", "[1,[\"y\"]]", false},
        {"[1]", "[1,2]", false},
        {"{\"a\":1}", "{\"a\":1}", true},
        {"{\"a\":1}", "{\"b\":1}", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(json_doc_deinit) struct json_doc one = {0};
        CLEANUP(json_doc_deinit) struct json_doc other = {0};

        ck_assert_msg(json_value_equals(read_doc(&one, rows[i].a), read_doc(&other, rows[i].b)) ==
                          rows[i].are_equal,
                      "%s, %s", rows[i].a, rows[i].b);
    }
}
END_TEST

void add_json_doc_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "json_doc");

    tcase_add_test(tcase, json_doc_has_values);
    tcase_add_test(tcase, json_doc_reads_integers);
    tcase_add_test(tcase, json_doc_takes_the_last_of_twins);
    tcase_add_test(tcase, json_doc_is_used_again);
    tcase_add_test(tcase, json_doc_can_be_moved);
    tcase_add_test(tcase, json_doc_compares);
}
