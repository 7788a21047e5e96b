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
    CONFIG_RUNNER,  /* struct runner_config */
};

struct config_row {
    const char *key; /* with dots where objects are nested */
    enum config_type type;
    size_t offset;
    double min, max;  /* of numbers, in the unit of the key; of texts: most bytes in max */
    double number;    /* the default */
    const char *text; /* the default of a text; NULL: none */
    const char *const *choices; /* ended by NULL; the value is the index */
    bool is_required;
    const char *doc;
};

/** Rows ended by one without a key; offsets in struct settings and struct profile_config. */
extern const struct config_row config_rows[];
extern const struct config_row config_profile_rows[];
