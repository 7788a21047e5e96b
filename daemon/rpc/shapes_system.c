/* SPDX-License-Identifier: MIT */
/* acpd itself: its health, its events, its errors. */
#include "core/task.h"
#include "engine/engine.h"
#include "rpc/shapes.h"

/* Health */

static const struct shape_member profile_health_members[] = {
    {"health", &shape_health_state, "current health"},
    {"healthReason", &shape_string, "why it is not healthy", .null = "while it is healthy"},
    {"anomalies", SHAPE_ARRAY_OF(shape_anomaly), "unusual changes, if any"},
    {0},
};
static const struct shape profile_health = {SHAPE_OBJECT, "ProfileHealth", "Health of a profile.",
                                            .members = profile_health_members};

static const char *const storage_statuses[] = {"ok", "failing", NULL};
static const struct shape storage_type = {SHAPE_ENUM, .values = settings_store_names};
static const struct shape storage_status = {SHAPE_ENUM, .values = storage_statuses};

static const struct shape_member storage_members[] = {
    {"type", &storage_type, "type of the store"},
    {"status", &storage_status, "whether writes succeed"},
    {"error", &shape_string, "what went wrong", .null = "while writes succeed"},
    {"sizeBytes", &shape_integer, "size of the database on disk"},
    {"lastCommitAt", &shape_time, "last commit", .null = "before the first one"},
    {"commitDuration", &shape_number, "duration of that commit, in seconds"},
    {0},
};
static const struct shape storage = {SHAPE_OBJECT, "StorageHealth", "Health of the storage.",
                                     .members = storage_members};

static const struct shape_member loop_members[] = {
    {"passes", &shape_integer, "passes since the start"},
    {"commits", &shape_integer, "commits since the start"},
    {"lag", &shape_number,
     "longest time one pass took, since the health check before last, in seconds"},
    {"stopping", &shape_boolean, "true while acpd is shutting down"},
    {"canLaunch", &shape_boolean, "true if attempts can be started"},
    {0},
};
static const struct shape loop = {SHAPE_OBJECT, "LoopHealth", "Health of the event loop.",
                                  .members = loop_members};

static const struct shape node_state = {SHAPE_ENUM, .values = engine_node_states};

static const struct shape_member node_members[] = {
    {"name", &shape_string, "its name"},
    {"state", &node_state,
     "`retiring`: it takes no new work and stops once nothing is running on it; "
     "`silent`: it may be dead"},
    {"version", &shape_string, "its version of acpd"},
    {"lastSeen", &shape_time, "when it last committed"},
    {"attempts", &shape_integer, "attempts running on it"},
    {"url", &shape_string, "URL of its gateway", .null = "if `node.url` is not set"},
    {"differs", &shape_strings,
     "settings in which it differs from the node that answers, as `PROFILE.SETTING`, or `PROFILE` "
     "if only one of them has the profile; at most 100"},
    {0},
};
static const struct shape node = {SHAPE_OBJECT, "Node", "One of the acpds that share a store.",
                                  .members = node_members};

static const struct shape_member health_members[] = {
    {"status", &shape_health_state, "overall health"},
    {"reasons", &shape_strings, "what is wrong; empty if nothing is"},
    {"updateInterval", &shape_number, "refresh interval of the page, in seconds"},
    {"version", &shape_string, "version of acpd"},
    {"demo", &shape_boolean, "true if the built-in demo profiles are in use"},
    {"profiles", SHAPE_MAP_OF(profile_health), "health of each profile, by name"},
    {"storage", &storage, "health of the storage"},
    {"loop", &loop, "health of the event loop"},
    {"nodes", SHAPE_ARRAY_OF(node), "the acpds that share the store, by name"},
    {0},
};
const struct shape shape_health = {SHAPE_OBJECT, "Health", "Health of acpd and its profiles.",
                                   .members = health_members};

/* Events */

#define SEQ                                                                                        \
    {                                                                                              \
        "seq", &shape_integer, "sequence number; only grows, across restarts too"                  \
    }
#define TYPE(name)                                                                                 \
    {                                                                                              \
        "type", &(const struct shape){SHAPE_ENUM, .values = (const char *const[]){name, NULL}},    \
            "kind of event"                                                                        \
    }
#define COMMON(name)                                                                               \
    SEQ, TYPE(name), {"at", &shape_time, "when it happened"},                                      \
    {                                                                                              \
        "profile", &shape_string, "profile concerned"                                              \
    }
#define FORGOTTEN "if the profile is gone"

static const struct shape_member task_members[] = {
    COMMON("task"),
    {"id", &shape_integer, "id of the task"},
    {"from", &shape_task_status, "previous status", .null = "for a new task"},
    {"status", &shape_task_status, "new status"},
    {"attempt", &shape_integer, "number of the last attempt"},
    {"errorClass", &shape_any_error_class, "class of the last error", .null = "if there was none"},
    {0},
};
static const struct shape task_event = {SHAPE_OBJECT, "TaskEvent",
                                        "A task was created or changed its status.",
                                        .members = task_members};

static const struct shape_member profile_members[] = {
    COMMON("profile"),
    {"isActive", &shape_boolean, "false while it is paused", .absent = FORGOTTEN},
    {"health", &shape_health_state, "current health", .absent = FORGOTTEN},
    {"healthReason", &shape_string, "why it is not healthy", .null = "while it is healthy",
     .absent = FORGOTTEN},
    {0},
};
static const struct shape profile_event = {
    SHAPE_OBJECT, "ProfileEvent",
    "A profile was paused or resumed, or its health or configuration changed.",
    .members = profile_members};

static const struct shape_member permission_members[] = {
    COMMON("permission"),
    {"id", &shape_string, "id of the request"},
    {"taskId", &shape_integer, "task whose agent asks"},
    {"isOpen", &shape_boolean, "false once it has been answered"},
    {0},
};
static const struct shape permission_event = {SHAPE_OBJECT, "PermissionEvent",
                                              "A permission request was opened or closed.",
                                              .members = permission_members};

static const struct shape_member log_members[] = {
    COMMON("log"),
    {"id", &shape_integer, "id of the task"},
    {"attempt", &shape_integer, "number of the attempt"},
    {0},
};
static const struct shape log_event = {SHAPE_OBJECT, "LogEvent",
                                       "An attempt's log has grown; sent at most twice a second.",
                                       .members = log_members};

static const struct shape_member gap_members[] = {
    SEQ,
    TYPE("gap"),
    {"from", &shape_integer, "first missing event"},
    {"to", &shape_integer, "last missing event"},
    {0},
};
static const struct shape gap_event = {SHAPE_OBJECT, "GapEvent",
                                       "Events after `after` are no longer available: reload the "
                                       "state.",
                                       .members = gap_members};

static const struct shape_member dropped_members[] = {
    SEQ,
    TYPE("dropped"),
    {"reason", &shape_string, "why the connection is closed"},
    {0},
};
static const struct shape dropped_event = {SHAPE_OBJECT, "DroppedEvent",
                                           "The last event: the client reads too slowly and is "
                                           "disconnected.",
                                           .members = dropped_members};

static const struct shape *const events[] = {
    &task_event, &profile_event, &permission_event, &log_event, &gap_event, &dropped_event, NULL,
};
const struct shape shape_event = {SHAPE_ONE_OF, "Event", "The `params` of an `event` notification.",
                                  .choices = events};

static const struct shape_member subscription_members[] = {
    {"seq", &shape_integer, "sequence number of the last event so far"},
    {"source", &shape_string, "name of the node whose numbers these are"},
    {0},
};
const struct shape shape_subscription = {SHAPE_OBJECT, "Subscription", "Result of subscribing.",
                                         .members = subscription_members};

static const struct shape_member success_members[] = {
    {"success", &shape_true, "always true"},
    {0},
};
const struct shape shape_success = {SHAPE_OBJECT, "Success", "The call succeeded.",
                                    .members = success_members};

/* Errors */

static const struct shape_member data_members[] = {
    {"field", &shape_string, "name of the invalid parameter",
     .absent = "unless the code is -32602"},
    {"reason", &shape_string, "why it is invalid", .absent = "unless the code is -32602"},
    {"retryAfter", &shape_number, "when to try again, in seconds",
     .absent = "unless the code is -32003"},
    {0},
};
const struct shape shape_error_data = {SHAPE_OBJECT, "ErrorData", "Details of an error.",
                                       .members = data_members};

static const struct shape_member error_members[] = {
    {"code", &shape_integer, "error code"},
    {"message", &shape_string, "what went wrong"},
    {"data", &shape_error_data, "details", .absent = "if there are none"},
    {0},
};
const struct shape shape_error = {SHAPE_OBJECT, "Error", "An error.", .members = error_members};
