/* SPDX-License-Identifier: MIT */
/* What a session offers to be set: its configuration options, or in agents without these its modes
 * and models. `info` is the answer to session/new. */
#pragma once

#include "common/buf.h"
#include "common/json.h"

/** The id of the option that a setting means, by its category, else by its id; NULL: there is
 *  none. */
const char *acp_session_option(struct json_object *info, const char *name);
/** Prints the values that a setting may have, as far as the agent says: "a, b". */
void acp_session_print_values(struct json_object *info, const char *name, struct buf *out);
/** Prints the names of what can be set. */
void acp_session_print_names(struct json_object *info, struct buf *out);
/** Takes the options over as an answer or an update tells of them. */
void acp_session_update(struct json_object *info, struct json_object *told);
/** The mode that the session is in, or NULL when the agent does not say. */
const char *acp_session_mode(struct json_object *info);
/** Whether agents in this mode are known to write without asking; `agent` is the answer to
 *  `initialize`. */
bool acp_session_does_not_ask(struct json_object *agent, const char *mode);
