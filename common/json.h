/* SPDX-License-Identifier: MIT */
/* JSON as json-c's values, which may be kept and changed, and the JSON-RPC error codes. */
#pragma once

#include <json-c/json.h>

#include "common/json_doc.h"

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

/** Reads exactly one value, as json_doc_read() does; of members with the same name the last one
 *  counts. Numbers print as they were written, but -0; an integer over 64 bits is a double. The
 *  caller puts *ret_value (NULL means null). On -EINVAL *ret_reason is the error and *ret_offset
 *  its position. */
int json_parse(const char *text, size_t len, struct json_object **ret_value,
               const char **ret_reason, size_t *ret_offset);

/** Returns the name of the first duplicate member in a JSON text, and its position; NULL if there
 * is none. The caller frees the name. */
char *json_find_twin(const char *text, size_t len, size_t *ret_offset);

/** CLEANUP(json_putp) */
void json_putp(struct json_object **value);
/** The member, or NULL if it is missing or null. */
struct json_object *json_get(struct json_object *object, const char *key);
const char *json_get_string(struct json_object *object, const char *key);
/** Compact text, valid until the next call on the value. */
const char *json_compact(struct json_object *value);
