/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fixture.h"

int main(void)
{
    Suite *suite = suite_create(engine.name);
    SRunner *runner = srunner_create(suite);
    int failed;

    add_add_cases(suite);
    add_change_cases(suite);
    add_claim_cases(suite);
    add_finish_cases(suite);
    add_dependant_cases(suite);
    add_prune_cases(suite);
    add_list_cases(suite);
    add_profile_cases(suite);
    add_metrics_cases(suite);
    add_pass_cases(suite);
    add_model_cases(suite);
    add_race_cases(suite);
    add_node_cases(suite);
    add_process_cases(suite);
    add_fault_cases(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
