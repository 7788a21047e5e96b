/* SPDX-License-Identifier: MIT */
/*
 * The calls of the clients. To add a method, add a member here, its row in request.c and what its
 * reply must be like in reply.c.
 */
#pragma once

#include "common/buf.h"
#include "core/error_class.h"
#include "rpc/param.h"

enum method {
    METHOD_ASSIGN,
    METHOD_SUBMIT,
    METHOD_CLAIM,
    METHOD_COMPLETE,
    METHOD_FAIL,
    METHOD_EXTEND,
    METHOD_CANCEL,
    METHOD_RETRY,
    METHOD_UPDATE,
    METHOD_GET,
    METHOD_LIST,
    METHOD_QUEUE,
    METHOD_PERMISSIONS,
    METHOD_ANSWER,
    METHOD_STATUS,
    METHOD_RELOAD,
    METHOD_READING, /* any method that only reads, with any valid parameters */
    METHOD_ASTRAY,  /* any method that writes, with any valid ones, about what does not exist */
    METHOD_WRONG,   /* any method, with a parameter that is not valid */
    METHOD_NOISE,   /* not a request at all */
    METHOD_COUNT,
};

#define TOKEN_SIZE 64
#define DEPENDS_ON RPC_IDS_MAX

/* What an update may change. */
enum change {
    CHANGE_PRIORITY,
    CHANGE_PROFILE,
    CHANGE_RUN_AT,
    CHANGE_COUNT,
};

/* A request, until its reply has been read. */
struct request {
    enum method method;
    int64_t id;      /* of the request */
    int64_t task_id; /* 0: none */
    int64_t key;     /* of a new task, which is k<key> */
    int64_t depends_on[DEPENDS_ON];
    size_t depends_on_count;
    int64_t run_at;    /* wall ms; 0: at once */
    size_t profile;    /* see setting.h */
    unsigned profiles; /* of METHOD_CLAIM: a bit for each */
    bool is_active;    /* of METHOD_STATUS: resumes it */
    enum answer {
        ANSWER_NO,
        ANSWER_YES,
        ANSWER_NEVER, /* which is offered now and then */
        ANSWER_ALWAYS,
        ANSWER_UNKNOWN,
        ANSWER_COUNT,
    } answer;               /* of METHOD_ANSWER */
    enum error_class class; /* of METHOD_FAIL */
    char token[TOKEN_SIZE];
    int64_t sent_at; /* monotonic ms */
    bool may_wait;
    bool is_notification; /* nobody asks for its reply */
    bool is_batched;      /* the replies of a batch have a limit */
    /* Of METHOD_UPDATE: a priority, a profile, and a time in wall ms; 0: null. */
    bool changes[CHANGE_COUNT];
    int64_t values[CHANGE_COUNT];
    double lease, wait; /* of METHOD_CLAIM, in seconds; 0: the profile's */
};

/** A call of some kind. */
void request_make(struct request *ret_request, int64_t id, bool is_batched);
/** The id of its reply; 0: null. */
int64_t request_id_of_reply(const struct request *request);
/** The message of METHOD_FAIL, as JSON. */
void request_print_message(const struct request *request, struct buf *out);
/** The request. */
void request_print(const struct request *request, struct buf *out);
