/* SPDX-License-Identifier: MIT */
/*
 * A run's log: JSON lines, one per line of output, each with its time and stream. A line longer
 * than RUN_LOG_LINE bytes, or shown before its end arrived, has several entries; all but the first
 * have `continues`. Of text overwritten with CR, the last version is written. If a log cannot be
 * written, it is abandoned with one warning, and the run continues.
 */
#pragma once

#include "common/macros.h"

#define RUN_LOG_LINE  16384
#define RUN_LOG_ENTRY (64 * 1024) /* limit of an entry's text, and of its member, in bytes */

struct run_log;

enum run_stream { RUN_STDOUT, RUN_STDERR, RUN_STREAMS };

/** Creates the file and up to two missing folders above it. `path` may be NULL: no log. */
struct run_log *run_log_new(const char *path, int64_t limit);
/** Closes the file; unflushed entries are lost. */
void run_log_free(struct run_log *log);
/** Adds a piece of output. Its last line waits until its end arrives, or run_log_show() is called.
 */
void run_log_add(struct run_log *log, enum run_stream stream, const char *data, size_t len);
/** Adds one entry of another kind: its stream's name, text for people and, unless NULL, a member
 *  {name, JSON} for programs. A text over RUN_LOG_ENTRY is cut, a larger member is omitted; the
 *  entry then has `truncated`. */
void run_log_note(struct run_log *log, const char *stream, const char *text, size_t len,
                  const char *member, const char *json);
/** Adds unfinished lines that have waited for `wait_ms`. Returns in how many ms to call it again,
 * or -1. */
int64_t run_log_show(struct run_log *log, int64_t wait_ms);
/** Writes the entries to the file. */
void run_log_flush(struct run_log *log);
/** Adds the unfinished lines, and flushes. */
void run_log_end(struct run_log *log);
