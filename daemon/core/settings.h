/* SPDX-License-Identifier: MIT */
/* The values of the configuration. Keys, bounds, defaults and docs: daemon/config/table.c. */
#pragma once

#include "core/permission.h"
#include "core/role.h"

enum overflow_policy { OVERFLOW_REJECT, OVERFLOW_REROUTE, OVERFLOW_EVICT };

enum runner_type { RUNNER_COMMAND, RUNNER_ACP, RUNNER_WORKER };

/* Indexed by value, NULL-terminated. */
extern const char *const overflow_policy_names[];
extern const char *const runner_type_names[];

/* Limits of an attempt; 0: none. Where they can be enforced: run/run.h. */
struct limits {
    int64_t memory; /* bytes */
    int64_t processes;
    int64_t cpu_ms;
    int64_t open_files;
};

struct runner_config {
    enum runner_type type;
    char **command; /* argv */
    char **env;     /* "KEY=value" added to the inherited environment, "KEY" removed from it */
    char *cwd;      /* NULL: acpd's */

    /* of an agent */
    char *mcp_servers;                /* a JSON array in the protocol's form */
    char *model, *mode, *auth_method; /* NULL: the agent's own choice */
    char *options;                    /* a JSON object of strings: other options of a session */
    int64_t start_timeout_ms, stall_timeout_ms, permission_timeout_ms;
    struct permissions permissions;
    int64_t reuse; /* attempts that one process serves; 0: one, INT64_MAX: unlimited */

    int64_t lease_ms; /* of a worker */
};

struct profile_config {
    char *name, *role;
    char *system_prompt; /* NULL: none */
    char **capabilities;
    int64_t max_concurrent_tasks;
    int64_t min_concurrent_tasks; /* lower bound when autoscaling; 0: disabled */
    int64_t max_tasks_per_node;   /* 0: no other limit */
    char **nodes;                 /* patterns of names; NULL: any node runs it */
    int64_t priority;
    char *color, *icon;
    int64_t queue_limit;
    enum overflow_policy overflow;
    int64_t timeout_ms;
    int64_t max_attempts, backoff_ms, max_backoff_ms;
    char **retry_on; /* names of classes that are retried only if configured */
    int64_t cooldown_min_ms, cooldown_max_ms;
    struct limits limits;
    struct runner_config runner;
    char *digest; /* see config/digest.h; NULL: none */
};

struct routing_weights {
    double capability, load, history, priority;
};

extern const char *const settings_store_names[];
extern const char *const settings_pooler_names[];

/* Limits beyond which a profile is not healthy; see core/health.c. */
struct health_limits {
    int64_t wait_ms; /* of the oldest ready task; 0: none */
    double stuck_factor;
    int64_t stuck_min_ms;
    int64_t lapse_ms; /* without an attempt, after which an unhealthy profile is degraded */
};

enum settings_store { SETTINGS_SQLITE, SETTINGS_POSTGRES };
enum settings_pooler { SETTINGS_NO_POOLER, SETTINGS_TRANSACTION_POOLER };

struct settings {
    struct {
        enum settings_store type;
        char *url; /* of PostgreSQL; NULL: none */
        int64_t lease_ms, timeout_ms;
        enum settings_pooler pooler;
    } store;
    struct {
        char *name; /* NULL: the host's */
        char *url;  /* of its gateway; NULL: unknown */
    } node;
    int64_t metrics_retention; /* attempts a profile */
    int64_t health_check_interval_ms, update_interval_ms, aging_interval_ms;
    int64_t retention_days, retention_bytes;
    struct routing_weights routing;
    struct health_limits health;

    /* limits */
    int64_t title_limit, description_limit, input_limit; /* bytes */
    int64_t line_limit, output_limit;                    /* bytes a connection */
    int64_t connection_limit, lines_per_pass, batch_limit;
    int64_t submit_depth; /* nesting of tasks submitted by processes of tasks */
    int64_t log_limit;    /* bytes an attempt */
    int64_t event_buffer;
    int64_t kill_grace_ms;
    int64_t audit_limit; /* bytes of the audit log before it is rotated */
    char *socket_group;  /* may also use the socket; NULL: none */
    struct roles roles;  /* of its members; never checked for root and acpd's own user */

    struct profile_config defaults; /* of profiles */
    struct profile_config *profiles;
    size_t profile_count;
    bool is_demo; /* the built-in profiles run the demo agent */
};

void profile_config_deinit(struct profile_config *config);
/** Frees its members; accepts a zeroed struct. */
void settings_deinit(struct settings *settings);
