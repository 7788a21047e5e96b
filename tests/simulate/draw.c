/* SPDX-License-Identifier: MIT */
#include "draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/json_out.h"
#include "core/word.h"
#include "setting.h"
#include "world.h"

#define USUAL_LENGTH 40   /* at most */
#define LONG_TEXT    5000 /* bytes of a text without a limit */
#define LIST_MAX     64   /* words, or texts */
#define DEPTH        20

uint64_t draw_below(uint64_t *lot, uint64_t limit)
{
    return world_next(lot) % limit;
}

const struct param *draw_find(const struct param *params, const char *name)
{
    while (params->type != PARAM_END && strcmp(params->name, name) != 0)
        params++;
    EXPECT(params->type != PARAM_END, "there is no parameter %s", name);
    return params;
}

static bool draw_one_in(uint64_t *lot, uint64_t times)
{
    return draw_below(lot, times) == 0;
}

/* At a bound, next to it, or anywhere near the lower one. */
static size_t draw_length(uint64_t *lot, size_t min, size_t max)
{
    size_t usual = min + (size_t)draw_below(lot, USUAL_LENGTH);

    switch (draw_below(lot, 8)) {
    case 0:
        return min;
    case 1:
        return max;
    case 2:
        return max > min ? max - 1 : max;
    default:
        return usual < max ? usual : max;
    }
}

/* 0: there is no limit. */
static size_t draw_max_bytes(const struct param *param)
{
    return param->limit ? setting_limit(param->limit) : param->max_bytes;
}

/* --- texts --------------------------------------------------------------------------------------
 */

/* A text of so many bytes, some of which must be escaped or are parts of a character. */
static void draw_text(uint64_t *lot, size_t len, bool is_any_text, struct buf *out)
{
    static const char *const specials[] = {"\"", "\\", "\n", "/", "\x7f", "\u00e9", "\U0001f30d"};
    CLEANUP(buf_deinit) struct buf text = {0};

    while (text.len < len) {
        const char *special = specials[draw_below(lot, ARRAY_SIZE(specials))];

        if (!text.len || draw_below(lot, 8) || text.len + strlen(special) > len)
            buf_add_char(&text, is_any_text && draw_one_in(lot, 20) ? '\0' : 'x');
        else
            buf_add_text(&text, special);
    }
    json_out_string(out, NULL, buf_text(&text), text.len);
}

static void draw_word(uint64_t *lot, size_t len, struct buf *out)
{
    static const char letters[] = "az09._-";
    char word[WORD_MAX + 2] = "x";

    for (size_t i = 1; i < len; i++)
        word[i] = letters[draw_below(lot, sizeof(letters) - 1)];
    json_out_string(out, NULL, word, len);
}

static void draw_words(uint64_t *lot, size_t count, struct buf *out)
{
    json_out_array(out, NULL);
    while (count--)
        draw_word(lot, draw_length(lot, 1, WORD_MAX), out);
    json_out_end_array(out);
}

/* The names differ. */
static void draw_texts(const struct param *param, uint64_t *lot, size_t count, struct buf *out)
{
    json_out_object(out, NULL);
    for (size_t i = 0; i < count; i++) {
        char name[24];

        snprintf(name, sizeof(name), "x%zu", i);
        json_out_key(out, name);
        draw_text(lot, draw_length(lot, 1, draw_max_bytes(param)), false, out);
    }
    json_out_end_object(out);
}

static void draw_time(uint64_t *lot, struct buf *out)
{
    static const char *const times[] = {
        "0000-01-01T00:00:00Z",     "1969-12-31T23:59:59.999Z",  "1970-01-01T00:00:00.001Z",
        "2000-02-29t12:00+14:00",   "2026-01-01 00:00:00-12:00", "2100-02-28T23:59:59.9999999Z",
        "9999-12-31T23:59:59.999Z",
    };

    json_out_text(out, NULL, times[draw_below(lot, ARRAY_SIZE(times))]);
}

/* --- numbers ------------------------------------------------------------------------------------
 */

static double draw_number(const struct param *param, uint64_t *lot, double step)
{
    double wide = param->max - param->min, near = step * (double)draw_below(lot, 100);

    switch (draw_below(lot, 6)) {
    case 0:
        return param->min;
    case 1:
        return param->max;
    case 2:
        return param->max - step;
    case 3:
        return param->min + (double)draw_below(lot, (uint64_t)(wide / step)) * step;
    default:
        return param->min + (near < wide ? near : wide);
    }
}

static void draw_ids(uint64_t *lot, size_t count, struct buf *out)
{
    json_out_array(out, NULL);
    while (count--)
        json_out_int(out, NULL, 1 + (int64_t)draw_below(lot, RPC_ID_MAX));
    json_out_end_array(out);
}

/* --- any JSON -----------------------------------------------------------------------------------
 */

static void draw_json(uint64_t *lot, size_t max, struct buf *out)
{
    static const char *const values[] = {
        "null", "true", "0", "-12.50e+3", "1e3", "\"\"", "[]", "{}", "{\"a\":{\"\":[1,null]}}",
    };
    uint64_t number = draw_below(lot, ARRAY_SIZE(values) + 3);

    if (number < ARRAY_SIZE(values))
        json_out_raw(out, NULL, values[number]);
    else if (number == ARRAY_SIZE(values))
        json_out_printf(out, NULL, "%0*d", (int)max - 2, 0); /* with its quotes */
    else if (number == ARRAY_SIZE(values) + 1)
        draw_text(lot, draw_below(lot, max / 4), true, out);
    else {
        json_out_key(out, NULL);
        for (int i = 0; i < DEPTH; i++)
            buf_add_text(out, "[");
        for (int i = 0; i < DEPTH; i++)
            buf_add_text(out, "]");
    }
}

/* --- all of them --------------------------------------------------------------------------------
 */

/* Words are not left out, so that whatever it is about is known to nobody. */
static void draw_members(const struct param *params, const struct param *wrong, uint64_t *lot,
                         struct buf *out)
{
    json_out_object(out, NULL);
    for (const struct param *p = params; p->type != PARAM_END; p++) {
        bool must_be = p->is_required || p->type == PARAM_WORD || p == wrong;

        if (!must_be && draw_below(lot, 3))
            continue;
        json_out_key(out, p->name);
        if (p == wrong)
            draw_invalid(p, lot, out);
        else
            draw_valid(p, lot, out);
    }
    json_out_end_object(out);
}

static const char *draw_value_of(const struct param *param, uint64_t *lot)
{
    size_t count = 1;

    while (param->values[count])
        count++;
    return param->values[draw_below(lot, count)];
}

static void draw_string(const struct param *param, uint64_t *lot, struct buf *out)
{
    size_t max = draw_max_bytes(param);

    draw_text(lot, draw_length(lot, !param->may_be_empty, max ? max : LONG_TEXT),
              param->is_any_text, out);
}

void draw_valid(const struct param *param, uint64_t *lot, struct buf *out)
{
    switch (param->type) {
    case PARAM_STRING:
        return draw_string(param, lot, out);
    case PARAM_WORD:
        return draw_word(lot, draw_length(lot, 1, WORD_MAX), out);
    case PARAM_WORDS:
        return draw_words(lot, draw_length(lot, param->is_required, LIST_MAX), out);
    case PARAM_IDS:
        return draw_ids(lot, draw_length(lot, 0, RPC_IDS_MAX), out);
    case PARAM_TEXTS:
        return draw_texts(param, lot, draw_length(lot, 0, LIST_MAX), out);
    case PARAM_INTEGER:
        return json_out_int(out, NULL, (int64_t)draw_number(param, lot, 1));
    case PARAM_NUMBER:
        return json_out_number(out, NULL, round(draw_number(param, lot, 0.001) * 1000) / 1000);
    case PARAM_BOOLEAN:
        return json_out_bool(out, NULL, draw_one_in(lot, 2));
    case PARAM_TIME:
        return draw_time(lot, out);
    case PARAM_ENUM:
        return json_out_text(out, NULL, draw_value_of(param, lot));
    case PARAM_OBJECT:
        return draw_members(param->fields, NULL, lot, out);
    case PARAM_ANY:
        return draw_json(lot, draw_max_bytes(param), out);
    case PARAM_END:
        break;
    }
}

/* --- what is not allowed ------------------------------------------------------------------------
 */

/* One of several JSON texts. */
#define DRAW_ONE(lot, out, ...)                                                                    \
    json_out_raw(out, NULL,                                                                        \
                 ((const char *const[]){__VA_ARGS__})[draw_below(                                  \
                     lot, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])

static void draw_invalid_string(const struct param *param, uint64_t *lot, struct buf *out)
{
    size_t max = draw_max_bytes(param);

    if (max && draw_one_in(lot, 2))
        draw_text(lot, max + 1, false, out);
    else if (!param->is_any_text && draw_one_in(lot, 2))
        json_out_string(out, NULL, "x\0", 2);
    else
        DRAW_ONE(lot, out, "0", "[\"x\"]", "false", param->may_be_empty ? "{}" : "\"\"");
}

static void draw_invalid_word(uint64_t *lot, struct buf *out)
{
    if (draw_one_in(lot, 2))
        draw_word(lot, WORD_MAX + 1, out);
    else
        DRAW_ONE(lot, out, "\"\"", "\"X\"", "\".x\"", "\"x y\"", "\"x\\u0000\"", "7", "[]");
}

static void draw_invalid_list(const struct param *param, uint64_t *lot, struct buf *out)
{
    if (draw_one_in(lot, 2)) {
        DRAW_ONE(lot, out, "{}", "\"x\"", "0", "[[]]", "[\"X\"]", "[0]", "[9007199254740992]",
                 "[1.5]", "[null]");
    } else if (param->type == PARAM_WORDS) {
        draw_words(lot, LIST_MAX + 1, out);
    } else {
        draw_ids(lot, RPC_IDS_MAX + 1, out);
    }
}

static void draw_invalid_texts(const struct param *param, uint64_t *lot, struct buf *out)
{
    if (draw_one_in(lot, 2)) {
        draw_texts(param, lot, LIST_MAX + 1, out);
    } else if (draw_one_in(lot, 2)) {
        json_out_object(out, NULL);
        json_out_key(out, "x");
        draw_invalid_string(param, lot, out);
        json_out_end_object(out);
    } else {
        DRAW_ONE(lot, out, "[]", "\"x\"", "0", "{\"x\":null}");
    }
}

static void draw_invalid_number(const struct param *param, uint64_t *lot, struct buf *out)
{
    double step = param->type == PARAM_INTEGER ? 1 : 0.001;

    switch (draw_below(lot, 4)) {
    case 0:
        return json_out_number(out, NULL, param->min - step);
    case 1:
        return json_out_number(out, NULL, param->max + step);
    case 2:
        return json_out_number(out, NULL, -param->max - 1);
    default:
        DRAW_ONE(lot, out, "\"1\"", "true", "[1]", "1e300",
                 param->type == PARAM_INTEGER ? "1.5" : "-1e-9");
    }
}

/* A required member is missing, one is unknown, or one is not allowed. */
static void draw_invalid_object(const struct param *param, uint64_t *lot, struct buf *out)
{
    size_t count = 1;

    while (param->fields[count].type != PARAM_END)
        count++;
    if (draw_one_in(lot, 8))
        DRAW_ONE(lot, out, "[]", "\"x\"", "7", "{\"nothing of the kind\":1}");
    else
        draw_members(param->fields, &param->fields[draw_below(lot, count)], lot, out);
}

void draw_invalid(const struct param *param, uint64_t *lot, struct buf *out)
{
    switch (param->type) {
    case PARAM_STRING:
        return draw_invalid_string(param, lot, out);
    case PARAM_WORD:
        return draw_invalid_word(lot, out);
    case PARAM_WORDS:
    case PARAM_IDS:
        return draw_invalid_list(param, lot, out);
    case PARAM_TEXTS:
        return draw_invalid_texts(param, lot, out);
    case PARAM_INTEGER:
    case PARAM_NUMBER:
        return draw_invalid_number(param, lot, out);
    case PARAM_BOOLEAN:
        DRAW_ONE(lot, out, "0", "1", "\"true\"", "[]");
        break;
    case PARAM_TIME:
        DRAW_ONE(lot, out, "\"\"", "\"now\"", "0", "\"2026-02-29T00:00:00Z\"",
                 "\"2026-01-01T24:00:00Z\"", "\"2026-01-01T00:00:00\"", "\"2026-01-01\"");
        break;
    case PARAM_ENUM:
        DRAW_ONE(lot, out, "\"\"", "\"x\"", "0", "[]");
        break;
    case PARAM_OBJECT:
        return draw_invalid_object(param, lot, out);
    case PARAM_ANY:
        json_out_printf(out, NULL, "%0*d", (int)draw_max_bytes(param) - 1, 0);
        break;
    case PARAM_END:
        break;
    }
}
