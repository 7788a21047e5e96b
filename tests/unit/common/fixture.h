/* SPDX-License-Identifier: MIT */
/* Shared by the tests of common/. */
#pragma once

#include <check.h>

#include "tests/random.h"

#define REPLACEMENT "\xef\xbf\xbd"

/** Adds a case to the suite. */
TCase *add_case(Suite *suite, const char *name);

/* The cases of each file. */

void add_clock_cases(Suite *suite);
void add_list_cases(Suite *suite);
void add_buf_cases(Suite *suite);
void add_json_cases(Suite *suite);
void add_json_doc_cases(Suite *suite);
void add_json_out_cases(Suite *suite);
void add_path_cases(Suite *suite);
