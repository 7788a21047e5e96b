/* SPDX-License-Identifier: MIT */
/* What the tests of the store's interface share: a store at a place of its own, tasks to put there,
 * and lists of what came out. Nothing here knows what engine it is. */
#pragma once

#include "engine.h"
#include "tasks.h"

/* The store, at a place of its own */

extern char *store_place;
extern struct store *rival; /* of setup_two() */

struct store *open_handle(void);
void close_handle(struct store **handle);
void reopen_store(void);
/** `store` and `rival` change places. */
void turn(void);
void setup(void);
void setup_two(void);
/** There is a store, with the profiles, and no handle. */
void setup_closed(void);
/** Closes what is open, and expects that the store is whole. */
void teardown(void);

/* All that can be read of it */

/** As the handle sees it, in lines. */
char *describe(struct store *handle);
/** All that has been committed: as another handle sees it. */
char *dump(void);
void check_dump(const char *expected, const char *when);

/* Tasks */

/** Queued at the place that its priority and its time give it. */
int64_t add_ranked(int64_t profile_id, enum task_priority priority, int64_t ready_at);
/** Wakes scheduled tasks of the profile, `limit` at most; returns how many. */
int64_t wake(int64_t profile_id, size_t limit, int64_t now, struct task_list *ret_tasks,
             int64_t *ret_next);
/** Ends the attempt of a running task, which then is `to`. */
int finish_task(struct task *task, enum task_status to, enum error_class class, int64_t at,
                bool *ret_has_dependants);
/** A task of one attempt, which ended then; returns its id. */
int64_t add_attempt(int64_t profile_id, int64_t finished_at, enum error_class class);
/** The task that decides about this one and its status; 0 and TASK_NEW: none does. */
void check_unmet(int64_t task_id, int64_t id, enum task_status status);
/** A task that depends on others. */
int64_t add_depending(int64_t profile_id, enum task_status status, const int64_t *on, size_t count);

/* Lists */

void check_ids(const struct ids *got, const int64_t *expected, size_t count);

/** How many of this profile (0: any) there are. */
int64_t count_tasks(int64_t profile_id, enum task_status status);
/** Each profile counts its tasks, and those that were removed (NULL: none), in the profiles' order.
 */
void check_counters(const struct task_counts *removed);

/* The cases of each file. */

void add_add_cases(Suite *suite);
void add_change_cases(Suite *suite);
void add_claim_cases(Suite *suite);
void add_finish_cases(Suite *suite);
void add_dependant_cases(Suite *suite);
void add_prune_cases(Suite *suite);
void add_list_cases(Suite *suite);
void add_profile_cases(Suite *suite);
void add_metrics_cases(Suite *suite);
void add_pass_cases(Suite *suite);
void add_model_cases(Suite *suite);
void add_race_cases(Suite *suite);
void add_process_cases(Suite *suite);
void add_fault_cases(Suite *suite); /* faults.c, or plain.c */
