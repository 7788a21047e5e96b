/* SPDX-License-Identifier: MIT */
/*
 * Classifies agents' errors. The protocol has one code for a missing login and none for a
 * provider's limits; agents pass on their provider's error: an HTTP status, the provider's name for
 * it, or text. Three tables map these to classes. Anything else is ERROR_NONE, and in doubt an
 * error is the task's own (ERROR_EXIT).
 */
#pragma once

#include "core/error_class.h"

/** An HTTP status, or a JSON-RPC code that is one. */
enum error_class agent_error_of_status(int64_t status);
/** A provider's name for an error, as in `rate_limit_error`. */
enum error_class agent_error_of_name(const char *name);
/** Classifies the text of an error. An HTTP status counts only where it is given as one ("HTTP
 *  429", "429 Too Many Requests"). `is_about_login`: the error has the code for a missing login, so
 *  any mention of logging in decides. */
enum error_class agent_error_of_words(const char *text, bool is_about_login);
