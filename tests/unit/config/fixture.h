/* SPDX-License-Identifier: MIT */
/* Shared by the tests of the configuration. */
#pragma once

#include <check.h>

#include "config/config.h"
#include "config/table.h"

#define DEMO_PATH "/opt/acpd/demo agent"

/* A profile's object: the required members, and more. */
#define NAMED(name, members)                                                                       \
    "{'name': '" name "', 'runner': {'type': 'command', 'command': ['/bin/true']}" members "}"
#define PROFILE(members) "{'profiles': [" NAMED("a", members) "]}"
#define RUNNER(members)  "{'profiles': [{'name': 'a', 'runner': {" members "}}]}"

extern char folder[32];
extern char *file;
extern struct settings settings;

void write_bytes(const char *text, size_t len);
/** Loads the settings of a file; NULL: the defaults. */
void load_file(const char *path);
/** Loads the settings of this text; ' stands for ". */
const struct settings *load(const char *text);
/** Expects that loading `path` fails and returns nothing but the message. */
char *refusal_of(const char *path);
/** Expects that the text is rejected; returns the message without the file's name. */
char *refuse(const char *text);

struct refusal {
    const char *text, *message;
};

void check_refusals(const struct refusal *rows, size_t count);
void check_strv(char *const *strv, const char *const *expected);
#define check_list(strv, ...) check_strv(strv, (const char *const[]){__VA_ARGS__, NULL})

/* Checks the defaults against the documented values, not the table. */
void check_default_settings(void);
void check_default_limits(const struct profile_config *profile);
void check_demo_profiles(void);

/** The tables of the file, its profiles and runners. */
extern const struct config_row *const tables[3];

#define for_each_row(row, is_profile)                                                              \
    for (int is_profile = 0; is_profile < 2; is_profile++)                                         \
        for (const struct config_row *row = tables[is_profile]; row->key; row++)

/** Adds a case to the suite. */
TCase *add_case(Suite *suite, const char *name);

/* The cases of each file. */

void add_table_cases(Suite *suite);
void add_file_cases(Suite *suite);
void add_profile_cases(Suite *suite);
