/* SPDX-License-Identifier: MIT */
/*
 * The log: one line per message on standard error, prefixed with the syslog priority that systemd's
 * journal reads ("<3>") when stderr is the journal, with time and level otherwise.
 */
#pragma once

#include "common/macros.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** Parses "error", "warning", "info" or "debug". -EINVAL for anything else. */
int log_level_parse(const char *name, enum log_level *ret_level);
/** Messages above this level are dropped; info is the default. `program` must outlive the log. */
void log_setup(const char *program, enum log_level level);

void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
