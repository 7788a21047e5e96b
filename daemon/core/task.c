/* SPDX-License-Identifier: MIT */
#include "core/task.h"

#include <errno.h>
#include <string.h>

const char *const task_status_names[] = {
    [TASK_NEW] = "new",         [TASK_QUEUED] = "queued",       [TASK_SCHEDULED] = "scheduled",
    [TASK_BLOCKED] = "blocked", [TASK_RUNNING] = "running",     [TASK_COMPLETED] = "completed",
    [TASK_FAILED] = "failed",   [TASK_CANCELLED] = "cancelled", [TASK_STATUS_COUNT] = NULL,
};

const char *const task_priority_names[] = {
    [PRIORITY_LOW] = "low",
    [PRIORITY_MEDIUM] = "medium",
    [PRIORITY_HIGH] = "high",
    [PRIORITY_COUNT] = NULL,
};

#define TO(status) (1u << (status))

/* From the row's status to any in the set. A transition to the same status changes the task's
 * profile or time. */
static const unsigned transitions[TASK_STATUS_COUNT] = {
    [TASK_NEW] = TO(TASK_QUEUED) | TO(TASK_SCHEDULED) | TO(TASK_BLOCKED),
    [TASK_QUEUED] = TO(TASK_QUEUED) | TO(TASK_SCHEDULED) | TO(TASK_RUNNING) | TO(TASK_CANCELLED),
    [TASK_SCHEDULED] = TO(TASK_QUEUED) | TO(TASK_SCHEDULED) | TO(TASK_CANCELLED),
    [TASK_BLOCKED] = TO(TASK_QUEUED) | TO(TASK_SCHEDULED) | TO(TASK_BLOCKED) | TO(TASK_CANCELLED),
    [TASK_RUNNING] = TO(TASK_QUEUED) | TO(TASK_SCHEDULED) | TO(TASK_COMPLETED) | TO(TASK_FAILED) |
                     TO(TASK_CANCELLED),
    [TASK_COMPLETED] = 0,
    [TASK_FAILED] = TO(TASK_QUEUED) | TO(TASK_BLOCKED),
    [TASK_CANCELLED] = TO(TASK_QUEUED) | TO(TASK_BLOCKED),
};

void task_deinit(struct task *task)
{
    free(task->unknown_class);
    free(task->error_message);
    free(task->error_tail);
    free(task->type);
    free(task->key);
    free(task->result);
    free(task->routing);
    free(task->body);
    free(task->node);
    *task = (struct task){0};
}

char *task_only_node(const struct task *task)
{
    const char *name;

    if (!task->body || strncmp(task->body, TASK_ONLY_NODE, strlen(TASK_ONLY_NODE)) != 0)
        return NULL;
    name = task->body + strlen(TASK_ONLY_NODE);
    return strndup(name, strcspn(name, "\""));
}

const char *task_error_name(const struct task *task)
{
    return task->error_class == ERROR_UNKNOWN ? task->unknown_class
                                              : error_class_info(task->error_class)->name;
}

struct task_fence task_fence(const struct task *task)
{
    return (struct task_fence){
        .profile_id = task->profile_id,
        .status = task->status,
        .attempt = task->attempt,
        .bytes = task->bytes,
        .sum = task->sum,
    };
}

const char *task_status_name(enum task_status status)
{
    return task_status_names[status];
}

const char *task_priority_name(enum task_priority priority)
{
    return task_priority_names[priority];
}

int task_status_parse(const char *name, enum task_status *ret_status)
{
    for (int i = TASK_QUEUED; i < TASK_STATUS_COUNT; i++) {
        if (strcmp(name, task_status_names[i]) == 0) {
            *ret_status = (enum task_status)i;
            return 0;
        }
    }
    return -EINVAL;
}

int task_priority_parse(const char *name, enum task_priority *ret_priority)
{
    for (int i = 0; i < PRIORITY_COUNT; i++) {
        if (strcmp(name, task_priority_names[i]) == 0) {
            *ret_priority = (enum task_priority)i;
            return 0;
        }
    }
    return -EINVAL;
}

bool task_status_is_waiting(enum task_status status)
{
    return status == TASK_QUEUED || status == TASK_SCHEDULED || status == TASK_BLOCKED;
}

bool task_status_is_finished(enum task_status status)
{
    return status == TASK_COMPLETED || status == TASK_FAILED || status == TASK_CANCELLED;
}

bool task_may_become(const struct task *task, enum task_status to)
{
    return transitions[task->status] & TO(to);
}

int task_transition(struct task *task, enum task_status to, struct task_counts *counts)
{
    if (!task_may_become(task, to))
        return -EINVAL;
    task_counts_step(counts, task->status, to);
    task->status = to;
    return 0;
}

void task_counts_step(struct task_counts *counts, enum task_status from, enum task_status to)
{
    if (from != TASK_NEW)
        counts->by_status[from]--;
    counts->by_status[to]++;
}

void task_counts_add(struct task_counts *sum, const struct task_counts *counts)
{
    for (int i = 0; i < TASK_STATUS_COUNT; i++)
        sum->by_status[i] += counts->by_status[i];
    sum->finished_bytes += counts->finished_bytes;
}

void task_enqueue(struct task *task, int64_t now, int64_t aging_interval_ms)
{
    if (!task->ready_at)
        task->ready_at = now;
    task->queued_at = now;
    task->sort_key = task_rank(task, aging_interval_ms);
    if (error_class_info(task->error_class)->cools_down && task->sort_key < now)
        task->sort_key = now;
}

void task_move(struct task *task, int64_t profile_id, struct task_counts *from,
               struct task_counts *to)
{
    from->by_status[task->status]--;
    to->by_status[task->status]++;
    task->profile_id = profile_id;
}

int64_t task_rank(const struct task *task, int64_t aging_interval_ms)
{
    return task->ready_at - (int64_t)task->priority * aging_interval_ms;
}

int64_t task_counts_waiting(const struct task_counts *counts)
{
    return counts->by_status[TASK_QUEUED] + counts->by_status[TASK_SCHEDULED] +
           counts->by_status[TASK_BLOCKED];
}
