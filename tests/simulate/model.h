/* SPDX-License-Identifier: MIT */
/*
 * What acpd has promised so far, and whether what it says agrees: written from docs/guarantees.md.
 */
#pragma once

#include "common/json.h"

enum method {
    METHOD_ASSIGN,
    METHOD_CLAIM,
    METHOD_COMPLETE,
    METHOD_FAIL,
    METHOD_EXTEND,
    METHOD_CANCEL,
    METHOD_RETRY,
    METHOD_UPDATE,
    METHOD_GET,
    METHOD_LIST,
    METHOD_STATES,
    METHOD_COUNT,
};

#define TOKEN_SIZE 64
#define KEY_SIZE   32

/* A request, until its reply has been read. */
struct call {
    enum method method;
    int64_t id;      /* of the request; the key of an assignment is made of it */
    int64_t task_id; /* 0: none */
    char token[TOKEN_SIZE];
    int64_t sent_at; /* monotonic ms */
    bool may_wait;
};

void model_begin(void);
void model_end(void);

/** A task that may be the subject of a call: 0 if none is known. */
int64_t model_pick(void);
/** One with a lease, and its token. */
int64_t model_pick_held(char ret_token[TOKEN_SIZE]);
/** From now on the call may take effect. */
void model_sent(const struct call *call);
/** Its reply. */
void model_take(const struct call *call, struct json_object *reply);
/** There is no other request under way: all that is listed agrees with what was promised. */
void model_audit(struct json_object *tasks, struct json_object *states);
/** The clock was set while acpd was not running: leases may end by it. */
void model_doubt_leases(void);
/** The power failed while the disk could not sync: see D2. */
void model_forgive_refused(void);
/** Number of acknowledged assignments. */
uint64_t model_acknowledged(void);
