/* SPDX-License-Identifier: MIT */
/* Tasks and events as users see them. */
#include "common/alloc.h"
#include "common/json_out.h"
#include "engine/state.h"

/* 0 prints null: the profile's value applies. */
static void print_override(struct buf *out, const char *name, double value)
{
    if (value > 0)
        json_out_number(out, name, value);
    else
        json_out_null(out, name);
}

static void print_pending(struct buf *out, const struct engine_pending *pending)
{
    if (!pending) {
        json_out_null(out, "pending");
        return;
    }
    json_out_object(out, "pending");
    json_out_text(out, "reason", pending->reason);
    if (pending->position)
        json_out_int(out, "position", pending->position);
    else
        json_out_null(out, "position");
    json_out_time(out, "eta", pending->eta);
    json_out_end_object(out);
}

static void print_error(struct buf *out, const struct task *task)
{
    if (task->error_class == ERROR_NONE) {
        json_out_null(out, "error");
        return;
    }
    json_out_object(out, "error");
    json_out_text(out, "class", task_error_name(task));
    json_out_text(out, "message", task->error_message ? task->error_message : "");
    if (task->error_tail)
        json_out_text(out, "tail", task->error_tail);
    json_out_end_object(out);
}

/* The node that ran the last attempt, which only a shared store keeps; before, the one that must.
 */
static void print_node(struct buf *out, const struct engine *engine, const struct task *task)
{
    CLEANUP(freep) char *only = task_only_node(task);
    bool is_own = task->node_id == store_node(engine->store);

    json_out_text(out, "node",
                  !task->attempt ? only
                  : task->node   ? task->node
                  : is_own       ? engine->fleet.name
                                 : NULL);
}

void engine_print_task(const struct engine *engine, const struct task *task,
                       const struct engine_pending *pending, struct buf *out)
{
    json_out_object(out, NULL);
    json_out_int(out, "id", task->id);
    json_out_text(out, "profile", roster_name_of(&engine->roster, task->profile_id));
    json_out_raw(out, NULL, task->body); /* members */
    json_out_text(out, "type", task->type);
    json_out_text(out, "priority", task_priority_name(task->priority));
    json_out_text(out, "status", task_status_name(task->status));
    json_out_text(out, "key", task->key);
    if (task->submitted_by)
        json_out_int(out, "submittedBy", task->submitted_by);
    else
        json_out_null(out, "submittedBy");
    json_out_time(out, "runAt", task->run_at);
    print_override(out, "timeout", (double)task->timeout_ms / 1000);
    print_override(out, "maxAttempts", (double)task->max_attempts);
    json_out_int(out, "attempt", task->attempt);
    print_node(out, engine, task);
    json_out_time(out, "createdAt", task->created_at);
    json_out_time(out, "startedAt", task->started_at);
    json_out_time(out, "finishedAt", task->finished_at);
    json_out_raw(out, "result", task->result);
    print_error(out, task);
    print_pending(out, pending);
    json_out_raw(out, "routing", task->routing);
    json_out_end_object(out);
}

static void print_profile(const struct engine *engine, const struct event *event, struct buf *out)
{
    const struct profile *profile = roster_find_id(&engine->roster, event->profile_id);

    if (!profile)
        return;
    json_out_bool(out, "isActive", profile->is_active && !profile->is_removed);
    json_out_text(out, "health", profile_health_name(profile->health));
    json_out_text(out, "healthReason", profile->health_reason[0] ? profile->health_reason : NULL);
}

void engine_print_event(const struct engine *engine, const struct event *event, struct buf *out)
{
    static const char *const types[] = {
        [EVENT_TASK] = "task",
        [EVENT_PROFILE] = "profile",
        [EVENT_PERMISSION] = "permission",
        [EVENT_LOG] = "log",
    };

    json_out_object(out, NULL);
    json_out_int(out, "seq", event->seq);
    json_out_text(out, "type", types[event->type]);
    json_out_time(out, "at", event->at);
    json_out_text(out, "profile", roster_name_of(&engine->roster, event->profile_id));
    switch (event->type) {
    case EVENT_TASK:
        json_out_int(out, "id", event->task_id);
        json_out_text(out, "from", event->from == TASK_NEW ? NULL : task_status_name(event->from));
        json_out_text(out, "status", task_status_name(event->to));
        json_out_int(out, "attempt", event->attempt);
        json_out_text(out, "errorClass", error_class_info(event->class)->name);
        break;
    case EVENT_PROFILE:
        print_profile(engine, event, out);
        break;
    case EVENT_PERMISSION:
        json_out_printf(out, "id", "%lld-%lld-%lld", (long long)event->task_id,
                        (long long)event->attempt, (long long)event->question);
        json_out_int(out, "taskId", event->task_id);
        json_out_bool(out, "isOpen", event->is_open);
        break;
    case EVENT_LOG:
        json_out_int(out, "id", event->task_id);
        json_out_int(out, "attempt", event->attempt);
        break;
    }
    json_out_end_object(out);
}
