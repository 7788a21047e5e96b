/* SPDX-License-Identifier: MIT */
/* The buffer, and UTF-8. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "common/buf.h"
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
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(buf_deinit) struct buf buf = {0};

        buf_add_number(&buf, rows[i].value);
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
        if (i % 2) /* a number as people write it */
            value = (double)(int64_t)(bits >> (14 + i % 50)) / 1e6;
        if (!isfinite(value))
            continue;
        buf_add_number(&buf, value);
        ck_assert_msg(strtod(buf_text(&buf), NULL) == value, "%s", buf_text(&buf));
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
    if (width != expected) /* Not an assertion: Check writes each one to a file. */
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
    tcase = add_case(suite, "utf8");
    tcase_add_test(tcase, utf8_width_follows_the_definition);
}
