/* SPDX-License-Identifier: MIT */
/* The task of a request: its parameters, and their conversion to a struct task. */
#pragma once

#include "rpc/method.h"

/** The members of a task to be assigned or submitted. */
extern const struct param task_params[];
/** The same for a task that is only asked about: nothing is required. */
extern const struct param task_query_params[];

/** Fills an admission for engine_route() and engine_assign() from a checked request. It borrows
 *  from both arguments; CLEANUP(task_params_admission_deinit). */
void task_params_admission(const struct json_value *json, struct task *ret_task,
                           struct engine_admission *ret_admission);
void task_params_admission_deinit(struct engine_admission *admission);
