/* SPDX-License-Identifier: MIT */
/* The settings of a session: its configuration options, or its modes and models if the agent has no
 * options. `info` is the answer to session/new. */
#pragma once

#include "common/buf.h"
#include "common/json.h"

/** The id of the option for a setting, by category or else by id; NULL: none. */
const char *acp_session_option(struct json_object *info, const char *name);
/** Prints the values that the agent offers for a setting: "a, b". */
void acp_session_print_values(struct json_object *info, const char *name, struct buf *out);
/** Prints the names of the settings. */
void acp_session_print_names(struct json_object *info, struct buf *out);
/** Updates the options from an answer or an update. */
void acp_session_update(struct json_object *info, struct json_object *told);
/** The mode of the session, or NULL if the agent does not report it. */
const char *acp_session_mode(struct json_object *info);
/** Whether agents in this mode are known to write without asking; `agent` is the answer to
 *  `initialize`. */
bool acp_session_does_not_ask(struct json_object *agent, const char *mode);
