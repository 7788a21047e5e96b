/* SPDX-License-Identifier: MIT */
/* An engine under test. Each program of this suite is linked with one of them. */
#pragma once

#include "store/store.h"

struct test_engine {
    const char *name;
    /** A place where there is no store yet, to be given back to destroy(). */
    char *(*create)(void);
    /** Opens the store at the place, which the first one makes. Several may be open at once, in one
     *  process or in many; none may cross a fork. */
    int (*open)(const char *place, struct store **ret_store, char **ret_error);
    void (*close)(struct store *store);
    /** Expects that the closed store is whole, counters included: 0, or *ret_error says what is
     *  not. */
    int (*verify)(const char *place, char **ret_error);
    void (*destroy)(char *place);
};

extern const struct test_engine engine;
