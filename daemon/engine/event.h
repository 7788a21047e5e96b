/* SPDX-License-Identifier: MIT */
/*
 * The events: the latest ones in a ring, with a sequence number that only grows, across restarts
 * too. An event is staged by its pass and enters the ring with the commit. Events of a failed pass
 * are dropped, except those that do not depend on the storage (a question of an agent, a log that
 * grew).
 */
#pragma once

#include "core/task.h"

struct engine;
struct profile;

enum event_type { EVENT_TASK, EVENT_PROFILE, EVENT_PERMISSION, EVENT_LOG };

struct event {
    int64_t seq, at; /* at: wall ms */
    enum event_type type;
    bool is_fact;    /* even if the pass fails */
    bool is_foreign; /* another node's */
    bool is_open;    /* of a question: asked, not answered */
    enum task_status from, to;
    enum error_class class;
    int64_t profile_id, task_id;
    int64_t attempt, question;
};

struct event_log {
    struct event *ring;
    size_t capacity;
    int64_t first, next; /* sequence numbers: the ring holds first to next - 1 */
    struct event *staged;
    size_t staged_count, staged_capacity;
};

/** `start`: the first sequence number, above all those used before. */
void event_log_init(struct event_log *log, size_t capacity, int64_t start);
void event_log_deinit(struct event_log *log);
/** Stages an event; its seq and time are set with the commit. */
void event_stage(struct event_log *log, const struct event *event);
void event_commit(struct event_log *log, int64_t wall);
void event_rollback(struct event_log *log);
/** The event with this number, which must be in the ring. */
const struct event *event_get(const struct event_log *log, int64_t seq);
