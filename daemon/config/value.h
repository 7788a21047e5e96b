/* SPDX-License-Identifier: MIT */
/* One value of the configuration: checked against its row of the table and stored. */
#pragma once

#include "common/json.h"
#include "config/table.h"

/* Where a value goes and how errors name it. */
struct config_target {
    void *base; /* struct settings, struct profile_config or struct runner_config */
    const struct config_row *rows; /* of its members */
    const char *prefix;            /* of keys in messages, e.g. "profiles[1]." */
    char **error;
};

/** Returns -EINVAL and sets *error to "PREFIXKEY: reason"; the caller frees it. */
MUST_CHECK int config_refuse(char **error, const char *prefix, const char *key, const char *format,
                             ...) PRINTF_LIKE(4, 5);
/** -EINVAL if its row does not allow the value. */
MUST_CHECK int config_set_value(const struct config_target *target, const struct config_row *row,
                                struct json_object *value);
/** Sets the members whose rows have a default. */
void config_set_defaults(void *base, const struct config_row *rows);
/** Stores a copy of the text and frees the previous text, if any. */
void config_store_text(void *at, const char *text);
