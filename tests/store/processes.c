/* SPDX-License-Identifier: MIT */
/* Two processes use one store at once. Each records its actions in shared memory after the commit.
 * How they interleave is up to the scheduler. */
#include <errno.h>
#include <stdio.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define RACERS    2
#define ROUNDS    300
#define TASKS_MAX 700

static struct shared {
    atomic_int started, refused;
    /* By task id: */
    atomic_int claims[TASKS_MAX], ends[TASKS_MAX], stale[TASKS_MAX], told[TASKS_MAX];
    atomic_int removed[TASKS_MAX], retried[TASKS_MAX];
    atomic_llong keys[RACERS][ROUNDS];
    atomic_int added;
} * shared;

/* What a pass records after its commit. */
struct racer {
    int number;
    int round;
    atomic_int *notes[64];
    size_t note_count;
    bool is_done;
};

static void note(struct racer *racer, atomic_int *counter)
{
    ck_assert_uint_lt(racer->note_count, ARRAY_SIZE(racer->notes));
    racer->notes[racer->note_count++] = counter;
}

static atomic_int *of_task(atomic_int *counters, int64_t id)
{
    if (id <= 0 || id >= TASKS_MAX)
        ck_abort_msg("task %lld", (long long)id);
    return &counters[id];
}

/* Runs passes until the body is done, at most ROUNDS. If the store is busy, the pass starts again
 * with new reads. */
static void race_on(struct racer *racer, int (*pass)(struct racer *racer))
{
    while (racer->round < ROUNDS && !racer->is_done) {
        int r;

        racer->note_count = 0;
        r = pass(racer);
        if (r >= 0)
            r = store_commit(store);
        if (r == -EBUSY) {
            store_rollback(store);
            racer->is_done = false;
            atomic_fetch_add(&shared->refused, 1);
            continue;
        }
        EXPECT(r, 0);
        for (size_t i = 0; i < racer->note_count; i++)
            atomic_fetch_add(racer->notes[i], 1);
        racer->round++;
    }
}

static pid_t start(int number, int (*pass)(struct racer *racer))
{
    struct racer racer = {.number = number};
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid)
        return pid;
    store = open_handle();
    chance = (uint64_t)number + 1;
    atomic_fetch_add(&shared->started, 1);
    while (atomic_load(&shared->started) < RACERS)
        usleep(1000);
    race_on(&racer, pass);
    close_handle(&store);
    _exit(0);
}

/* Runs both, then opens a handle again. */
static void race(int (*first)(struct racer *racer), int (*second)(struct racer *racer))
{
    pid_t pids[RACERS];

    close_handle(&store); /* not usable after a fork */
    pids[0] = start(0, first);
    pids[1] = start(1, second);
    for (size_t i = 0; i < RACERS; i++) {
        int status;

        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "racer %zu: status %d", i,
                      status);
    }
    store = open_handle();
}

static void setup_race(void)
{
    setup();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
}

static void teardown_race(void)
{
    teardown();
    munmap(shared, sizeof(*shared));
}

static int sum(const atomic_int *counters)
{
    int total = 0;

    for (size_t i = 0; i < TASKS_MAX; i++)
        total += atomic_load(&counters[i]);
    return total;
}

/* Adds tasks with ids from 1. */
static void add_many(int count, enum task_status status, int64_t attempt)
{
    for (int i = 0; i < count; i++) {
        struct task task = new_task(i % 2 ? alpha : beta, status, i);

        task.attempt = attempt;
        MUST(add_task(&task));
    }
    MUST(store_commit(store));
}

/* Claims */

static int claim_some(struct racer *racer)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    const struct store_claim claim = {
        .profile_id = racer->round % 2 ? alpha : beta, .limit = 1 + random_below(3), .now = NOW};
    int r = store_claim(store, &claim, &tasks);

    for (size_t i = 0; i < tasks.count && r >= 0; i++)
        note(racer, of_task(shared->claims, tasks.tasks[i].id));
    return r;
}

START_TEST(every_task_is_claimed_once)
{
    add_many(600, TASK_QUEUED, 0);
    race(claim_some, claim_some);
    while (claim(alpha) || claim(beta))
        ;
    MUST(store_commit(store));
    EXPECT(count_abandoned(), 600);
    for (int64_t id = 1; id <= 600; id++) {
        CLEANUP(task_deinit) struct task task = {0};

        EXPECT(store_get_task(store, id, &task), 1);
        EXPECT(task.attempt, 1);
        ck_assert_int_le(atomic_load(&shared->claims[id]), 1);
    }
    ck_assert_int_ge(sum(shared->claims), ROUNDS); /* the two have claimed most of them */
    check_counters(NULL);
}
END_TEST

/* Ends of attempts */

/* Reads a task outside the pass, as if it had been in memory for long. */
static int end_one(struct racer *racer)
{
    CLEANUP(task_deinit) struct task task = {0};
    const int64_t id = racer->round + 1;
    bool has_dependants;
    int r = store_get_task(store, id, &task);

    if (r < 0 || task.status != TASK_RUNNING) {
        note(racer, of_task(shared->stale, id));
        return r < 0 ? r : 0;
    }
    r = finish_task(&task, racer->number ? TASK_FAILED : TASK_COMPLETED,
                    racer->number ? ERROR_EXIT : ERROR_NONE, NOW + id, &has_dependants);
    if (r >= 0)
        note(racer, of_task(r == STORE_DONE ? shared->ends : shared->stale, id));
    return r;
}

START_TEST(every_attempt_ends_once)
{
    CLEANUP(metrics_window_deinit) struct metrics_window window = {0};

    add_many(ROUNDS, TASK_RUNNING, 1);
    race(end_one, end_one);
    for (int64_t id = 1; id <= ROUNDS; id++) {
        EXPECT(atomic_load(&shared->ends[id]), 1);
        EXPECT(atomic_load(&shared->stale[id]), 1);
    }
    metrics_window_resize(&window, ROUNDS);
    MUST(store_fill_window(store, alpha, &window));
    MUST(store_fill_window(store, beta, &window));
    EXPECT((int64_t)window.count, ROUNDS);
    EXPECT((int64_t)window.successes, count_tasks(0, TASK_COMPLETED));
    EXPECT(count_tasks(0, TASK_COMPLETED) + count_tasks(0, TASK_FAILED), ROUNDS);
    check_counters(NULL);
}
END_TEST

/* Cancels against claims */

/* Cancels the task that it has read at the head of a queue. */
static int cancel_first(struct racer *racer)
{
    CLEANUP(task_deinit) struct task task = {0};
    bool has_dependants;
    struct task_fence fence;
    int r = store_first_queued(store, racer->round % 2 ? alpha : beta, 0, &task);

    if (r <= 0)
        return r;
    fence = task_fence(&task);
    task.status = TASK_CANCELLED;
    task.finished_at = NOW;
    r = store_cancel(store, &task, &fence, &has_dependants);
    if (r >= 0)
        note(racer, of_task(r == STORE_DONE ? shared->ends : shared->stale, task.id));
    return r;
}

START_TEST(every_task_is_claimed_or_cancelled)
{
    add_many(600, TASK_QUEUED, 0);
    race(claim_some, cancel_first);
    for (int64_t id = 1; id <= 600; id++) {
        CLEANUP(task_deinit) struct task task = {0};
        int claims = atomic_load(&shared->claims[id]), ends = atomic_load(&shared->ends[id]);

        EXPECT(store_get_task(store, id, &task), 1);
        ck_assert_int_le(claims + ends, 1);
        EXPECT(task.status, claims ? TASK_RUNNING : ends ? TASK_CANCELLED : TASK_QUEUED);
        EXPECT(task.attempt, claims);
    }
    check_counters(NULL);
}
END_TEST

/* Changes */

/* Adds one to the value that it has read. */
static int add_one(struct racer *racer)
{
    CLEANUP(task_deinit) struct task task = {0};
    struct task_fence fence;
    int r = store_get_task(store, 1, &task);

    if (r < 0)
        return r;
    fence = task_fence(&task);
    task.run_at++;
    r = store_change(store, &task, &fence);
    if (r == STORE_DONE)
        note(racer, &shared->added);
    return r;
}

START_TEST(no_change_is_lost)
{
    CLEANUP(task_deinit) struct task task = {0};

    add_many(1, TASK_SCHEDULED, 0);
    race(add_one, add_one);
    EXPECT(store_get_task(store, 1, &task), 1);
    EXPECT(task.run_at, atomic_load(&shared->added));
    ck_assert_int_ge(task.run_at, ROUNDS);
}
END_TEST

/* Keys */

static int add_with_key(struct racer *racer)
{
    CLEANUP(task_deinit) struct task known = {0};
    struct task task = new_task(racer->number ? alpha : beta, TASK_QUEUED, racer->round);
    char key[32];
    int r;

    snprintf(key, sizeof(key), "key %d", racer->round);
    task.key = key;
    r = store_add(store, &(struct store_addition){.task = &task, .limit = INT64_MAX}, &known);
    if (r == STORE_DONE)
        note(racer, &shared->added);
    if (r >= 0)
        atomic_store(&shared->keys[racer->number][racer->round],
                     r == STORE_DONE ? task.id : known.id);
    return r;
}

START_TEST(a_key_from_both_sides_is_one_task)
{
    race(add_with_key, add_with_key);
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_gt(atomic_load(&shared->keys[0][i]), 0);
        EXPECT(atomic_load(&shared->keys[0][i]), atomic_load(&shared->keys[1][i]));
    }
    EXPECT(atomic_load(&shared->added), ROUNDS);
    EXPECT(count_tasks(0, TASK_QUEUED), ROUNDS);
    check_counters(NULL);
}
END_TEST

/* Limits */

#define LIMIT 5

static int add_or_claim(struct racer *racer)
{
    struct task task = new_task(alpha, TASK_QUEUED, racer->round), known = {0};
    struct ids ids = {0};
    int r;

    if (random_below(3) == 0) {
        CLEANUP(task_list_deinit) struct task_list tasks = {0};

        return store_claim(
            store, &(struct store_claim){.profile_id = alpha, .limit = 2, .now = NOW}, &tasks);
    }
    r = store_add(store, &(struct store_addition){.task = &task, .limit = LIMIT}, &known);
    if (r < 0)
        return r;
    note(racer, r == STORE_DONE ? &shared->added : of_task(shared->stale, 1));
    EXPECT(list_queue(alpha, NULL, &ids), STORE_STALE);
    ck_assert_uint_le(ids.count, LIMIT);
    if (r == STORE_FULL)
        ck_assert_uint_eq(ids.count, LIMIT);
    return r;
}

START_TEST(no_more_wait_than_may)
{
    race(add_or_claim, add_or_claim);
    ck_assert_int_gt(atomic_load(&shared->stale[1]), 0); /* it was full at times */
    EXPECT(count_tasks(0, TASK_NEW), atomic_load(&shared->added));
    check_counters(NULL);
}
END_TEST

/* Removing against retrying */

static int remove_some(struct racer *racer)
{
    CLEANUP(task_list_deinit) struct task_list removed = {0};
    const struct store_pruning pruning = {.before = INT64_MAX,
                                          .tasks = 1 + (int64_t)random_below(2),
                                          .attempts = 99,
                                          .bytes = INT64_MAX};
    int r = store_prune(store, &pruning, &removed);

    for (size_t i = 0; i < removed.count && r >= 0; i++)
        note(racer, of_task(shared->removed, removed.tasks[i].id));
    return r;
}

static int retry_one(struct racer *racer)
{
    CLEANUP(task_deinit) struct task task = {0};
    const int64_t id = 1 + (int64_t)random_below(500);
    struct task_fence fence;
    int r = store_get_task(store, id, &task);

    if (r <= 0 || task.status != TASK_FAILED)
        return r < 0 ? r : 0;
    fence = task_fence(&task);
    task.status = TASK_QUEUED;
    task.finished_at = 0;
    r = store_change(store, &task, &fence);
    if (r == STORE_DONE)
        note(racer, of_task(shared->retried, id));
    return r;
}

START_TEST(what_is_removed_is_not_retried)
{
    struct task_counts removed[2] = {0};

    for (int i = 0; i < 500; i++) {
        struct task task = new_task(i % 2 ? alpha : beta, TASK_FAILED, i);

        task.finished_at = NOW + (int64_t)(i * 7 % 500);
        task.bytes = 100;
        MUST(add_task(&task));
    }
    add(alpha, TASK_QUEUED, 1);
    MUST(store_commit(store));
    race(remove_some, retry_one);
    for (int64_t id = 1; id <= 500; id++) {
        CLEANUP(task_deinit) struct task task = {0};
        int was_removed = atomic_load(&shared->removed[id]);
        int was_retried = atomic_load(&shared->retried[id]);

        ck_assert_int_le(was_removed + was_retried, 1);
        EXPECT(store_get_task(store, id, &task), !was_removed);
        if (was_removed)
            removed[id % 2].by_status[TASK_FAILED]++; /* the first one is beta's */
        else
            EXPECT(task.status, was_retried ? TASK_QUEUED : TASK_FAILED);
    }
    check_counters(removed);
}
END_TEST

/* Dependants */

static int tell_some(struct racer *racer)
{
    struct store_dependant *dependants = NULL;
    size_t count = 0;
    int r = store_take_dependants(store, 5, &dependants, &count);

    for (size_t i = 0; i < count && r >= 0; i++) {
        struct task_fence fence = task_fence(&dependants[i].task);

        dependants[i].task.status = TASK_QUEUED;
        r = store_change(store, &dependants[i].task, &fence);
        if (r == STORE_DONE)
            note(racer, of_task(shared->told, dependants[i].task.id));
    }
    store_dependants_free(dependants, count);
    return r;
}

START_TEST(every_dependant_is_told_once)
{
    int64_t on[20];

    for (size_t i = 0; i < ARRAY_SIZE(on); i++)
        on[i] = add(alpha, TASK_RUNNING, 1);
    for (int i = 0; i < 400; i++)
        add_depending(beta, TASK_BLOCKED, &on[i % 20], 1);
    for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
        CLEANUP(task_deinit) struct task task = {0};
        bool has_dependants = false;

        EXPECT(store_get_task(store, on[i], &task), 1);
        EXPECT(finish_task(&task, TASK_COMPLETED, ERROR_NONE, NOW, &has_dependants), STORE_DONE);
        ck_assert(has_dependants);
    }
    MUST(store_commit(store));
    race(tell_some, tell_some);
    for (int64_t id = on[19] + 1; id <= on[19] + 400; id++)
        EXPECT(atomic_load(&shared->told[id]), 1);
    EXPECT(count_tasks(beta, TASK_QUEUED), 400);
    check_counters(NULL);
}
END_TEST

/* Metrics */

static int add_metrics(struct racer *racer)
{
    const struct metrics_bucket bucket = {.completed = 1 + racer->number, .arrived = 1};

    return store_add_metrics(store, alpha, NOW, &bucket);
}

START_TEST(metrics_of_both_add_up)
{
    const int64_t minute = NOW - NOW % MINUTE;
    struct metrics_bucket total;

    race(add_metrics, add_metrics);
    MUST(store_sum_metrics(store, alpha, minute, minute + MINUTE, &total));
    EXPECT(total.completed, ROUNDS + 2 * ROUNDS);
    EXPECT(total.arrived, 2 * ROUNDS);
}
END_TEST

void add_process_cases(Suite *suite)
{
    TCase *tcase = add_case(suite, "processes", setup_race, teardown_race);

    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, every_task_is_claimed_once);
    tcase_add_test(tcase, every_attempt_ends_once);
    tcase_add_test(tcase, every_task_is_claimed_or_cancelled);
    tcase_add_test(tcase, no_change_is_lost);
    tcase_add_test(tcase, a_key_from_both_sides_is_one_task);
    tcase_add_test(tcase, no_more_wait_than_may);
    tcase_add_test(tcase, what_is_removed_is_not_retried);
    tcase_add_test(tcase, every_dependant_is_told_once);
    tcase_add_test(tcase, metrics_of_both_add_up);
}
