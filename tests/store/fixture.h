/* SPDX-License-Identifier: MIT */
/* What the tests of the store's interface share: a store at a place of its own, tasks to put there,
 * and lists of what came out. Nothing here knows what engine it is. */
#pragma once

#include <check.h>

#include "common/buf.h"
#include "core/task.h"
#include "engine.h"
#include "store/store.h"

#define NOW      INT64_C(1795357930125) /* 2026-11-22T14:32:10.125Z */
#define MINUTE   INT64_C(60000)
#define HOUR     (60 * MINUTE)
#define INTERVAL HOUR /* of aging */
#define IDS_MAX  1024

/** The state of random_below(), xorshift64*: a seed makes a run of its own, the same each time. */
extern uint64_t chance;
uint64_t random_below(uint64_t limit);

/* The store, at a place of its own */

extern char *store_place;
extern struct store *store; /* what all helpers use */
extern struct store *rival; /* of setup_two() */
extern int64_t alpha, beta; /* profiles */

void expect(int64_t got, int64_t expected, const char *what);
/* Check writes every assertion to a file; these do not. */
#define EXPECT(call, value) expect((call), (value), #call)
#define MUST(call)          EXPECT(call, 0)

struct store *open_handle(void);
void close_handle(struct store **handle);
void reopen_store(void);
/** `store` and `rival` change places. */
void turn(void);
int64_t ensure(const char *name);
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

#define NUMBERS(X)                                                                                 \
    X(id)                                                                                          \
    X(profile_id)                                                                                  \
    X(status)                                                                                      \
    X(priority)                                                                                    \
    X(place)                                                                                       \
    X(created_at)                                                                                  \
    X(started_at)                                                                                  \
    X(finished_at)                                                                                 \
    X(run_at)                                                                                      \
    X(ready_at)                                                                                    \
    X(queued_at)                                                                                   \
    X(timeout_ms)                                                                                  \
    X(max_attempts)                                                                                \
    X(attempt)                                                                                     \
    X(spent)                                                                                       \
    X(retries)                                                                                     \
    X(interruptions)                                                                               \
    X(error_class)                                                                                 \
    X(bytes)                                                                                       \
    X(cooldowns)                                                                                   \
    X(completed_then)                                                                              \
    X(submitted_by)                                                                                \
    X(depth)
#define TEXTS(X)                                                                                   \
    X(error_message)                                                                               \
    X(key)                                                                                         \
    X(result)                                                                                      \
    X(routing)                                                                                     \
    X(body)                                                                                        \
    X(type)                                                                                        \
    X(error_tail)

void check_task(const struct task *got, const struct task *expected);
/** What the store has under the task's id is this task. */
void check_stored(const struct task *expected);
/** Texts in the tasks of these tests are constants: they are never freed. */
struct task new_task(int64_t profile_id, enum task_status status, int64_t place);
/** -EEXIST: its key is known. */
int add_task(struct task *task);
/** Writes the task if it has this status and this attempt, as store_change() does. */
int save_task(struct task *task, enum task_status was_status, int64_t was_attempt);
int64_t add(int64_t profile_id, enum task_status status, int64_t place);
/** Queued at the place that its priority and its time give it. */
int64_t add_ranked(int64_t profile_id, enum task_priority priority, int64_t ready_at);
struct task full_task(void);
/** Claims one task; 0: nothing is queued. */
int64_t claim(int64_t profile_id);
/** Wakes scheduled tasks of the profile, `limit` at most; returns how many. */
int64_t wake(int64_t profile_id, size_t limit, int64_t now, struct store_tasks *ret_tasks,
             int64_t *ret_next);
/** How many tasks are running and no worker's. */
int64_t count_abandoned(void);
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

struct ids {
    int64_t ids[IDS_MAX];
    size_t count, limit; /* 0: none */
};

int collect(struct task *task, void *data);
void check_ids(const struct ids *got, const int64_t *expected, size_t count);

struct profile_rows {
    struct store_profile rows[8];
    size_t count;
};

void keep_profile(struct store_profile *profile, void *data);
void profile_rows_deinit(struct profile_rows *rows);

/** How many of this profile (0: any) there are. */
int64_t count_tasks(int64_t profile_id, enum task_status status);
/** Each profile counts its tasks, and those that were removed (NULL: none), in the profiles' order.
 */
void check_counters(const struct task_counts *removed);

struct listed {
    int64_t at[64];
    struct metrics_bucket buckets[64];
    size_t count;
};

void list_bucket(int64_t at, const struct metrics_bucket *bucket, void *data);

/** Adds a case to the suite. */
TCase *add_case(Suite *suite, const char *name, SFun before, SFun after);

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
