/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "fixture.h"

int main(void)
{
    Suite *suite = suite_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    add_task_cases(suite);
    add_profile_cases(suite);
    add_metrics_cases(suite);
    add_metrics_blob_cases(suite);
    add_anomaly_cases(suite);
    add_forecast_cases(suite);
    add_router_cases(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
