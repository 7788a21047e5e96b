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

/* What the task wants of the profile that gets it. The strings belong to the JSON object. */
struct task_wishes {
    char **capabilities, **prefers, **avoid; /* the type is one of the capabilities */
    struct router_request request;           /* made of them */
};

void task_wishes_from_json(struct json_object *json, struct task_wishes *ret_wishes);
/** CLEANUP(task_wishes_deinit) */
void task_wishes_deinit(struct task_wishes *wishes);
