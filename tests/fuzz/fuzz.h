/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. A target is told bytes, and keeps promises whatever they are. */
#pragma once

#include <stdio.h>

#include "common/json.h"
#include "common/macros.h"

/* Like assert(), in every build, and with a way to say what was at hand. */
#define PROMISE(condition, ...)                                                                    \
    do {                                                                                           \
        if (condition)                                                                             \
            break;                                                                                 \
        fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);            \
        fprintf(stderr, "" __VA_ARGS__);                                                           \
        fputc('\n', stderr);                                                                       \
        abort();                                                                                   \
    } while (0)

/* libFuzzer's two calls. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The value; *ret_is_json false: it is none. */
struct json_object *fuzz_parse(const char *text, size_t len, bool *ret_is_json);
/** What was said must be JSON as RFC 8259 has it; NULL stands for null. */
struct json_object *fuzz_must_parse(const char *text, size_t len);
