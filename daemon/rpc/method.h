/* SPDX-License-Identifier: MIT */
/*
 * The methods. To add one, add a row to a table (rpc/methods_*.c): name, summary, parameters, shape
 * of the result and handler. Checks, errors and rpc.discover follow from the row.
 */
#pragma once

#include "rpc/call.h"
#include "rpc/param.h"
#include "rpc/shapes.h"

/* The outcome of a handler: a result printed to call->out, an rpc_error(), or, with call->deadline
 * set, a request to run again in this pass and later ones. RPC_MORE: a part of the result is
 * printed; run again for the next part when others have had their turn, with call->progress. Only
 * for methods that change nothing. */
enum rpc_outcome { RPC_REPLY, RPC_ERROR, RPC_LATER, RPC_MORE };

struct rpc_method {
    const char *name;
    const char *summary;
    const struct param *params;
    const struct shape *result;
    enum rpc_outcome (*handler)(struct rpc_call *call);
    bool is_guarded; /* not for processes of attempts */
    bool is_for_own; /* processes of attempts may call it for tasks that descend from theirs */
    bool is_audited; /* even if it writes no task */
    bool is_reading; /* changes nothing: the role `read` may call it */
};

/* One table per file; the last row has no name. */
extern const struct rpc_method rpc_profile_methods[];
extern const struct rpc_method rpc_task_methods[];
extern const struct rpc_method rpc_metrics_methods[];
extern const struct rpc_method rpc_permission_methods[];
extern const struct rpc_method rpc_worker_methods[];
extern const struct rpc_method rpc_system_methods[];
/** All of them, NULL-terminated. */
extern const struct rpc_method *const rpc_method_tables[];

/** NULL: unknown name. */
const struct rpc_method *rpc_method_find(const char *name);

/** How many there are, and the number of one of them, from 0. */
size_t rpc_method_count(void);
size_t rpc_method_number(const struct rpc_method *method);

/** Prints every method, its parameters and its result as an OpenRPC document. */
void rpc_print_document(const struct settings *settings, struct buf *out);

/** Whether the rest of the result is for the connection's next turn: RPC_MORE. */
bool rpc_turn_is_over(const struct rpc_call *call);

/** Ends a call with an error; the message names the object: profile "x" not found. */
enum rpc_outcome rpc_error(struct rpc_call *call, enum rpc_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);
/** -32602 with the field and the reason. */
enum rpc_outcome rpc_error_field(struct rpc_call *call, const char *field, const char *reason);
/** Ends a call after a negative result of the engine: the storage failed, or acpd is stopping. */
enum rpc_outcome rpc_error_storage(struct rpc_call *call, int r);

/** -32003 with the seconds after which to try again. */
enum rpc_outcome rpc_error_queue_full(struct rpc_call *call, const struct profile *profile);

/** The profile named by a parameter, or NULL with the call's error set. */
struct profile *rpc_get_profile(struct rpc_call *call, const char *param);
int64_t rpc_get_int(struct rpc_call *call, const char *param, int64_t otherwise);
/** The range named by the parameter `range`. */
const struct metrics_range *rpc_get_range(struct rpc_call *call);

/* Printing (rpc/print.c) */

/** Prints the task with its `pending`; position as for engine_pending(). */
MUST_CHECK int rpc_print_task(struct rpc_call *call, const struct task *task, int64_t position);
void rpc_print_profile(const struct profile *profile, struct buf *out);
MUST_CHECK int rpc_print_state(struct rpc_call *call, struct profile *profile);
MUST_CHECK int rpc_print_metrics(struct rpc_call *call, const struct profile *profile,
                                 const struct metrics_range *range);

/** Prints profiles, by name, until the turn is over. RPC_REPLY: all of them are printed. */
enum rpc_outcome rpc_print_profiles(struct rpc_call *call,
                                    int (*print)(struct rpc_call *call, struct profile *profile));
/** The same, as an array. */
enum rpc_outcome rpc_print_array(struct rpc_call *call,
                                 int (*print)(struct rpc_call *call, struct profile *profile));

/** Prints the profile's anomalies as an array (rpc/methods_metrics.c). */
void rpc_print_anomalies(const struct profile *profile, struct buf *out);
/** The metrics for Prometheus, as a JSON string (rpc/export.c), a part at a time. */
enum rpc_outcome rpc_print_export(struct rpc_call *call);

/* The size limit of a reply with a list. */
#define RPC_LIST_BYTES (4 * 1024 * 1024)
