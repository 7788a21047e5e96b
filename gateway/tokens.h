/* SPDX-License-Identifier: MIT */
/*
 * The bearer tokens in --token-file: their names and roles.
 *
 * A line is "TOKEN [NAME [read|operate]]"; blank lines and lines that begin with '#' are ignored.
 * The default name is "token", the default role `operate`.
 *
 * Thread-safe.
 */
#pragma once

#include "common/macros.h"

#define TOKEN_NAME_SIZE 65

struct tokens;

struct token_holder {
    char name[TOKEN_NAME_SIZE]; /* "": no tokens are required */
    bool may_write;
};

enum token_outcome {
    TOKEN_REFUSED = 1, /* it is missing or wrong */
    TOKEN_THROTTLED,   /* wrong, after too many wrong ones: see *ret_wait */
};

/** Reads the file. -errno with a message, which the caller frees, if it is invalid. */
int tokens_new(const char *path, struct tokens **ret_tokens, char **ret_error);
void tokens_free(struct tokens *tokens);
/** Reads the file again. On failure the tokens are unchanged. */
int tokens_reload(struct tokens *tokens, char **ret_error);

/** Finds the owner of a token; 0 or an outcome. given: NULL if there was none; address: the
 * client's, for counting wrong tokens. *ret_wait: seconds, for TOKEN_THROTTLED. */
int tokens_check(struct tokens *tokens, const char *given, const char *address,
                 struct token_holder *ret_holder, int *ret_wait);
