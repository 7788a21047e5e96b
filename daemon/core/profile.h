/* SPDX-License-Identifier: MIT */
/*
 * A profile: who does a kind of work, how much at once, and what became of it so far.
 *
 * What a pass changes is staged beside what is committed, so that a pass that fails can be
 * forgotten as a whole: profile_commit() adds the one to the other, profile_rollback() drops it.
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

struct profile {
    int64_t id;
    struct profile_config config;
    bool is_active;     /* as committed */
    bool is_configured; /* by the configuration that is being taken over */
    bool is_removed;    /* no longer configured: takes nothing new, stays until it is empty */

    struct task_counts counts; /* committed */
    int64_t last_activity;     /* wall ms, 0: none yet */
    struct metrics_window window;
    struct cooldown cooldown;
    struct autoscale autoscale;
    int64_t slots_used;  /* attempts whose family is not gone yet */
    struct list running; /* struct forecast_run: the same attempts */
    size_t running_count;
    struct forecast forecast; /* of the moment at which it was last asked for */

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
        int64_t last_activity;
        struct metrics_bucket bucket;
        bool has_minute;
        struct metrics_minute minute; /* if so */
        struct metrics_peak peak;
        bool is_forgotten; /* its row was removed */
    } staged;

    /* Its places among the others: see engine/roster.h. */
    struct list *touched_list; /* where it belongs once the pass under way has changed it; NULL: it
                                * is on its own */
    struct list touched, hot;
    struct heap_node wake, cooled;

    struct profile_seen {        /* by the last look at it */
        bool is_new;             /* and the health does not know it yet */
        int64_t usual_ms;        /* the 95th percentile of the last attempts */
        int64_t stuck_after_ms;  /* what takes longer is stuck; 0: unknown */
        int64_t stuck, stuck_ms; /* attempts that are, and for how long the longest runs */
        int64_t wait_ms;         /* of the task that has been ready for longest */
        bool has_no_worker;      /* none has asked for a task lately */
        char missing[160];       /* what the runner needs and is not to be found; empty: nothing */
    } seen;
    int64_t last_claim; /* when a worker last asked for a task; monotonic ms, as is: */
    int64_t last_end;   /* when an attempt last ended that counts for health */

    int64_t probes_since; /* it is unhealthy, or was until it lapsed: monotonic ms; -1: it is not */
    enum profile_health health;
    char health_reason[200]; /* empty when healthy */
};

/** Takes the configuration over and leaves zeros behind. */
struct profile *profile_new(struct profile_config *config);
void profile_free(struct profile *profile);
/** CLEANUP(profile_freep) */
void profile_freep(struct profile **profile);

/* What follows includes what the pass under way did. */

/** Tasks in this status. */
int64_t profile_count(const struct profile *profile, enum task_status status);
int64_t profile_waiting(const struct profile *profile);
/** Attempts that may run at once: as configured, or less while it scales down, and one at a time,
 * as a probe, while it is unhealthy. */
int64_t profile_slots(const struct profile *profile);
int64_t profile_free_slots(const struct profile *profile);
/** Whether an attempt runs that began since the profile became unhealthy. */
bool profile_has_probe(const struct profile *profile);
/** Whether slots are free but for its health. */
bool profile_is_probing(const struct profile *profile);
bool profile_is_active(const struct profile *profile);
/** Whether it has a free slot, and a task for it; `now` is monotonic ms. */
bool profile_may_claim(const struct profile *profile, int64_t now);
/** Whether it declares the capability; its own name always counts as one. */
bool profile_has_capability(const struct profile *profile, const char *capability);

/** The pass under way has changed it, or looked at it: its commit has something to do. */
void profile_touch(struct profile *profile);
const struct cooldown *profile_cooldown(const struct profile *profile);

/** The cooldown, to be changed. */
struct cooldown *profile_stage_cooldown(struct profile *profile);
/** The counters that a transition of one of its tasks changes. */
struct task_counts *profile_stage_counts(struct profile *profile);
void profile_commit(struct profile *profile);
void profile_rollback(struct profile *profile);

/** Works the health out from the window, the cooldown and what was seen; changes health and
 *  health_reason. now: monotonic ms. */
void profile_update_health(struct profile *profile, const struct health_limits *limits,
                           int64_t now);
/* By value, ended by NULL. */
extern const char *const profile_health_names[];
const char *profile_health_name(enum profile_health health);
