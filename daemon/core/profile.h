/* SPDX-License-Identifier: MIT */
/*
 * A profile: its configuration, its limits, its counters and its health.
 *
 * The changes of a pass are staged next to the committed state: profile_commit() applies them,
 * profile_rollback() drops them.
 */
#pragma once

#include "common/heap.h"
#include "common/list.h"
#include "core/anomaly.h"
#include "core/autoscale.h"
#include "core/cooldown.h"
#include "core/forecast.h"
#include "core/metrics.h"
#include "core/settings.h"
#include "core/task.h"

enum profile_health { HEALTH_HEALTHY, HEALTH_DEGRADED, HEALTH_UNHEALTHY };

/* The place of the last queued task: they are ordered by sort_key and then by id. */
struct queue_tail {
    int64_t sort_key, id;
};

struct profile {
    int64_t id;
    struct profile_config config;
    bool is_active;     /* as committed */
    bool is_configured; /* by the configuration that is being applied */
    bool is_removed;    /* no longer configured: accepts no new tasks, stays until it is empty */
    bool is_elsewhere;  /* this node does not run it */

    struct task_counts counts; /* committed */
    int64_t oldest_ready;      /* since when the oldest queued task has been ready, as long as the
                                  counters stay as they are; 0: not looked up */
    struct queue_tail last;    /* no queued task comes after it; id 0: unknown */
    int64_t last_activity;     /* wall ms, 0: none yet */
    struct metrics_window window;
    struct cooldown cooldown;
    struct autoscale autoscale;
    int64_t slots_used;  /* attempts whose family is not gone yet */
    struct list running; /* struct forecast_run: the same attempts */
    size_t running_count;
    struct forecast forecast; /* of the moment at which it was last computed */

    struct anomaly_charts charts;
    int64_t arrivals;            /* in this minute */
    struct metrics_bucket total; /* since acpd's start */
    struct metrics_minute minute;
    struct metrics_peak peak; /* of its queue */

    struct {           /* by the pass under way */
        bool is_dirty; /* its counters change */
        bool has_cooldown;
        struct cooldown cooldown; /* if so */
        int is_active;            /* -1: unchanged */
        int64_t slots_used;
        struct task_counts counts;
        struct queue_tail last; /* id 0: unchanged */
        int64_t last_activity;
        struct metrics_bucket bucket;
        bool has_minute;
        struct metrics_minute minute; /* if so */
        struct metrics_peak peak;
        bool is_forgotten; /* its row was removed */
    } staged;

    /* Its places among the others: see engine/roster.h. */
    struct list
        *touched_list; /* where it belongs once the current pass has changed it; NULL: in no list */
    struct list touched, hot;
    struct heap_node wake, cooled;

    struct profile_seen {       /* by the last look at it */
        bool is_new;            /* and its health has not been updated yet */
        int64_t usual_ms;       /* the 95th percentile of the last attempts */
        int64_t stuck_after_ms; /* a longer one is stuck; 0: unknown */
        int64_t stuck,
            stuck_ms;    /* number of stuck attempts, and how long the longest has been running */
        int64_t wait_ms; /* of the oldest ready task */
        bool has_no_worker; /* no worker has claimed a task recently */
        char missing[160];  /* what the runner needs and was not found; empty: nothing */
    } seen;
    int64_t last_claim; /* when a worker last tried to claim a task; monotonic ms, as is: */
    int64_t last_end;   /* when an attempt last ended that counts for health */

    int64_t probes_since; /* since when it has been unhealthy, or was until it lapsed: monotonic ms;
                             -1: not */
    enum profile_health health;
    char health_reason[200]; /* empty when healthy */
};

/** Takes ownership of the configuration and zeroes it. */
struct profile *profile_new(struct profile_config *config);
void profile_free(struct profile *profile);
/** CLEANUP(profile_freep) */
void profile_freep(struct profile **profile);

/* These include the changes of the current pass. */

/** Tasks in this status. Where nodes share a store, this one may hear of a task's start after it
 * has ended the task: that counts as none. */
int64_t profile_count(const struct profile *profile, enum task_status status);
int64_t profile_waiting(const struct profile *profile);
/** The limit of concurrent attempts: as configured, less while autoscaling, and one, as a probe,
 * while it is unhealthy. */
int64_t profile_slots(const struct profile *profile);
int64_t profile_free_slots(const struct profile *profile);
/** Whether an attempt is running that started after the profile became unhealthy. */
bool profile_has_probe(const struct profile *profile);
/** Whether it would have free slots if it were healthy. */
bool profile_is_probing(const struct profile *profile);
bool profile_is_active(const struct profile *profile);
/** Whether it has a free slot and a task for it; `now` is monotonic ms. */
bool profile_may_claim(const struct profile *profile, int64_t now);
/** Whether the node of this name runs it, by its configuration. */
bool profile_runs_on(const struct profile *profile, const char *node);
/** Whether it has the capability; its own name counts as one. */
bool profile_has_capability(const struct profile *profile, const char *capability);

/** Marks it as changed by the current pass, so that the commit updates it. */
void profile_touch(struct profile *profile);
const struct cooldown *profile_cooldown(const struct profile *profile);

/** The staged cooldown. */
struct cooldown *profile_stage_cooldown(struct profile *profile);
/** Updates the counters for a transition of one of its tasks. */
struct task_counts *profile_stage_counts(struct profile *profile);
/** Whether the task is known to be the last one in the queue. */
bool profile_is_last(const struct profile *profile, const struct task *task);
/** Notes that it is. */
void profile_stage_last(struct profile *profile, const struct task *task);
/** Notes that it was queued. */
void profile_note_queued(struct profile *profile, const struct task *task);
void profile_commit(struct profile *profile);
void profile_rollback(struct profile *profile);

/** Computes health and health_reason from the window, the cooldown and `seen`. now: monotonic ms.
 */
void profile_update_health(struct profile *profile, const struct health_limits *limits,
                           int64_t now);
/* Indexed by value, NULL-terminated. */
extern const char *const profile_health_names[];
const char *profile_health_name(enum profile_health health);
