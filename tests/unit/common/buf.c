/* SPDX-License-Identifier: MIT */
/* The buffer, and UTF-8. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/utf8.h"
#include "fixture.h"

/* The buffer */

START_TEST(buf_grows_and_shrinks)
{
    CLEANUP(buf_deinit) struct buf buf = {0};
    CLEANUP(freep) char *taken = NULL;

    ck_assert_str_eq(buf_text(&buf), "");
    ck_assert_uint_eq(buf.len, 0);
    buf_add(&buf, NULL, 0);
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%03d,", i);
    ck_assert_uint_eq(buf.len, 4000);
    ck_assert_int_eq(strncmp(buf_text(&buf), "000,001,002,", 12), 0);
    buf_consume(&buf, 3992);
    ck_assert_str_eq(buf_text(&buf), "998,999,");
    buf_add(&buf, "a\0b", 3);
    ck_assert_uint_eq(buf.len, 11);
    ck_assert_mem_eq(buf.data, "998,999,a\0b", 11);
    buf_consume(&buf, 11);
    ck_assert_uint_eq(buf.len, 0);
    buf_add_text(&buf, "moved");
    buf_add_char(&buf, '!');
    taken = buf_take(&buf);
    ck_assert_str_eq(taken, "moved!");
    ck_assert_ptr_null(buf.data);
    ck_assert_uint_eq(buf.len, 0);
    buf_add_text(&buf, "x");
    buf_clear(&buf);
    ck_assert_str_eq(buf_text(&buf), "");
    /* Exactly full: the terminator needs room too. */
    for (int i = 0; i < 256; i++)
        buf_add_char(&buf, 'y');
    ck_assert_uint_eq(strlen(buf_text(&buf)), 256);
}
END_TEST

START_TEST(buf_prints_integers)
{
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {7, "7"},
        {-7, "-7"},
        {10, "10"},
        {-100, "-100"},
        {1234567890, "1234567890"},
        {INT64_MAX, "9223372036854775807"},
        {INT64_MIN, "-9223372036854775808"},
        {INT64_MIN + 1, "-9223372036854775807"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(buf_deinit) struct buf buf = {0};

        buf_add_int(&buf, rows[i].value);
        ck_assert_str_eq(buf_text(&buf), rows[i].text);
    }
}
END_TEST

START_TEST(buf_prints_numbers)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "0"},
        {1, "1"},
        {-42, "-42"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {12.345, "12.345"},
        {0.000001, "0.000001"},
        {-999999999.999999, "-999999999.999999"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.33333333333333331"},
        {999999999999999, "999999999999999"},
        {1e15, "1e+15"},
        {1e300, "1e+300"},
        {-1e300, "-1e+300"},
        {1e-7, "1e-07"},
        {5e-324, "4.94065645841247e-324"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {(double)NAN, "null"},
        {(double)INFINITY, "null"},
        {(double)-INFINITY, "null"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(buf_deinit) struct buf buf = {0};

        buf_add_json_number(&buf, rows[i].value);
        ck_assert_str_eq(buf_text(&buf), rows[i].text);
    }
}
END_TEST

START_TEST(buf_numbers_read_back)
{
    chance = 3;
    for (int i = 0; i < 100000; i++) {
        CLEANUP(buf_deinit) struct buf buf = {0};
        uint64_t bits = random_below(UINT64_C(1) << 32) << 32 | random_below(UINT64_C(1) << 32);
        double value;

        memcpy(&value, &bits, sizeof(value));
        if (i % 2) /* a figure such as people make */
            value = (double)(int64_t)(bits >> (14 + i % 50)) / 1e6;
        if (!isfinite(value))
            continue;
        buf_add_json_number(&buf, value);
        ck_assert_msg(strtod(buf_text(&buf), NULL) == value, "%s", buf_text(&buf));
    }
}
END_TEST

START_TEST(buf_prints_times)
{
    CLEANUP(buf_deinit) struct buf buf = {0};

    buf_add_json_time(&buf, 0);
    buf_add_json_time(&buf, 1);
    ck_assert_str_eq(buf_text(&buf), "null\"1970-01-01T00:00:00.001Z\"");
}
END_TEST

/* The string, parsed again by json-c on its own, must be `expected`. */
static void check_string(const char *text, size_t len, const char *expected, size_t expected_len)
{
    CLEANUP(buf_deinit) struct buf buf = {0};
    CLEANUP(json_putp) struct json_object *value = NULL;
    enum json_tokener_error error;

    buf_add_json_string(&buf, text, len);
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

START_TEST(buf_escapes_strings)
{
    CLEANUP(buf_deinit) struct buf buf = {0};
    static const char all[] = "\b\t\n\f\r\"\\/\x01\x1f\x7f plain \xc3\xa9 \xf0\x9f\x98\x80";

    buf_add_json_text(&buf, all);
    ck_assert_str_eq(buf_text(&buf), "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0001\\u001f\\u007f plain "
                                     "\xc3\xa9 \xf0\x9f\x98\x80\"");
    check_string(all, strlen(all), all, strlen(all));
    buf_clear(&buf);
    buf_add_json_string(&buf, "a\0b", 3);
    ck_assert_str_eq(buf_text(&buf), "\"a\\u0000b\"");
    check_string("a\0b", 3, "a\0b", 3);
    buf_clear(&buf);
    buf_add_json_text(&buf, "");
    ck_assert_str_eq(buf_text(&buf), "\"\"");
    buf_clear(&buf);
    buf_add_json_text(&buf, NULL);
    buf_add_json_string(&buf, NULL, 0);
    ck_assert_str_eq(buf_text(&buf), "nullnull");
    for (int c = 0; c < 0x80; c++) {
        char text[3] = {'<', (char)c, '>'};

        check_string(text, 3, text, 3);
    }
}
END_TEST

START_TEST(buf_replaces_bad_utf8)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"\xff", REPLACEMENT},
        {"a\x80z", "a" REPLACEMENT "z"},
        {"\xc3", REPLACEMENT},                                 /* truncated */
        {"\xc3(", REPLACEMENT "("},                            /* and what follows stays */
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

START_TEST(buf_prints_any_bytes)
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

/* UTF-8 */

/* The code point of exactly `len` bytes by the definition, or -1. */
static int64_t decode(const unsigned char *s, size_t len)
{
    static const int64_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int64_t point = s[0];

    if (len == 1)
        return s[0] < 0x80 ? s[0] : -1;
    if (len == 2 && (s[0] & 0xe0) == 0xc0)
        point = s[0] & 0x1f;
    else if (len == 3 && (s[0] & 0xf0) == 0xe0)
        point = s[0] & 0x0f;
    else if (len == 4 && (s[0] & 0xf8) == 0xf0)
        point = s[0] & 0x07;
    else
        return -1;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return -1;
        point = point << 6 | (s[i] & 0x3f);
    }
    return point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? -1
                                                                                          : point;
}

static size_t check_utf8(const unsigned char *s, size_t len)
{
    size_t expected = 0, width = utf8_width((const char *)s, len);

    for (size_t n = 1; n <= len && !expected; n++)
        expected = decode(s, n) >= 0 ? n : 0;
    if (width != expected) /* Not an assertion each: Check writes every one to a file. */
        ck_abort_msg("%02x %02x.. of %zu: %zu, not %zu", s[0], len > 1 ? s[1] : 0, len, width,
                     expected);
    return width;
}

START_TEST(utf8_width_follows_the_definition)
{
    static const unsigned char tails[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    size_t counts[5] = {0};

    ck_assert_uint_eq(utf8_width("", 0), 0);
    for (int a = 0; a < 256; a++) {
        unsigned char s[4] = {(unsigned char)a};

        counts[1] += check_utf8(s, 1) == 1;
        for (int b = 0; b < 256; b++) {
            s[1] = (unsigned char)b;
            counts[2] += check_utf8(s, 2) == 2;
            for (int c = 0; c < 256 && a >= 0xe0 && a < 0xf0; c++) {
                s[2] = (unsigned char)c;
                counts[3] += check_utf8(s, 3) == 3;
            }
            for (size_t c = 0; c < ARRAY_SIZE(tails); c++) {
                for (size_t d = 0; d < ARRAY_SIZE(tails); d++) {
                    s[2] = tails[c];
                    s[3] = tails[d];
                    counts[4] += check_utf8(s, 4) == 4;
                }
            }
        }
    }
    ck_assert_uint_eq(counts[1], 0x80);
    ck_assert_uint_eq(counts[2], 0x800 - 0x80);
    ck_assert_uint_eq(counts[3], 0x10000 - 0x800 - 0x800);
    ck_assert_uint_eq(counts[4], 0x100000 / 0x1000 * 4); /* of 64 * 64 tails, 2 * 2 */
}
END_TEST

void add_buf_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "buf");

    tcase_add_test(tcase, buf_grows_and_shrinks);
    tcase_add_test(tcase, buf_prints_integers);
    tcase_add_test(tcase, buf_prints_numbers);
    tcase_add_test(tcase, buf_numbers_read_back);
    tcase_add_test(tcase, buf_prints_times);
    tcase_add_test(tcase, buf_escapes_strings);
    tcase_add_test(tcase, buf_replaces_bad_utf8);
    tcase_add_loop_test(tcase, buf_prints_any_bytes, 0, 3);
    tcase = add_case(suite, "utf8");
    tcase_add_test(tcase, utf8_width_follows_the_definition);
}
