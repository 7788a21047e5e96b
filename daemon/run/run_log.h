/* SPDX-License-Identifier: MIT */
/*
 * A run's log: JSON lines, one a line of output, each with its time and stream. A line that is
 * longer than RUN_LOG_LINE bytes, or was shown before its end came, has several entries; all but
 * its first have `continues`. Of what CRs draw over, the last drawing is written. A log that cannot
 * be written is given up with one warning; the run goes on.
 */
#pragma once

#include "common/macros.h"

#define RUN_LOG_LINE  16384
#define RUN_LOG_ENTRY (64 * 1024) /* bytes of an entry's text, and of its member */

struct run_log;

enum run_stream { RUN_STDOUT, RUN_STDERR, RUN_STREAMS };

/** Creates the file and up to two missing folders above it. `path` may be NULL: no log. */
struct run_log *run_log_new(const char *path, int64_t limit);
/** Closes the file; what was not flushed is lost. */
void run_log_free(struct run_log *log);
/** Adds a piece of output. Its last line waits until its end arrives, or run_log_show() is called.
 */
void run_log_add(struct run_log *log, enum run_stream stream, const char *data, size_t len);
/** Adds one entry of another kind: its stream's name, a text for people and, unless NULL, a member
 *  {name, JSON} for programs. Of a text over RUN_LOG_ENTRY the beginning is written, a member over
 *  it is left out; the entry then has `truncated`. */
void run_log_note(struct run_log *log, const char *stream, const char *text, size_t len,
                  const char *member, const char *json);
/** Adds what waits for its line's end since `wait_ms`. In how many ms to call it again, or -1. */
int64_t run_log_show(struct run_log *log, int64_t wait_ms);
/** Writes the entries to the file. */
void run_log_flush(struct run_log *log);
/** Adds the lines that were not ended, and flushes. */
void run_log_end(struct run_log *log);
