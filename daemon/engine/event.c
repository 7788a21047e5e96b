/* SPDX-License-Identifier: MIT */
#include "engine/event.h"

#include "common/alloc.h"

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
