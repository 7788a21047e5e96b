/* SPDX-License-Identifier: MIT */
/* Which of the declared parameters of all methods have been sent in a call with a result. */
#pragma once

#include "common/json.h"

#define COVER_MAX 256 /* parameters of all methods, with the members of those that are objects */

struct cover {
    uint64_t bits[COVER_MAX / 64];
};

/** A world begins; takes down in `total` what is taken in it. */
void cover_begin(struct cover *total);
void cover_end(void);
/** A call is sent. */
void cover_sent(int64_t id, struct json_object *request);
/** Its reply. */
void cover_take(int64_t id, struct json_object *reply);
/** Prints each parameter that was not taken yet, unless `is_quiet`; returns how many. */
size_t cover_missing(const struct cover *total, bool is_quiet);
