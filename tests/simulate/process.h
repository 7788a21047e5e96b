/* SPDX-License-Identifier: MIT */
/*
 * The simulated processes, in the place of run/run.c and run/supervisor.c: they end well or badly,
 * hang, ignore SIGTERM, flood, cannot be started, lose their keeper, or are agents (agent.h).
 */
#pragma once

#include "common/macros.h"
#include "run/run.h"

struct event_base;

/** The message of a start that fails for want of a process. */
#define PROCESS_SHORTAGE "no more processes"

/** The supervisor of a new acpd. It is ready a little later. */
struct supervisor *process_supervisor(struct event_base *base);
/** Its processes end with it, all at once. May be NULL. */
void process_end_all(struct supervisor *supervisor);
/** It is killed: its processes are lost, and another one is ready a little later. */
void process_kill_supervisor(void);
/** From now on all of them do what they should. */
void process_calm(void);

/* For the model. */

/** Whether a process works on this attempt; 0: on any of the task. */
bool process_works_on(int64_t task, int64_t attempt);
/** Calls `visit` for all attempts that commands, or agents, work on and are not being stopped. */
void process_visit(bool are_agents, void (*visit)(int64_t task, int64_t attempt, void *data),
                   void *data);
/** Whether one works on anything. */
bool process_is_working(void);
/** Whether an agent writes a line that does not end, of which acpd keeps some megabytes. */
bool process_is_endless(void);
/** Number of those that work for the profile. */
size_t process_count(const char *profile);

/* For agents. */

/** It says something, a little later; the bytes are copied. */
void process_say(struct run *run, const char *bytes, size_t len);
/** It exits, a little later. */
void process_exit(struct run *run, int status);
/** It will exit, whatever it is doing then. */
void process_leave(struct run *run, int64_t ms);
/** It writes and writes, and never ends the line. */
void process_never_end_line(struct run *run);
/** It is prompted, after it was told what to use; empty: nothing. */
void process_note_prompt(const struct run *run, const char *model, const char *mode,
                         const char *level);
/** Its turn is over once it has said everything; then it works on nothing. */
void process_rest(struct run *run);
/** Its turn will have ended well. */
void process_succeed(struct run *run);
/** It is told the answer to the attempt's question of this number. */
void process_note_answer(const struct run *run, int64_t question, bool is_yes);
/** What the result of its attempt contains. */
const char *process_mark(const struct run *run);
