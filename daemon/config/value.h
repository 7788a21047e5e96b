/* SPDX-License-Identifier: MIT */
/* One value of the configuration: checked against its row of the table and put in its place. */
#pragma once

#include "common/json.h"
#include "config/table.h"

/* Where a value goes and how errors name it. */
struct config_place {
    void *base; /* struct settings, struct profile_config or struct runner_config */
    const struct config_row *rows; /* of its members */
    const char *prefix;            /* of keys in messages, e.g. "profiles[1]." */
    char **error;
};

/** -EINVAL, with *error set to "PREFIXKEY: reason", to be freed. */
int config_refuse(char **error, const char *prefix, const char *key, const char *format, ...)
    PRINTF_LIKE(4, 5);
/** -EINVAL when the value is not what its row allows. */
int config_set_value(const struct config_place *place, const struct config_row *row,
                     struct json_object *value);
/** Sets what has a default in the rows. */
void config_set_defaults(void *base, const struct config_row *rows);
/** Puts a copy of the text at a place that holds a text or NULL, which is freed. */
void config_store_text(void *at, const char *text);
