/* SPDX-License-Identifier: MIT */
#include "config/table.h"

#include "core/error_class.h"

#define AT(member)         .offset = offsetof(struct settings, member)
#define PROFILE_AT(member) .offset = offsetof(struct profile_config, member)
#define RUNNER_AT(member)  .offset = offsetof(struct runner_config, member)
#define DAY                86400.0
#define KIB                1024.0
#define MIB                (1024 * KIB)
#define GIB                (1024 * MIB)
#define YEAR               (365 * DAY)

const struct config_row config_rows[] = {
    {"store.type", CONFIG_CHOICE, AT(store.type), .choices = settings_store_names,
     .doc = "Where tasks are stored. `sqlite`: acpd.db in the state directory; `postgres`: a "
            "database of a PostgreSQL server. Changes to `store` take effect at the next start."},
    {"store.url", CONFIG_TEXT, AT(store.url), .max = 4096,
     .doc = "The database of `postgres`, which requires it: a connection string or URI of libpq, "
            "such as `postgresql:///acpd`."},
    {"store.lease", CONFIG_SECONDS, AT(store.lease_ms), 2, 3600, 15,
     .doc = "Seconds without a commit after which a node counts as dead and others take over its "
            "tasks. A node that cannot reach the database kills its own processes before then."},
    {"store.timeout", CONFIG_SECONDS, AT(store.timeout_ms), 0.1, 30, 2,
     .doc = "Timeout for a reply from `postgres`, in seconds."},
    {"store.pooler", CONFIG_CHOICE, AT(store.pooler), .choices = settings_pooler_names,
     .doc = "`transaction`: acpd connects through a pooler that lends a session for a transaction, "
            "such as PgBouncer with `pool_mode = transaction`."},
    {"node.name", CONFIG_NAME, AT(node.name),
     .doc = "The name of this acpd among those that share a store; default: the host's name."},
    {"node.url", CONFIG_TEXT, AT(node.url), .max = 1024,
     .doc =
         "URL of this node's gateway, such as `http://a.example:8080`; shown to users who look for "
         "logs that only this node has."},
    {"metricsRetention", CONFIG_INTEGER, AT(metrics_retention), 1, 100000, 100,
     .doc = "Number of recent attempts per profile that routing and health consider."},
    {"healthCheckInterval", CONFIG_SECONDS, AT(health_check_interval_ms), 1, DAY, 60,
     .doc = "Seconds between health checks of every profile."},
    {"updateInterval", CONFIG_SECONDS, AT(update_interval_ms), 1, 3600, 5,
     .doc = "Seconds between refreshes of the dashboard."},
    {"agingInterval", CONFIG_SECONDS, AT(aging_interval_ms), 0, YEAR, 3600,
     .doc = "Seconds of waiting that equal one priority level. Applies to new tasks."},
    {"taskRetention.days", CONFIG_INTEGER, AT(retention_days), 1, 36500, 30,
     .doc = "Days for which finished tasks are kept."},
    {"taskRetention.bytes", CONFIG_INTEGER, AT(retention_bytes), MIB, 1e15, GIB,
     .doc = "Maximum size of finished tasks and their logs, in bytes."},
    {"routing.capability", CONFIG_NUMBER, AT(routing.capability), 0, 1000, 0.3,
     .doc = "Weight of how specialised the profile is."},
    {"routing.load", CONFIG_NUMBER, AT(routing.load), 0, 1000, 0.4,
     .doc = "Weight of the expected wait."},
    {"routing.history", CONFIG_NUMBER, AT(routing.history), 0, 1000, 0.2,
     .doc = "Weight of the success rate."},
    {"routing.priority", CONFIG_NUMBER, AT(routing.priority), 0, 1000, 0.1,
     .doc = "Weight of the profile's priority."},
    {"health.wait", CONFIG_SECONDS, AT(health.wait_ms), 0, YEAR, 3600,
     .doc = "Seconds that a task may be ready without starting before its profile is `degraded`; "
            "0: no limit."},
    {"health.stuckFactor", CONFIG_NUMBER, AT(health.stuck_factor), 1, 1000, 3,
     .doc = "An attempt counts as stuck once it has taken this many times the 95th percentile of "
            "recent ones."},
    {"health.stuckMin", CONFIG_SECONDS, AT(health.stuck_min_ms), 0, YEAR, 60,
     .doc = "An attempt shorter than this many seconds never counts as stuck."},
    {"health.lapse", CONFIG_SECONDS, AT(health.lapse_ms), 0, YEAR, 300,
     .doc = "Seconds without an attempt after which an `unhealthy` profile becomes `degraded`, to "
            "give it another chance."},
    {"titleLimit", CONFIG_INTEGER, AT(title_limit), 1, MIB, KIB,
     .doc = "Maximum size of a task's title, in bytes."},
    {"descriptionLimit", CONFIG_INTEGER, AT(description_limit), 1, 64 * MIB, 256 * KIB,
     .doc = "Maximum size of a task's description, in bytes."},
    {"inputLimit", CONFIG_INTEGER, AT(input_limit), 1, 64 * MIB, MIB,
     .doc = "Maximum size of a task's input or result as compact JSON, in bytes."},
    {"lineLimit", CONFIG_INTEGER, AT(line_limit), KIB, 256 * MIB, 4 * MIB,
     .doc = "Maximum length of a line on the socket, in bytes."},
    {"outputLimit", CONFIG_INTEGER, AT(output_limit), KIB, GIB, 8 * MIB,
     .doc = "Bytes of unread replies at which acpd stops reading from a connection."},
    {"connectionLimit", CONFIG_INTEGER, AT(connection_limit), 1, 65536, 4096,
     .doc = "Maximum number of open connections."},
    {"linesPerPass", CONFIG_INTEGER, AT(lines_per_pass), 1, 100000, 256,
     .doc = "Maximum number of requests of one connection per pass."},
    {"batchLimit", CONFIG_INTEGER, AT(batch_limit), 1, 100000, 1000,
     .doc = "Maximum number of requests in a JSON-RPC batch."},
    {"submitDepth", CONFIG_INTEGER, AT(submit_depth), 0, 1000, 8,
     .doc = "Maximum nesting of tasks submitted by processes of other tasks; 0: such processes "
            "cannot submit tasks."},
    {"logLimit", CONFIG_INTEGER, AT(log_limit), KIB, 1024 * GIB, 16 * MIB,
     .doc = "Maximum size of an attempt's log, in bytes. Later output is dropped and the cut is "
            "marked."},
    {"eventBuffer", CONFIG_INTEGER, AT(event_buffer), 1, 1e6, 10000,
     .doc =
         "Number of events kept for subscribers that reconnect. Takes effect at the next start."},
    {"killGrace", CONFIG_SECONDS, AT(kill_grace_ms), 0, 3600, 5,
     .doc = "Seconds between SIGTERM and SIGKILL when an attempt is stopped."},
    {"socketGroup", CONFIG_TEXT, AT(socket_group), .max = 64,
     .doc = "A group whose members may also use the socket; default: none. Takes effect at the "
            "next start."},
    {"roles", CONFIG_ROLES, AT(roles),
     .doc = "What users may do: an object that maps user names or numbers, or `*` for all others, "
            "to `read`, `operate` or `none`. Default: everybody may operate. If set, users without "
            "an entry have no access. root and acpd's own user may always operate."},
    {"auditLimit", CONFIG_INTEGER, AT(audit_limit), 64 * KIB, 1024 * GIB, 256 * MIB,
     .doc = "Size of the audit log, in bytes, at which it is renamed to audit.log.1 and a new one "
            "is started."},
    {0},
};

const struct config_row config_profile_rows[] = {
    {"name", CONFIG_NAME, PROFILE_AT(name), .is_required = true,
     .doc = "Name of the profile, unique among all profiles."},
    {"role", CONFIG_TEXT, PROFILE_AT(role), .max = 256,
     .doc = "Display name of the profile; default: its name."},
    {"capabilities", CONFIG_WORDS, PROFILE_AT(capabilities),
     .doc = "The types of tasks that the profile supports. Its own name always counts as one."},
    {"maxConcurrentTasks", CONFIG_INTEGER, PROFILE_AT(max_concurrent_tasks), 1, 1e6, 2,
     .doc = "Maximum number of concurrent attempts, on all nodes together."},
    {"maxConcurrentTasksPerNode", CONFIG_INTEGER, PROFILE_AT(max_tasks_per_node), 0, 1e6, 0,
     .doc = "Maximum number of concurrent attempts on each node; 0: no limit of its own."},
    {"nodes", CONFIG_WORDS, PROFILE_AT(nodes), .are_patterns = true,
     .doc = "Name patterns of the nodes that run this profile, such as `gpu-*`; default: all do."},
    {"minConcurrentTasks", CONFIG_INTEGER, PROFILE_AT(min_concurrent_tasks), 0, 1e6, 0,
     .doc = "Enables autoscaling: `rate_limit` and `unavailable` halve the number of concurrent "
            "attempts, down to this minimum, and success raises it again; 0: off."},
    {"priority", CONFIG_INTEGER, PROFILE_AT(priority), 0, 10, 3,
     .doc = "How strongly routing prefers the profile; higher is stronger."},
    {"color", CONFIG_COLOR, PROFILE_AT(color), .text = "#10b981",
     .doc = "Color of the profile on the dashboard."},
    {"icon", CONFIG_TEXT, PROFILE_AT(icon), .max = 64, .text = "💻",
     .doc = "Icon of the profile on the dashboard."},
    {"queueLimit", CONFIG_INTEGER, PROFILE_AT(queue_limit), 1, 1e8, 10000,
     .doc = "Maximum number of waiting tasks: queued, scheduled and blocked."},
    {"overflow", CONFIG_CHOICE, PROFILE_AT(overflow), .choices = overflow_policy_names,
     .doc =
         "What happens to a new task when the queue is full: it is rejected (-32003), goes to the "
         "next best profile with room, or replaces the last queued task if it ranks before it."},
    {"timeout", CONFIG_SECONDS, PROFILE_AT(timeout_ms), 0.001, YEAR, 3600,
     .doc = "Time limit of an attempt, in seconds."},
    {"retry.maxAttempts", CONFIG_INTEGER, PROFILE_AT(max_attempts), 1, 1000, 3,
     .doc = "Number of attempts before a task fails."},
    {"retry.backoff", CONFIG_SECONDS, PROFILE_AT(backoff_ms), 0.01, DAY, 1,
     .doc = "Maximum delay of the first retry, in seconds. It doubles with each further retry."},
    {"retry.maxBackoff", CONFIG_SECONDS, PROFILE_AT(max_backoff_ms), 0.01, YEAR, 300,
     .doc = "Maximum delay of any retry, in seconds."},
    {"retry.on", CONFIG_WORDS, PROFILE_AT(retry_on), .words = error_class_configurable,
     .doc = "Error classes to retry that are not retried by default: `refusal`, `limit`."},
    {"cooldown.min", CONFIG_SECONDS, PROFILE_AT(cooldown_min_ms), 0.01, DAY, 5,
     .doc = "Seconds that a profile cools down after `rate_limit`, `auth` or `unavailable`. "
            "Doubles while the error persists."},
    {"cooldown.max", CONFIG_SECONDS, PROFILE_AT(cooldown_max_ms), 0.01, YEAR, 600,
     .doc = "Maximum cooldown, in seconds."},
    {"limits.memory", CONFIG_INTEGER, PROFILE_AT(limits.memory), 0, 1024 * GIB, 0,
     .doc = "Memory limit in bytes, at least 16777216: of an attempt's whole family if acpd has a "
            "control group, otherwise of the address space of each process; 0: no limit."},
    {"limits.processes", CONFIG_INTEGER, PROFILE_AT(limits.processes), 0, 1e6, 0,
     .doc = "Maximum number of processes and threads of the family. Needs a control group; 0: no "
            "limit."},
    {"limits.cpuTime", CONFIG_SECONDS, PROFILE_AT(limits.cpu_ms), 0, YEAR, 0,
     .doc = "CPU time limit of each process, in seconds, rounded up to whole seconds: SIGXCPU, "
            "then SIGKILL 5 seconds later; 0: no limit."},
    {"limits.openFiles", CONFIG_INTEGER, PROFILE_AT(limits.open_files), 0, 1e6, 0,
     .doc = "Maximum number of open files of each process, at least 32; 0: the limit that acpd was "
            "started with."},
    {"systemPrompt", CONFIG_TEXT, PROFILE_AT(system_prompt), .max = 256 * KIB,
     .doc = "Text that precedes each task in the agent's prompt."},
    {"runner", CONFIG_RUNNER, PROFILE_AT(runner), .is_required = true,
     .doc = "What runs its tasks."},
    {0},
};

#define PROGRAM (CONFIG_RUNNER_BIT(RUNNER_COMMAND) | CONFIG_RUNNER_BIT(RUNNER_ACP))
#define AGENT   CONFIG_RUNNER_BIT(RUNNER_ACP)

const struct config_row config_runner_rows[] = {
    {"command", CONFIG_COMMAND, RUNNER_AT(command), .is_required = true, .runners = PROGRAM,
     .doc = "The program and its arguments. It is looked up on PATH and started without a shell."},
    {"cwd", CONFIG_PATH, RUNNER_AT(cwd), .runners = PROGRAM,
     .doc = "Working directory, an absolute path; default: acpd's own."},
    {"env", CONFIG_ENV, RUNNER_AT(env), .runners = PROGRAM,
     .doc = "Variables added to the inherited environment; `null` removes one."},
    {"mcpServers", CONFIG_SERVERS, RUNNER_AT(mcp_servers), .runners = AGENT,
     .doc =
         "MCP servers for the agent, each `{name, command, args?, env?}` (`env` is an object) or "
         "`{type, name, url, headers?}` (`type` is `http` or `sse`, if the agent supports it)."},
    {"model", CONFIG_TEXT, RUNNER_AT(model), .max = 256, .runners = AGENT,
     .doc = "The model that the agent uses, by the agent's own name for it."},
    {"mode", CONFIG_TEXT, RUNNER_AT(mode), .max = 256, .runners = AGENT,
     .doc = "The mode of the session, by the agent's own name for it."},
    {"options", CONFIG_OPTIONS, RUNNER_AT(options), .runners = AGENT,
     .doc = "Other options to set in each session: an object that maps the category or id of the "
            "agent's configuration option to a value, such as `{\"thought_level\": \"high\"}`."},
    {"authMethod", CONFIG_TEXT, RUNNER_AT(auth_method), .max = 256, .runners = AGENT,
     .doc =
         "The login method to use if the agent requires a login, by the agent's own name for it."},
    {"startTimeout", CONFIG_SECONDS, RUNNER_AT(start_timeout_ms), 0.01, DAY, 30, .runners = AGENT,
     .doc = "Seconds within which the agent must be ready for its prompt."},
    {"stallTimeout", CONFIG_SECONDS, RUNNER_AT(stall_timeout_ms), 0.01, YEAR, 300, .runners = AGENT,
     .doc = "Seconds that the agent may be silent while it has no open tool call."},
    {"permissionTimeout", CONFIG_SECONDS, RUNNER_AT(permission_timeout_ms), 0.01, YEAR, 600,
     .runners = AGENT, .doc = "Seconds after which an unanswered permission request is rejected."},
    {"permissions", CONFIG_PERMISSIONS, RUNNER_AT(permissions), .runners = AGENT,
     .doc = "`allow`, `reject` or `ask`, or an object that maps kinds of tools to these."},
    {"reuse", CONFIG_REUSE, RUNNER_AT(reuse), .runners = AGENT,
     .doc = "Keep the agent's process after a completed turn and run each task in a new session. "
            "`true`: indefinitely if the agent can close sessions, otherwise for 10 tasks; a "
            "number: for that many tasks."},
    {"lease", CONFIG_SECONDS, RUNNER_AT(lease_ms), 0.01, DAY, 60,
     .runners = CONFIG_RUNNER_BIT(RUNNER_WORKER),
     .doc = "Seconds for which a claim is valid unless it is extended."},
    {0},
};
