/* SPDX-License-Identifier: MIT */
/* The engine under test. Each program of this suite links one. */
#pragma once

#include "store/store.h"

struct test_engine {
    const char *name;
    /** A place without a store; the caller passes it to destroy(). */
    char *(*create)(void);
    /** Opens the store; the first call creates it. Several handles may be open at once, in one or
     *  several processes. No handle may be used after a fork. */
    int (*open)(const char *place, struct store **ret_store, char **ret_error);
    /** The same as a node of this name and place; NULL: the store cannot be shared. */
    int (*open_node)(const char *place, const char *name, const char *where,
                     struct store **ret_store, char **ret_error);
    void (*close)(struct store *store);
    /** Checks what a closed store contains: 0, or *ret_error says what is wrong. */
    int (*verify)(const char *place, char **ret_error);
    void (*destroy)(char *place);
};

extern const struct test_engine engine;
