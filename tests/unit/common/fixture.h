/* SPDX-License-Identifier: MIT */
/* What the tests of the common room share. */
#pragma once

#include <check.h>

#define REPLACEMENT "\xef\xbf\xbd"

/** The state of random_below(), xorshift64*: a seed makes a run of its own, the same each time. */
extern uint64_t chance;
uint64_t random_below(uint64_t limit);

/** Adds a case to the suite. */
TCase *add_case(Suite *suite, const char *name);

/* The cases of each file. */

void add_clock_cases(Suite *suite);
void add_list_cases(Suite *suite);
void add_buf_cases(Suite *suite);
void add_json_cases(Suite *suite);
void add_path_cases(Suite *suite);
