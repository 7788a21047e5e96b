/* SPDX-License-Identifier: MIT */
/* An engine as it is: no fault can be ordered. */
#include "fixture.h"

void add_fault_cases(Suite *suite UNUSED)
{
}
