/* SPDX-License-Identifier: MIT */
/* What is listed while nothing happens, against what was promised. */
#include <string.h>

#include "model_state.h"
#include "process.h"
#include "world.h"

static struct json_object *audit_find(struct json_object *tasks, int64_t id)
{
    for (size_t i = 0; i < json_object_array_length(tasks); i++) {
        struct json_object *task = json_object_array_get_idx(tasks, i);

        if (json_object_get_int64(json_get(task, "id")) == id)
            return task;
    }
    return NULL;
}

static enum task_status audit_status_of(struct json_object *task)
{
    enum task_status status = TASK_NEW;

    if (task)
        EXPECT(task_status_parse(json_get_string(task, "status"), &status) == 0);
    return status;
}

/* What a task waits for, and whether it waits. */
static void audit_dependencies(struct json_object *task, enum task_status status,
                               struct json_object *tasks)
{
    struct json_object *ids = json_get(task, "dependsOn");
    bool all_done = true;

    for (size_t i = 0; i < json_object_array_length(ids); i++) {
        int64_t id = json_object_get_int64(json_object_array_get_idx(ids, i));
        struct json_object *other = audit_find(tasks, id);
        enum task_status of_other = audit_status_of(other);

        if (!other) /* forgotten */
            continue;
        all_done &= of_other == TASK_COMPLETED;
        EXPECT(of_other == TASK_COMPLETED || status == TASK_BLOCKED ||
                   task_status_is_finished(status),
               "it did not wait for task %lld: %s", (long long)id, json_compact(task));
        EXPECT(status != TASK_BLOCKED || !task_status_is_finished(of_other) ||
                   of_other == TASK_COMPLETED,
               "it waits in vain for task %lld: %s", (long long)id, json_compact(task));
    }
    EXPECT(status != TASK_BLOCKED || !all_done, "it waits for nothing: %s", json_compact(task));
}

/* No call is under way: what is shown is so until another one is sent. */
static void audit_learn(struct fact *fact, struct json_object *task, enum task_status status)
{
    int64_t attempt = json_object_get_int64(json_get(task, "attempt"));
    bool is_cancelled = status == TASK_CANCELLED, is_running = status == TASK_RUNNING;

    if (is_running && attempt == fact->attempt)
        fact->open_ends = 0;
    if (fact->token[0])
        model_end_attempt(fact, attempt - is_running);
    if (status != TASK_COMPLETED)
        fact->completes = 0;
    else if (fact->is_doubtful && !fact->completes)
        fact->completes = 1; /* one that was refused has taken effect */
    fact->is_cancelled = is_cancelled;
    fact->cancels = (struct causes){is_cancelled, is_cancelled};
    fact->retries = fact->acknowledged_before = 0;
    for (size_t i = 0; i < CHANGE_COUNT; i++)
        known_learn(&fact->changes[i], model_read(task, (enum change)i));
    fact->was_refused = fact->is_doubtful = false;
    fact->overtaken_by = 0;
    fact->told = status;
}

static void audit_task(struct json_object *task, struct json_object *tasks)
{
    struct fact *fact = model_learn(task);
    enum task_status status = audit_status_of(task);
    int64_t attempt = json_object_get_int64(json_get(task, "attempt"));

    model_check_task(task);
    EXPECT(fact->told == TASK_NEW || fact->told == status, "the events said %s: %s",
           task_status_name(fact->told), json_compact(task));
    EXPECT(status != TASK_RUNNING || setting_profiles[fact->profile].kind != SETTING_COMMAND ||
               process_works_on(fact->id, attempt),
           "nobody works on it: %s", json_compact(task));
    EXPECT(!fact->overtaken_by || fact->is_doubtful || status != TASK_QUEUED || attempt,
           "task %lld was claimed before %s", (long long)fact->overtaken_by, json_compact(task));
    audit_dependencies(task, status, tasks);
    audit_learn(fact, task, status);
}

static void audit_process(int64_t id, int64_t attempt, void *data)
{
    struct json_object *task = audit_find(data, id);

    EXPECT(task && audit_status_of(task) == TASK_RUNNING &&
               json_object_get_int64(json_get(task, "attempt")) == attempt,
           "a process works on attempt %lld of %s", (long long)attempt, json_compact(task));
}

/* Tasks by their status; profile: NULL for all. */
static void audit_count(struct json_object *tasks, const char *profile,
                        int64_t ret_counts[TASK_STATUS_COUNT])
{
    memset(ret_counts, 0, TASK_STATUS_COUNT * sizeof(*ret_counts));
    for (size_t i = 0; i < json_object_array_length(tasks); i++) {
        struct json_object *task = json_object_array_get_idx(tasks, i);

        if (!profile || strcmp(json_get_string(task, "profile"), profile) == 0)
            ret_counts[audit_status_of(task)]++;
    }
}

static int64_t audit_waiting(const int64_t counts[TASK_STATUS_COUNT])
{
    return counts[TASK_QUEUED] + counts[TASK_SCHEDULED] + counts[TASK_BLOCKED];
}

/* The counters of a profile against its tasks. */
static void audit_counters(struct json_object *state, struct json_object *tasks)
{
    const char *name = json_get_string(state, "name");
    int64_t counts[TASK_STATUS_COUNT];

    audit_count(tasks, name, counts);
    EXPECT(audit_waiting(counts) == json_object_get_int64(json_get(state, "queueSize")),
           "%lld tasks of %s wait", (long long)audit_waiting(counts), name);
    EXPECT(counts[TASK_RUNNING] == json_object_get_int64(json_get(state, "currentTasks")),
           "%lld tasks of %s run", (long long)counts[TASK_RUNNING], name);
    EXPECT(setting_forgets() ||
               counts[TASK_COMPLETED] == json_object_get_int64(json_get(state, "completedTasks")),
           "%lld tasks of %s are completed", (long long)counts[TASK_COMPLETED], name);
    EXPECT(setting_forgets() ||
               counts[TASK_FAILED] == json_object_get_int64(json_get(state, "failedTasks")),
           "%lld tasks of %s have failed", (long long)counts[TASK_FAILED], name);
}

/* No call is under way that pauses or resumes a profile. */
static void audit_pause(struct json_object *state)
{
    size_t i = setting_find(json_get_string(state, "name"));
    bool is_active = json_object_get_boolean(json_get(state, "isActive"));

    EXPECT(!is_active || !model.pauses[i].is_paused, "it is paused: %s", json_compact(state));
    EXPECT(is_active || model.pauses[i].causes || !setting_newest(i)->is_there,
           "nobody paused it: %s", json_compact(state));
    model.pauses[i].causes = !is_active;
}

static void audit_state(struct json_object *state, struct json_object *tasks)
{
    audit_counters(state, tasks);
    audit_pause(state);
}

/* When its turn is, if that is known: of a task that was never tried. */
static bool audit_rank(struct json_object *task, struct span *ret_rank)
{
    return audit_status_of(task) == TASK_QUEUED &&
           !json_object_get_int(json_get(task, "attempt")) &&
           model_rank(model_find(json_object_get_int64(json_get(task, "id"))), ret_rank);
}

/* All tasks of the profile that wait are listed, in their order. */
static void audit_queue(struct json_object *queue, struct json_object *tasks, const char *profile)
{
    size_t count = queue ? json_object_array_length(queue) : 0;
    int64_t counts[TASK_STATUS_COUNT], waiting;

    audit_count(tasks, profile, counts);
    waiting = audit_waiting(counts);
    EXPECT((int64_t)count == (waiting < MODEL_QUEUE_MAX ? waiting : MODEL_QUEUE_MAX),
           "%zu of %lld waiting tasks are listed", count, (long long)waiting);
    for (size_t i = 0; i < count; i++) {
        struct json_object *first = json_object_array_get_idx(queue, i);
        struct span rank, next;

        for (size_t j = i + 1; j < count && audit_rank(first, &rank); j++) {
            struct json_object *second = json_object_array_get_idx(queue, j);

            EXPECT(!audit_rank(second, &next) || rank.from <= next.to, "%s comes before %s",
                   json_compact(first), json_compact(second));
        }
    }
}

/* Whether retention may have removed it. */
static bool audit_may_be_gone(const struct fact *fact)
{
    return setting_forgets() && !model_is_held(fact) &&
           (fact->told == TASK_NEW || task_status_is_finished(fact->told));
}

/* Metrics of a time that is yet to come, since the clock was set back, are not in the history. A
 * task that was retried has ended more than once. */
static void audit_history(struct json_object *history, struct json_object *tasks)
{
    struct json_object *total = json_get(history, "total");
    int64_t listed = (int64_t)json_object_array_length(tasks), counts[TASK_STATUS_COUNT];

    if (setting_forgets() || world_wall_ms() < model.latest_wall)
        return;
    audit_count(tasks, NULL, counts);
    EXPECT(json_object_get_int64(json_get(total, "completed")) == counts[TASK_COMPLETED] &&
               json_object_get_int64(json_get(total, "failed")) >= counts[TASK_FAILED] &&
               json_object_get_int64(json_get(total, "cancelled")) >= counts[TASK_CANCELLED] &&
               json_object_get_int64(json_get(total, "arrived")) >= listed,
           "%lld tasks: %lld completed, %lld failed, %lld cancelled; %s", (long long)listed,
           (long long)counts[TASK_COMPLETED], (long long)counts[TASK_FAILED],
           (long long)counts[TASK_CANCELLED], json_compact(total));
}

void model_audit(struct json_object *tasks, struct json_object *states, struct json_object *history,
                 struct json_object *const *queues)
{
    for (size_t i = 0; i < json_object_array_length(tasks); i++)
        audit_task(json_object_array_get_idx(tasks, i), tasks);
    for (size_t i = 0; i < model.count; i++) {
        const struct fact *fact = model.facts[i];

        EXPECT(audit_find(tasks, fact->id) || audit_may_be_gone(fact), "task %lld is lost",
               (long long)fact->id);
    }
    process_visit(false, audit_process, tasks);
    audit_history(history, tasks);
    for (size_t i = 0; i < json_object_array_length(states); i++)
        audit_state(json_object_array_get_idx(states, i), tasks);
    for (size_t i = 0; i < SETTING_PROFILES; i++)
        audit_queue(queues[i], tasks, setting_profiles[i].name);
}

static void audit_count_surplus(int64_t id, int64_t attempt UNUSED, void *data)
{
    const struct fact *fact = model_find(id);

    *(size_t *)data += fact && task_status_is_finished(fact->told);
}

size_t model_count_surplus(void)
{
    size_t count = 0;

    process_visit(true, audit_count_surplus, &count);
    return count;
}

void model_audit_backup(struct json_object *tasks)
{
    for (size_t i = 0; i < model.count; i++) {
        const struct fact *fact = model.facts[i];
        struct json_object *task = audit_find(tasks, fact->id);
        enum task_status status = audit_status_of(task);

        EXPECT(task || audit_may_be_gone(fact), "task %lld is not in the backup",
               (long long)fact->id);
        if (!task)
            continue;
        EXPECT(!fact->key[0] || strcmp(json_get_string(task, "key"), fact->key) == 0,
               "its key was %s: %s", fact->key, json_compact(task));
        EXPECT(!fact->is_completed || status == TASK_COMPLETED, "completed: %s",
               json_compact(task));
        EXPECT(!fact->is_cancelled || fact->retries || fact->is_doubtful ||
                   status == TASK_CANCELLED,
               "cancelled: %s", json_compact(task));
        model_check_refused(fact);
    }
}

/* A retry may have become due in between, and comes before others then; one that cooled its profile
 * down is not the first to be tried again. */
void model_audit_claim(struct json_object *task, struct json_object *queue)
{
    struct json_object *first = queue ? json_object_array_get_idx(queue, 0) : NULL;

    EXPECT(!first || audit_status_of(first) != TASK_QUEUED ||
               json_object_get_int(json_get(first, "attempt")) ||
               json_object_get_int64(json_get(first, "id")) ==
                   json_object_get_int64(json_get(task, "id")) ||
               audit_status_of(audit_find(queue, json_object_get_int64(json_get(task, "id")))) !=
                   TASK_QUEUED,
           "%s came before %s", json_compact(task), json_compact(first));
}
