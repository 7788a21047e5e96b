/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <errno.h>
#include <string.h>

#include "common/alloc.h"

char *store_place;
struct store *rival;

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

int64_t add_ranked(int64_t profile_id, enum task_priority priority, int64_t ready_at)
{
    struct task task = new_task(profile_id, TASK_QUEUED, 0);

    task.priority = priority;
    task.ready_at = task.queued_at = ready_at;
    task.sort_key = task_rank(&task, INTERVAL);
    MUST(add_task(&task));
    return task.id;
}

int64_t wake(int64_t profile_id, size_t limit, int64_t now, struct task_list *ret_tasks,
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
    task->sort_key = task->id;
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

void check_ids(const struct ids *got, const int64_t *expected, size_t count)
{
    for (size_t i = 0; i < got->count && i < count; i++)
        if (got->ids[i] != expected[i])
            ck_abort_msg("number %zu is task %lld, not %lld", i, (long long)got->ids[i],
                         (long long)expected[i]);
    if (got->count != count)
        ck_abort_msg("%zu tasks, not %zu", got->count, count);
}

int64_t count_tasks(int64_t profile_id, enum task_status status)
{
    const struct task_filter filter = {
        .profile_id = profile_id, .status = status, .page = everything};
    CLEANUP(task_list_deinit) struct task_list tasks = {0};

    EXPECT(store_list_tasks(store, &filter, &tasks), STORE_STALE);
    return (int64_t)tasks.count;
}

void check_counters(const struct task_counts *removed)
{
    CLEANUP(store_profiles_deinit) struct store_profiles rows = {0};

    MUST(store_list_profiles(store, &rows));
    for (size_t i = 0; i < rows.count; i++)
        for (int status = TASK_QUEUED; status < TASK_STATUS_COUNT; status++) {
            int64_t rest = count_tasks(rows.profiles[i].id, (enum task_status)status) +
                           (removed ? removed[i].by_status[status] : 0);

            if (rows.profiles[i].counts.by_status[status] != rest)
                ck_abort_msg("%s has %lld tasks that are %s, and counts %lld",
                             rows.profiles[i].name, (long long)rest,
                             task_status_name((enum task_status)status),
                             (long long)rows.profiles[i].counts.by_status[status]);
        }
}
