/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fixture.h"

int main(void)
{
    Suite *suite = suite_create("common");
    SRunner *runner = srunner_create(suite);
    int failed;

    add_clock_cases(suite);
    add_list_cases(suite);
    add_buf_cases(suite);
    add_json_cases(suite);
    add_json_doc_cases(suite);
    add_json_out_cases(suite);
    add_path_cases(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
