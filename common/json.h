/* SPDX-License-Identifier: MIT */
/* Reading JSON with json-c, as strictly as RFC 8259 asks, and the JSON-RPC error codes. */
#pragma once

#include <json-c/json.h>

#include "common/macros.h"

#define JSON_DEPTH_MAX 64

/* JSON-RPC 2.0, section 5.1, and acpd's own. */
enum rpc_code {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_NOT_FOUND = -32001,
    RPC_CONFLICT = -32002,
    RPC_QUEUE_FULL = -32003,
    RPC_UNAVAILABLE = -32004,
    RPC_FORBIDDEN = -32005,
};

struct json_reader;

/** A parser to be reused: a new one a message would double the cost of parsing. */
struct json_reader *json_reader_new(void);
void json_reader_free(struct json_reader *reader);
/** Parses exactly one value, white space around it allowed; UTF-8 and numbers are checked: NaN,
 *  Infinity, integers over 64 bits and what does not fit a double are refused. The caller puts
 *  *ret_value (NULL stands for null). On -EINVAL *ret_reason says what is wrong and *ret_offset
 *  where. */
int json_reader_parse(struct json_reader *reader, const char *text, size_t len,
                      struct json_object **ret_value, const char **ret_reason, size_t *ret_offset);

/** The compact text of one value, which the caller frees. It is checked as by json_reader_parse(),
 * but integers may have any size, and numbers, escapes and members stay as they were written. */
int json_reader_compact(struct json_reader *reader, const char *text, size_t len, char **ret_text,
                        const char **ret_reason, size_t *ret_offset);

/** json_reader_parse() for what others wrote and nobody can have corrected: an integer over 64 bits
 *  becomes the nearest that is not. */
int json_reader_parse_leniently(struct json_reader *reader, const char *text, size_t len,
                                struct json_object **ret_value, const char **ret_reason,
                                size_t *ret_offset);

/** Of a text that json_reader_parse() took: the name of the first member that its object has
 * already, which the caller frees, and where it stands; NULL when there is none. */
char *json_find_twin(const char *text, size_t len, size_t *ret_offset);

/** CLEANUP(json_putp) */
void json_putp(struct json_object **value);
/** The member, or NULL when it is missing or null. */
struct json_object *json_get(struct json_object *object, const char *key);
const char *json_get_string(struct json_object *object, const char *key);
/** Compact text, valid until the next call on the value. */
const char *json_compact(struct json_object *value);
