/* SPDX-License-Identifier: MIT */
/* A long run of random verbs, compared with a model in memory. */
#include <errno.h>

#include "fixture.h"

#define TASKS_MAX 400
#define PROFILES  3

static struct model {
    struct task tasks[TASKS_MAX];
    size_t count;
    struct task_counts counts[PROFILES];
    int64_t clock;
} model, committed;

static int64_t model_profiles[PROFILES];

static size_t profile_index(int64_t id)
{
    for (size_t i = 0; i < PROFILES; i++)
        if (model_profiles[i] == id)
            return i;
    ck_abort_msg("no profile %lld", (long long)id);
}

static struct task_counts *counts_of(const struct task *task)
{
    return &model.counts[profile_index(task->profile_id)];
}

/* A random task in one of the statuses (a bit set), or NULL. */
static struct task *pick(unsigned statuses)
{
    size_t start = model.count ? random_below(model.count) : 0;

    for (size_t i = 0; i < model.count; i++) {
        struct task *task = &model.tasks[(start + i) % model.count];

        if (statuses & 1u << task->status)
            return task;
    }
    return NULL;
}

static int by_queue(const void *a, const void *b)
{
    const struct task *x = *(const struct task *const *)a, *y = *(const struct task *const *)b;

    /* queued, scheduled and blocked have ascending numbers */
    if (x->status != y->status)
        return x->status < y->status ? -1 : 1;
    if (x->sort_key != y->sort_key)
        return x->sort_key < y->sort_key ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* The waiting tasks of the profile, in order. */
static size_t model_queue(int64_t profile_id, struct task **ret_tasks)
{
    size_t n = 0;

    for (size_t i = 0; i < model.count; i++)
        if (model.tasks[i].profile_id == profile_id &&
            task_status_is_waiting(model.tasks[i].status))
            ret_tasks[n++] = &model.tasks[i];
    qsort(ret_tasks, n, sizeof(struct task *), by_queue);
    return n;
}

static struct task *model_first(int64_t profile_id, enum task_status status)
{
    struct task *queue[TASKS_MAX];
    size_t n = model_queue(profile_id, queue);

    for (size_t i = 0; i < n; i++)
        if (queue[i]->status == status)
            return queue[i];
    return NULL;
}

/* Changes the status in the model. */
static void step_task(struct task *task, enum task_status to)
{
    enum task_status was = task->status;

    MUST(task_transition(task, to, counts_of(task)));
    task->sort_key = task->id;
    if (to == TASK_QUEUED) {
        if (task_status_is_finished(was))
            task->ready_at = 0;
        task_enqueue(task, model.clock, INTERVAL);
    } else if (to == TASK_SCHEDULED) {
        task->sort_key = model.clock + (int64_t)random_below(1000);
    } else if (to == TASK_RUNNING) {
        task->attempt++;
        task->started_at = model.clock;
    } else if (task_status_is_finished(to)) {
        task->finished_at = model.clock;
        task->error_class = to == TASK_COMPLETED ? ERROR_NONE : ERROR_EXIT;
    }
}

/* The same in the store, by the verb for it. A second, late try changes nothing. */
static void change_task(struct task *task, enum task_status to)
{
    struct task_fence fence = task_fence(task);
    bool has_dependants;

    step_task(task, to);
    if (fence.status == TASK_RUNNING) {
        const struct store_attempt attempt = {
            .task_id = task->id,
            .number = task->attempt,
            .profile_id = task->profile_id,
            .finished_at = model.clock,
            .error_class = task->error_class,
        };

        fence.sum = 0;
        EXPECT(store_finish(store, task, &fence, &attempt, &has_dependants), STORE_DONE);
        EXPECT(store_finish(store, task, &fence, &attempt, &has_dependants), STORE_STALE);
    } else if (to == TASK_CANCELLED) {
        EXPECT(store_cancel(store, task, &fence, &has_dependants), STORE_DONE);
        EXPECT(store_cancel(store, task, &fence, &has_dependants), STORE_STALE);
    } else {
        EXPECT(store_change(store, task, &fence), STORE_DONE);
        EXPECT(store_change(store, task, &fence), STORE_STALE);
    }
}

/* Checks tasks that a verb chose against the model. */
static void check_taken(const struct task_list *tasks, int64_t profile, enum task_status from,
                        enum task_status to, size_t limit)
{
    for (size_t i = 0; i < limit; i++) {
        struct task *task = model_first(profile, from);

        if (!task || (from == TASK_SCHEDULED && task->sort_key > model.clock)) {
            EXPECT((int64_t)tasks->count, (int64_t)i);
            return;
        }
        step_task(task, to);
        task->sum = tasks->tasks[i].sum;
        check_task(&tasks->tasks[i], task);
    }
    EXPECT((int64_t)tasks->count, (int64_t)limit);
}

static void add_random(int64_t profile)
{
    struct task *task = &model.tasks[model.count++];

    *task = new_task(profile, TASK_NEW, 0);
    MUST(task_transition(task, (enum task_status)(TASK_QUEUED + random_below(3)), counts_of(task)));
    task->priority = (enum task_priority)random_below(PRIORITY_COUNT);
    task->sort_key = model.clock;
    if (task->status == TASK_QUEUED) {
        task->ready_at = task->queued_at = model.clock;
        task->sort_key = task_rank(task, INTERVAL);
    }
    MUST(add_task(task));
}

static void random_verb(void)
{
    const unsigned waiting = 1u << TASK_QUEUED | 1u << TASK_SCHEDULED | 1u << TASK_BLOCKED;
    const int64_t profile = model_profiles[random_below(PROFILES)];
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    const size_t limit = 1 + random_below(3);
    struct task *task = NULL;
    struct task_fence fence;
    int64_t next;

    model.clock += (int64_t)random_below(INTERVAL / 10);
    switch (random_below(9)) {
    case 0:
    case 1:
    case 2: /* add a task */
        if (model.count < TASKS_MAX)
            add_random(profile);
        break;
    case 3:
    case 4: /* claim */
        MUST(store_claim(
            store, &(struct store_claim){.profile_id = profile, .limit = limit, .now = model.clock},
            &tasks));
        check_taken(&tasks, profile, TASK_QUEUED, TASK_RUNNING, limit);
        break;
    case 5: /* an attempt ends */
        task = pick(1u << TASK_RUNNING);
        if (!task)
            break;
        change_task(task, (enum task_status[]){TASK_COMPLETED, TASK_FAILED, TASK_CANCELLED,
                                               TASK_QUEUED, TASK_SCHEDULED}[random_below(5)]);
        break;
    case 6: /* wake */
        wake(profile, limit, model.clock, &tasks, &next);
        check_taken(&tasks, profile, TASK_SCHEDULED, TASK_QUEUED, limit);
        task = model_first(profile, TASK_SCHEDULED);
        EXPECT(next, task ? task->sort_key : INT64_MAX);
        break;
    case 7: /* cancel or retry */
        task = pick(waiting | 1u << TASK_FAILED | 1u << TASK_CANCELLED);
        if (task)
            change_task(task, task_status_is_finished(task->status) ? TASK_QUEUED : TASK_CANCELLED);
        break;
    case 8: /* move to another profile */
        task = pick(waiting);
        if (!task)
            break;
        fence = task_fence(task);
        task_move(task, profile, counts_of(task), &model.counts[profile_index(profile)]);
        EXPECT(store_change(store, task, &fence), STORE_DONE);
        break;
    }
}

static void check_counts(void)
{
    CLEANUP(store_profiles_deinit) struct store_profiles rows = {0};

    MUST(store_list_profiles(store, &rows));
    for (size_t i = 0; i < rows.count; i++)
        for (size_t k = 0; k < PROFILES; k++)
            for (int status = 0;
                 rows.profiles[i].id == model_profiles[k] && status < TASK_STATUS_COUNT; status++)
                EXPECT(rows.profiles[i].counts.by_status[status],
                       model.counts[k].by_status[status]);
    check_counters(NULL);
}

static void check_model(void)
{
    for (size_t i = 0; i < model.count; i++)
        check_stored(&model.tasks[i]);
    for (size_t i = 0; i < PROFILES; i++) {
        struct task *queue[TASKS_MAX];
        size_t n = model_queue(model_profiles[i], queue);
        struct ids ids = {0}, expected = {.count = n};

        for (size_t k = 0; k < n; k++)
            expected.ids[k] = queue[k]->id;
        EXPECT(list_queue(model_profiles[i], NULL, &ids), STORE_STALE);
        check_ids(&ids, expected.ids, expected.count);
        if (n) {
            size_t k = random_below(n), before = 0, behind = 0;
            int64_t count = -1;

            for (size_t j = 0; j < n; j++) {
                before += j < k && queue[j]->status == queue[k]->status;
                behind += j > k && queue[j]->status == queue[k]->status;
            }
            MUST(store_count_before(store, queue[k], TASKS_MAX, &count));
            EXPECT(count, (int64_t)before);
            MUST(store_count_behind(store, queue[k], TASKS_MAX, &count));
            EXPECT(count, (int64_t)behind);
        }
    }
}

static void run_long(uint64_t seed, int passes)
{
    chance = seed;
    model = (struct model){.clock = NOW};
    model_profiles[0] = alpha;
    model_profiles[1] = beta;
    model_profiles[2] = ensure("gamma");
    MUST(store_commit(store));
    committed = model;
    for (int pass = 0; pass < passes; pass++) {
        for (uint64_t n = random_below(20); n > 0; n--)
            random_verb();
        if (random_below(5) == 0) {
            store_rollback(store);
            model = committed;
        } else {
            MUST(store_commit(store));
            committed = model;
        }
        if (rival)
            turn();
        else if (pass % 10 == 9)
            reopen_store();
        if (pass % 10 == 5 || pass == passes - 1) {
            check_counts();
            check_model();
        }
    }
    ck_assert_uint_gt(model.count, TASKS_MAX / 2); /* it added tasks */
}

START_TEST(counters_follow_a_long_run)
{
    run_long((uint64_t)_i + 1, 250);
}
END_TEST

/* Two handles that take turns behave like one. */
START_TEST(counters_follow_two_by_turns)
{
    run_long((uint64_t)_i + 11, 250);
}
END_TEST

void add_model_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "model", setup, teardown);

    tcase_add_loop_test(tcase, counters_follow_a_long_run, 0, 3);
    tcase = add_case(suite, "model for two", setup_two, teardown);
    tcase_add_loop_test(tcase, counters_follow_two_by_turns, 0, 2);
}
