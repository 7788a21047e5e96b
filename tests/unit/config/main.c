/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fixture.h"

int main(void)
{
    Suite *suite = suite_create("config");
    SRunner *runner = srunner_create(suite);
    int failed;

    add_table_cases(suite);
    add_file_cases(suite);
    add_profile_cases(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
