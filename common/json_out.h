/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON into a buffer: compact, without a tree.
 *
 * Every function adds one value. `name` makes it a member of the open object; NULL makes it an
 * element of the open array, or a value by itself. A name is printed as it stands, so it must need
 * no escapes, as those of the protocol, of profiles and of table rows do not.
 *
 * Commas need no care: the last byte tells whether one is due. None is at the beginning of the
 * buffer or of a line, nor after '{', '[', ':' and ','. So a function may print some members of an
 * object that another one opened, and buf_add() may print the value after json_out_key().
 */
#pragma once

#include "common/buf.h"

/** Length of the beginning of a text that is printable ASCII without quotes and backslashes, which
 *  stands for itself in JSON. */
size_t json_out_plain_length(const char *text, size_t len);
/** What the inline functions below begin with: the comma if it is due, and the name. */
void json_out_begin(struct buf *out, const char *name, size_t len);
/** What some of them end with: the value. */
void json_out_put_string(struct buf *out, const char *text, size_t len);
void json_out_put_number(struct buf *out, double value);
void json_out_put_time(struct buf *out, int64_t wall_ms);

/** The name alone; the value comes next, its own name being NULL. Inline, as all that follows, so
 * that the length of a literal is known when it is compiled. */
static inline void json_out_key(struct buf *out, const char *name)
{
    json_out_begin(out, name, name ? strlen(name) : 0);
}

static inline void json_out_object(struct buf *out, const char *name)
{
    json_out_key(out, name);
    buf_add_char(out, '{');
}

static inline void json_out_end_object(struct buf *out)
{
    buf_add_char(out, '}');
}

static inline void json_out_array(struct buf *out, const char *name)
{
    json_out_key(out, name);
    buf_add_char(out, '[');
}

static inline void json_out_end_array(struct buf *out)
{
    buf_add_char(out, ']');
}

/** Escapes what must be; bytes that are not UTF-8 become U+FFFD. NULL prints null. */
static inline void json_out_string(struct buf *out, const char *name, const char *text, size_t len)
{
    json_out_key(out, name);
    json_out_put_string(out, text, len);
}

/** json_out_string() for a C string. */
static inline void json_out_text(struct buf *out, const char *name, const char *text)
{
    json_out_string(out, name, text, text ? strlen(text) : 0);
}

/** json_out_text() for a text that is made here. */
void json_out_printf(struct buf *out, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

static inline void json_out_int(struct buf *out, const char *name, int64_t value)
{
    json_out_key(out, name);
    buf_add_int(out, value);
}

/** As many digits as it needs, integers without a point; what is not finite prints null. */
static inline void json_out_number(struct buf *out, const char *name, double value)
{
    json_out_key(out, name);
    json_out_put_number(out, value);
}

static inline void json_out_bool(struct buf *out, const char *name, bool value)
{
    json_out_key(out, name);
    if (value)
        buf_add_text(out, "true");
    else
        buf_add_text(out, "false");
}

static inline void json_out_null(struct buf *out, const char *name)
{
    json_out_key(out, name);
    buf_add_text(out, "null");
}

/** Wall milliseconds as an ISO 8601 string; 0 prints null. */
static inline void json_out_time(struct buf *out, const char *name, int64_t wall_ms)
{
    json_out_key(out, name);
    json_out_put_time(out, wall_ms);
}

/** What is JSON already: a value, or, without a name, several elements or members, with the commas
 *  between them. NULL prints null. */
static inline void json_out_raw(struct buf *out, const char *name, const char *json)
{
    json_out_key(out, name);
    buf_add_text(out, json ? json : "null");
}

/** json_out_raw() for `len` bytes, which may be none where nothing is to be printed. */
static inline void json_out_raw_bytes(struct buf *out, const char *name, const char *json,
                                      size_t len)
{
    if (!len)
        return;
    json_out_key(out, name);
    buf_add(out, json, len);
}
