/* SPDX-License-Identifier: MIT */
/*
 * The bearer tokens that --token-file names: who has them, and what each may do.
 *
 * A line is "TOKEN [NAME [read|operate]]"; blank lines, and those that begin with '#', say nothing.
 * A line without a name is "token"; one without a role may operate.
 *
 * Thread-safe.
 */
#pragma once

#include "common/macros.h"

#define TOKEN_NAME_SIZE 65

struct tokens;

struct token_holder {
    char name[TOKEN_NAME_SIZE]; /* "": no tokens are asked for */
    bool may_write;
};

enum token_outcome {
    TOKEN_REFUSED = 1, /* it is missing or wrong */
    TOKEN_THROTTLED,   /* it is, and too many wrong ones came: see *ret_wait */
};

/** Reads the file. -errno with a message, to be freed, when there is anything wrong with it. */
int tokens_new(const char *path, struct tokens **ret_tokens, char **ret_error);
void tokens_free(struct tokens *tokens);
/** Reads the file again. On failure the tokens stay as they were. */
int tokens_reload(struct tokens *tokens, char **ret_error);

/** Whose token it is; 0 or an outcome. given: NULL when there was none; address: the client's,
 * whose wrong tokens are counted. *ret_wait: seconds, of TOKEN_THROTTLED. */
int tokens_check(struct tokens *tokens, const char *given, const char *address,
                 struct token_holder *ret_holder, int *ret_wait);
