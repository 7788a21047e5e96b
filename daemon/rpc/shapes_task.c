/* SPDX-License-Identifier: MIT */
/* Tasks, how they were routed, what they wrote, and who works on them. */
#include "core/router.h"
#include "core/task.h"
#include "engine/engine.h"
#include "rpc/shapes.h"

#define OLD "in tasks of an earlier acpd"

const struct shape shape_task_status = {SHAPE_ENUM, "TaskStatus", "Where a task is in its life.",
                                        .values = task_status_names + TASK_QUEUED};
static const struct shape priority = {SHAPE_ENUM, "Priority", "How urgent a task is.",
                                      .values = task_priority_names};
const struct shape shape_error_class = {SHAPE_ENUM, "ErrorClass",
                                        "Why an attempt did not complete its task.",
                                        .values = error_class_names};
static const struct shape pending_reason = {SHAPE_ENUM, "PendingReason", "Why a task waits.",
                                            .values = engine_pending_reasons};

/* Routing */

static const struct shape terms = {SHAPE_MAP, "RoutingTerms", "Each in [0, 1]; see Routing.",
                                   .values = router_term_names, .of = &shape_number};

static const struct shape_member candidate_members[] = {
    {"name", &shape_string, "the profile"},
    {"score", &shape_number, "the weighted sum of its terms; 0 when it does not fit"},
    {"terms", &terms, "by name; none when it does not fit"},
    {"rejected", &shape_string, "why it does not fit", .absent = "when it fits"},
    {0},
};
static const struct shape candidate = {
    SHAPE_OBJECT, "Candidate", "What the router makes of a profile.", .members = candidate_members};

#define DECISION                                                                                   \
    {"candidates", SHAPE_ARRAY_OF(candidate),                                                      \
     "every profile, the best first, those that do not fit last"},                                 \
    {                                                                                              \
        "reason", &shape_string, "why the first is the best, or why there is none"                 \
    }

static const struct shape_member best_members[] = {
    {"bestProfile", &shape_profile, "the one to choose", .null = "when none fits"},
    DECISION,
    {0},
};
const struct shape shape_best_profile = {
    SHAPE_OBJECT, "BestProfile", "Which profile is best for a task.", .members = best_members};

static const struct shape_member decision_members[] = {
    {"bestProfile", &shape_string, "the name of the profile that was chosen"},
    {"reroutedFrom", &shape_string, "whose queue was full", .absent = "unless it was rerouted"},
    DECISION,
    {0},
};
static const struct shape decision = {SHAPE_OBJECT, "Decision",
                                      "The decision that chose a task's profile.",
                                      .members = decision_members};

/* Tasks */

static const struct shape_member error_members[] = {
    {"class", &shape_error_class, "see [below](#what-a-program-that-runs-tasks-may-expect)"},
    {"message", &shape_string, "what went wrong, in words"},
    {"tail", &shape_string,
     "the last 20 lines (4 KiB) that its program wrote to stderr, without escape sequences",
     .absent = "when there are none"},
    {0},
};
static const struct shape task_error = {
    SHAPE_OBJECT, "TaskError", "Why the last attempt of a task failed.", .members = error_members};

static const struct shape_member pending_members[] = {
    {"reason", &pending_reason, "why it waits"},
    {"position", &shape_integer, "its place in the queue, from 1", .null = "beyond 1,000"},
    {"eta", &shape_time, "when it is expected to start", .null = "when nobody can say"},
    {0},
};
static const struct shape pending = {SHAPE_OBJECT, "Pending", "What a waiting task waits for.",
                                     .members = pending_members};

static const struct shape_member task_members[] = {
    {"id", &shape_integer, "never used again"},
    {"profile", &shape_string, "whose queue it is in"},
    {"title", &shape_string, "what is to be done, in a line"},
    {"description", &shape_string, "what is to be done, in full", .null = "without one"},
    {"capabilities", &shape_strings, "what the profile must be capable of"},
    {"prefers", &shape_strings, "what it had better be capable of, too", .absent = OLD},
    {"avoid", &shape_strings, "profiles that it is not to be routed to", .absent = OLD},
    {"input", &shape_any, "any JSON for the runner", .null = "without one"},
    {"model", &shape_string, "the model that an agent is to use", .null = "for the profile's",
     .absent = OLD},
    {"mode", &shape_string, "the mode of the agent's session", .null = "for the profile's",
     .absent = OLD},
    {"options", SHAPE_MAP_OF(shape_string), "other options of the agent's session",
     .null = "without any", .absent = OLD},
    {"dependsOn", SHAPE_ARRAY_OF(shape_integer), "tasks that must be completed before"},
    {"type", &shape_string, "the kind of work", .null = "without one"},
    {"priority", &priority, "how urgent it is"},
    {"status", &shape_task_status, "see [Status](#status)"},
    {"key", &shape_string, "its idempotency key", .null = "without one"},
    {"submittedBy", &shape_integer, "the task whose process submitted it", .null = "when none did"},
    {"runAt", &shape_time, "it is not started before", .null = "for at once"},
    {"timeout", &shape_number, "seconds that an attempt may take", .null = "for the profile's"},
    {"maxAttempts", &shape_integer, "attempts before it fails", .null = "for the profile's"},
    {"attempt", &shape_integer, "the number of the last attempt, 0 before the first"},
    {"createdAt", &shape_time, "when it was assigned"},
    {"startedAt", &shape_time, "when its last attempt started", .null = "before the first"},
    {"finishedAt", &shape_time, "when it finished", .null = "until it has"},
    {"result", &shape_any, "what the runner returned", .null = "unless it is `completed`"},
    {"error", &task_error, "of the last attempt that failed", .null = "when none did"},
    {"pending", &pending, "what it waits for", .null = "unless it waits"},
    {"routing", &decision, "the decision that chose the profile",
     .null = "when it was assigned by name"},
    {0},
};
const struct shape shape_task = {SHAPE_OBJECT, "Task", "A task as acpd keeps it.",
                                 .members = task_members};

static const struct shape_member page_members[] = {
    {"tasks", SHAPE_ARRAY_OF(shape_task), "the newest first"},
    {"next", &shape_integer, "`before` for the next page", .null = "on the last page"},
    {0},
};
const struct shape shape_task_page = {SHAPE_OBJECT, "TaskPage", "A page of a list of tasks.",
                                      .members = page_members};

static const struct shape_member assignment_members[] = {
    {"success", &shape_true, "it is on disk"},
    {"deduplicated", &shape_true, "the task is the first one of this key",
     .absent = "unless the key was known"},
    {"task", &shape_task, "the task"},
    {0},
};
const struct shape shape_assignment = {SHAPE_OBJECT, "Assignment", "A task that was handed over.",
                                       .members = assignment_members};

/* Logs */

static const char *const stream_names[] = {"stdout",     "stderr",        "acpd", "agent",
                                           "permission", "other-session", NULL};
static const struct shape stream = {SHAPE_ENUM, "LogStream", "Who wrote an entry of a log.",
                                    .values = stream_names};

static const struct shape_member entry_members[] = {
    {"at", &shape_time, "when it was written"},
    {"stream", &stream, "who wrote it"},
    {"text", &shape_string, "what was written, or the same in words"},
    {"continues", &shape_true, "the text goes on with the line of the stream's last entry",
     .absent = "at the beginning of a line"},
    {"truncated", &shape_true, "the entry was longer", .absent = "when it is whole"},
    {"update", &shape_object, "what an agent sent, as it sent it", .absent = "unless an agent did"},
    {"permission", &shape_object, "an agent's question, and its answer",
     .absent = "unless it is one"},
    {0},
};
static const struct shape entry = {SHAPE_OBJECT, "LogEntry", "A line of an attempt's log.",
                                   .members = entry_members};

static const struct shape_member log_members[] = {
    {"entries", SHAPE_ARRAY_OF(entry), "in the order of their times"},
    {"next", &shape_integer, "`after` for the next page"},
    {"truncated", &shape_boolean,
     "whether the log reached `logLimit` and later output was dropped"},
    {0},
};
const struct shape shape_log_page = {SHAPE_OBJECT, "LogPage", "A page of an attempt's log.",
                                     .members = log_members};

/* Workers */

static const struct shape_member claim_members[] = {
    {"task", &shape_task, "the task to be done", .null = "when there is none"},
    {"lease", &shape_string, "the attempt's token", .absent = "when there is none"},
    {0},
};
const struct shape shape_claim = {SHAPE_OBJECT, "Claim", "A task for a worker.",
                                  .members = claim_members};

static const struct shape_member extension_members[] = {
    {"success", &shape_true, "it was extended"},
    {"expiresAt", &shape_time, "when the lease now expires"},
    {0},
};
const struct shape shape_lease_extension = {
    SHAPE_OBJECT, "LeaseExtension", "A lease that was extended.", .members = extension_members};

/* Agents' questions */

static const struct shape_member option_members[] = {
    {"optionId", &shape_string, "what `answer_permission` wants"},
    {"name", &shape_string, "for people"},
    {"kind", &shape_string, "as the Agent Client Protocol has it, such as `allow_once`"},
    {0},
};
static const struct shape option = {SHAPE_OBJECT, "PermissionOption", "An answer to choose.",
                                    .members = option_members};

static const struct shape_member permission_members[] = {
    {"id", &shape_string, "the question's"},
    {"taskId", &shape_integer, "whose agent asks"},
    {"attempt", &shape_integer, "which attempt of it"},
    {"profile", &shape_string, "whose task it is"},
    {"toolCall", &shape_object, "what the agent wants to do, as it says it"},
    {"options", SHAPE_ARRAY_OF(option), "the answers that the agent offers"},
    {"askedAt", &shape_time, "when it asked"},
    {"deadline", &shape_time, "when an option that rejects is chosen"},
    {0},
};
const struct shape shape_permission = {SHAPE_OBJECT, "Permission", "An agent's open question.",
                                       .members = permission_members};
