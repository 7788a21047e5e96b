/* SPDX-License-Identifier: MIT */
#include "engine/queue.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "core/retry.h"
#include "engine/task_log.h"

#define LOGS_WEIGHED 256 /* latest attempts only */

/* A node that always claimed the slot that it has just freed would never let another one have it.
 * Half of the time it leaves one for a task that comes first and is for the other one only: long
 * enough that the other one looks. The rest of the time it does not, as the other one may be unable
 * to run it. */
#define YIELD_MS 2048

/* An estimate for the row, its index entries and its attempts. */
#define ROW_BYTES 512

/* A transition that the table does not allow is a bug, and must not reach the database. */
static void queue_become(struct task *task, enum task_status to, struct task_counts *delta)
{
    if (task_transition(task, to, delta) < 0)
        abort();
}

/* Queues the task, or schedules it if its runAt is in the future. */
static void queue_admit(const struct engine *engine, struct task *task, struct task_counts *delta)
{
    if (task->run_at > engine->now.wall) {
        queue_become(task, TASK_SCHEDULED, delta);
        task->sort_key = task->run_at;
    } else {
        queue_become(task, TASK_QUEUED, delta);
        task_enqueue(task, engine->now.queue, engine->settings.aging_interval_ms);
    }
}

static void queue_block(struct task *task, struct task_counts *delta)
{
    queue_become(task, TASK_BLOCKED, delta);
    task->sort_key = 0;
}

static int64_t queue_length_of(const char *text)
{
    return text ? (int64_t)strlen(text) : 0;
}

/* `logged`: its last attempt that may have a log. */
static int64_t queue_footprint_of(const struct engine *engine, const struct task *task,
                                  int64_t logged)
{
    int64_t bytes = ROW_BYTES + queue_length_of(task->body) + queue_length_of(task->result) +
                    queue_length_of(task->routing) + queue_length_of(task->error_message);

    for (int64_t i = logged; i > 0 && i > logged - LOGS_WEIGHED; i--) {
        CLEANUP(freep) char *path = task_log_path(engine, task->id, i);
        struct stat st;

        if (stat(path, &st) == 0)
            bytes += st.st_size;
    }
    return bytes;
}

static void queue_note_footprint(const struct engine *engine, struct task *task, int64_t logged,
                                 struct task_counts *delta)
{
    int64_t bytes =
        task_status_is_finished(task->status) ? queue_footprint_of(engine, task, logged) : 0;

    delta->finished_bytes += bytes - task->bytes;
    task->bytes = bytes;
}

static void queue_tell(struct engine *engine, const struct task *task, enum task_status from)
{
    event_stage(&engine->events, &(struct event){
                                     .type = EVENT_TASK,
                                     .profile_id = task->profile_id,
                                     .task_id = task->id,
                                     .from = from,
                                     .to = task->status,
                                     .attempt = task->attempt,
                                     .class = task->error_class,
                                 });
}

/* The consequences of a successful verb. `profile` NULL: another node has just added it, and what
 * is known of it is read with its row. */
static void queue_note(struct engine *engine, struct profile *profile, const struct task *task,
                       enum task_status from, const struct task_counts *delta)
{
    if (profile)
        task_counts_add(profile_stage_counts(profile), delta);
    if (profile && task->status == TASK_SCHEDULED)
        roster_wake_by(&engine->roster, profile, task->sort_key);
    if (profile && task->status == TASK_QUEUED)
        profile_note_queued(profile, task);
    queue_tell(engine, task, from);
}

static int queue_outcome_of(int r)
{
    switch (r) {
    case STORE_DONE:
        return 0;
    case STORE_FULL:
        return ENGINE_QUEUE_FULL;
    default:
        return r < 0 ? r : ENGINE_STALE;
    }
}

int queue_add(struct engine *engine, struct engine_admission *admission, int64_t limit)
{
    struct profile *profile = admission->profile;
    struct task *task = admission->task, known = {0};
    struct task_counts delta = {0};
    int r;

    task->profile_id = profile->id;
    task->created_at = engine->now.wall;
    if (admission->is_blocked)
        queue_block(task, &delta);
    else
        queue_admit(engine, task, &delta);
    r = store_add(engine->store,
                  &(struct store_addition){
                      .task = task,
                      .limit = limit,
                      .depends_on = admission->depends_on,
                      .depends_on_count = admission->depends_on_count,
                  },
                  &known);
    if (r < 0)
        return r;
    if (r == STORE_FULL)
        return ENGINE_QUEUE_FULL;
    if (r == STORE_KNOWN) {
        task_deinit(task);
        *task = known;
        return ENGINE_DEDUPLICATED;
    }
    if (r == STORE_STALE)
        return ENGINE_REMOVED;
    queue_note(engine, profile, task, TASK_NEW, &delta);
    profile->staged.bucket.arrived++;
    return 0;
}

int queue_claim(struct engine *engine, struct profile *profile, size_t limit,
                const struct store_lease *lease, struct task_list *ret_tasks)
{
    const struct cooldown *cooldown = profile_cooldown(profile);
    int r = store_claim(engine->store,
                        &(struct store_claim){
                            .profile_id = profile->id,
                            .avoided = cooldown->length ? cooldown->task_id : 0,
                            .limit = limit,
                            .most = profile->config.max_concurrent_tasks,
                            .yields = engine->now.mono / YIELD_MS % 2,
                            .now = engine->now.wall,
                            .lease = lease,
                        },
                        ret_tasks);

    for (size_t i = 0; i < ret_tasks->count; i++) {
        const struct task *task = &ret_tasks->tasks[i];
        struct task_counts delta = {0};

        task_counts_step(&delta, TASK_QUEUED, TASK_RUNNING);
        queue_note(engine, profile, task, TASK_QUEUED, &delta);
        profile->staged.last_activity = engine->now.wall;
        metrics_bucket_add_start(&profile->staged.bucket, engine->now.queue - task->queued_at);
    }
    return r < 0 ? r : 0;
}

/* The next status and, for a retry, the delay. */
static enum task_status queue_decide(struct engine *engine, const struct profile *profile,
                                     struct task *task, const struct queue_end *end,
                                     int64_t *ret_delay_ms)
{
    if (end->class == ERROR_CANCELLED)
        return TASK_CANCELLED;
    if (end->class != ERROR_NONE && !end->is_shortage)
        return retry_decide(task, end->class, &profile->config,
                            profile_count(profile, TASK_COMPLETED), erand48(engine->rng),
                            ret_delay_ms);
    task->interruptions = 0;
    return end->is_shortage ? TASK_QUEUED : TASK_COMPLETED;
}

static void queue_measure(struct profile *profile, enum task_status to, const struct queue_end *end,
                          int64_t now)
{
    struct metrics_bucket *bucket = &profile->staged.bucket;

    profile->staged.last_activity = now;
    bucket->completed += to == TASK_COMPLETED;
    bucket->failed += to == TASK_FAILED;
    bucket->cancelled += to == TASK_CANCELLED;
    bucket->retried += to == TASK_QUEUED || to == TASK_SCHEDULED;
    metrics_cost_add(&bucket->cost, &end->cost);
    if (error_class_info(end->class)->counts)
        metrics_bucket_add_attempt(bucket, end->class == ERROR_NONE, end->duration_ms);
}

/* The texts stay owned by `end`: the task is only written, never freed. */
static void queue_borrow_texts(struct task *task, const struct queue_end *end)
{
    task->error_message = (char *)end->message;
    task->error_tail = (char *)end->tail;
    if (task_status_is_finished(task->status))
        task->result = (char *)end->result;
}

int queue_finish(struct engine *engine, struct profile *profile, const struct task *task,
                 const struct queue_end *end, struct task *ret_after)
{
    /* The attempt's number is enough of a fence: nothing else changes a running task. */
    const struct task_fence fence = {.profile_id = task->profile_id,
                                     .status = TASK_RUNNING,
                                     .attempt = task->attempt,
                                     .is_sure = end->is_sure};
    const struct store_attempt attempt = {
        .task_id = task->id,
        .number = task->attempt,
        .profile_id = task->profile_id,
        .started_at = task->started_at,
        .finished_at = engine->now.wall,
        .duration_ms = end->duration_ms,
        .error_class = end->class,
        .error_message = end->message,
        .type = task->type,
        .usage = end->usage,
        .cost = end->cost,
    };
    struct task after = *task;
    struct task_counts delta = {0};
    bool has_dependants = false;
    int64_t delay_ms = 0;
    enum task_status to;
    int r;

    to = queue_decide(engine, profile, &after, end, &delay_ms);
    queue_become(&after, to, &delta);
    after.error_class = end->class;
    after.sort_key = after.id;
    queue_borrow_texts(&after, end);
    if (to == TASK_QUEUED)
        task_enqueue(&after, engine->now.queue, engine->settings.aging_interval_ms);
    else if (to == TASK_SCHEDULED)
        after.sort_key = engine->now.wall + delay_ms;
    else
        after.finished_at = engine->now.wall;
    queue_note_footprint(engine, &after, after.attempt - end->was_leased, &delta);
    r = store_finish(engine->store, &after, &fence, &attempt, &has_dependants);
    if (r != STORE_DONE)
        return queue_outcome_of(r);
    engine->has_releases |= has_dependants;
    queue_note(engine, profile, &after, TASK_RUNNING, &delta);
    queue_measure(profile, to, end, engine->now.wall);
    *ret_after = after;
    return 0;
}

int queue_update(struct engine *engine, struct profile *profile, struct task *task,
                 const struct engine_update *update)
{
    struct task_fence fence = task_fence(task);
    struct profile *to = update->profile ? update->profile : profile;
    struct task_counts left = {0}, delta = {0};
    int r;

    if (to != profile) {
        task_move(task, to->id, &left, &delta);
        task->cooldowns = 0; /* it has not run there yet */
        fence.limit = to->config.queue_limit;
    }
    if (update->priority >= 0)
        task->priority = (enum task_priority)update->priority;
    if (update->has_run_at)
        task->run_at = update->run_at;
    if (update->has_run_at && fence.status != TASK_BLOCKED)
        queue_admit(engine, task, &delta);
    else if (fence.status == TASK_QUEUED)
        task->sort_key = task_rank(task, engine->settings.aging_interval_ms);
    r = store_change(engine->store, task, &fence);
    if (r != STORE_DONE)
        return queue_outcome_of(r);
    if (to != profile) {
        task_counts_add(profile_stage_counts(profile), &left);
        to->staged.bucket.arrived++;
    }
    queue_note(engine, to, task, fence.status, &delta);
    return 0;
}

int queue_retry(struct engine *engine, struct profile *profile, struct task *task, bool is_blocked)
{
    const struct task_fence fence = task_fence(task);
    struct task_counts delta = {0};
    int r;

    task->spent = task->retries = task->interruptions = task->cooldowns = 0;
    task->ready_at = task->finished_at = task->run_at = 0;
    task->error_class = ERROR_NONE;
    free(STEAL(task->error_message));
    free(STEAL(task->error_tail));
    free(STEAL(task->result));
    if (is_blocked)
        queue_block(task, &delta);
    else
        queue_admit(engine, task, &delta);
    queue_note_footprint(engine, task, task->attempt, &delta);
    r = store_change(engine->store, task, &fence);
    if (r != STORE_DONE)
        return queue_outcome_of(r);
    queue_note(engine, profile, task, fence.status, &delta);
    profile->staged.bucket.arrived++;
    return 0;
}

int queue_cancel(struct engine *engine, struct profile *profile, struct task *task, char *message)
{
    const struct task_fence fence = task_fence(task);
    struct task_counts delta = {0};
    bool has_dependants = false;
    int r;

    queue_become(task, TASK_CANCELLED, &delta);
    task->sort_key = task->id;
    task->finished_at = engine->now.wall;
    task->error_class = ERROR_CANCELLED;
    free(task->error_message);
    free(STEAL(task->error_tail));
    task->error_message = message;
    queue_note_footprint(engine, task, task->attempt, &delta);
    r = store_cancel(engine->store, task, &fence, &has_dependants);
    if (r != STORE_DONE)
        return queue_outcome_of(r);
    engine->has_releases |= has_dependants;
    queue_note(engine, profile, task, fence.status, &delta);
    if (!profile)
        return 0;
    profile->staged.bucket.cancelled++;
    profile->staged.last_activity = engine->now.wall;
    return 0;
}

int queue_cancel_dependant(struct engine *engine, struct profile *profile, struct task *task,
                           int64_t depends_on, enum task_status status)
{
    return queue_cancel(engine, profile, task,
                        xasprintf("task %lld, on which it depends, %s", (long long)depends_on,
                                  status == TASK_FAILED ? "failed" : "was cancelled"));
}

int queue_report(struct engine *engine, const struct store_attempt *attempt)
{
    return store_report_attempt(engine->store, attempt);
}

int queue_update_footprint(struct engine *engine, struct profile *profile, struct task *task)
{
    const struct task_fence fence = task_fence(task);
    struct task_counts delta = {0};
    int r;

    queue_note_footprint(engine, task, task->attempt, &delta);
    r = store_change(engine->store, task, &fence);
    if (r == STORE_DONE)
        task_counts_add(profile_stage_counts(profile), &delta);
    return queue_outcome_of(r);
}

/* In a store that is not shared, everything that runs is this acpd's. */
int queue_adopt(struct engine *engine, int64_t id)
{
    return store_node(engine->store) ? queue_outcome_of(store_adopt(engine->store, id)) : 0;
}

int queue_let_go(struct engine *engine, int64_t id)
{
    return queue_outcome_of(store_let_go(engine->store, id));
}

int queue_let_go_of_dead(struct engine *engine)
{
    return queue_outcome_of(store_let_go_of_dead(engine->store));
}

int queue_wake(struct engine *engine, struct profile *profile, int *budget)
{
    CLEANUP(task_list_deinit) struct task_list tasks = {0};
    int64_t next = INT64_MAX;
    int r = store_wake(engine->store,
                       &(struct store_waking){
                           .profile_id = profile->id,
                           .limit = (size_t)*budget,
                           .now = engine->now.wall,
                           .queue_now = engine->now.queue,
                           .aging_interval = engine->settings.aging_interval_ms,
                       },
                       &tasks, &next);

    for (size_t i = 0; i < tasks.count; i++) {
        struct task_counts delta = {0};

        task_counts_step(&delta, TASK_SCHEDULED, TASK_QUEUED);
        queue_note(engine, profile, &tasks.tasks[i], TASK_SCHEDULED, &delta);
    }
    *budget -= (int)tasks.count;
    if (store_is_damage(engine->store, r)) {
        next = INT64_MAX;
        r = 0;
    }
    if (r >= 0)
        roster_set_wake(&engine->roster, profile, next);
    return r < 0 ? r : 0;
}

int queue_shift_retries(struct engine *engine, int64_t step)
{
    return store_shift_retries(engine->store, step);
}

static int queue_release_one(struct engine *engine, struct store_dependant *dependant)
{
    struct task *task = &dependant->task;
    struct profile *profile = roster_find_id(&engine->roster, task->profile_id);
    const struct task_fence fence = task_fence(task);
    struct task_counts delta = {0};
    int r;

    /* Among nodes, one that was just added elsewhere may not be known here: what was released in
     * this transaction is not released again. */
    if (!profile && !store_node(engine->store))
        return -EBADMSG;
    if (dependant->status != TASK_COMPLETED)
        return queue_cancel_dependant(engine, profile, task, dependant->depends_on,
                                      dependant->status);
    queue_admit(engine, task, &delta);
    r = store_change(engine->store, task, &fence);
    if (r == STORE_DONE)
        queue_note(engine, profile, task, TASK_BLOCKED, &delta);
    return queue_outcome_of(r);
}

int queue_release(struct engine *engine, int *budget)
{
    struct store_dependant *dependants = NULL;
    size_t count = 0;
    int r = store_take_dependants(engine->store, *budget, &dependants, &count);

    if (r >= 0)
        engine->has_releases = r == STORE_DONE;
    /* A stale task has been changed by another step, which saw that its dependencies are decided.
     */
    for (size_t i = 0; i < count && r >= 0; i++)
        r = queue_release_one(engine, &dependants[i]);
    *budget -= (int)count + 1; /* the step costs something even without dependants */
    store_dependants_free(dependants, count);
    return r < 0 ? r : 0;
}

int queue_prune(struct engine *engine, const struct store_pruning *pruning,
                struct task_list *ret_removed)
{
    int r = store_prune(engine->store, pruning, ret_removed);

    for (size_t i = 0; i < ret_removed->count; i++) {
        const struct task *task = &ret_removed->tasks[i];
        struct profile *profile = roster_find_id(&engine->roster, task->profile_id);

        if (profile)
            profile_stage_counts(profile)->finished_bytes -= task->bytes;
    }
    return r;
}
