/* SPDX-License-Identifier: MIT */
#include "config_table.h"

#include "core/error_class.h"

#define AT(member)         .offset = offsetof(struct settings, member)
#define PROFILE_AT(member) .offset = offsetof(struct profile_config, member)
#define RUNNER_AT(member)  .offset = offsetof(struct runner_config, member)
#define NOWHERE            .offset = SIZE_MAX

static const char *const store_types[] = {"sqlite", NULL};
#define DAY  86400.0
#define KIB  1024.0
#define MIB  (1024 * KIB)
#define GIB  (1024 * MIB)
#define YEAR (365 * DAY)

const struct config_row config_rows[] = {
    {"store.type", CONFIG_CHOICE, NOWHERE, .choices = store_types,
     .doc = "Where tasks are kept: acpd.db in the state directory."},
    {"metricsRetention", CONFIG_INTEGER, AT(metrics_retention), 1, 100000, 100,
     .doc = "Attempts per profile that routing and health look back at."},
    {"healthCheckInterval", CONFIG_SECONDS, AT(health_check_interval_ms), 1, DAY, 60,
     .doc = "Seconds between looks at every profile's health."},
    {"updateInterval", CONFIG_SECONDS, AT(update_interval_ms), 1, 3600, 5,
     .doc = "Seconds between refreshes of the dashboard."},
    {"agingInterval", CONFIG_SECONDS, AT(aging_interval_ms), 0, YEAR, 3600,
     .doc = "Seconds of waiting that make up for one level of priority; for new tasks."},
    {"taskRetention.days", CONFIG_INTEGER, AT(retention_days), 1, 36500, 30,
     .doc = "Days that finished tasks are kept."},
    {"taskRetention.bytes", CONFIG_INTEGER, AT(retention_bytes), MIB, 1e15, GIB,
     .doc = "Bytes that finished tasks and their logs may take."},
    {"routing.capability", CONFIG_NUMBER, AT(routing.capability), 0, 1000, 0.3,
     .doc = "Weight of how specialised the profile is."},
    {"routing.load", CONFIG_NUMBER, AT(routing.load), 0, 1000, 0.4,
     .doc = "Weight of the expected wait."},
    {"routing.history", CONFIG_NUMBER, AT(routing.history), 0, 1000, 0.2,
     .doc = "Weight of the success rate."},
    {"routing.priority", CONFIG_NUMBER, AT(routing.priority), 0, 1000, 0.1,
     .doc = "Weight of the profile's priority."},
    {"health.wait", CONFIG_SECONDS, AT(health.wait_ms), 0, YEAR, 3600,
     .doc = "Seconds that a task may be ready and not started before its profile is `degraded`; 0: "
            "any."},
    {"health.stuckFactor", CONFIG_NUMBER, AT(health.stuck_factor), 1, 1000, 3,
     .doc = "An attempt is stuck once it takes this many times the 95th percentile of the last "
            "ones."},
    {"health.stuckMin", CONFIG_SECONDS, AT(health.stuck_min_ms), 0, YEAR, 60,
     .doc = "Seconds below which no attempt counts as stuck."},
    {"health.lapse", CONFIG_SECONDS, AT(health.lapse_ms), 0, YEAR, 300,
     .doc =
         "Seconds without an attempt after which an `unhealthy` profile is `degraded`, so that it "
         "gets another chance."},
    {"titleLimit", CONFIG_INTEGER, AT(title_limit), 1, MIB, KIB, .doc = "Bytes of a task's title."},
    {"descriptionLimit", CONFIG_INTEGER, AT(description_limit), 1, 64 * MIB, 256 * KIB,
     .doc = "Bytes of a task's description."},
    {"inputLimit", CONFIG_INTEGER, AT(input_limit), 1, 64 * MIB, MIB,
     .doc = "Bytes of a task's input, as compact JSON."},
    {"lineLimit", CONFIG_INTEGER, AT(line_limit), KIB, 256 * MIB, 4 * MIB,
     .doc = "Bytes of one line on the socket."},
    {"outputLimit", CONFIG_INTEGER, AT(output_limit), KIB, GIB, 8 * MIB,
     .doc = "Bytes of unread replies at which a connection is no longer read from."},
    {"connectionLimit", CONFIG_INTEGER, AT(connection_limit), 1, 65536, 4096,
     .doc = "Connections at once."},
    {"linesPerPass", CONFIG_INTEGER, AT(lines_per_pass), 1, 100000, 256,
     .doc = "Requests of one connection that are handled in one pass."},
    {"batchLimit", CONFIG_INTEGER, AT(batch_limit), 1, 100000, 1000,
     .doc = "Requests in one JSON-RPC batch."},
    {"submitDepth", CONFIG_INTEGER, AT(submit_depth), 0, 1000, 8,
     .doc = "How deep tasks may go that processes of tasks submit; 0: these submit none."},
    {"logLimit", CONFIG_INTEGER, AT(log_limit), KIB, 1024 * GIB, 16 * MIB,
     .doc = "Bytes of one attempt's log; what comes later is dropped and the cut is marked."},
    {"eventBuffer", CONFIG_INTEGER, AT(event_buffer), 1, 1e6, 10000,
     .doc = "Events that are held for subscribers who come back; counts at the start."},
    {"killGrace", CONFIG_SECONDS, AT(kill_grace_ms), 0, 3600, 5,
     .doc = "Seconds between SIGTERM and SIGKILL when an attempt is stopped."},
    {"socketGroup", CONFIG_TEXT, AT(socket_group), .max = 64,
     .doc = "A group whose members may use the socket too; default: nobody else."},
    {"roles", CONFIG_ROLES, AT(roles),
     .doc =
         "What they may do: an object of `read`, `operate` or `none` by user name or number, `*` "
         "for the rest. Without it all of them operate; with it, who has no entry may nothing. "
         "root and acpd's own user always operate."},
    {"auditLimit", CONFIG_INTEGER, AT(audit_limit), 64 * KIB, 1024 * GIB, 256 * MIB,
     .doc = "Bytes of the audit log; then it becomes audit.log.1 and another is begun."},
    {0},
};

const struct config_row config_profile_rows[] = {
    {"name", CONFIG_NAME, PROFILE_AT(name), .is_required = true, .doc = "Unique."},
    {"role", CONFIG_TEXT, PROFILE_AT(role), .max = 256,
     .doc = "What the profile is, for people; default: its name."},
    {"capabilities", CONFIG_WORDS, PROFILE_AT(capabilities),
     .doc = "The types of tasks it supports; its own name always counts as one."},
    {"maxConcurrentTasks", CONFIG_INTEGER, PROFILE_AT(max_concurrent_tasks), 1, 1e6, 2,
     .doc = "Attempts at once."},
    {"minConcurrentTasks", CONFIG_INTEGER, PROFILE_AT(min_concurrent_tasks), 0, 1e6, 0,
     .doc =
         "Turns autoscaling on: attempts at once are halved, down to this, when the profile is "
         "told to slow down (`rate_limit`, `unavailable`), and grow again with success; 0: off."},
    {"priority", CONFIG_INTEGER, PROFILE_AT(priority), 0, 10, 3,
     .doc = "How much routing prefers it."},
    {"color", CONFIG_COLOR, PROFILE_AT(color), .text = "#10b981", .doc = "On the dashboard."},
    {"icon", CONFIG_TEXT, PROFILE_AT(icon), .max = 64, .text = "💻", .doc = "On the dashboard."},
    {"queueLimit", CONFIG_INTEGER, PROFILE_AT(queue_limit), 1, 1e8, 10000,
     .doc = "Waiting tasks at most: queued, scheduled and blocked."},
    {"overflow", CONFIG_CHOICE, PROFILE_AT(overflow), .choices = overflow_policy_names,
     .doc =
         "What happens to a task for which there is no room: it is rejected (-32003), goes to the "
         "next best profile with room, or takes the place of the last queued one if it comes "
         "before that."},
    {"timeout", CONFIG_SECONDS, PROFILE_AT(timeout_ms), 0.001, YEAR, 3600,
     .doc = "Seconds that an attempt may take."},
    {"retry.maxAttempts", CONFIG_INTEGER, PROFILE_AT(max_attempts), 1, 1000, 3,
     .doc = "Attempts before a task fails."},
    {"retry.backoff", CONFIG_SECONDS, PROFILE_AT(backoff_ms), 0.01, DAY, 1,
     .doc = "Seconds that the first retry waits at most; doubled with each."},
    {"retry.maxBackoff", CONFIG_SECONDS, PROFILE_AT(max_backoff_ms), 0.01, YEAR, 300,
     .doc = "Seconds that a retry waits at most."},
    {"retry.on", CONFIG_WORDS, PROFILE_AT(retry_on), .words = error_class_configurable,
     .doc = "Classes to retry that are not retried by default: `refusal`, `limit`."},
    {"cooldown.min", CONFIG_SECONDS, PROFILE_AT(cooldown_min_ms), 0.01, DAY, 5,
     .doc = "Seconds that a profile is left alone after `rate_limit`, `auth` or `unavailable`; "
            "doubled while it goes on."},
    {"cooldown.max", CONFIG_SECONDS, PROFILE_AT(cooldown_max_ms), 0.01, YEAR, 600,
     .doc = "Seconds that it is left alone at most."},
    {"limits.memory", CONFIG_INTEGER, PROFILE_AT(limits.memory), 0, 1024 * GIB, 0,
     .doc = "Bytes of memory, 16777216 or more: of an attempt's whole family where acpd has a "
            "control group, else of "
            "the "
            "addresses of each of its processes; 0: any."},
    {"limits.processes", CONFIG_INTEGER, PROFILE_AT(limits.processes), 0, 1e6, 0,
     .doc = "Processes and threads of the family; needs a control group; 0: any."},
    {"limits.cpuTime", CONFIG_SECONDS, PROFILE_AT(limits.cpu_ms), 0, YEAR, 0,
     .doc = "Seconds of processor time of each of its processes, rounded up to whole ones; then "
            "SIGXCPU, 5 seconds later SIGKILL; 0: any."},
    {"limits.openFiles", CONFIG_INTEGER, PROFILE_AT(limits.open_files), 0, 1e6, 0,
     .doc = "Open files of each of its processes, 32 or more; 0: what acpd was started with."},
    {"systemPrompt", CONFIG_TEXT, PROFILE_AT(system_prompt), .max = 256 * KIB,
     .doc = "What an agent is told before each task."},
    {"runner", CONFIG_RUNNER, PROFILE_AT(runner), .is_required = true,
     .doc = "What does the work."},
    {0},
};

#define PROGRAM (CONFIG_RUNNER_BIT(RUNNER_COMMAND) | CONFIG_RUNNER_BIT(RUNNER_ACP))
#define AGENT   CONFIG_RUNNER_BIT(RUNNER_ACP)

const struct config_row config_runner_rows[] = {
    {"command", CONFIG_COMMAND, RUNNER_AT(command), .is_required = true, .runners = PROGRAM,
     .doc = "The program and its arguments; the program is looked up on PATH; no shell."},
    {"cwd", CONFIG_PATH, RUNNER_AT(cwd), .runners = PROGRAM,
     .doc = "The folder to run in, absolute; default: acpd's own."},
    {"env", CONFIG_ENV, RUNNER_AT(env), .runners = PROGRAM,
     .doc = "Added to the inherited environment; `null` takes a variable away."},
    {"mcpServers", CONFIG_SERVERS, RUNNER_AT(mcp_servers), .runners = AGENT,
     .doc = "MCP servers for the agent: `{name, command, args?, env?}` each, `env` an object, or "
            "`{type, name, url, headers?}`, `type` `http` or `sse`, where the agent supports it."},
    {"model", CONFIG_TEXT, RUNNER_AT(model), .max = 256, .runners = AGENT,
     .doc = "The model that the agent is to use, by the agent's own name for it."},
    {"mode", CONFIG_TEXT, RUNNER_AT(mode), .max = 256, .runners = AGENT,
     .doc = "The mode of the session, by the agent's own name for it."},
    {"options", CONFIG_OPTIONS, RUNNER_AT(options), .runners = AGENT,
     .doc =
         "What else is set in each session: an object of values by the category or the id of the "
         "agent's configuration option, as in `{\"thought_level\": \"high\"}`."},
    {"authMethod", CONFIG_TEXT, RUNNER_AT(auth_method), .max = 256, .runners = AGENT,
     .doc = "How to log in when the agent asks for it, by the agent's own name for it."},
    {"startTimeout", CONFIG_SECONDS, RUNNER_AT(start_timeout_ms), 0.01, DAY, 30, .runners = AGENT,
     .doc = "Seconds until the agent must be ready for its prompt."},
    {"stallTimeout", CONFIG_SECONDS, RUNNER_AT(stall_timeout_ms), 0.01, YEAR, 300, .runners = AGENT,
     .doc = "Seconds that the agent may say nothing while none of its tool calls is open."},
    {"permissionTimeout", CONFIG_SECONDS, RUNNER_AT(permission_timeout_ms), 0.01, YEAR, 600,
     .runners = AGENT, .doc = "Seconds after which a question that nobody answered is rejected."},
    {"permissions", CONFIG_PERMISSIONS, RUNNER_AT(permissions), .runners = AGENT,
     .doc = "`allow`, `reject` or `ask`, or an object of these by kind of tool."},
    {"reuse", CONFIG_REUSE, RUNNER_AT(reuse), .runners = AGENT,
     .doc =
         "The agent's process is kept after a turn that completed, and each task is a new "
         "session: `true`, as long as the agent closes its sessions, else for 10 tasks; a number: "
         "for so many tasks."},
    {"lease", CONFIG_SECONDS, RUNNER_AT(lease_ms), 0.01, DAY, 60,
     .runners = CONFIG_RUNNER_BIT(RUNNER_WORKER),
     .doc = "Seconds that a claim holds without being extended."},
    {0},
};
