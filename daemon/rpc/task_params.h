/* SPDX-License-Identifier: MIT */
/* The task of a request: its parameters, and its way into a struct task. */
#pragma once

#include "rpc/method.h"

/** The members of a task to be assigned or submitted. */
extern const struct param task_params[];
/** The same where the task is only asked about: nothing is required. */
extern const struct param task_query_params[];

/** Fills what engine_assign() wants from a checked request. */
void task_from_json(struct json_object *json, struct task *ret_task);
/** What the task requires: its type and its capabilities, each once. The strings belong to `json`;
 *  the caller frees the vector alone. */
char **task_requirements(struct json_object *json);
