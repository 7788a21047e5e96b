/* SPDX-License-Identifier: MIT */
/*
 * A value of a JSON document (json_doc.h), which owns it and all that it points to. In the
 * functions NULL stands for a value that is missing.
 */
#pragma once

#include "common/buf.h"

enum json_kind {
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_INTEGER, /* without a point or an exponent */
    JSON_NUMBER,  /* any other */
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_value {
    enum json_kind kind;
    bool is_true;     /* a boolean */
    const char *name; /* of a member; else NULL */
    const char *text; /* a string, which may contain U+0000, followed by one; a number as written */
    size_t len;       /* of the text, in bytes */
    double number;    /* of one; 0 for other kinds, as the integer is */
    int64_t integer;  /* the nearest that fits; an integer may have any size */
    size_t count;     /* elements or members */
    struct json_value *first, *next;
};

/** The member, of several of this name the last; NULL if it is missing or null. Looks at each of
 *  them. */
struct json_value *json_value_get(const struct json_value *object, const char *name);
/** The same, whether null or not. */
struct json_value *json_value_find(const struct json_value *object, const char *name);
bool json_value_is(const struct json_value *value, enum json_kind kind);
/** A string, or NULL. */
const char *json_value_text(const struct json_value *value);
/** A member that is a string, or NULL. */
const char *json_value_get_text(const struct json_value *object, const char *name);
/** Whether it is a string that contains no U+0000. */
bool json_value_is_text(const struct json_value *value);
/** 0: not a number. */
int64_t json_value_integer(const struct json_value *value);
double json_value_number(const struct json_value *value);
/** Number of elements or members. */
size_t json_value_count(const struct json_value *value);
/** Whether their compact texts are the same: of numbers the digits count, and the order of members.
 */
bool json_value_equals(const struct json_value *a, const struct json_value *b);
/** Appends its compact text; numbers as they were written. NULL prints null. */
void json_value_print(const struct json_value *value, struct buf *out);

#define json_value_for_each(item, container)                                                       \
    for (const struct json_value *item = (container) ? (container)->first : NULL; item;            \
         item = item->next)
