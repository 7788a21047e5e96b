/* SPDX-License-Identifier: MIT */
/*
 * The Agent Client Protocol, version 1, as bytes (https://agentclientprotocol.com): JSON-RPC 2.0,
 * one message per line, ids counted per direction. acp_turn.c interprets the messages; another
 * version of the protocol would be another file like this.
 *
 * Only one request of ours is open at a time, so one id identifies its answer.
 */
#pragma once

#include "common/buf.h"
#include "common/json.h"

#define ACP_PROTOCOL_VERSION 1

enum acp_request {
    ACP_INITIALIZE,
    ACP_AUTHENTICATE,
    ACP_NEW_SESSION,
    ACP_SET_OPTION,
    ACP_SET_MODEL,
    ACP_SET_MODE,
    ACP_PROMPT,
    ACP_CLOSE_SESSION,
    ACP_REQUEST_COUNT,
};

enum acp_message_type {
    ACP_NOISE,      /* not a protocol message, or an unexpected one */
    ACP_ANSWER,     /* to the open request: `body` is its result */
    ACP_FAILURE,    /* of the open request: `body` is its error, with code and text */
    ACP_UPDATE,     /* `body` is the update, `word` its kind */
    ACP_PERMISSION, /* a question, to be answered: `body` has toolCall and options */
    ACP_WITHDRAWN,  /* the agent no longer waits for the answer to its request `id` */
    ACP_DECLINED,   /* another request; it was answered with "method not found" */
    ACP_IGNORED,    /* an unknown notification */
};

struct acp_message {
    enum acp_message_type type;
    enum acp_request request; /* which one is answered */
    struct json_object *body; /* part of `whole`, may be NULL */
    const char *word;         /* of an update: its kind; of a declined request: its method */
    const char *session;      /* of an update or a question: its sessionId, or NULL */
    char *id;                 /* of a question: the agent's id for it, as JSON */
    struct json_object *whole;
};

struct acp_codec {
    struct buf *out; /* output for the agent */
    int64_t last_id;
    bool is_waiting; /* request `last_id` is open */
    enum acp_request request;
};

void acp_codec_init(struct acp_codec *codec, struct buf *out);
void acp_codec_deinit(struct acp_codec *codec);
/** Reads one line. The message is freed by acp_message_deinit(). */
void acp_codec_read(struct acp_codec *codec, const char *line, size_t len,
                    struct acp_message *ret_message);
void acp_message_deinit(struct acp_message *message);

/* Our requests; each becomes the open one. Strings are plain text unless documented as JSON. */

void acp_codec_initialize(struct acp_codec *codec);
void acp_codec_authenticate(struct acp_codec *codec, const char *method);
/** `servers`: a JSON array, as the protocol has it. */
void acp_codec_new_session(struct acp_codec *codec, const char *cwd, const char *servers);
/** `option`: the id of one that the session offers. */
void acp_codec_set_option(struct acp_codec *codec, const char *session, const char *option,
                          const char *value);
void acp_codec_set_mode(struct acp_codec *codec, const char *session, const char *mode);
void acp_codec_set_model(struct acp_codec *codec, const char *session, const char *model);
/** `blocks`: a JSON array of content blocks. */
void acp_codec_prompt(struct acp_codec *codec, const char *session, const char *blocks);
void acp_codec_close_session(struct acp_codec *codec, const char *session);

/* What is not answered. */

void acp_codec_cancel(struct acp_codec *codec, const char *session);
/** Answers a question; `option` NULL: the turn was cancelled. */
void acp_codec_select(struct acp_codec *codec, const char *id, const char *option);
/** Rejects an invalid question. */
void acp_codec_refuse(struct acp_codec *codec, const char *id, const char *reason);

/** The member if it is a string, else `otherwise`. */
const char *acp_text_or(struct json_object *object, const char *key, const char *otherwise);
/** The request's name in the protocol. */
const char *acp_request_name(enum acp_request request);
