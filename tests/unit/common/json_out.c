/* SPDX-License-Identifier: MIT */
/* Writing JSON. */
#include <math.h>
#include <math.h>
#include <string.h>

#include "common/json.h"
#include "common/json_out.h"
#include "common/utf8.h"
#include "fixture.h"

START_TEST(json_out_puts_commas)
{
    CLEANUP(buf_deinit) struct buf out = {0};

    json_out_object(&out, NULL);
    json_out_text(&out, "text", "a");
    json_out_string(&out, "string", "bcd", 2);
    json_out_printf(&out, "printf", "%d \"%s\"", 7, "x");
    json_out_int(&out, "int", -12);
    json_out_number(&out, "number", 1.5);
    json_out_bool(&out, "yes", true);
    json_out_bool(&out, "no", false);
    json_out_null(&out, "null");
    json_out_time(&out, "time", 1);
    json_out_time(&out, "never", 0);
    json_out_raw(&out, "raw", "{\"a\":1}");
    json_out_key(&out, "key");
    json_out_int(&out, NULL, 3);
    json_out_end_object(&out);
    ck_assert_str_eq(
        buf_text(&out),
        "{\"text\":\"a\",\"string\":\"bc\",\"printf\":\"7 \\\"x\\\"\",\"int\":-12,\"number\":1.5,"
        "\"yes\":true,\"no\":false,\"null\":null,\"time\":\"1970-01-01T00:00:00.001Z\","
        "\"never\":null,\"raw\":{\"a\":1},\"key\":3}");

    buf_clear(&out);
    json_out_array(&out, NULL);
    json_out_text(&out, NULL, "a");
    json_out_string(&out, NULL, "bcd", 2);
    json_out_printf(&out, NULL, "%s", "");
    json_out_int(&out, NULL, 0);
    json_out_number(&out, NULL, 0.25);
    json_out_bool(&out, NULL, true);
    json_out_bool(&out, NULL, false);
    json_out_null(&out, NULL);
    json_out_time(&out, NULL, 0);
    json_out_raw(&out, NULL, "[]");
    json_out_end_array(&out);
    ck_assert_str_eq(buf_text(&out), "[\"a\",\"bc\",\"\",0,0.25,true,false,null,null,[]]");
}
END_TEST

START_TEST(json_out_nests)
{
    CLEANUP(buf_deinit) struct buf out = {0};

    json_out_object(&out, NULL);
    json_out_object(&out, "empty");
    json_out_end_object(&out);
    json_out_array(&out, "none");
    json_out_end_array(&out);
    json_out_array(&out, "list");
    json_out_array(&out, NULL);
    json_out_end_array(&out);
    json_out_array(&out, NULL);
    json_out_int(&out, NULL, 1);
    json_out_end_array(&out);
    for (int i = 0; i < 2; i++) {
        json_out_object(&out, NULL);
        json_out_object(&out, "a");
        json_out_end_object(&out);
        json_out_int(&out, "b", i);
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    json_out_bool(&out, "last", true);
    json_out_end_object(&out);
    ck_assert_str_eq(buf_text(&out),
                     "{\"empty\":{},\"none\":[],\"list\":[[],[1],{\"a\":{},\"b\":0},{\"a\":{},"
                     "\"b\":1}],\"last\":true}");
}
END_TEST

/* Values that end with characters after which no comma is due. */
START_TEST(json_out_knows_values_from_signs)
{
    static const char *const texts[] = {"{", "[", ":", ",", "\n", "a,", "{[:"};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(buf_deinit) struct buf out = {0};
        CLEANUP(json_putp) struct json_object *value = NULL;

        json_out_object(&out, NULL);
        json_out_text(&out, "a", texts[i]);
        json_out_text(&out, "b", texts[i]);
        json_out_array(&out, texts[i][0] == '\n' ? "c" : texts[i]);
        json_out_text(&out, NULL, texts[i]);
        json_out_int(&out, NULL, 1);
        json_out_end_array(&out);
        json_out_end_object(&out);
        value = json_tokener_parse(buf_text(&out));
        ck_assert_msg(value != NULL, "%s", buf_text(&out));
        ck_assert_int_eq(json_object_object_length(value), 3);
        ck_assert_str_eq(json_get_string(value, "b"), texts[i]);
    }
}
END_TEST

START_TEST(json_out_takes_raw_pieces)
{
    CLEANUP(buf_deinit) struct buf out = {0};

    json_out_object(&out, NULL);
    json_out_raw(&out, NULL, "\"a\":1,\"b\":[]"); /* members */
    json_out_raw(&out, "c", NULL);
    json_out_raw_bytes(&out, "d", "12345", 2);
    json_out_raw_bytes(&out, "e", "", 0);
    json_out_array(&out, "f");
    json_out_raw_bytes(&out, NULL, NULL, 0);
    json_out_raw_bytes(&out, NULL, "1,2", 3); /* elements */
    json_out_raw_bytes(&out, NULL, NULL, 0);
    json_out_raw(&out, NULL, "{} "); /* a value, though white space follows it */
    json_out_int(&out, NULL, 3);
    json_out_end_array(&out);
    json_out_key(&out, "g");
    buf_add_text(&out, "4");
    json_out_int(&out, "h", 5);
    json_out_end_object(&out);
    ck_assert_str_eq(buf_text(&out),
                     "{\"a\":1,\"b\":[],\"c\":null,\"d\":12,\"f\":[1,2,{} ,3],\"g\":4,\"h\":5}");
}
END_TEST

/* Members without an enclosing object, and several values, one per line. */
START_TEST(json_out_begins_anywhere)
{
    CLEANUP(buf_deinit) struct buf out = {0};

    json_out_int(&out, "a", 1);
    json_out_int(&out, "b", 2);
    ck_assert_str_eq(buf_text(&out), "\"a\":1,\"b\":2");
    buf_clear(&out);
    for (int i = 0; i < 2; i++) {
        json_out_object(&out, NULL);
        json_out_int(&out, "line", i);
        json_out_end_object(&out);
        buf_add_char(&out, '\n');
    }
    ck_assert_str_eq(buf_text(&out), "{\"line\":0}\n{\"line\":1}\n");
    buf_clear(&out);
    json_out_null(&out, NULL);
    ck_assert_str_eq(buf_text(&out), "null");
}
END_TEST

START_TEST(json_out_has_null_for_what_is_no_number)
{
    CLEANUP(buf_deinit) struct buf out = {0};

    json_out_array(&out, NULL);
    json_out_number(&out, NULL, (double)NAN);
    json_out_number(&out, NULL, (double)INFINITY);
    json_out_number(&out, NULL, (double)-INFINITY);
    json_out_number(&out, NULL, 1e300);
    json_out_end_array(&out);
    ck_assert_str_eq(buf_text(&out), "[null,null,null,1e+300]");
}
END_TEST

/* The string, parsed again by json-c on its own, must be `expected`. */
static void check_string(const char *text, size_t len, const char *expected, size_t expected_len)
{
    CLEANUP(buf_deinit) struct buf buf = {0};
    CLEANUP(json_putp) struct json_object *value = NULL;
    enum json_tokener_error error;

    json_out_string(&buf, NULL, text, len);
    for (size_t i = 0; i < buf.len; i++)
        ck_assert_msg((unsigned char)buf.data[i] >= 0x20 && buf.data[i] != 0x7f,
                      "a bare control character in %s", buf_text(&buf));
    value = json_tokener_parse_verbose(buf_text(&buf), &error);
    ck_assert_msg(error == json_tokener_success, "%s: %s", json_tokener_error_desc(error),
                  buf_text(&buf));
    ck_assert(json_object_is_type(value, json_type_string));
    ck_assert_uint_eq((size_t)json_object_get_string_len(value), expected_len);
    ck_assert_mem_eq(json_object_get_string(value), expected, expected_len);
}

START_TEST(json_out_escapes_strings)
{
    CLEANUP(buf_deinit) struct buf buf = {0};
    static const char all[] = "\b\t\n\f\r\"\\/\x01\x1f\x7f plain \xc3\xa9 \xf0\x9f\x98\x80";

    json_out_text(&buf, NULL, all);
    ck_assert_str_eq(buf_text(&buf), "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0001\\u001f\\u007f plain "
                                     "\xc3\xa9 \xf0\x9f\x98\x80\"");
    check_string(all, strlen(all), all, strlen(all));
    buf_clear(&buf);
    json_out_string(&buf, NULL, "a\0b", 3);
    ck_assert_str_eq(buf_text(&buf), "\"a\\u0000b\"");
    check_string("a\0b", 3, "a\0b", 3);
    buf_clear(&buf);
    json_out_text(&buf, NULL, "");
    ck_assert_str_eq(buf_text(&buf), "\"\"");
    buf_clear(&buf);
    json_out_text(&buf, NULL, NULL);
    json_out_string(&buf, NULL, NULL, 0);
    ck_assert_str_eq(buf_text(&buf), "null,null");
    for (int c = 0; c < 0x80; c++) {
        char text[3] = {'<', (char)c, '>'};

        check_string(text, 3, text, 3);
    }
}
END_TEST

START_TEST(json_out_replaces_bad_utf8)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"\xff", REPLACEMENT},
        {"a\x80z", "a" REPLACEMENT "z"},
        {"\xc3", REPLACEMENT},                                 /* truncated */
        {"\xc3(", REPLACEMENT "("},                            /* what follows stays */
        {"\xe2\x82", REPLACEMENT REPLACEMENT},                 /* truncated at the end */
        {"\xe2\x82\"", REPLACEMENT REPLACEMENT "\""},          /* cannot swallow a quote */
        {"\xf0\x9f\x98", REPLACEMENT REPLACEMENT REPLACEMENT}, /* truncated */
        {"\xc0\xaf", REPLACEMENT REPLACEMENT},                 /* overlong */
        {"\xe0\x80\xaf", REPLACEMENT REPLACEMENT REPLACEMENT}, /* overlong */
        {"\xf0\x80\x80\xaf", REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT},
        {"\xed\xa0\x80", REPLACEMENT REPLACEMENT REPLACEMENT},                 /* a surrogate */
        {"\xed\xbf\xbf", REPLACEMENT REPLACEMENT REPLACEMENT},                 /* another */
        {"\xf4\x90\x80\x80", REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT}, /* too large */
        {"\xf5\x80\x80\x80", REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT},
        {"\xc3\xa9\xff\xc3\xa9", "\xc3\xa9" REPLACEMENT "\xc3\xa9"},
        {"\xed\x9f\xbf", "\xed\x9f\xbf"},         /* the last before the surrogates */
        {"\xee\x80\x80", "\xee\x80\x80"},         /* the first behind them */
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, /* the last of all */
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        check_string(rows[i].text, strlen(rows[i].text), rows[i].expected,
                     strlen(rows[i].expected));
}
END_TEST

START_TEST(json_out_prints_any_bytes)
{
    CLEANUP(buf_deinit) struct buf expected = {0};

    chance = (uint64_t)_i + 11;
    for (int round = 0; round < 5000; round++) {
        static const unsigned char favourites[] = {0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f,
                                                   0x98, 0x80, 0xed, 0xa0, 0xff, '"',  '\\'};
        char text[24];
        size_t len = random_below(sizeof(text) + 1);

        buf_clear(&expected);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(random_below(2) ? favourites[random_below(sizeof(favourites))]
                                             : random_below(256));
        for (size_t i = 0; i < len;) {
            size_t width = utf8_width(text + i, len - i);

            buf_add(&expected, width ? text + i : REPLACEMENT, width ? width : 3);
            i += width ? width : 1;
        }
        check_string(text, len, buf_text(&expected), expected.len);
    }
}
END_TEST

void add_json_out_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "json_out");

    tcase_add_test(tcase, json_out_puts_commas);
    tcase_add_test(tcase, json_out_nests);
    tcase_add_test(tcase, json_out_knows_values_from_signs);
    tcase_add_test(tcase, json_out_takes_raw_pieces);
    tcase_add_test(tcase, json_out_begins_anywhere);
    tcase_add_test(tcase, json_out_has_null_for_what_is_no_number);
    tcase_add_test(tcase, json_out_escapes_strings);
    tcase_add_test(tcase, json_out_replaces_bad_utf8);
    tcase_add_loop_test(tcase, json_out_prints_any_bytes, 0, 3);
}
