/* SPDX-License-Identifier: MIT */
/* Shared by the tests of the store's interface: a store of its own, helpers that add tasks, and
 * lists of results. Independent of the engine. */
#pragma once

#include "engine.h"
#include "tasks.h"

/* The store */

extern char *store_place;
extern struct store *rival; /* with setup_two() */

struct store *open_handle(void);
void close_handle(struct store **handle);
void reopen_store(void);
/** Swaps `store` and `rival`. */
void turn(void);
void setup(void);
void setup_two(void);
/** Creates the store and its profiles, without an open handle. */
void setup_closed(void);
/** Closes all handles and verifies the store. */
void teardown(void);

/* Its contents */

/** As seen by the handle, in lines. */
char *describe(struct store *handle);
/** All that is committed, as seen by another handle. */
char *dump(void);
void check_dump(const char *expected, const char *when);

/* Tasks */

/** Adds a task, queued by priority and time. */
int64_t add_ranked(int64_t profile_id, enum task_priority priority, int64_t ready_at);
/** Wakes at most `limit` scheduled tasks of the profile; returns their number. */
int64_t wake(int64_t profile_id, size_t limit, int64_t now, struct task_list *ret_tasks,
             int64_t *ret_next);
/** Ends the attempt of a running task, whose status becomes `to`. */
int finish_task(struct task *task, enum task_status to, enum error_class class, int64_t at,
                bool *ret_has_dependants);
/** Adds a task with one attempt, which ended at `finished_at`; returns its id. */
int64_t add_attempt(int64_t profile_id, int64_t finished_at, enum error_class class);
/** Checks the unmet dependency of a task and its status; 0 and TASK_NEW: none. */
void check_unmet(int64_t task_id, int64_t id, enum task_status status);
/** Adds a task that depends on others. */
int64_t add_depending(int64_t profile_id, enum task_status status, const int64_t *on, size_t count);

/* Lists */

void check_ids(const struct ids *got, const int64_t *expected, size_t count);

/** The number of tasks of this profile (0: any). */
int64_t count_tasks(int64_t profile_id, enum task_status status);
/** Checks each profile's counters; `removed` has removed tasks per profile, NULL: none. */
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
void add_node_cases(Suite *suite);
void add_process_cases(Suite *suite);
void add_fault_cases(Suite *suite); /* faults.c, or plain.c */
