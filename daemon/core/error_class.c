/* SPDX-License-Identifier: MIT */
#include "core/error_class.h"

#include <string.h>

static const struct error_class_info classes[ERROR_CLASS_COUNT + 1] = {
    /*                     name           retry            spends cools  counts halves */
    [ERROR_NONE] = {NULL, RETRY_NEVER, false, false, true, false},
    [ERROR_EXIT] = {"exit", RETRY_BACKOFF, true, false, true, false},
    [ERROR_SIGNAL] = {"signal", RETRY_BACKOFF, true, false, true, false},
    [ERROR_TIMEOUT] = {"timeout", RETRY_BACKOFF, true, false, true, false},
    [ERROR_STALL] = {"stall", RETRY_BACKOFF, true, false, true, false},
    [ERROR_REFUSAL] = {"refusal", RETRY_IF_CONFIGURED, true, false, true, false},
    [ERROR_LIMIT] = {"limit", RETRY_IF_CONFIGURED, true, false, true, false},
    [ERROR_AUTH] = {"auth", RETRY_AFTER_COOLDOWN, false, true, false, false},
    [ERROR_RATE_LIMIT] = {"rate_limit", RETRY_AFTER_COOLDOWN, false, true, false, true},
    [ERROR_UNAVAILABLE] = {"unavailable", RETRY_AFTER_COOLDOWN, false, true, false, true},
    [ERROR_INTERRUPTED] = {"interrupted", RETRY_AT_ONCE, false, false, false, false},
    [ERROR_LOST_LEASE] = {"lost_lease", RETRY_BACKOFF, true, false, true, false},
    [ERROR_CANCELLED] = {"cancelled", RETRY_NEVER, false, false, false, false},
    [ERROR_INVALID] = {"invalid", RETRY_NEVER, true, false, false, false},
    [ERROR_UNKNOWN] = {"unknown", RETRY_NEVER, true, false, true, false},
};

const char *const error_class_names[] = {
    "exit",       "signal",      "timeout",     "stall",      "refusal",   "limit",   "auth",
    "rate_limit", "unavailable", "interrupted", "lost_lease", "cancelled", "invalid", NULL,
};

const char *const error_class_of_workers[] = {
    "exit", "refusal", "limit", "auth", "rate_limit", "unavailable", "invalid", NULL,
};

const char *const error_class_configurable[] = {"refusal", "limit", NULL};

const struct error_class_info *error_class_info(enum error_class class)
{
    return &classes[class];
}

enum error_class error_class_parse(const char *name)
{
    if (!name)
        return ERROR_NONE;
    for (int i = 1; i < ERROR_CLASS_COUNT; i++)
        if (strcmp(name, classes[i].name) == 0)
            return (enum error_class)i;
    return ERROR_UNKNOWN;
}
