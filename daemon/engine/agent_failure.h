/* SPDX-License-Identifier: MIT */
/* What an agent's error says: its class, why in words, and when to come back. */
#pragma once

#include "common/json.h"
#include "core/error_class.h"
#include "run/acp.h"

struct agent_failure {
    enum error_class class;
    char *words;            /* "Internal error: the model x does not exist (-32603)" */
    int64_t retry_after_ms; /* as the provider asks for, 0: it does not */
};

/** Reads the error that answered `request`, or that the agent told of by other means
 *  (ACP_REQUEST_COUNT). The caller frees `words`. */
void agent_failure_read(struct json_reader *reader, enum acp_request request,
                        struct json_object *error, struct agent_failure *ret_failure);
/** Prints how the agent's user can log in: the agent's `authMethods`, as it told of them at its
 * start or with the error, and what it wrote to stderr about it. `auth_method`: that has been
 * tried, or NULL. */
void agent_failure_print_login(struct json_object *agent, struct json_object *error,
                               const char *auth_method, const char *stderr_lines, struct buf *out);
