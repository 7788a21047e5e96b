/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fixture.h"

int main(void)
{
    Suite *suite = suite_create("store");
    SRunner *runner = srunner_create(suite);
    int failed;

    add_task_cases(suite);
    add_queue_cases(suite);
    add_profile_cases(suite);
    add_dependency_cases(suite);
    add_metrics_cases(suite);
    add_pass_cases(suite);
    add_model_cases(suite);
    add_open_cases(suite);
    add_disk_cases(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
