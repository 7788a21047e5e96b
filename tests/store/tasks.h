/* SPDX-License-Identifier: MIT */
/* Shared by all tests of the store: expectations, helpers that add tasks, and lists of results. */
#pragma once

#include <check.h>

#include "core/task.h"
#include "store/store.h"
#include "tests/random.h"

#define NOW      INT64_C(1795357930125) /* 2026-11-22T14:32:10.125Z */
#define MINUTE   INT64_C(60000)
#define HOUR     (60 * MINUTE)
#define INTERVAL HOUR /* of aging */
#define IDS_MAX  1024

extern struct store *store; /* used by all helpers */
extern int64_t alpha, beta; /* profiles */

void expect(int64_t got, int64_t expected, const char *what);
/* Check writes every assertion to a file; these macros do not. */
#define EXPECT(call, value) expect((call), (value), #call)
#define MUST(call)          EXPECT(call, 0)

/** The id of the profile, which is created if missing. */
int64_t ensure(const char *name);

/* Tasks */

#define NUMBERS(X)                                                                                 \
    X(id)                                                                                          \
    X(profile_id)                                                                                  \
    X(status)                                                                                      \
    X(priority)                                                                                    \
    X(sort_key)                                                                                    \
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
/** Checks that the store has exactly this task. */
void check_stored(const struct task *expected);
/** The texts of tasks in these tests are constants and never freed. */
struct task new_task(int64_t profile_id, enum task_status status, int64_t sort_key);
/** -EEXIST: its key is known. */
int add_task(struct task *task);
/** Writes the task by store_change() if it has this status and attempt. */
int save_task(struct task *task, enum task_status was_status, int64_t was_attempt);
int64_t add(int64_t profile_id, enum task_status status, int64_t sort_key);
struct task full_task(void);
/** Claims one task; 0: nothing is queued. */
int64_t claim(int64_t profile_id);
/** The number of running tasks that no worker holds. */
int64_t count_abandoned(void);

/* Lists */

extern const struct task_page everything;

struct ids {
    int64_t ids[IDS_MAX];
    size_t count, limit; /* 0: none */
};

/** Add the ids that store_list_tasks() and store_list_queue() return, within the limit; the
 *  results are theirs. */
int list_tasks(const struct task_filter *filter, struct ids *ids);
int list_queue(int64_t profile_id, const struct task *after, struct ids *ids);

struct listed {
    struct store_bucket *buckets;
    size_t count;
};

void listed_deinit(struct listed *listed);
/** The buckets of this span; free them with CLEANUP(listed_deinit). */
struct listed list_buckets(int64_t profile_id, int64_t span, int64_t from, int64_t to);

/** Adds a case to the suite. */
TCase *add_case(Suite *suite, const char *name, SFun before, SFun after);
