/* SPDX-License-Identifier: MIT */
/*
 * One turn with an agent, from `initialize` to the answer to its prompt and its last messages, as
 * a state machine without input or output: it takes lines and times, collects output for the agent
 * in a buffer, and calls the host to write the transcript and to decide.
 *
 *   INITIALIZING -> OPENING -> CONFIGURING -> PROMPTING -> LINGERING -> OVER
 *                   |     ^                    |     ^        |          ^
 *                   v     |                    v     |        v          |
 *                AUTHENTICATING             AUTHENTICATING  CLOSING -----+
 *
 * LINGERING: the verdict is final, but messages are still read, because some agents answer the
 * prompt before they have sent everything. An agent that is kept for another turn has a moment for
 * that, then its session is closed if possible; any other gets end of file and has until it exits.
 *
 * Timers, all on the monotonic clock in ms: `start` runs until the prompt is sent; `turn` and
 * `stall` (since the last sign of life) run while the prompt is open and are suspended while a
 * question is; `stall` is also suspended while a tool call is open. Each question has a timer that
 * only answers it. When one of the first three expires, or on a cancel, the agent gets
 * session/cancel and a grace period to end its turn.
 */
#pragma once

#include "common/list.h"
#include "run/acp_codec.h"
#include "run/tail.h"

enum acp_verdict {
    ACP_OPEN, /* not decided yet */
    ACP_COMPLETED,
    ACP_CANCELLED,
    ACP_REFUSED,       /* stop reason `refusal`, or it stopped after a permission was rejected */
    ACP_LIMITED,       /* max_tokens, max_turn_requests */
    ACP_FAILED,        /* it reported an error (see `failure`), or broke the protocol */
    ACP_UNAUTHORIZED,  /* login failed */
    ACP_MISCONFIGURED, /* it rejects or does not support a setting */
    ACP_INCOMPATIBLE,  /* it speaks another version of the protocol */
    ACP_TIMED_OUT,
    ACP_STALLED,
};

enum acp_trouble { ACP_OWN_TROUBLE, ACP_NO_LOGIN, ACP_NO_PROVIDER /* or none that works now */ };

enum acp_policy { ACP_ALLOW, ACP_REJECT, ACP_ASK };

/* An open question of the agent. */
struct acp_question {
    struct list link;
    int64_t number;                /* from 1 in each turn */
    char *id;                      /* the agent's, as JSON */
    struct json_object *tool_call; /* with kind and title, if known */
    struct json_object *options;   /* of {optionId, name, kind} */
    int64_t asked_at;              /* wall ms */
    int64_t deadline_at;           /* wall ms */
    int64_t deadline;
    char *chosen; /* staged by acp_choose(): an optionId */
    char *chosen_by;
};

struct acp_host {
    /* Adds to the transcript, like run_log_note(). */
    void (*note)(void *data, const char *stream, const char *text, size_t len, const char *member,
                 const char *json);
    /* Decides about a question. */
    enum acp_policy (*on_question)(const struct acp_question *question, void *data);
    /* An open question was answered or withdrawn. */
    void (*on_answered)(const struct acp_question *question, void *data);
    /* Classifies an error. */
    enum acp_trouble (*read_error)(enum acp_request request, struct json_object *error, void *data);
    void *data;
};

struct acp_script {
    const char *cwd;         /* absolute */
    const char *mcp_servers; /* a JSON array in the protocol's form */
    const char *settings;    /* a JSON object: settings of the session, in order; a name is the
                                category or id of a configuration option */
    const char *auth_method; /* NULL: none */
    const char *prompt;      /* a JSON array of content blocks */
    int64_t start_ms, turn_ms, stall_ms, permission_ms, grace_ms;
    int64_t reuse; /* turns that a process serves; 0: one, then it exits; ACP_REUSE_FREELY */
};

/* Any number of turns if the agent can close its sessions, otherwise ACP_REUSE_UNCLOSED, because
 * open sessions stay in its memory. */
#define ACP_REUSE_FREELY   INT64_MAX
#define ACP_REUSE_UNCLOSED 10

enum acp_state {
    ACP_INITIALIZING,
    ACP_AUTHENTICATING,
    ACP_OPENING,
    ACP_CONFIGURING,
    ACP_PROMPTING,
    ACP_LINGERING,
    ACP_CLOSING,
    ACP_OVER,
};

struct acp_turn {
    struct acp_codec codec;
    struct acp_host host;
    const struct acp_script *script;
    struct buf out; /* for the agent; the caller sends it */

    enum acp_state state;
    enum acp_verdict verdict; /* if not ACP_OPEN before the end, the turn is being cancelled */
    char *message;            /* of a verdict, for people */
    char *stop_reason;
    struct json_object *failure;     /* of ACP_FAILED: the error from the agent, or NULL */
    enum acp_request failed_request; /* the request that it answered; ACP_REQUEST_COUNT: none */
    bool has_authenticated;
    bool must_stop; /* stop the agent without a goodbye or another turn */
    int64_t number; /* of this turn in its process, from 1 */
    char *session;
    char **ended_sessions;            /* of earlier turns in this process, the last few */
    struct json_object *agent;        /* the answer to initialize */
    struct json_object *session_info; /* the answer to session/new, options as they are now */
    struct json_object *settings;     /* of the script */
    struct lh_entry *setting;         /* the one being set, or the next one */

    int64_t start_deadline, turn_deadline, cancel_deadline, linger_deadline;
    int64_t last_sign; /* of life */
    int64_t paused_at; /* since when a question has been open; 0: none */
    struct list questions;
    int64_t question_count, last_question;
    int64_t allowed, rejected, lapsed; /* questions by their answers */
    char *rejected_title; /* of the tool call rejected last, if the agent has been idle since; else
                             NULL */
    char *rejected_id;    /* the same: its toolCallId */

    struct json_object *tool_calls; /* id -> latest kind, title and status */
    int64_t open_tool_calls;
    struct buf chunk; /* of a message, not written yet */
    char *chunk_kind;
    int64_t chunk_deadline;
    struct tail text;    /* the last message */
    char *message_id;    /* its id, NULL: it has none */
    bool text_has_ended; /* a piece without an id starts a new one */
    char *last_piece;    /* of a message, as received; never blank */
    struct json_object *usage, *cost;
    struct json_object *last_error; /* that updates told of */
    struct json_object *trouble;    /* the same, while it blocks the agent */
    int64_t noise;                  /* consecutive lines that are not messages */
};

/** The script must outlive the turn. */
void acp_turn_init(struct acp_turn *turn, const struct acp_script *script,
                   const struct acp_host *host);
void acp_turn_deinit(struct acp_turn *turn);
void acp_turn_start(struct acp_turn *turn, int64_t now);
/** Starts another turn, in a new session, with the agent of a finished turn, which it replaces. */
void acp_turn_again(struct acp_turn *turn, const struct acp_script *script,
                    const struct acp_host *host, int64_t now);
/** Handles a line from the agent. */
void acp_turn_take(struct acp_turn *turn, const char *line, size_t len, int64_t now);
/** Records another sign of life. */
void acp_turn_note_life(struct acp_turn *turn, int64_t now);
/** When acp_turn_tick() must be called next. */
int64_t acp_turn_deadline(const struct acp_turn *turn);
void acp_turn_tick(struct acp_turn *turn, int64_t now);
/** Whether the agent is kept for another turn. */
bool acp_turn_is_kept(const struct acp_turn *turn);
/** Ends the turn early for this reason; takes ownership of `message`. */
void acp_turn_abort(struct acp_turn *turn, enum acp_verdict verdict, char *message, int64_t now);
/** Ends it without further communication with the agent. */
void acp_turn_break(struct acp_turn *turn, enum acp_verdict verdict, char *message);
/** The agent has exited; nothing more will arrive. */
void acp_turn_finish(struct acp_turn *turn);
/** {text, stopReason, usage?, cost?, permissions?} of a completed turn. */
char *acp_turn_result(struct acp_turn *turn);

/* Questions (run/acp_question.c) */

/** Answers a question; `option` NULL: the turn was cancelled. The question is freed. */
void acp_turn_answer(struct acp_turn *turn, struct acp_question *question, const char *option,
                     const char *by, int64_t now);
/** The option's id if the question offers it, else NULL. */
const char *acp_question_option(const struct acp_question *question, const char *option);
/** The kind of its tool; "other" if the agent gave none. */
const char *acp_question_kind(const struct acp_question *question);
/** The option that allows, preferably only once; NULL: none, or several, which a person must choose
 *  from. */
const char *acp_question_allowing(const struct acp_question *question);
