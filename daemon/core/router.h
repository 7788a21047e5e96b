/* SPDX-License-Identifier: MIT */
/*
 * Routing: which profile is best for a task. Filter, then score, as schedulers do: profiles that
 * cannot take the task are rejected with the reason; the others get the weighted sum of four terms
 * in [0, 1]. docs/protocol.md explains the terms; router.c has the table.
 */
#pragma once

#include "core/estimate.h"
#include "core/profile.h"

enum router_term { TERM_CAPABILITY, TERM_LOAD, TERM_HISTORY, TERM_PRIORITY, TERM_COUNT };

struct router_request {
    char *const *capabilities; /* all required; a task's type is one of them */
    char *const *prefers;      /* preferred; none of them in `capabilities` */
    char *const *avoid;        /* names of profiles that must not get it */
    const char *node;          /* the only one that may run it; NULL: any */
    bool is_nowhere;           /* there is no such node, and never will be */
    uint64_t type;             /* metrics_type() of the task's */
    int64_t now;               /* monotonic ms */
    /* Whether the profile's queue accepts another task; NULL: if it is below its limit. */
    bool (*has_room)(const struct profile *profile, void *data);
    void *data;
};

struct router_candidate {
    struct profile *profile;
    bool is_rejected;
    bool is_full;     /* rejected only because its queue is full */
    char reason[120]; /* why it is rejected */
    struct estimate estimate;
    double wait; /* expected seconds until it would start there */
    double terms[TERM_COUNT];
    double score; /* the weighted sum of the terms, 0 when rejected */
};

/* Indexed by value, NULL-terminated. */
extern const char *const router_term_names[];

/**
 * Rates every profile. ret_candidates has room for `count` and is sorted by health (unhealthy ones
 * after the others), then score, then name; rejected ones come last. Returns the number of those
 * not rejected.
 */
size_t router_rank(const struct router_request *request, struct profile *const *profiles,
                   size_t count, const struct routing_weights *weights,
                   struct router_candidate *ret_candidates);
