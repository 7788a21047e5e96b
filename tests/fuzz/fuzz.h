/* SPDX-License-Identifier: MIT */
/* Shared by the fuzz targets. A target gets arbitrary bytes and must keep its promises. */
#pragma once

#include <stdio.h>

#include "common/json.h"
#include "common/macros.h"

/* Like assert(), but in every build and with an optional message. */
#define PROMISE(condition, ...)                                                                    \
    do {                                                                                           \
        if (condition)                                                                             \
            break;                                                                                 \
        fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);            \
        fprintf(stderr, "" __VA_ARGS__);                                                           \
        fputc('\n', stderr);                                                                       \
        abort();                                                                                   \
    } while (0)

/* Called by libFuzzer. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Parses a JSON value, NULL for null; *ret_is_json is false if the text is not valid JSON. */
struct json_object *fuzz_parse(const char *text, size_t len, bool *ret_is_json);
/** The text must be valid JSON (RFC 8259). Returns NULL for null. */
struct json_object *fuzz_must_parse(const char *text, size_t len);
