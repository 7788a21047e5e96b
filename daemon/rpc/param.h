/* SPDX-License-Identifier: MIT */
/*
 * Parameters, declared once: the declaration checks values, words the errors, and prints the schema
 * for rpc.discover. A handler sees only valid values.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"
#include "core/settings.h"

enum param_type {
    PARAM_END, /* of the list */
    PARAM_STRING,
    PARAM_WORD,  /* see core/word.h */
    PARAM_WORDS, /* an array of words */
    PARAM_IDS,   /* an array of integers from 1 to RPC_ID_MAX */
    PARAM_TEXTS, /* an object of strings */
    PARAM_INTEGER,
    PARAM_NUMBER,
    PARAM_BOOLEAN,
    PARAM_TIME, /* ISO 8601 with zone */
    PARAM_ENUM,
    PARAM_ANY,
    PARAM_OBJECT,
};

#define RPC_ID_MAX  9007199254740991 /* the integers that every JSON parser represents exactly */
#define RPC_IDS_MAX 100

struct param {
    const char *name;
    enum param_type type;
    const char *doc;
    bool is_required;
    bool takes_null;            /* null means something else than omission */
    const char *alias;          /* an alternative name */
    double min, max;            /* of a number; both 0: unbounded */
    size_t max_bytes;           /* of a string, or of each string; 0: see limit */
    bool may_be_empty;          /* a string */
    bool is_any_text;           /* a string that may contain U+0000 */
    size_t limit;               /* offset in struct settings of the limit in bytes; 0: none */
    const char *const *values;  /* of an enum, NULL-terminated */
    const struct param *fields; /* of an object */
};

struct param_error {
    char field[128];
    char reason[160];
};

/** Checks an object's members against the list; null counts as omitted. Afterwards it has one
 *  member for each parameter that was given, under its name. */
bool param_check(const struct param *params, struct json_value *object,
                 const struct settings *settings, struct param_error *ret_error);
/** Turns positional parameters into an object, in the order of the list. */
bool param_from_array(const struct param *params, struct json_value *array,
                      struct param_error *ret_error);

/** Prints the JSON Schema of one parameter. */
void param_print_schema(const struct param *param, const struct settings *settings,
                        struct buf *out);
