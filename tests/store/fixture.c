/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"

uint64_t chance;

uint64_t random_below(uint64_t limit)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (chance * UINT64_C(2685821657736338717) >> 16) % limit;
}

char *store_place;
struct store *store, *rival;
int64_t alpha, beta;

void expect(int64_t got, int64_t expected, const char *what)
{
    if (got != expected)
        ck_abort_msg("%s: %lld, not %lld (%s)", what, (long long)got, (long long)expected,
                     store ? store_error(store) : "");
}

struct store *open_handle(void)
{
    struct store *handle = NULL;
    char *error = NULL;
    int r = engine.open(store_place, &handle, &error);

    if (r != 0 || error)
        ck_abort_msg("%d: %s", r, error ? error : "");
    return handle;
}

void close_handle(struct store **handle)
{
    if (*handle)
        engine.close(*handle);
    *handle = NULL;
}

void reopen_store(void)
{
    close_handle(&store);
    store = open_handle();
}

void turn(void)
{
    struct store *before = store;

    ck_assert_ptr_nonnull(rival);
    store = rival;
    rival = before;
}

int64_t ensure(const char *name)
{
    CLEANUP(store_profile_deinit) struct store_profile profile = {0};

    MUST(store_ensure_profile(store, name, &profile));
    return profile.id;
}

void setup_closed(void)
{
    setup();
    close_handle(&store);
}

void setup(void)
{
    store_place = engine.create();
    ck_assert_ptr_nonnull(store_place);
    store = open_handle();
    alpha = ensure("alpha");
    beta = ensure("beta");
    MUST(store_commit(store));
}

void setup_two(void)
{
    setup();
    rival = open_handle();
}

void teardown(void)
{
    CLEANUP(freep) char *error = NULL;
    int r;

    close_handle(&rival);
    close_handle(&store);
    r = engine.verify(store_place, &error);
    if (r != 0)
        ck_abort_msg("%d: %s", r, error ? error : "");
    engine.destroy(store_place);
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

struct task new_task(int64_t profile_id, enum task_status status, int64_t place)
{
    return (struct task){
        .profile_id = profile_id,
        .status = status,
        .priority = PRIORITY_MEDIUM,
        .place = place,
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

int64_t add(int64_t profile_id, enum task_status status, int64_t place)
{
    struct task task = new_task(profile_id, status, place);

    MUST(add_task(&task));
    return task.id;
}

int64_t add_ranked(int64_t profile_id, enum task_priority priority, int64_t ready_at)
{
    struct task task = new_task(profile_id, TASK_QUEUED, 0);

    task.priority = priority;
    task.ready_at = task.queued_at = ready_at;
    task.place = task_rank(&task, INTERVAL);
    MUST(add_task(&task));
    return task.id;
}

struct task full_task(void)
{
    return (struct task){
        .profile_id = alpha,
        .status = TASK_FAILED,
        .priority = PRIORITY_HIGH,
        .place = -3,
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
    CLEANUP(store_tasks_deinit) struct store_tasks tasks = {0};
    struct store_claim claim = {.profile_id = profile_id, .limit = 1, .now = NOW};

    MUST(store_claim(store, &claim, &tasks));
    if (!tasks.count)
        return 0;
    EXPECT((int64_t)tasks.count, 1);
    EXPECT(tasks.tasks[0].profile_id, profile_id);
    EXPECT(tasks.tasks[0].status, TASK_RUNNING);
    return tasks.tasks[0].id;
}

int64_t wake(int64_t profile_id, size_t limit, int64_t now, struct store_tasks *ret_tasks,
             int64_t *ret_next)
{
    const struct store_waking waking = {
        .profile_id = profile_id,
        .limit = limit,
        .now = now,
        .queue_now = now,
        .aging_interval = INTERVAL,
    };

    MUST(store_wake(store, &waking, ret_tasks, ret_next));
    return (int64_t)ret_tasks->count;
}

int64_t count_abandoned(void)
{
    CLEANUP(store_tasks_deinit) struct store_tasks tasks = {0};
    struct store_cursor cursor = {0};
    int64_t damaged;

    EXPECT(store_take_over(store, &cursor, 1000, &tasks, &damaged), STORE_STALE);
    EXPECT(damaged, 0);
    return (int64_t)tasks.count;
}

int finish_task(struct task *task, enum task_status to, enum error_class class, int64_t at,
                bool *ret_has_dependants)
{
    const struct task_fence fence = {.profile_id = task->profile_id,
                                     .status = TASK_RUNNING,
                                     .attempt = task->attempt,
                                     .bytes = task->bytes};
    const struct store_attempt attempt = {
        .task_id = task->id,
        .number = task->attempt,
        .profile_id = task->profile_id,
        .started_at = at - 500,
        .finished_at = at,
        .duration_ms = at - NOW,
        .error_class = class,
        .error_message = class == ERROR_NONE ? NULL : "it failed",
    };

    task->status = to;
    task->error_class = class;
    task->place = task->id;
    if (task_status_is_finished(to))
        task->finished_at = at;
    return store_finish(store, task, &fence, &attempt, ret_has_dependants);
}

int64_t add_attempt(int64_t profile_id, int64_t finished_at, enum error_class class)
{
    struct task task = new_task(profile_id, TASK_RUNNING, 1);
    enum task_status to = class == ERROR_NONE        ? TASK_COMPLETED
                          : class == ERROR_CANCELLED ? TASK_CANCELLED
                                                     : TASK_FAILED;
    bool has_dependants = true;

    task.attempt = 1;
    MUST(add_task(&task));
    EXPECT(finish_task(&task, to, class, finished_at, &has_dependants), STORE_DONE);
    ck_assert(!has_dependants);
    return task.id;
}

void check_unmet(int64_t task_id, int64_t id, enum task_status status)
{
    enum task_status got = TASK_NEW;
    int64_t got_id = 0;

    EXPECT(store_unmet_dependency(store, task_id, &got_id, &got), id != 0);
    expect(got_id, id, "the dependency that decides");
    expect(got, status, "its status");
}

int64_t add_depending(int64_t profile_id, enum task_status status, const int64_t *on, size_t count)
{
    struct task task = new_task(profile_id, status, 0), known = {0};
    const struct store_addition addition = {
        .task = &task, .limit = 1000, .depends_on = on, .depends_on_count = count};

    EXPECT(store_add(store, &addition, &known), STORE_DONE);
    return task.id;
}

int collect(struct task *task, void *data)
{
    struct ids *ids = data;

    if (ids->count == IDS_MAX)
        ck_abort_msg("too many rows");
    ids->ids[ids->count++] = task->id;
    return ids->count == ids->limit;
}

void check_ids(const struct ids *got, const int64_t *expected, size_t count)
{
    for (size_t i = 0; i < got->count && i < count; i++)
        if (got->ids[i] != expected[i])
            ck_abort_msg("number %zu is task %lld, not %lld", i, (long long)got->ids[i],
                         (long long)expected[i]);
    if (got->count != count)
        ck_abort_msg("%zu tasks, not %zu", got->count, count);
}

void keep_profile(struct store_profile *profile, void *data)
{
    struct profile_rows *rows = data;

    rows->rows[rows->count++] = *profile;
    *profile = (struct store_profile){0};
}

void profile_rows_deinit(struct profile_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        store_profile_deinit(&rows->rows[i]);
    rows->count = 0;
}

static int count_row(struct task *task UNUSED, void *data)
{
    ++*(int64_t *)data;
    return 0;
}

int64_t count_tasks(int64_t profile_id, enum task_status status)
{
    const struct store_filter filter = {
        .profile_id = profile_id, .status = status, .scan_limit = INT64_MAX};
    int64_t count = 0, next;

    MUST(store_list_tasks(store, &filter, count_row, &count, &next));
    EXPECT(next, 0);
    return count;
}

void check_counters(const struct task_counts *removed)
{
    CLEANUP(profile_rows_deinit) struct profile_rows rows = {0};

    MUST(store_list_profiles(store, keep_profile, &rows));
    for (size_t i = 0; i < rows.count; i++)
        for (int status = TASK_QUEUED; status < TASK_STATUS_COUNT; status++) {
            int64_t rest = count_tasks(rows.rows[i].id, (enum task_status)status) +
                           (removed ? removed[i].by_status[status] : 0);

            if (rows.rows[i].counts.by_status[status] != rest)
                ck_abort_msg("%s has %lld tasks that are %s, and counts %lld", rows.rows[i].name,
                             (long long)rest, task_status_name((enum task_status)status),
                             (long long)rows.rows[i].counts.by_status[status]);
        }
}

void list_bucket(int64_t at, const struct metrics_bucket *bucket, void *data)
{
    struct listed *listed = data;

    ck_assert_uint_lt(listed->count, ARRAY_SIZE(listed->at));
    listed->at[listed->count] = at;
    listed->buckets[listed->count++] = *bucket;
}

TCase *add_case(Suite *suite, const char *name, SFun before, SFun after)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, before, after);
    suite_add_tcase(suite, tcase);
    return tcase;
}
