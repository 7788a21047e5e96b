/* SPDX-License-Identifier: MIT */
/* Tasks and events as users see them. */
#include "engine/state.h"

static void print_member(struct buf *out, const char *name)
{
    buf_add_text(out, ",\"");
    buf_add_text(out, name);
    buf_add_text(out, "\":");
}

static void print_json(struct buf *out, const char *name, const char *json)
{
    print_member(out, name);
    buf_add_text(out, json ? json : "null");
}

static void print_time(struct buf *out, const char *name, int64_t wall_ms)
{
    print_member(out, name);
    buf_add_json_time(out, wall_ms);
}

/* 0 prints null: the profile's value holds. */
static void print_override(struct buf *out, const char *name, double value)
{
    print_member(out, name);
    if (value > 0)
        buf_add_json_number(out, value);
    else
        buf_add_text(out, "null");
}

static void print_word(struct buf *out, const char *name, const char *word)
{
    print_member(out, name);
    buf_add_char(out, '"');
    buf_add_text(out, word);
    buf_add_char(out, '"');
}

static void print_pending(struct buf *out, const struct engine_pending *pending)
{
    print_member(out, "pending");
    if (!pending) {
        buf_add_text(out, "null");
        return;
    }
    buf_add_text(out, "{\"reason\":\"");
    buf_add_text(out, pending->reason);
    buf_add_text(out, "\",\"position\":");
    if (pending->position)
        buf_add_int(out, pending->position);
    else
        buf_add_text(out, "null");
    buf_add_text(out, ",\"eta\":");
    buf_add_json_time(out, pending->eta);
    buf_add_char(out, '}');
}

void engine_print_task(const struct engine *engine, const struct task *task,
                       const struct engine_pending *pending, struct buf *out)
{
    buf_add_text(out, "{\"id\":");
    buf_add_int(out, task->id);
    print_word(out, "profile", roster_name_of(&engine->roster, task->profile_id));
    buf_add_char(out, ',');
    buf_add_text(out, task->body);
    print_member(out, "type");
    buf_add_json_text(out, task->type);
    print_word(out, "priority", task_priority_name(task->priority));
    print_word(out, "status", task_status_name(task->status));
    print_member(out, "key");
    buf_add_json_text(out, task->key);
    print_member(out, "submittedBy");
    if (task->submitted_by)
        buf_add_int(out, task->submitted_by);
    else
        buf_add_text(out, "null");
    print_time(out, "runAt", task->run_at);
    print_override(out, "timeout", (double)task->timeout_ms / 1000);
    print_override(out, "maxAttempts", (double)task->max_attempts);
    print_member(out, "attempt");
    buf_add_int(out, task->attempt);
    print_time(out, "createdAt", task->created_at);
    print_time(out, "startedAt", task->started_at);
    print_time(out, "finishedAt", task->finished_at);
    print_json(out, "result", task->result);
    print_member(out, "error");
    if (task->error_class == ERROR_NONE) {
        buf_add_text(out, "null");
    } else {
        buf_add_text(out, "{\"class\":\"");
        buf_add_text(out, error_class_info(task->error_class)->name);
        buf_add_text(out, "\",\"message\":");
        buf_add_json_text(out, task->error_message ? task->error_message : "");
        if (task->error_tail) {
            buf_add_text(out, ",\"tail\":");
            buf_add_json_text(out, task->error_tail);
        }
        buf_add_char(out, '}');
    }
    print_pending(out, pending);
    print_json(out, "routing", task->routing);
    buf_add_char(out, '}');
}

static void print_profile(const struct engine *engine, const struct event *event, struct buf *out)
{
    const struct profile *profile = roster_find_id(&engine->roster, event->profile_id);

    if (!profile)
        return;
    buf_printf(out, ",\"isActive\":%s,\"health\":\"%s\",\"healthReason\":",
               profile->is_active && !profile->is_removed ? "true" : "false",
               profile_health_name(profile->health));
    buf_add_json_text(out, profile->health_reason[0] ? profile->health_reason : NULL);
}

void engine_print_event(const struct engine *engine, const struct event *event, struct buf *out)
{
    static const char *const types[] = {
        [EVENT_TASK] = "task",
        [EVENT_PROFILE] = "profile",
        [EVENT_PERMISSION] = "permission",
        [EVENT_LOG] = "log",
    };

    buf_printf(out, "{\"seq\":%lld,\"type\":\"%s\",\"at\":", (long long)event->seq,
               types[event->type]);
    buf_add_json_time(out, event->at);
    buf_printf(out, ",\"profile\":\"%s\"", roster_name_of(&engine->roster, event->profile_id));
    switch (event->type) {
    case EVENT_TASK:
        buf_printf(out, ",\"id\":%lld,\"from\":", (long long)event->task_id);
        buf_add_json_text(out, event->from == TASK_NEW ? NULL : task_status_name(event->from));
        buf_printf(out, ",\"status\":\"%s\",\"attempt\":%lld,\"errorClass\":",
                   task_status_name(event->to), (long long)event->attempt);
        buf_add_json_text(out, error_class_info(event->class)->name);
        break;
    case EVENT_PROFILE:
        print_profile(engine, event, out);
        break;
    case EVENT_PERMISSION:
        buf_printf(out, ",\"id\":\"%lld-%lld-%lld\",\"taskId\":%lld,\"isOpen\":%s",
                   (long long)event->task_id, (long long)event->attempt, (long long)event->question,
                   (long long)event->task_id, event->is_open ? "true" : "false");
        break;
    case EVENT_LOG:
        buf_printf(out, ",\"id\":%lld,\"attempt\":%lld", (long long)event->task_id,
                   (long long)event->attempt);
        break;
    }
    buf_add_char(out, '}');
}
