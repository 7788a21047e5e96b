/* SPDX-License-Identifier: MIT */
#include "fixture.h"

uint64_t chance;

TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return tcase;
}
