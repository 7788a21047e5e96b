/* SPDX-License-Identifier: MIT */
/*
 * What an agent's error is about. The protocol has one code for a missing login and none for a
 * provider's limits; agents pass on what their provider said: an HTTP status, a provider's own name
 * for the error, or words. Three tables say what each of these means. What stands in none of them
 * says nothing (ERROR_NONE), and in doubt an error is the task's own (ERROR_EXIT).
 */
#pragma once

#include "core/error_class.h"

/** An HTTP status, or a JSON-RPC code that is one. */
enum error_class agent_error_of_status(int64_t status);
/** A provider's name for an error, as in `rate_limit_error`. */
enum error_class agent_error_of_name(const char *name);
/** What the words of an error say. An HTTP status among them counts where it is told as one
 *  ("HTTP 429", "429 Too Many Requests"). `is_about_login`: the error has the code for a missing
 *  login, so that a mere mention of logging in decides. */
enum error_class agent_error_of_words(const char *text, bool is_about_login);
