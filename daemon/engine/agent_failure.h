/* SPDX-License-Identifier: MIT */
/* Classifies an agent's error: its class, a message, and when to retry. */
#pragma once

#include "common/json.h"
#include "core/error_class.h"
#include "run/acp.h"

struct agent_failure {
    enum error_class class;
    char *words;            /* "Internal error: the model x does not exist (-32603)" */
    int64_t retry_after_ms; /* as the provider asks; 0: it does not */
};

/** Reads an error that answered `request`, or that the agent reported otherwise
 *  (ACP_REQUEST_COUNT). The caller frees `words`. */
void agent_failure_read(enum acp_request request, struct json_object *error,
                        struct agent_failure *ret_failure);
/** Prints how to log in: the agent's `authMethods`, from its start or the error, and what it wrote
 * to stderr about it. `auth_method`: the one already tried, or NULL. */
void agent_failure_print_login(struct json_object *agent, struct json_object *error,
                               const char *auth_method, const char *stderr_lines, struct buf *out);
