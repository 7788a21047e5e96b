/* SPDX-License-Identifier: MIT */
/* Reading JSON. */
#include <errno.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json.h"
#include "fixture.h"

/* Parses; the compact text must be `expected`. */
static void reads(const char *text, size_t len, const char *expected)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    const char *reason = "none";
    size_t offset = 0;
    int r = json_parse(text, len, &value, &reason, &offset);

    ck_assert_msg(r == 0, "<%.*s>: %s at %zu", (int)len, text, reason, offset);
    ck_assert_str_eq(json_compact(value), expected);
}

static void refuses(const char *text, size_t len, size_t expected_offset)
{
    struct json_object *value = NULL;
    const char *reason = NULL;
    size_t offset = SIZE_MAX;
    int r = json_parse(text, len, &value, &reason, &offset);

    ck_assert_msg(r == -EINVAL, "<%.*s> was taken", (int)len, text);
    ck_assert_ptr_null(value);
    ck_assert_msg(reason && reason[0], "<%.*s>: no reason", (int)len, text);
    ck_assert_msg(offset == expected_offset, "<%.*s>: %s at %zu, not %zu", (int)len, text, reason,
                  offset, expected_offset);
}

START_TEST(json_reads)
{
    static const struct {
        const char *text, *compact;
    } rows[] = {
        {"null", "null"},
        {"true", "true"},
        {"false", "false"},
        {"0", "0"},
        {"-0", "0"},
        {"7", "7"},
        {"-12.5", "-12.5"},
        {"1e5", "1e5"},
        {"1E+2", "1E+2"},
        {"1.7976931348623157e308", "1.7976931348623157e308"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"18446744073709551615", "18446744073709551615"},
        {"18446744073709551616", "18446744073709551616"},
        {"-9223372036854775809", "-9223372036854775809"},
        {"[-18446744073709551617,12345678901234567890123]",
         "[-18446744073709551617,12345678901234567890123]"},
        {"0.1000000000000000055", "0.1000000000000000055"},
        {"\"\"", "\"\""},
        {"\"a\\u0041\\n\\\"\\\\\"", "\"aA\\n\\\"\\\\\""},
        {"\"\\ud83d\\ude00 \xc3\xa9\"", "\"\xf0\x9f\x98\x80 \xc3\xa9\""},
        {"\"\\ud800\"", "\"" REPLACEMENT "\""}, /* half a pair */
        {"\"NaN 'x' 01 1. Infinity\"", "\"NaN 'x' 01 1. Infinity\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[1,[2,{\"a\":null}],\"x\"]", "[1,[2,{\"a\":null}],\"x\"]"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
        {" \t\r\n{ \"a\" : [ 1 , 2 ] }\r\n\t ", "{\"a\":[1,2]}"},
        {" 42 ", "42"},
        {"\ntrue\n", "true"},
        {"\"a/b\"", "\"a/b\""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        reads(rows[i].text, strlen(rows[i].text), rows[i].compact);
    /* A number ends with the given bytes, whatever follows them. */
    reads("123", 2, "12");
    reads("[1]]", 3, "[1]");
    reads("1e999", 1, "1");
    reads("\"\\\\\"", 4, "\"\\\\\"");
}
END_TEST

START_TEST(json_compacts)
{
    static const struct {
        const char *text, *compact;
    } rows[] = {
        {" { \"a\" : [ 1 , 2.50 , -0 ] ,\t\"b c\" : \" x \\\" y \" } \r\n",
         "{\"a\":[1,2.50,-0],\"b c\":\" x \\\" y \"}"},
        {"{\"n\":123456789012345678901}", "{\"n\":123456789012345678901}"},
        {"[-99999999999999999999999,18446744073709551616]",
         "[-99999999999999999999999,18446744073709551616]"},
        {"[0.12345678901234567890123,12345678901234567890123.5,1e5]",
         "[0.12345678901234567890123,12345678901234567890123.5,1e5]"},
        {"{\"123456789012345678901\":\"-123456789012345678901.\"}",
         "{\"123456789012345678901\":\"-123456789012345678901.\"}"},
        {"\"\\u0041\\/\\u0000\\\\\"", "\"\\u0041\\/\\u0000\\\\\""},
        {"[\"\\ud83d\\ude00\",\"\\ud83d\",\"\\ude00x\",\"\\ud83d\\ud83d\\ude00\",\"\\\\ud83d\"]",
         "[\"\\ud83d\\ude00\",\"\\ufffd\",\"\\ufffdx\",\"\\ufffd\\ud83d\\ude00\",\"\\\\ud83d\"]"},
    };
    static const char *const bad[] = {
        "",
        "{",
        "{\"a\":1,}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":\"\\\"",
        "{'a':1}",
        "{} {}",
        "[1e400]",
        "{\"a\":NaN}",
        "[01]",
        "[\"\\ud83\"]",
        "[12345678901234567890123 4]",
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct json_error error = {.reason = "none"};
        CLEANUP(freep)
        char *text = json_doc_compact_text(rows[i].text, strlen(rows[i].text), &error);

        ck_assert_msg(text, "<%s>: %s at %zu", rows[i].text, error.reason, error.offset);
        ck_assert_str_eq(text, rows[i].compact);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct json_error error = {0};

        ck_assert_msg(!json_doc_compact_text(bad[i], strlen(bad[i]), &error), "<%s> was taken",
                      bad[i]);
        ck_assert_ptr_nonnull(error.reason);
    }
}
END_TEST

static const struct {
    const char *text;
    size_t offset;
} refused[] = {
    {"", 0},
    {"   ", 0},
    {"\r\n", 0},
    {"[1,2", 4},
    {"{\"a\":", 5},
    {"\"abc", 4},
    {"\"abc\\", 5},
    {"tru", 3},
    {"1 2", 2},
    {"{} {}", 3},
    {"[]x", 2},
    {"nulll", 4},
    {"{}\n\n]", 4},
    {"[1,]", 3},
    {"{\"a\":1,}", 7},
    {"[,1]", 1},
    {"{1:2}", 1},
    {"{a:1}", 1},
    {"{\"a\" 1}", 5},
    {"'a'", 0},
    {"{'a':1}", 1},
    {"[1 2]", 3},
    {"True", 0},
    {"NaN", 0},
    {"[0,NaN]", 3},
    {"-NaN", 0},
    {"nan", 1},
    {"Infinity", 0},
    {"-Infinity", 0},
    {"{\"a\":Infinity}", 5},
    {"1e999", 0},
    {"[1,-1e999]", 3},
    {"{\"x\":1,\n\"y\":1e400}", 12},
    {"01", 0},
    {"[-01]", 1},
    {"1.", 0},
    {".5", 0},
    {"[1.,2]", 1},
    {"1e", 0},
    {"1e+", 0},
    {"-", 0},
    {"+1", 0},
    {"--1", 0},
    {"0x10", 1},
    {"/* */ 1", 0},
    {"[1] // x", 4},
    {"\"\t\"", 1},
    {"\"a\nb\"", 2},
    {"\"\\x\"", 2},
    {"\"\\u12g4\"", 5},
    {"\f1", 0},
    {"[\v1]", 1},
    {"\"\xff\"", 1},
    {"[\"a\",\"\xc3\"]", 6},
    {"\"\xe2\x82", 1},
    {"\"\xc0\x80\"", 1},              /* overlong */
    {"\"\xed\xa0\x80\"", 1},          /* a surrogate */
    {"{\"k\xf4\x90\x80\x80\":1}", 3}, /* beyond Unicode */
    {"\xef\xbb\xbf{}", 0},            /* a byte order mark */
    {"\xc3\xa9", 0},
};

START_TEST(json_refuses)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        refuses(refused[i].text, strlen(refused[i].text), refused[i].offset);
    refuses("[]\0", 3, 2);
    refuses("[]\0x", 4, 2);
    refuses("[\0]", 3, 1);
    refuses("\"\0\"", 3, 1);
    refuses("1\0", 2, 1);
    refuses(NULL, 0, 0);
}
END_TEST

START_TEST(json_bounds_depth)
{
    for (size_t depth = 1; depth <= 70; depth++) {
        char text[160] = "", objects[800] = "";
        size_t len = 0;

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        for (size_t i = 1; i < depth; i++, len += 5)
            memcpy(objects + len, "{\"a\":", 5);
        objects[len++] = '{';
        memset(objects + len, '}', depth);
        if (depth <= JSON_DEPTH_MAX) {
            reads(text, strlen(text), text);
            reads(objects, strlen(objects), objects);
        } else {
            refuses(text, strlen(text), JSON_DEPTH_MAX);
            refuses(objects, strlen(objects), JSON_DEPTH_MAX * 5);
        }
    }
}
END_TEST

/* Pieces of texts; most of what they make is wrong somewhere. */
static const char *const pieces[] = {
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\"a\"",
    "\"b\":",
    "\"\"",
    "1",
    "-0",
    "2.50",
    "1e3",
    "-7E-1",
    "true",
    "false",
    "null",
    "\"\\n\"",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83dx\"",
    "\"\xc3\xa9\"",
    "\"c\":[",
    "{\"d\":",
    "[18446744073709551615]", /* of more digits json-c would make another number */
    "[-9223372036854775808]",
    "0.1",
};

/* What acpd reads means the same to json-c; both refuse the same, but for numbers. */
START_TEST(json_agrees_with_json_c)
{
    struct json_tokener *tokener = json_tokener_new();
    int taken = 0;

    chance = 14;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
    for (int i = 0; i < 300000; i++) {
        CLEANUP(json_putp) struct json_object *ours = NULL, *theirs = NULL;
        char text[256] = "";
        const char *reason;
        size_t offset, len;
        int r;

        for (size_t n = random_below(9) + 1; n; n--)
            strcat(text, pieces[random_below(ARRAY_SIZE(pieces))]);
        len = strlen(text);
        strcat(text, " "); /* so that json-c knows a number to be complete */
        r = json_parse(text, len, &ours, &reason, &offset);
        json_tokener_reset(tokener);
        theirs = json_tokener_parse_ex(tokener, text, (int)len + 1);
        if (json_tokener_get_error(tokener) != json_tokener_success ||
            json_tokener_get_parse_end(tokener) < len) {
            ck_assert_msg(r < 0, "<%s> was taken", text);
            continue;
        }
        if (r < 0 && strstr(reason, "number")) /* json-c takes more of them */
            continue;
        ck_assert_msg(r == 0, "<%s>: %s at %zu", text, reason, offset);
        ck_assert_str_eq(json_compact(ours), json_compact(theirs));
        taken++;
    }
    ck_assert_int_gt(taken, 10000);
    json_tokener_free(tokener);
}
END_TEST

START_TEST(json_finds_twins)
{
    static const struct {
        const char *text, *twin;
        size_t offset;
    } rows[] = {
        {"{\"a\":1,\"b\":{\"a\":2},\"c\":[{\"a\":3},{\"a\":4}]}", NULL, 0},
        {"{\"a\":\"a\",\"b\":[\"a\",\"a\"]}", NULL, 0},
        {"\"a\"", NULL, 0},
        {"[\"\\u0000\",{\"a\":\"\\u0000\",\"b\":\"\\\"\"}]", NULL, 0},
        {"{\"a\":1, \"a\" :2}", "a", 8},
        {"[{\"b\":{\"x\":[],\"\\u0078\":0}}]", "x", 14},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t offset = 0;
        CLEANUP(freep) char *twin = json_find_twin(rows[i].text, strlen(rows[i].text), &offset);

        if (!rows[i].twin) {
            ck_assert_msg(!twin, "<%s>: %s", rows[i].text, twin);
            continue;
        }
        ck_assert_str_eq(twin, rows[i].twin);
        ck_assert_uint_eq(offset, rows[i].offset);
    }
}
END_TEST

START_TEST(json_members)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    static const char text[] = "{\"a\":\"x\",\"n\":null,\"u\":\"a/b\"}";
    const char *reason;
    size_t offset;

    ck_assert_int_eq(json_parse(text, strlen(text), &value, &reason, &offset), 0);
    ck_assert_str_eq(json_get_string(value, "a"), "x");
    ck_assert_ptr_null(json_get(value, "n"));
    ck_assert_ptr_null(json_get_string(value, "n"));
    ck_assert_ptr_null(json_get(value, "missing"));
    ck_assert_ptr_null(json_get(NULL, "a"));
    ck_assert_str_eq(json_compact(value), text);
}
END_TEST

void add_json_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "json");

    tcase_add_test(tcase, json_reads);
    tcase_add_test(tcase, json_compacts);
    tcase_add_test(tcase, json_refuses);
    tcase_add_test(tcase, json_bounds_depth);
    tcase_add_test(tcase, json_agrees_with_json_c);
    tcase_add_test(tcase, json_finds_twins);
    tcase_add_test(tcase, json_members);
}
