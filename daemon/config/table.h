/* SPDX-License-Identifier: MIT */
/* The settings, declared once: key, type, default, bounds, doc. docs/configuration.md follows it.
 */
#pragma once

#include "core/settings.h"

enum config_type {
    CONFIG_INTEGER, /* int64_t */
    CONFIG_SECONDS, /* int64_t of milliseconds; fractions are allowed */
    CONFIG_NUMBER,  /* double */
    CONFIG_TEXT,    /* char * */
    CONFIG_NAME,    /* char *, a word */
    CONFIG_COLOR,   /* char *, #rgb or #rrggbb */
    CONFIG_WORDS,   /* char ** */
    CONFIG_CHOICE,  /* int-sized enum, or nothing when there is no place for it */
    CONFIG_ROLES,   /* struct roles, by user */
    CONFIG_RUNNER,  /* struct runner_config, by config_runner_rows */
    /* of a runner */
    CONFIG_PATH,        /* char *, absolute */
    CONFIG_COMMAND,     /* char **, a program and its arguments */
    CONFIG_ENV,         /* char ** of "KEY=value" */
    CONFIG_SERVERS,     /* char *, a JSON array of MCP servers */
    CONFIG_OPTIONS,     /* char *, a JSON object of texts */
    CONFIG_REUSE,       /* int64_t: false 0, true INT64_MAX, or a number from 1 on */
    CONFIG_PERMISSIONS, /* struct permissions */
};

struct config_row {
    const char *key; /* with dots where objects are nested */
    enum config_type type;
    size_t offset;
    double min, max;  /* of numbers, in the unit of the key; of texts: most bytes in max */
    double number;    /* the default */
    const char *text; /* the default of a text; NULL: none */
    const char *const *choices; /* ended by NULL; the value is the index */
    const char *const *words;   /* of words: those that are allowed; NULL: any */
    bool is_required;
    unsigned runners; /* of a runner's row: which types have it, as bits */
    const char *doc;
};

#define CONFIG_RUNNER_BIT(type) (1u << (type))

/** Rows ended by one without a key; offsets in struct settings and struct profile_config. */
extern const struct config_row config_rows[];
extern const struct config_row config_profile_rows[];
/** The same for struct runner_config; `type` is not among them. */
extern const struct config_row config_runner_rows[];
