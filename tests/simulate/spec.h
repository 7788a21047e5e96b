/* SPDX-License-Identifier: MIT */
/* What a new task is like. All of it follows from the task's key, so that it can be checked when
 * acpd shows the task. To send another member, add a row to spec.c. */
#pragma once

#include "common/buf.h"
#include "common/json.h"
#include "core/task.h"

#define SPEC_KEY_SIZE 257
#define SPEC_NODE     "node" /* acpd's name */

/** Its members, without braces, apart from those that a call chooses: `runAt`, `dependsOn`. */
void spec_print(int64_t key, struct buf *out);
/** Its idempotency key, which begins with k and the number. */
void spec_print_key(int64_t key, char ret_key[SPEC_KEY_SIZE]);
/** The task as acpd shows it has the members of its key, apart from its priority. */
void spec_check(int64_t key, struct json_object *task);
/** It was routed to a profile that it may go to. */
void spec_check_routing(int64_t key, struct json_object *task);
/** The agent that is prompted to do it was told to use what it names; empty: nothing. */
void spec_check_prompt(int64_t key, const char *model, const char *mode, const char *level);
enum task_priority spec_priority(int64_t key);
/** 0: the profile's. */
int spec_max_attempts(int64_t key);
/** 0: the profile's. */
int64_t spec_timeout_ms(int64_t key);
/** What a worker of the simulation says when it completes a task: JSON, by the task's id. */
void spec_print_result(int64_t id, struct buf *out);
void spec_check_result(int64_t id, struct json_object *task);
