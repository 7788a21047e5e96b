/* SPDX-License-Identifier: MIT */
/* acpd itself: its health, its events, its errors. */
#include "core/task.h"
#include "rpc/shapes.h"

/* Health */

static const struct shape_member profile_health_members[] = {
    {"health", &shape_health_state, "as in [ProfileState](#profilestate)"},
    {"healthReason", &shape_string, "why, in plain words", .null = "while it is healthy"},
    {"anomalies", SHAPE_ARRAY_OF(shape_anomaly), "what of it is unlike the usual"},
    {0},
};
static const struct shape profile_health = {SHAPE_OBJECT, "ProfileHealth", "How a profile is.",
                                            .members = profile_health_members};

static const char *const storage_types[] = {"sqlite", NULL};
static const char *const storage_statuses[] = {"ok", "failing", NULL};
static const struct shape storage_type = {SHAPE_ENUM, .values = storage_types};
static const struct shape storage_status = {SHAPE_ENUM, .values = storage_statuses};

static const struct shape_member storage_members[] = {
    {"type", &storage_type, "where tasks are kept"},
    {"status", &storage_status, "whether writes succeed"},
    {"error", &shape_string, "what went wrong", .null = "while it is ok"},
    {"sizeBytes", &shape_integer, "what the database takes on disk"},
    {"lastCommitAt", &shape_time, "when something was last written", .null = "before the first"},
    {"commitDuration", &shape_number, "seconds that this took"},
    {0},
};
static const struct shape storage = {SHAPE_OBJECT, "StorageHealth", "How the storage is.",
                                     .members = storage_members};

static const struct shape_member loop_members[] = {
    {"passes", &shape_integer, "passes of the event loop so far"},
    {"commits", &shape_integer, "commits so far"},
    {"lag", &shape_number,
     "seconds that one pass kept the others waiting at most since the last health check but one"},
    {"stopping", &shape_boolean, "whether acpd is about to end"},
    {"canLaunch", &shape_boolean, "whether attempts can be started"},
    {0},
};
static const struct shape loop = {SHAPE_OBJECT, "LoopHealth", "How the event loop is.",
                                  .members = loop_members};

static const struct shape_member health_members[] = {
    {"status", &shape_health_state, "the whole in a word"},
    {"reasons", &shape_strings, "why, in plain words; empty while it is healthy"},
    {"updateInterval", &shape_number, "seconds between refreshes of the page"},
    {"version", &shape_string, "acpd's"},
    {"demo", &shape_boolean, "whether the built-in profiles run the demo agent"},
    {"profiles", SHAPE_MAP_OF(profile_health), "by name"},
    {"storage", &storage, "how the storage is"},
    {"loop", &loop, "how the event loop is"},
    {0},
};
const struct shape shape_health = {SHAPE_OBJECT, "Health", "How acpd and its profiles are.",
                                   .members = health_members};

/* Events */

#define SEQ                                                                                        \
    {                                                                                              \
        "seq", &shape_integer, "its number, which only grows, over restarts too"                   \
    }
#define TYPE(name)                                                                                 \
    {                                                                                              \
        "type", &(const struct shape){SHAPE_ENUM, .values = (const char *const[]){name, NULL}},    \
            "what kind of event it is"                                                             \
    }
#define COMMON(name)                                                                               \
    SEQ, TYPE(name), {"at", &shape_time, "when it happened"},                                      \
    {                                                                                              \
        "profile", &shape_string, "whose it is"                                                    \
    }
#define FORGOTTEN "once the profile is forgotten"

static const struct shape_member task_members[] = {
    COMMON("task"),
    {"id", &shape_integer, "the task"},
    {"from", &shape_task_status, "its status before", .null = "when it was admitted"},
    {"status", &shape_task_status, "its status now"},
    {"attempt", &shape_integer, "the number of its last attempt"},
    {"errorClass", &shape_error_class, "of the last attempt that failed", .null = "when none did"},
    {0},
};
static const struct shape task_event = {SHAPE_OBJECT, "TaskEvent",
                                        "A task was admitted, or changed its status.",
                                        .members = task_members};

static const struct shape_member profile_members[] = {
    COMMON("profile"),
    {"isActive", &shape_boolean, "false while it is paused", .absent = FORGOTTEN},
    {"health", &shape_health_state, "as it is now", .absent = FORGOTTEN},
    {"healthReason", &shape_string, "why, in plain words", .null = "while it is healthy",
     .absent = FORGOTTEN},
    {0},
};
static const struct shape profile_event = {
    SHAPE_OBJECT, "ProfileEvent",
    "A profile was paused or let go on, or its health or its configuration changed.",
    .members = profile_members};

static const struct shape_member permission_members[] = {
    COMMON("permission"),
    {"id", &shape_string, "the question"},
    {"taskId", &shape_integer, "whose agent asks"},
    {"isOpen", &shape_boolean, "false once it has been answered"},
    {0},
};
static const struct shape permission_event = {SHAPE_OBJECT, "PermissionEvent",
                                              "An agent asks, or its question was answered.",
                                              .members = permission_members};

static const struct shape_member log_members[] = {
    COMMON("log"),
    {"id", &shape_integer, "the task"},
    {"attempt", &shape_integer, "the number of the attempt"},
    {0},
};
static const struct shape log_event = {SHAPE_OBJECT, "LogEvent",
                                       "An attempt's log has grown; at most twice a second.",
                                       .members = log_members};

static const struct shape_member gap_members[] = {
    SEQ,
    TYPE("gap"),
    {"from", &shape_integer, "the first event that is no longer held"},
    {"to", &shape_integer, "the last one"},
    {0},
};
static const struct shape gap_event = {SHAPE_OBJECT, "GapEvent",
                                       "What `after` asked for is no longer held: read the state "
                                       "anew.",
                                       .members = gap_members};

static const struct shape_member dropped_members[] = {
    SEQ,
    TYPE("dropped"),
    {"reason", &shape_string, "why the connection is closed"},
    {0},
};
static const struct shape dropped_event = {
    SHAPE_OBJECT, "DroppedEvent", "The last one: you read too slowly.", .members = dropped_members};

static const struct shape *const events[] = {
    &task_event, &profile_event, &permission_event, &log_event, &gap_event, &dropped_event, NULL,
};
const struct shape shape_event = {SHAPE_ONE_OF, "Event", "What `params` of a notification are.",
                                  .choices = events};

static const struct shape_member subscription_members[] = {
    {"seq", &shape_integer, "the number of the last event so far"},
    {0},
};
const struct shape shape_subscription = {SHAPE_OBJECT, "Subscription",
                                         "From here on events come as notifications.",
                                         .members = subscription_members};

static const struct shape_member success_members[] = {
    {"success", &shape_true, "it was done"},
    {0},
};
const struct shape shape_success = {SHAPE_OBJECT, "Success", "It was done.",
                                    .members = success_members};

/* Errors */

static const struct shape_member data_members[] = {
    {"field", &shape_string, "the parameter that does not fit", .absent = "but for -32602"},
    {"reason", &shape_string, "why it does not", .absent = "but for -32602"},
    {"retryAfter", &shape_number, "seconds after which to try again", .absent = "but for -32003"},
    {0},
};
const struct shape shape_error_data = {SHAPE_OBJECT, "ErrorData", "What programs need to know.",
                                       .members = data_members};

static const struct shape_member error_members[] = {
    {"code", &shape_integer, "see [Errors](#errors)"},
    {"message", &shape_string, "what went wrong, in words"},
    {"data", &shape_error_data, "what programs need to know", .absent = "when it is nothing"},
    {0},
};
const struct shape shape_error = {SHAPE_OBJECT, "Error", "Why a call failed.",
                                  .members = error_members};
