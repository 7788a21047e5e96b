/* SPDX-License-Identifier: MIT */
/* What the files of the engine work on; known to them alone. */
#pragma once

#include "common/heap.h"
#include "common/json.h"
#include "common/list.h"
#include "engine/audit.h"
#include "engine/engine.h"
#include "engine/event.h"
#include "engine/roster.h"
#include "store/store.h"

/* A span of time in which acpd runs: this one, since its start or since the wall clock was set. */
struct engine_uptime {
    int64_t started_at, seen_at; /* wall ms, 0: none yet */
    int64_t wall_ahead;          /* of the monotonic clock, at seen_at */
};

struct engine {
    struct settings settings;
    struct store *store;
    struct supervisor *supervisor;
    char *socket_path, *log_folder;

    struct profile **profiles; /* configured ones first, in their order; then removed ones */
    size_t profile_count;
    struct roster roster; /* the same profiles by what one looks for */

    struct engine_now now;
    int64_t queue_base, mono_base;
    int64_t wall_ahead; /* of the monotonic clock, at the last commit */

    struct { /* read by the pass under way; in force after its commit */
        bool is_set;
        struct settings settings;
        struct profile **fresh; /* of each profile: a new one, or NULL for one that is there */
        struct profile **unconfigured;
        size_t unconfigured_count;
    } staged;

    struct event_log events;
    struct audit audit;
    int64_t next_log_event;  /* monotonic ms: growth of logs that is still to be told */
    struct list attempts;    /* struct attempt: claimed, running, or ended and not yet settled */
    struct list idle_agents; /* struct idle_agent: kept for another attempt */
    struct heap deadlines;
    struct json_reader *reader;
    unsigned short chance[3]; /* erand48 */

    engine_reload_fn reload;

    /* As committed, and by the pass under way when it is set. */
    struct engine_uptime uptime, staged_uptime;
    struct metrics_peak peak, staged_peak; /* of all queues together */

    uint64_t passes, commits;
    int64_t last_commit;                       /* wall ms, 0: none yet */
    int64_t commit_us;                         /* what it took */
    int64_t commit_began_us;                   /* monotonic */
    struct {                                   /* how long a pass kept others waiting */
        int64_t longest_us, longest_before_us; /* since the last look, and before it */
    } busy;
    bool is_stopping;
    bool has_more_work; /* the bounds of a pass were reached: do not block before the next */
    bool has_releases;  /* finished tasks whose dependants have yet to be told, perhaps */
    int64_t next_prune; /* monotonic ms, as are: */
    int64_t next_sweep;
    bool has_spare_room; /* the database may have room that nothing uses */
    int64_t next_health_check;
    size_t health_at, prune_at; /* the profile that a look, or the forgetting, goes on with */
    int64_t next_probe;         /* of a storage that failed, or has yet to tell of a commit */
    bool is_in_doubt;           /* the outcome of the last commit is unknown */
};
