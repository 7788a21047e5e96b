/* SPDX-License-Identifier: MIT */
/*
 * Reading a JSON text as a whole, as strictly as RFC 8259 requires.
 *
 * A document holds a copy of the text and one node for each value. Strings are decoded in place, so
 * reading allocates nothing per value, and a document that is used again allocates nothing at all.
 * Its values live until it is read into again, cleared or freed; they move with it when the struct
 * is copied. common/json.h makes json-c's values of them, for what is kept or changed.
 */
#pragma once

#include "common/json_value.h"

#define JSON_DEPTH_MAX 64

struct json_chunk;

struct json_doc {
    struct buf text;
    struct json_chunk *chunks; /* of nodes; the first one is in use */
    struct json_chunk *spare;
    size_t used; /* nodes of the first chunk */
};

struct json_error {
    const char *reason;
    size_t offset; /* of the byte that is wrong */
};

/** Reads exactly one value, optionally surrounded by white space; drops what the document held.
 *  NULL: *ret_error tells why. UTF-8 and numbers are checked: NaN, Infinity and numbers beyond the
 *  range of a double are rejected; integers may exceed 64 bits. A lone surrogate becomes U+FFFD. */
struct json_value *json_doc_read(struct json_doc *doc, const char *text, size_t len,
                                 struct json_error *ret_error);
/** Adds an empty object to what it holds. */
struct json_value *json_doc_add_object(struct json_doc *doc);
/** Drops what it holds, and keeps a little memory for the next text. */
void json_doc_clear(struct json_doc *doc);
void json_doc_deinit(struct json_doc *doc);
/** Where the name of a member is in the text: its opening quote. */
size_t json_doc_offset_of(const struct json_doc *doc, const struct json_value *member);

/** The compact text of one value; the caller frees it. Numbers, escapes and members are kept as
 *  written, but lone surrogates. NULL: *ret_error tells why. */
char *json_doc_compact_text(const char *text, size_t len, struct json_error *ret_error);
