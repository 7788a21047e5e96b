/* SPDX-License-Identifier: MIT */
/* An unmodified engine: faults cannot be ordered. */
#include "fixture.h"

void add_fault_cases(Suite *suite UNUSED)
{
}
