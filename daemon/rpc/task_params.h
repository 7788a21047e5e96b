/* SPDX-License-Identifier: MIT */
/* The task of a request: its parameters, and its way into a struct task. */
#pragma once

#include "rpc/method.h"

/** The members of a task to be assigned or submitted. */
extern const struct param task_params[];
/** The same where the task is only asked about: nothing is required. */
extern const struct param task_query_params[];

/** Fills what engine_route() and engine_assign() want from a checked request. The admission borrows
 *  from both others; CLEANUP(admission_deinit). */
void admission_from_json(struct json_object *json, struct task *ret_task,
                         struct engine_admission *ret_admission);
void admission_deinit(struct engine_admission *admission);
