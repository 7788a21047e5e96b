/* SPDX-License-Identifier: MIT */
#include "engine/event.h"

#include <stdio.h>

#include "common/alloc.h"
#include "engine/engine.h"

void event_log_init(struct event_log *log, size_t capacity, int64_t start)
{
    *log = (struct event_log){.capacity = capacity, .first = start, .next = start};
    log->ring = xcalloc(capacity, sizeof(*log->ring));
}

void event_log_deinit(struct event_log *log)
{
    free(log->ring);
    free(log->staged);
    *log = (struct event_log){0};
}

void event_stage(struct event_log *log, const struct event *event)
{
    if (log->staged_count == log->staged_capacity) {
        log->staged_capacity = log->staged_capacity ? 2 * log->staged_capacity : 64;
        log->staged = xrealloc(log->staged, log->staged_capacity * sizeof(*log->staged));
    }
    log->staged[log->staged_count++] = *event;
}

void event_commit(struct event_log *log, int64_t wall)
{
    for (size_t i = 0; i < log->staged_count; i++) {
        struct event *event = &log->ring[(size_t)log->next % log->capacity];

        *event = log->staged[i];
        event->seq = log->next++;
        event->at = wall;
        if (log->next - log->first > (int64_t)log->capacity)
            log->first = log->next - (int64_t)log->capacity;
    }
    log->staged_count = 0;
}

void event_rollback(struct event_log *log)
{
    size_t kept = 0;

    for (size_t i = 0; i < log->staged_count; i++)
        if (log->staged[i].is_fact)
            log->staged[kept++] = log->staged[i];
    log->staged_count = kept;
}

const struct event *event_get(const struct event_log *log, int64_t seq)
{
    return &log->ring[(size_t)seq % log->capacity];
}

void engine_tell_task(struct engine *engine, const struct task *task, enum task_status from)
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
