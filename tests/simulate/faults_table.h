/* SPDX-License-Identifier: MIT */
/*
 * To add a fault, add a row to FAULTS and a function in the place of one of acpd's, whose name goes
 * into meson.build, too. The linker replaces calls from other files only.
 */
#pragma once

#include "faults.h"
#include "world.h"

/* clang-format off */
#define FAULTS \
    FAULT(NONE, "none") \
    FAULT(COMMIT, "a commit that is none") \
    FAULT(REFUSAL, "a refused task that is there") \
    FAULT(EARLY_REPLY, "replies before their commit") \
    FAULT(KEPT_REPLY, "replies that outlive a failed commit") \
    FAULT(EARLY_START, "processes before their commit") \
    FAULT(GHOST, "claims that outlive a failed commit") \
    FAULT(END, "an end that is not written") \
    FAULT(TWICE, "an end that is settled twice") \
    FAULT(RESULT, "a result that is lost") \
    FAULT(CHANGE, "a change that is not written") \
    FAULT(REASON, "a refusal for no reason") \
    FAULT(FIRST, "the second task before the first") \
    FAULT(EXTEND, "an extension that does not count") \
    FAULT(BEYOND, "an extension beyond the timeout") \
    FAULT(CANCEL, "a cancel that is not written") \
    FAULT(STOP, "a stop that never reaches the process") \
    FAULT(SLOT, "a slot that is not given back") \
    FAULT(LIMIT, "a limit that a reload forgets") \
    FAULT(PAUSE, "a pause that is not written") \
    FAULT(COUNT, "a counter that misses a step") \
    FAULT(KEY, "a key that is forgotten") \
    FAULT(ORDER, "a priority that does not count") \
    FAULT(RUN_AT, "a time that is not waited for") \
    FAULT(WAKE, "retries that never become due") \
    FAULT(DEPENDENCY, "a dependency that is not waited for") \
    FAULT(RELEASE, "a dependant that is never released") \
    FAULT(RETENTION, "retention that takes what is young") \
    FAULT(ATTEMPT, "an attempt that is not counted") \
    FAULT(LEASES, "leases that do not survive a restart") \
    FAULT(EXPIRY, "leases that never end") \
    FAULT(FENCE, "ends that any token brings about") \
    FAULT(REMOVED, "leases that end with their profile") \
    FAULT(BATCH, "a batch whose replies change places") \
    FAULT(EVENT, "an event that is skipped") \
    FAULT(GHOST_EVENT, "events of failed passes") \
    FAULT(NUMBERS, "numbers of events that follow the clock back") \
    FAULT(DESCRIPTOR, "a descriptor that stays open") \
    FAULT(ANSWER, "a no that reaches the agent as a yes") \
    FAULT(ATTEMPTS, "one attempt more than there may be") \
    FAULT(SHORTAGE, "a shortage that spends attempts") \
    FAULT(REMAINS, "frames of a failed commit that stay") \
    FAULT(ROOM, "twice the room in a queue") \
    FAULT(REMEMBERED, "a key that is remembered after a rollback") \
    FAULT(CLOCK, "a rank that steps back with the clock") \
    FAULT(DAMAGE, "a damaged row that is taken for an empty queue") \
    FAULT(RETRY, "a retry that is not written") \
    FAULT(MOVE, "a move to where the task was") \
    FAULT(BODY, "the members of another task") \
    FAULT(UNASKED_PAUSE, "a reload that pauses") \
    FAULT(REFUSED_CANCEL, "a refused cancel that takes effect") \
    FAULT(FAILED, "failures that are not counted") \
    FAULT(SURVIVOR, "a lease that survives its task") \
    FAULT(PLACE, "an update that leaves a task in its place") \
    FAULT(BUDGET, "a retry without new attempts") \
    FAULT(LIST, "a queue that lists its first task alone") \
    FAULT(METRICS, "metrics that miss a completion") \
    FAULT(FILTER, "a filter that forgets what came before") \
    FAULT(SETTING, "a model that the agent is not told") \
    FAULT(AGENT, "an agent that is not stopped") \
    FAULT(KEPT, "old tasks that are kept") \
    FAULT(OUTPUT, "replies to a client that does not read") \
    FAULT(LINES, "requests without a limit in a pass") \
    FAULT(BACKUP, "a backup without attempts") \
    FAULT(LINE, "a line of the audit log that is skipped") \
    FAULT(LATE_LINE, "a line of the audit log that comes late") \
    FAULT(LINE_TWICE, "a line of the audit log that is there twice") \
    FAULT(GHOST_LINE, "lines of the audit log for refused calls") \
    FAULT(CALLER, "a line of the audit log that names another caller") \
    FAULT(LINE_TASK, "a line of the audit log that names another task") \
    FAULT(HALF_LINE, "a line of the audit log without its end") \
    FAULT(NEW_LOG, "an audit log that begins anew with each start") \
    FAULT(OLD_LOG, "an audit log that is removed when it is long") \
    FAULT(FORGOTTEN_LINE, "lines that a full disk takes away") \
    FAULT(SILENCE, "an audit log that fails unnoticed") \
    FAULT(UNCHECKED, "parameters that are not checked") \
    FAULT(UNKNOWN, "an unknown profile that is taken for another") \
    FAULT(SECOND, "an update that forgets its second change") \
    FAULT(CLASS, "a failure of another class") \
    FAULT(MESSAGE, "a message of a failure that is lost") \
    FAULT(PART, "a part of a result that begins anew") \
    FAULT(REST, "a part of a result that is left out") \
    FAULT(WEDGED, "a result whose next part never comes")
/* clang-format on */

#define FAULT(name, text) FAULT_##name,
enum fault { FAULTS };
#undef FAULT

extern enum fault faults_current;

/** Now and then, so that a fault must be looked for. */
static inline bool faults_strike(enum fault which)
{
    return faults_current == which && world_one_in(10);
}

/** A pass was committed, or failed. */
void faults_note_end_of_pass(int r);

/* Begins the function in the place of acpd's, which is REAL(name). */
#define REAL(name) __real_##name
#define REPLACE(type, name, ...)                                                                   \
    type REAL(name)(__VA_ARGS__);                                                                  \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)
