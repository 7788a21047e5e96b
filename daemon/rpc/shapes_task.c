/* SPDX-License-Identifier: MIT */
/* Tasks, how they were routed, what they wrote, and who works on them. */
#include "core/router.h"
#include "core/task.h"
#include "engine/engine.h"
#include "rpc/shapes.h"

#define OLD "from tasks created by an older acpd"

const struct shape shape_task_status = {SHAPE_ENUM, "TaskStatus", "Status of a task.",
                                        .values = task_status_names + TASK_QUEUED};
static const struct shape priority = {SHAPE_ENUM, "Priority", "Priority of a task.",
                                      .values = task_priority_names};
const struct shape shape_error_class = {SHAPE_ENUM, "ErrorClass", "Why an attempt failed.",
                                        .values = error_class_names};
const struct shape shape_any_error_class = {SHAPE_OPEN, .of = &shape_error_class};
static const struct shape pending_reason = {
    SHAPE_ENUM, "PendingReason", "Reason why a task is waiting.", .values = engine_pending_reasons};

/* Routing */

static const struct shape terms = {SHAPE_MAP, "RoutingTerms",
                                   "Terms of the routing score, each in [0, 1].",
                                   .values = router_term_names, .of = &shape_number};

static const struct shape_member candidate_members[] = {
    {"name", &shape_string, "name of the profile"},
    {"score", &shape_number, "weighted sum of the terms; 0 if the profile was rejected"},
    {"terms", &terms, "terms of the score; empty if the profile was rejected"},
    {"rejected", &shape_string, "why it was rejected", .absent = "if it was not"},
    {0},
};
static const struct shape candidate = {
    SHAPE_OBJECT, "Candidate", "A profile as rated by the router.", .members = candidate_members};

#define DECISION                                                                                   \
    {"candidates", SHAPE_ARRAY_OF(candidate), "every profile, best first, rejected ones last"},    \
    {                                                                                              \
        "reason", &shape_string, "why the first one was chosen, or why none was"                   \
    }

static const struct shape_member best_members[] = {
    {"bestProfile", &shape_profile, "the best profile", .null = "if none fits"},
    DECISION,
    {0},
};
const struct shape shape_best_profile = {SHAPE_OBJECT, "BestProfile",
                                         "The best profile for a task.", .members = best_members};

static const struct shape_member decision_members[] = {
    {"bestProfile", &shape_string, "name of the chosen profile"},
    {"reroutedFrom", &shape_string, "name of the profile whose queue was full",
     .absent = "unless the task was rerouted"},
    DECISION,
    {0},
};
static const struct shape decision = {SHAPE_OBJECT, "Decision", "How a task's profile was chosen.",
                                      .members = decision_members};

/* Tasks */

static const struct shape_member error_members[] = {
    {"class", &shape_any_error_class, "class of the error"},
    {"message", &shape_string, "what went wrong"},
    {"tail", &shape_string, "the last 20 lines (at most 4 KiB) of stderr, without escape sequences",
     .absent = "if stderr was empty"},
    {0},
};
static const struct shape task_error = {
    SHAPE_OBJECT, "TaskError", "Error of the last failed attempt.", .members = error_members};

static const struct shape_member pending_members[] = {
    {"reason", &pending_reason, "why it is waiting"},
    {"position", &shape_integer, "place in the queue, from 1", .null = "beyond 1,000"},
    {"eta", &shape_time, "expected start", .null = "if unknown"},
    {0},
};
static const struct shape pending = {
    SHAPE_OBJECT, "Pending", "Why a task is waiting and for how long.", .members = pending_members};

static const struct shape_member task_members[] = {
    {"id", &shape_integer, "unique, never reused"},
    {"profile", &shape_string, "profile it is assigned to"},
    {"onlyNode", &shape_string, "the only node that may run it", .absent = "if any may"},
    {"title", &shape_string, "what to do, in one line"},
    {"description", &shape_string, "what to do, in full", .null = "if not set"},
    {"capabilities", &shape_strings, "capabilities the profile must have"},
    {"prefers", &shape_strings, "capabilities the profile should have", .absent = OLD},
    {"avoid", &shape_strings, "profiles it is never routed to", .absent = OLD},
    {"input", &shape_any, "any JSON, passed to the runner", .null = "if not set"},
    {"model", &shape_string, "model the agent uses", .null = "to use the profile's", .absent = OLD},
    {"mode", &shape_string, "mode of the agent's session", .null = "to use the profile's",
     .absent = OLD},
    {"options", SHAPE_MAP_OF(shape_string),
     "other options of the agent's session, by category or id", .null = "if none are set",
     .absent = OLD},
    {"dependsOn", SHAPE_ARRAY_OF(shape_integer), "ids of tasks that must complete first"},
    {"type", &shape_string, "the kind of work", .null = "if not set"},
    {"priority", &priority, "higher ones run first"},
    {"status", &shape_task_status, "current status"},
    {"key", &shape_string, "idempotency key", .null = "if not set"},
    {"submittedBy", &shape_integer, "id of the task whose process submitted it",
     .null = "if no task did"},
    {"runAt", &shape_time, "earliest start", .null = "if it may start at once"},
    {"timeout", &shape_number, "time limit of an attempt, in seconds",
     .null = "to use the profile's"},
    {"maxAttempts", &shape_integer, "attempts before it fails for good",
     .null = "to use the profile's"},
    {"attempt", &shape_integer, "number of the last attempt; 0 before the first"},
    {"node", &shape_string,
     "name of the node that runs it, ran its last attempt, or is the only one that may run it",
     .null = "if none has run it, or if it is not known"},
    {"createdAt", &shape_time, "when it was created"},
    {"startedAt", &shape_time, "when its last attempt started", .null = "before the first attempt"},
    {"finishedAt", &shape_time, "when it finished", .null = "until then"},
    {"result", &shape_any, "result from the runner", .null = "unless completed"},
    {"error", &task_error, "error of the last failed attempt", .null = "if none failed"},
    {"pending", &pending, "why it is waiting", .null = "unless it is waiting"},
    {"routing", &decision, "how the profile was chosen", .null = "if it was assigned by name"},
    {0},
};
const struct shape shape_task = {SHAPE_OBJECT, "Task", "A task.", .members = task_members};

static const struct shape_member page_members[] = {
    {"tasks", SHAPE_ARRAY_OF(shape_task), "newest first"},
    {"next", &shape_integer, "value of `before` for the next page", .null = "on the last page"},
    {0},
};
const struct shape shape_task_page = {SHAPE_OBJECT, "TaskPage", "One page of tasks.",
                                      .members = page_members};

static const struct shape_member assignment_members[] = {
    {"success", &shape_true, "always true; the task is on disk"},
    {"deduplicated", &shape_true, "the task with this key already existed",
     .absent = "if the task is new"},
    {"task", &shape_task, "the assigned task"},
    {0},
};
const struct shape shape_assignment = {SHAPE_OBJECT, "Assignment",
                                       "Result of assigning or submitting a task.",
                                       .members = assignment_members};

/* Logs */

static const char *const stream_names[] = {"stdout",     "stderr",        "acpd", "agent",
                                           "permission", "other-session", NULL};
static const struct shape stream = {SHAPE_ENUM, "LogStream", "Source of a log entry.",
                                    .values = stream_names};

static const struct shape_member entry_members[] = {
    {"at", &shape_time, "when it was written"},
    {"stream", &stream, "who wrote it"},
    {"text", &shape_string, "the text"},
    {"continues", &shape_true, "the text continues the line of the previous entry of this stream",
     .absent = "if it starts a line"},
    {"truncated", &shape_true, "the entry was cut", .absent = "if it is complete"},
    {"update", &shape_object, "the update as the agent sent it",
     .absent = "unless an agent sent one"},
    {"permission", &shape_object, "the permission request and its answer",
     .absent = "unless there is one"},
    {0},
};
static const struct shape entry = {SHAPE_OBJECT, "LogEntry", "One entry of an attempt's log.",
                                   .members = entry_members};

static const struct shape_member log_members[] = {
    {"entries", SHAPE_ARRAY_OF(entry), "oldest first"},
    {"next", &shape_integer, "value of `after` for the next page"},
    {"truncated", &shape_boolean,
     "true if the log reached `logLimit` and later output was dropped"},
    {0},
};
const struct shape shape_log_page = {SHAPE_OBJECT, "LogPage", "One page of an attempt's log.",
                                     .members = log_members};

/* Workers */

static const struct shape_member claim_members[] = {
    {"task", &shape_task, "the claimed task", .null = "if there was none"},
    {"lease", &shape_string, "lease token of this attempt", .absent = "if there was no task"},
    {0},
};
const struct shape shape_claim = {SHAPE_OBJECT, "Claim", "Result of claiming a task.",
                                  .members = claim_members};

static const struct shape_member extension_members[] = {
    {"success", &shape_true, "always true"},
    {"expiresAt", &shape_time, "when the lease expires: not after the timeout of the attempt"},
    {0},
};
const struct shape shape_lease_extension = {
    SHAPE_OBJECT, "LeaseExtension", "Result of extending a lease.", .members = extension_members};

/* Agents' questions */

static const struct shape_member option_members[] = {
    {"optionId", &shape_string, "id to pass to `answer_permission`"},
    {"name", &shape_string, "label"},
    {"kind", &shape_string, "kind as defined by the Agent Client Protocol, e.g. `allow_once`"},
    {0},
};
static const struct shape option = {SHAPE_OBJECT, "PermissionOption",
                                    "One possible answer to a permission request.",
                                    .members = option_members};

static const struct shape_member permission_members[] = {
    {"id", &shape_string, "id of the request"},
    {"taskId", &shape_integer, "task whose agent asks"},
    {"attempt", &shape_integer, "number of the attempt"},
    {"profile", &shape_string, "profile of the task"},
    {"toolCall", &shape_object, "the tool call as the agent describes it"},
    {"options", SHAPE_ARRAY_OF(option), "answers offered by the agent"},
    {"askedAt", &shape_time, "when the agent asked"},
    {"deadline", &shape_time, "when it is rejected if nobody has answered"},
    {0},
};
const struct shape shape_permission = {SHAPE_OBJECT, "Permission",
                                       "An open permission request of an agent.",
                                       .members = permission_members};
