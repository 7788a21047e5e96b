/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/heap.h"
#include "common/json.h"
#include "common/list.h"
#include "common/log.h"
#include "common/path.h"
#include "common/strv.h"
#include "common/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define YEAR_0      INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define YEAR_9999   INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

/* xorshift64*; a seed makes a run of its own, the same each time. */
static uint64_t chance;

static uint64_t random_below(uint64_t limit)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (chance * UINT64_C(2685821657736338717) >> 16) % limit;
}

/* Time */

START_TEST(clock_formats_known_times)
{
    static const struct {
        int64_t at;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-86400000, "1969-12-31T00:00:00.000Z"},
        {1795357930125, "2026-11-22T14:32:10.125Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},  /* a leap year, by 400 */
        {1709251199999, "2024-02-29T23:59:59.999Z"}, /* by 4 */
        {4107542399999, "2100-02-28T23:59:59.999Z"}, /* none, by 100 */
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {-2203891200001, "1900-02-28T23:59:59.999Z"},
        {-2203891200000, "1900-03-01T00:00:00.000Z"},
        {YEAR_0, "0000-01-01T00:00:00.000Z"},
        {YEAR_9999, "9999-12-31T23:59:59.999Z"},
        {YEAR_0 - 1, "0000-01-01T00:00:00.000Z"}, /* clamped */
        {YEAR_9999 + 1, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[CLOCK_ISO_SIZE];

        clock_format_iso(rows[i].at, text);
        ck_assert_str_eq(text, rows[i].text);
    }
}
END_TEST

/* What libc makes of it. */
static void check_time(int64_t at)
{
    char text[CLOCK_ISO_SIZE], expected[64];
    int64_t ms = at % 1000, back = 0;
    time_t second;
    struct tm tm;

    ms += ms < 0 ? 1000 : 0;
    second = (at - ms) / 1000;
    ck_assert_ptr_nonnull(gmtime_r(&second, &tm));
    snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
    clock_format_iso(at, text);
    ck_assert_str_eq(text, expected);
    ck_assert_int_eq(clock_parse_iso(text, &back), 0);
    ck_assert_int_eq(back, at);
}

START_TEST(clock_round_trips)
{
    /* Each day of 1896 to 2104, which has leap years of all kinds, at its first and last moment. */
    for (int64_t day = -27028; day < 49309; day++) {
        check_time(day * 86400000);
        check_time(day * 86400000 + 86399999);
    }
    chance = 1;
    for (int i = 0; i < 100000; i++)
        check_time(YEAR_0 + (int64_t)random_below(YEAR_9999 - YEAR_0 + 1));
}
END_TEST

START_TEST(clock_parses_other_forms)
{
    static const struct {
        const char *text;
        int64_t at;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 00:00:00Z", 0},
        {"1970-01-01T00:00:00.5Z", 500},
        {"1970-01-01T00:00:00.25Z", 250},
        {"1970-01-01T00:00:00.007Z", 7},
        {"1970-01-01T00:00:00.1239999999999999999999Z", 123},
        {"1970-01-01T02:00:00+02:00", 0},
        {"1970-01-01T00:00:00+02:00", -7200000},
        {"1969-12-31T18:30:00-05:30", 0},
        {"1970-01-01T00:00:00-05:30", 19800000},
        {"1970-01-01T05:30:00+0530", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"1970-01-01T23:59:00+23:59", 0},
        {"2016-12-31T23:59:60Z", 1483228800000}, /* a leap second is the next one */
        {"2024-02-29T12:00:00+01:00", 1709204400000},
        {"0000-02-29T00:00:00Z", YEAR_0 + 59 * INT64_C(86400000)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t at = 77;

        ck_assert_msg(clock_parse_iso(rows[i].text, &at) == 0, "%s", rows[i].text);
        ck_assert_msg(at == rows[i].at, "%s: %lld", rows[i].text, (long long)at);
    }
}
END_TEST

START_TEST(clock_refuses_what_is_no_time)
{
    static const char *const bad[] = {
        "",
        "now",
        "0",
        "1970",
        "1970-01-01",
        "1970-01-01T",
        "1970-01-01T00",
        "1970-01-01T00:00",    /* no zone */
        "1970-01-01T00:00:00", /* no zone */
        "1970-01-01T00:00:00.000",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.5.5Z",
        "1970-01-01T00:00.5Z",
        "1970-01-01T00:00:00+2:00",
        "1970-01-01T00:00:00+02:0",
        "1970-01-01T00:00:00+02:60",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+",
        "1970-01-01T00:00:00+02:000",
        "1970-01-01T00:00:00Zjunk",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00ZZ",
        "70-01-01T00:00:00Z",
        "01970-01-01T00:00:00Z",
        "-970-01-01T00:00:00Z",
        "1970-1-1T00:00:00Z",
        "1970-01-01T0:00:00Z",
        "1970-01-01T00:00:-1Z",
        "1970/01/01T00:00:00Z",
        "1970-01-01X00:00:00Z",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t at = 77;

        ck_assert_msg(clock_parse_iso(bad[i], &at) == -EINVAL, "\"%s\" was taken", bad[i]);
        ck_assert_int_eq(at, 77);
    }
}
END_TEST

START_TEST(clocks_agree_with_libc)
{
    struct timespec before, after;
    int64_t wall, mono, micro;

    clock_gettime(CLOCK_REALTIME, &before);
    wall = clock_wall_ms();
    clock_gettime(CLOCK_REALTIME, &after);
    ck_assert_int_ge(wall, (int64_t)before.tv_sec * 1000 + before.tv_nsec / 1000000);
    ck_assert_int_le(wall, (int64_t)after.tv_sec * 1000 + after.tv_nsec / 1000000);
    clock_gettime(CLOCK_MONOTONIC, &before);
    mono = clock_mono_ms();
    micro = clock_mono_us();
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge(mono, (int64_t)before.tv_sec * 1000 + before.tv_nsec / 1000000);
    ck_assert_int_ge(micro / 1000, mono);
    ck_assert_int_le(micro, (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
}
END_TEST

/* The heap */

#define HEAP_NODES 300

/* The nodes that are in, with the keys that they should have. */
struct heap_model {
    struct heap_node nodes[HEAP_NODES];
    int64_t keys[HEAP_NODES];
    bool is_in[HEAP_NODES];
    size_t count;
};

static void heap_compare(const struct heap *heap, const struct heap_model *model)
{
    int64_t least = INT64_MAX;

    ck_assert_uint_eq(heap->count, model->count);
    for (size_t i = 0; i < HEAP_NODES; i++) {
        const struct heap_node *node = &model->nodes[i];
        bool right = model->is_in[i] ? node->key == model->keys[i] && node->place &&
                                           heap->nodes[node->place - 1] == node
                                     : node->place == 0;

        /* Not an assertion each: Check writes every one to a file. */
        if (!right)
            ck_abort_msg("node %zu of key %" PRId64 " stands at %zu", i, node->key, node->place);
        if (model->is_in[i] && model->keys[i] < least)
            least = model->keys[i];
    }
    if (model->count)
        ck_assert_int_eq(heap_top(heap)->key, least);
    else
        ck_assert_ptr_null(heap_top(heap));
}

START_TEST(heap_follows_a_model)
{
    struct heap_model model = {0};
    struct heap heap = {0};

    chance = (uint64_t)_i + 1;
    for (int step = 0; step < 4000; step++) {
        size_t i = random_below(HEAP_NODES);

        if (random_below(100) < 60) {
            /* Few keys, so that many are equal; sometimes the extremes. */
            int64_t key = (int64_t)random_below(50) - 25;

            key = random_below(50) == 0 ? INT64_MIN : random_below(50) == 0 ? INT64_MAX : key;
            heap_set(&heap, &model.nodes[i], key);
            model.count += !model.is_in[i];
            model.is_in[i] = true;
            model.keys[i] = key;
        } else {
            heap_remove(&heap, &model.nodes[i]); /* harmless when it is in no heap */
            model.count -= model.is_in[i];
            model.is_in[i] = false;
        }
        heap_compare(&heap, &model);
    }
    /* What is left comes out in order. */
    for (int64_t last = INT64_MIN; model.count; model.count--) {
        struct heap_node *top = heap_top(&heap);

        ck_assert_int_ge(top->key, last);
        last = top->key;
        heap_remove(&heap, top);
        ck_assert_uint_eq(top->place, 0);
    }
    ck_assert_ptr_null(heap_top(&heap));
    heap_deinit(&heap);
}
END_TEST

/* The list */

struct item {
    int number;
    struct list link;
};

static void list_expect(struct list *list, const char *numbers)
{
    char forth[64] = "", back[64] = "";
    size_t n = 0;

    list_for_each (link, list)
        forth[n++] = (char)('0' + list_entry(link, struct item, link)->number);
    for (struct list *link = list->prev; link != list; link = link->prev)
        back[--n] = (char)('0' + list_entry(link, struct item, link)->number);
    ck_assert_str_eq(forth, numbers);
    ck_assert_str_eq(back, numbers);
    ck_assert(list_is_empty(list) == !numbers[0]);
}

START_TEST(list_chains)
{
    struct list list = LIST_INIT(list), other;
    struct item items[6];

    list_init(&other);
    list_expect(&list, "");
    list_splice(&list, &other);
    list_expect(&list, "");
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        list_append(i < 4 ? &list : &other, &items[i].link);
    }
    list_expect(&list, "0123");
    list_remove(&items[1].link);
    list_expect(&list, "023");
    list_remove(&items[1].link); /* harmless */
    list_expect(&list, "023");
    list_splice(&list, &other);
    list_expect(&list, "02345");
    list_expect(&other, "");
    list_splice(&other, &list);
    list_expect(&other, "02345");
    list_expect(&list, "");
    list_for_each_safe (link, &other)
        if (list_entry(link, struct item, link)->number % 2)
            list_remove(link);
    list_expect(&other, "024");
    list_append(&other, &items[1].link);
    list_expect(&other, "0241");
    list_for_each_safe (link, &other)
        list_remove(link);
    list_expect(&other, "");
}
END_TEST

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

/* Reading JSON */

static struct json_reader *reader;

static void reader_open(void)
{
    reader = json_reader_new();
}

static void reader_close(void)
{
    json_reader_free(reader);
}

/* Parses; the compact text must be `expected`. */
static void reads(const char *text, size_t len, const char *expected)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    const char *reason = "none";
    size_t offset = 0;
    int r = json_reader_parse(reader, text, len, &value, &reason, &offset);

    ck_assert_msg(r == 0, "<%.*s>: %s at %zu", (int)len, text, reason, offset);
    ck_assert_str_eq(json_compact(value), expected);
}

static void refuses(const char *text, size_t len, size_t expected_offset)
{
    struct json_object *value = NULL;
    const char *reason = NULL;
    size_t offset = SIZE_MAX;
    int r = json_reader_parse(reader, text, len, &value, &reason, &offset);

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
    /* A number at the end of the bytes ends there, whatever lies behind them. */
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
        CLEANUP(freep) char *text = NULL;
        const char *reason = "none";
        size_t offset = 0;
        int r = json_reader_compact(reader, rows[i].text, strlen(rows[i].text), &text, &reason,
                                    &offset);

        ck_assert_msg(r == 0, "<%s>: %s at %zu", rows[i].text, reason, offset);
        ck_assert_str_eq(text, rows[i].compact);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *text = NULL;
        const char *reason = NULL;
        size_t offset;

        ck_assert_msg(
            json_reader_compact(reader, bad[i], strlen(bad[i]), &text, &reason, &offset) == -EINVAL,
            "<%s> was taken", bad[i]);
        ck_assert_ptr_null(text);
        ck_assert_ptr_nonnull(reason);
    }
}
END_TEST

START_TEST(json_refuses)
{
    static const struct {
        const char *text;
        size_t offset;
    } rows[] = {
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
        {"18446744073709551616", 0},
        {"[-9223372036854775809]", 1},
        {"[123456789012345678901234567890]", 1},
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

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        refuses(rows[i].text, strlen(rows[i].text), rows[i].offset);
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

START_TEST(json_forgets_what_was_wrong)
{
    /* Texts that leave the parser in every state; each must leave nothing for the next text. */
    static const char *const bad[] = {
        "{\"a\":[1,{\"b\":\"\\ud83d",
        "{\"a\":[1,{\"b\":\"\\ud83d\\",
        "\"\\ud800\\u12",
        "\"abc\\u00",
        "[[[[[[",
        "{\"a\":1,",
        "tr",
        "-",
        "[1,2,\"x",
        "{\"key",
        "1 2",
        "",
        "\"\xff\"",
        "NaN",
        "\"\\ud83d\\ude",
        "[1e5e",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(json_putp) struct json_object *value = NULL;
        const char *reason;
        size_t offset;

        ck_assert_int_eq(
            json_reader_parse(reader, bad[i], strlen(bad[i]), &value, &reason, &offset), -EINVAL);
        reads("{\"x\":\"\\u00e9\",\"y\":[1,\"\\ude00\"]}", 31,
              "{\"x\":\"\xc3\xa9\",\"y\":[1,\"" REPLACEMENT "\"]}");
        reads("7", 1, "7");
    }
}
END_TEST

START_TEST(json_members)
{
    CLEANUP(json_putp) struct json_object *value = NULL;
    static const char text[] = "{\"a\":\"x\",\"n\":null,\"u\":\"a/b\"}";
    const char *reason;
    size_t offset;

    ck_assert_int_eq(json_reader_parse(reader, text, strlen(text), &value, &reason, &offset), 0);
    ck_assert_str_eq(json_get_string(value, "a"), "x");
    ck_assert_ptr_null(json_get(value, "n"));
    ck_assert_ptr_null(json_get_string(value, "n"));
    ck_assert_ptr_null(json_get(value, "missing"));
    ck_assert_ptr_null(json_get(NULL, "a"));
    ck_assert_str_eq(json_compact(value), text);
}
END_TEST

/* Paths */

static char folder[64];

static void folder_open(void)
{
    strcpy(folder, "/tmp/acpd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void folder_close(void)
{
    CLEANUP(freep) char *command = xasprintf("rm -r '%s'", folder);

    ck_assert_int_eq(system(command), 0);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

START_TEST(path_makes_folders)
{
    CLEANUP(freep) char *deep = xasprintf("%s/a/b//c/", folder);
    CLEANUP(freep) char *file = xasprintf("%s/file", folder);
    CLEANUP(freep) char *below = xasprintf("%s/file/sub", folder);
    CLEANUP(freep) char *far_below = xasprintf("%s/file/sub/sub", folder);
    CLEANUP(freep) char *link = xasprintf("%s/link", folder);
    CLEANUP(freep) char *linked = xasprintf("%s/link/x", folder);
    CLEANUP(freep) char *socket = xasprintf("%s/p/q/acpd.sock", folder);
    CLEANUP(freep) char *holder = xasprintf("%s/p/q", folder);
    CLEANUP(freep) char *dangling = xasprintf("%s/dangling", folder);
    struct stat st;
    int fd;

    ck_assert_int_eq(path_make_folder(deep, 0700), 0);
    ck_assert(is_folder(deep));
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0700);
    /* What is there stays as it is. */
    ck_assert_int_eq(chmod(deep, 0750), 0);
    ck_assert_int_eq(path_make_folder(deep, 0700), 0);
    ck_assert_int_eq(stat(deep, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0750);

    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(path_make_folder(file, 0700), -ENOTDIR);
    ck_assert_int_eq(path_make_folder(below, 0700), -ENOTDIR);
    ck_assert_int_eq(path_make_folder(far_below, 0700), -ENOTDIR);

    ck_assert_int_eq(symlink("a", link), 0);
    ck_assert_int_eq(path_make_folder(link, 0700), 0);
    ck_assert_int_eq(path_make_folder(linked, 0700), 0);
    ck_assert(is_folder(linked));
    ck_assert_int_eq(symlink("nowhere", dangling), 0);
    ck_assert_int_eq(path_make_folder(dangling, 0700), -ENOENT);

    ck_assert_int_eq(path_make_parent(socket, 0700), 0);
    ck_assert(is_folder(holder));
    ck_assert(!is_folder(socket));
    ck_assert_int_eq(path_make_parent("relative", 0700), 0);
    ck_assert_int_eq(path_make_parent("/", 0700), 0);
    ck_assert_int_eq(path_make_folder("/", 0700), 0);
    ck_assert_int_eq(path_make_folder("", 0700), -ENOENT);
}
END_TEST

static void expect_path(char *(*path)(void), const char *expected)
{
    CLEANUP(freep) char *made = path();

    ck_assert_str_eq(made, expected);
}

START_TEST(path_defaults)
{
    CLEANUP(freep) char *nobody = NULL;
    bool is_root = geteuid() == 0;

    if (is_root) {
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/x", 1), 0);
        expect_path(path_default_socket, "/run/acpd/acpd.sock");
        expect_path(path_default_state, "/var/lib/acpd");
        expect_path(path_default_config, "/etc/acpd/config.json");
        if (seteuid(65534) < 0)
            return; /* in a namespace that has only this one */
    }
    nobody = xasprintf("/tmp/acpd-%u/acpd.sock", (unsigned)geteuid());
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    setenv("XDG_STATE_HOME", "/s", 1);
    setenv("XDG_CONFIG_HOME", "/c", 1);
    setenv("HOME", "/h", 1);
    expect_path(path_default_socket, "/run/user/7/acpd.sock");
    expect_path(path_default_state, "/s/acpd");
    expect_path(path_default_config, "/c/acpd/config.json");
    setenv("XDG_RUNTIME_DIR", "relative", 1); /* to be ignored, says the specification */
    unsetenv("XDG_STATE_HOME");
    setenv("XDG_CONFIG_HOME", "", 1);
    expect_path(path_default_socket, nobody);
    expect_path(path_default_state, "/h/.local/state/acpd");
    expect_path(path_default_config, "/h/.config/acpd/config.json");
    if (is_root)
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* The rest */

START_TEST(strv_holds_strings)
{
    CLEANUP(strv_freep) char **strv = NULL;

    ck_assert_uint_eq(strv_length(strv), 0);
    ck_assert(!strv_contains(strv, "a"));
    strv_push(&strv, xstrdup("a"));
    strv_push(&strv, xasprintf("%s%d", "b", 1));
    strv_push(&strv, xstrndup("cd", 1));
    ck_assert_uint_eq(strv_length(strv), 3);
    ck_assert(strv_contains(strv, "a") && strv_contains(strv, "b1") && strv_contains(strv, "c"));
    ck_assert(!strv_contains(strv, "b") && !strv_contains(strv, ""));
    ck_assert_ptr_null(strv[3]);
}
END_TEST

START_TEST(log_levels)
{
    static const char *const bad[] = {"", "Error", "warn", "debug ", "4", "errors"};
    enum log_level level = LOG_LEVEL_DEBUG;

    ck_assert_int_eq(log_level_parse("error", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_ERROR);
    ck_assert_int_eq(log_level_parse("warning", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_WARNING);
    ck_assert_int_eq(log_level_parse("info", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_INFO);
    ck_assert_int_eq(log_level_parse("debug", &level), 0);
    ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_int_eq(log_level_parse(bad[i], &level), -EINVAL);
        ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
    }
}
END_TEST

/* What the log writes to standard error meanwhile, terminated. */
static void log_capture(const char *message, char *ret_text, size_t size)
{
    int saved = dup(STDERR_FILENO), ends[2];
    ssize_t n;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    log_debug("too fine");
    log_warning("%s", message);
    dup2(saved, STDERR_FILENO);
    n = read(ends[0], ret_text, size - 1);
    ret_text[n < 0 ? 0 : n] = '\0';
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

START_TEST(log_writes_lines)
{
    char text[5000], message[4000];
    int64_t at;

    unsetenv("JOURNAL_STREAM");
    log_setup("tester", LOG_LEVEL_INFO);
    log_capture("it is hot", text, sizeof(text));
    ck_assert_str_eq(text + 24, " tester warning: it is hot\n");
    text[24] = '\0';
    ck_assert_int_eq(clock_parse_iso(text, &at), 0);

    memset(message, 'x', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    log_capture(message, text, sizeof(text));
    ck_assert_uint_eq(strlen(text), 2047);
    ck_assert_str_eq(text + 2045, "x\n");

    setenv("JOURNAL_STREAM", "8:1", 1);
    log_setup("tester", LOG_LEVEL_INFO);
    log_capture("it is hot", text, sizeof(text));
    ck_assert_str_eq(text, "<4>it is hot\n");
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("common");
    SRunner *runner = srunner_create(suite);
    TCase *tcase;
    int failed;

    tcase = add_case(suite, "clock");
    tcase_add_test(tcase, clock_formats_known_times);
    tcase_add_test(tcase, clock_round_trips);
    tcase_add_test(tcase, clock_parses_other_forms);
    tcase_add_test(tcase, clock_refuses_what_is_no_time);
    tcase_add_test(tcase, clocks_agree_with_libc);
    tcase = add_case(suite, "heap");
    tcase_add_loop_test(tcase, heap_follows_a_model, 0, 5);
    tcase = add_case(suite, "list");
    tcase_add_test(tcase, list_chains);
    tcase = add_case(suite, "buf");
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
    tcase = add_case(suite, "json");
    tcase_add_checked_fixture(tcase, reader_open, reader_close);
    tcase_add_test(tcase, json_reads);
    tcase_add_test(tcase, json_compacts);
    tcase_add_test(tcase, json_refuses);
    tcase_add_test(tcase, json_bounds_depth);
    tcase_add_test(tcase, json_forgets_what_was_wrong);
    tcase_add_test(tcase, json_members);
    tcase = add_case(suite, "path");
    tcase_add_checked_fixture(tcase, folder_open, folder_close);
    tcase_add_test(tcase, path_makes_folders);
    tcase_add_test(tcase, path_defaults);
    tcase = add_case(suite, "rest");
    tcase_add_test(tcase, strv_holds_strings);
    tcase_add_test(tcase, log_levels);
    tcase_add_test(tcase, log_writes_lines);

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
