/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fixture.h"

int main(void)
{
    Suite *suite = suite_create("store");
    SRunner *runner = srunner_create(suite);
    int failed;

    add_statement_cases(suite);
    add_year_cases(suite);
    add_failure_cases(suite);
    add_open_cases(suite);
    add_disk_cases(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
