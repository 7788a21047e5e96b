/* SPDX-License-Identifier: MIT */
/* The state of the engine, private to its files. */
#pragma once

#include "common/heap.h"
#include "common/json.h"
#include "common/list.h"
#include "engine/audit.h"
#include "engine/engine.h"
#include "engine/event.h"
#include "engine/roster.h"
#include "store/store.h"

/* The current span of running: since acpd's start or since the wall clock was set. */
struct engine_uptime {
    int64_t started_at, seen_at; /* wall ms, 0: none yet */
    int64_t wall_ahead;          /* of the monotonic clock, at seen_at */
};

/* Another node, or this one, as it was last seen. */
struct fleet_node {
    struct store_node row;
    int64_t since;    /* when it was first seen to have made this pass, monotonic ms */
    char **differs;   /* see engine/difference.h */
    int64_t compared; /* the config_sum of that; 0: not compared yet */
};

/* This acpd among those that share its store; see engine/fleet.h. */
struct fleet {
    char *name; /* this node's */
    struct fleet_node *nodes;
    size_t count;
    int64_t news;      /* the last that was heard */
    uint64_t heard_in; /* the pass whose transaction heard them */
    int64_t next_look, next_watch, next_beat, next_prune; /* monotonic ms */
    int64_t valid_until;                                  /* the last sign of life, boottime ms */
    bool has_questions; /* others may answer some of this node's agents */
    bool is_retiring, must_take_over, has_no_predecessor;
    char *config; /* as this node has told the others; NULL: it has to */
    struct {
        bool has_taken_over, has_no_predecessor;
        char *config; /* NULL: unchanged */
    } staged;         /* by the current pass */
};

struct engine {
    struct settings settings;
    struct store *store;
    struct supervisor *supervisor;
    char *socket_path, *log_folder;

    struct profile **profiles; /* configured ones first, in their order; then removed ones */
    size_t profile_count;
    struct roster roster; /* the same profiles, indexed */
    struct fleet fleet;

    struct engine_now now;
    int64_t queue_base, mono_base;
    int64_t wall_ahead; /* of the monotonic clock, at the last commit */

    struct { /* read by the current pass; in effect after its commit */
        bool is_set;
        struct settings settings;
        struct profile **fresh; /* per profile: a new one, or NULL for an existing one */
        struct profile **unconfigured;
        size_t unconfigured_count;
    } staged;

    struct event_log events;
    struct audit audit;
    int64_t next_log_event; /* monotonic ms: when to report growth of logs */
    struct list attempts;   /* struct attempt: claimed, running, or ended and not yet settled */
    struct list touched;    /* those of them that a pass has to look at; the others only run */
    struct list *by_task;   /* those of them by task: a power of two of buckets */
    size_t bucket_count, attempt_count;
    struct list idle_agents; /* struct idle_agent: kept for another attempt */
    struct heap deadlines;
    unsigned short rng[3]; /* erand48 */

    engine_reload_fn reload;

    /* As committed, and as staged by the current pass if set. */
    struct engine_uptime uptime, staged_uptime;
    struct metrics_peak peak, staged_peak; /* of all queues together */

    uint64_t passes, commits;
    int64_t last_commit;                       /* wall ms, 0: none yet */
    int64_t commit_us;                         /* what it took */
    int64_t commit_began_us;                   /* monotonic */
    struct {                                   /* longest pass */
        int64_t longest_us, longest_before_us; /* since the last health check, and before it */
    } busy;
    bool is_stopping;
    bool has_more_work; /* a pass reached its limits: do not block before the next one */
    bool has_releases;  /* there may be releases to process */
    int64_t next_prune; /* monotonic ms, as are: */
    int64_t next_sweep;
    bool has_spare_room; /* the database may have free pages */
    int64_t next_health_check;
    size_t health_at, prune_at; /* the profile at which checking, or forgetting, continues */
    int64_t next_probe;         /* of a storage that failed, or is in doubt */
    bool is_in_doubt;           /* the outcome of the last commit is unknown */
};
