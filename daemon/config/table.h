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
    CONFIG_CHOICE,  /* int-sized enum */
    CONFIG_ROLES,   /* struct roles, by user */
    CONFIG_RUNNER,  /* struct runner_config, described by config_runner_rows */
    /* of a runner */
    CONFIG_PATH,        /* char *, absolute */
    CONFIG_COMMAND,     /* char **, a program and its arguments */
    CONFIG_ENV,         /* char ** of "KEY=value" */
    CONFIG_SERVERS,     /* char *, a JSON array of MCP servers */
    CONFIG_OPTIONS,     /* char *, a JSON object of texts */
    CONFIG_REUSE,       /* int64_t: false is 0, true is INT64_MAX, or a number of at least 1 */
    CONFIG_PERMISSIONS, /* struct permissions */
};

struct config_row {
    const char *key; /* dots separate nested objects */
    enum config_type type;
    size_t offset;
    double min, max;  /* of numbers, in the unit of the key; of texts: max is the limit in bytes */
    double number;    /* the default */
    const char *text; /* the default of a text; NULL: none */
    const char *const *choices; /* NULL-terminated; the value is the index */
    const char *const *words;   /* allowed words; NULL: any */
    bool are_patterns;          /* words may contain * and ? */
    bool is_required;
    unsigned runners; /* rows of runners: the types that have it, as bits */
    const char *doc;
};

#define CONFIG_RUNNER_BIT(type) (1u << (type))

/** The last row has no key. Offsets are in struct settings and struct profile_config. */
extern const struct config_row config_rows[];
extern const struct config_row config_profile_rows[];
/** The same for struct runner_config, without `type`. */
extern const struct config_row config_runner_rows[];
