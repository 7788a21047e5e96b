/* SPDX-License-Identifier: MIT */
/*
 * What acpd has promised so far, and whether what it says and does agrees: written from
 * docs/guarantees.md.
 */
#pragma once

#include "request.h"
#include "common/json.h"
#include "core/task.h"

#define MODEL_QUEUE_MAX 100

void model_begin(void);
void model_end(void);
/** Number of acknowledged assignments, and of attempts that were seen to begin. */
uint64_t model_acknowledged(void);
uint64_t model_attempts(void);

/* What a call may be about. */

/** A task; 0 if none is known. */
int64_t model_pick(void);
/** One that has failed or was cancelled, as far as is known. */
int64_t model_pick_failed(void);
/** One that waits, as far as is known, and where. */
int64_t model_pick_waiting(size_t *ret_profile);
/** One with a lease, and its token, which may be an old one; now and then one whose lease is over.
 */
int64_t model_pick_held(char ret_token[TOKEN_SIZE]);

/* What happens. */

/** From now on the call may take effect. */
void model_sent(const struct request *request);
/** Its reply. */
void model_take(const struct request *request, struct json_object *reply);
/** No call is under way, not even one whose connection has gone. */
void model_settle(void);
/** All profiles are being resumed. */
void model_note_resumes(void);
/** A process starts to work on an attempt. */
void model_note_start(int64_t task, int64_t attempt, const char *profile);
/** An agent is prompted to do it, after it was told what to use; empty: nothing. */
void model_note_prompt(int64_t task, const char *model, const char *mode, const char *level);
/** It ends well now, or has said that it did. */
void model_note_success(int64_t task, int64_t attempt);
/** A worker, who is not one of the clients, says that it has done the task. */
void model_note_work(int64_t task);
/** An event. `from`: TASK_NEW if the task is new. */
void model_note_event(int64_t task, enum task_status from, enum task_status to);
/** Events were lost. */
void model_note_gap(void);
/** The clock is about to be set. */
void model_note_clock(void);
/** The configuration was changed; see setting.h. */
void model_note_setting(void);
/** acpd is started. */
void model_note_life(void);
/** The disk fails, or acpd stops: calls sent so far may be refused. */
void model_note_trouble(void);
/** The power failed while the disk could not sync: see D2. */
void model_forgive_refused(void);

/** What an update may change, as it is shown. */
int64_t model_read(struct json_object *task, enum change change);
/** Agents that work on a task that has finished, and are not being stopped. */
size_t model_count_surplus(void);
/** What a backup of this moment contains: {id, key, status} of each task. */
void model_audit_backup(struct json_object *tasks);
/** The task that was claimed from the queue as it was listed right before. */
void model_audit_claim(struct json_object *task, struct json_object *queue);
/** Nothing happens: all that is listed agrees with what was promised. `history`: the metrics of the
 *  last seven days; `queues`: an array for each profile, of at most MODEL_QUEUE_MAX tasks. */
void model_audit(struct json_object *tasks, struct json_object *states, struct json_object *history,
                 struct json_object *const *queues);
