/* SPDX-License-Identifier: MIT */
#include "tasks.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"

struct store *store;
int64_t alpha, beta;
uint64_t chance;

void expect(int64_t got, int64_t expected, const char *what)
{
    if (got != expected)
        ck_abort_msg("%s: %lld, not %lld (%s)", what, (long long)got, (long long)expected,
                     store ? store_error(store) : "");
}

int64_t ensure(const char *name)
{
    CLEANUP(store_profile_deinit) struct store_profile profile = {0};

    MUST(store_ensure_profile(store, name, &profile));
    return profile.id;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

void check_task(const struct task *got, const struct task *expected)
{
#define X(field)                                                                                   \
    if (got->field != expected->field)                                                             \
        ck_abort_msg("task %lld: " #field " is %lld, not %lld", (long long)expected->id,           \
                     (long long)got->field, (long long)expected->field);
    NUMBERS(X)
#undef X
#define X(field)                                                                                   \
    if (!same_text(got->field, expected->field))                                                   \
        ck_abort_msg("task %lld: " #field " is %.200s, not %.200s", (long long)expected->id,       \
                     got->field ? got->field : "NULL",                                             \
                     expected->field ? expected->field : "NULL");
    TEXTS(X)
#undef X
}

void check_stored(const struct task *expected)
{
    CLEANUP(task_deinit) struct task got = {0};

    EXPECT(store_get_task(store, expected->id, &got), 1);
    check_task(&got, expected);
}

struct task new_task(int64_t profile_id, enum task_status status, int64_t sort_key)
{
    return (struct task){
        .profile_id = profile_id,
        .status = status,
        .priority = PRIORITY_MEDIUM,
        .sort_key = sort_key,
        .created_at = NOW,
        .body = (char *)"\"title\":\"t\"",
    };
}

int add_task(struct task *task)
{
    struct task known = {0};
    int r = store_add(store, &(struct store_addition){.task = task, .limit = INT64_MAX}, &known);

    return r == STORE_DONE ? 0 : r < 0 ? r : -EEXIST;
}

int save_task(struct task *task, enum task_status was_status, int64_t was_attempt)
{
    const struct task_fence fence = {
        .profile_id = task->profile_id, .status = was_status, .attempt = was_attempt};

    return store_change(store, task, &fence);
}

int64_t add(int64_t profile_id, enum task_status status, int64_t sort_key)
{
    struct task task = new_task(profile_id, status, sort_key);

    MUST(add_task(&task));
    return task.id;
}

struct task full_task(void)
{
    return (struct task){
        .profile_id = alpha,
        .status = TASK_FAILED,
        .priority = PRIORITY_HIGH,
        .sort_key = -3,
        .created_at = NOW + 4,
        .started_at = NOW + 5,
        .finished_at = NOW + 6,
        .run_at = NOW + 7,
        .ready_at = NOW + 8,
        .queued_at = NOW + 9,
        .timeout_ms = 10,
        .max_attempts = 11,
        .attempt = 12,
        .spent = 13,
        .retries = 14,
        .interruptions = 15,
        .error_class = ERROR_RATE_LIMIT,
        .error_message = (char *)"told to \"wait\" — ', \\, %s, \n",
        .key = (char *)"key-é",
        .result = (char *)"{\"result\":true}",
        .routing = (char *)"{\"routing\":[]}",
        .body = (char *)"\"title\":\"\\u0000 and 💻\"",
        .type = (char *)"type",
        .error_tail = (char *)"one line\nand another",
        .bytes = 16,
        .cooldowns = 2,
        .completed_then = 17,
        .submitted_by = 18,
        .depth = 3,
    };
}

int64_t claim(int64_t profile_id)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    struct store_claim claim = {.profile_id = profile_id, .limit = 1, .now = NOW};

    MUST(store_claim(store, &claim, &tasks));
    if (!tasks.count)
        return 0;
    EXPECT((int64_t)tasks.count, 1);
    EXPECT(tasks.tasks[0].profile_id, profile_id);
    EXPECT(tasks.tasks[0].status, TASK_RUNNING);
    return tasks.tasks[0].id;
}

int64_t count_abandoned(void)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    struct store_cursor cursor = {0};
    int64_t damaged;

    EXPECT(store_take_over(store, &cursor, 1000, &tasks, &damaged), STORE_STALE);
    EXPECT(damaged, 0);
    return (int64_t)tasks.count;
}

const struct task_page everything = {.tasks = SIZE_MAX, .bytes = SIZE_MAX};

static void take_ids(struct task_list *tasks, struct ids *ids)
{
    for (size_t i = 0; i < tasks->count; i++) {
        if (ids->count == IDS_MAX)
            ck_abort_msg("too many rows");
        ids->ids[ids->count++] = tasks->tasks[i].id;
    }
    task_list_deinit(tasks);
}

static struct task_page page_of(const struct ids *ids)
{
    return (struct task_page){.tasks = ids->limit ? ids->limit : SIZE_MAX, .bytes = SIZE_MAX};
}

int list_tasks(const struct task_filter *filter, struct ids *ids)
{
    struct task_filter bounded = *filter;
    struct task_list tasks = {0};
    int r;

    bounded.page = page_of(ids);
    r = store_list_tasks(store, &bounded, &tasks);
    take_ids(&tasks, ids);
    return r;
}

int list_queue(int64_t profile_id, const struct task *after, struct ids *ids)
{
    const struct task_page page = page_of(ids);
    struct task_list tasks = {0};
    int r = store_list_queue(store, profile_id, after, &page, &tasks);

    take_ids(&tasks, ids);
    return r;
}

void listed_deinit(struct listed *listed)
{
    free(listed->buckets);
}

struct listed list_buckets(int64_t profile_id, int64_t span, int64_t from, int64_t to)
{
    struct listed listed = {0};

    MUST(store_list_metrics(store, profile_id, span, from, to, &listed.buckets, &listed.count));
    return listed;
}

TCase *add_case(Suite *suite, const char *name, SFun before, SFun after)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, before, after);
    suite_add_tcase(suite, tcase);
    return tcase;
}
