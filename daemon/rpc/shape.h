/* SPDX-License-Identifier: MIT */
/*
 * The shapes of results, declared once, like parameters: rpc.discover prints them as JSON Schema,
 * from which the OpenAPI document, the tables in docs/protocol.md and the page's types follow. The
 * tests compare every reply with them.
 */
#pragma once

#include "common/buf.h"

enum shape_kind {
    SHAPE_ANY, /* any JSON */
    SHAPE_BOOLEAN,
    SHAPE_TRUE, /* always true */
    SHAPE_INTEGER,
    SHAPE_NUMBER,
    SHAPE_STRING,
    SHAPE_TIME,   /* ISO 8601 */
    SHAPE_ENUM,   /* one of `values` */
    SHAPE_OPEN,   /* `of`, an enum, or a value that a later acpd knows */
    SHAPE_ARRAY,  /* of `of` */
    SHAPE_MAP,    /* an object of `of` by name; only names in `values`, unless NULL */
    SHAPE_OBJECT, /* with `members`; NULL: any */
    SHAPE_ONE_OF, /* `choices` */
};

struct shape {
    enum shape_kind kind;
    const char *name; /* of its own schema; NULL: printed inline */
    const char *doc;
    const char *const *values; /* ended by NULL */
    const struct shape *of;
    bool has_nulls; /* elements may be null */
    const struct shape_member *members;
    const struct shape *const *choices; /* ended by NULL */
};

/* The last row has no name. */
struct shape_member {
    const char *name;
    const struct shape *shape;
    const char *doc;
    const char *null;   /* when it is null; NULL: never */
    const char *absent; /* when it is absent; NULL: never */
};

#define SHAPE_ARRAY_OF(element) (&(const struct shape){SHAPE_ARRAY, .of = &(element)})
#define SHAPE_MAP_OF(element)   (&(const struct shape){SHAPE_MAP, .of = &(element)})

extern const struct shape shape_any, shape_boolean, shape_true, shape_integer, shape_number,
    shape_string, shape_time, shape_object, shape_strings;

/** Prints the JSON Schema; a reference when the shape has a name. */
void shape_print(const struct shape *shape, struct buf *out);

struct shape_list {
    const struct shape **shapes;
    size_t count;
};

void shape_list_deinit(struct shape_list *list);
/** Adds the named shapes that this one consists of, including itself, each once. */
void shape_list_add(struct shape_list *list, const struct shape *shape);
/** Prints an object of their schemas by name. */
void shape_list_print(const struct shape_list *list, struct buf *out);
