/* SPDX-License-Identifier: MIT */
/* JSON that is written. */
#include <math.h>
#include <string.h>

#include "common/json.h"
#include "common/json_out.h"
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

/* What ends with the signs after which no comma is due. */
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

/* Members without an object around them, and several values, a line each. */
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

void add_json_out_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "json_out");

    tcase_add_test(tcase, json_out_puts_commas);
    tcase_add_test(tcase, json_out_nests);
    tcase_add_test(tcase, json_out_knows_values_from_signs);
    tcase_add_test(tcase, json_out_takes_raw_pieces);
    tcase_add_test(tcase, json_out_begins_anywhere);
}
