/* SPDX-License-Identifier: MIT */
/*
 * One turn with an agent, from `initialize` to the answer of its prompt and what it still says
 * after that, as a state machine without input or output: lines and moments go in, bytes for the
 * agent gather in a buffer, and the host is told what is to be written down or decided.
 *
 *   INITIALIZING -> OPENING -> CONFIGURING -> PROMPTING -> LINGERING -> OVER
 *                   |     ^                    |     ^        |          ^
 *                   v     |                    v     |        v          |
 *                AUTHENTICATING             AUTHENTICATING  CLOSING -----+
 *
 * LINGERING: the verdict stands, but what comes is still heard, since some agents answer the prompt
 * before their last words have left. One that stays for another turn has a moment for that, and
 * closes its session where it can; any other is given end of file, and has until it ends.
 *
 * Timers, all on the monotonic clock in ms: `start` runs until the prompt is sent; `turn` and
 * `stall` (since the last sign of life) run while the prompt is open and stand still while a
 * question is; `stall` stands still while a tool call is open, too. Each question has its own,
 * which only chooses. When one of the first three runs out, or somebody cancels, the agent is told
 * session/cancel and has a grace to end its turn.
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
    ACP_FAILED,        /* it told of an error (see `failure`), or broke the protocol */
    ACP_UNAUTHORIZED,  /* it could not be logged in */
    ACP_MISCONFIGURED, /* it refuses what the session is to be set to, or cannot do it */
    ACP_INCOMPATIBLE,  /* it speaks another version of the protocol */
    ACP_TIMED_OUT,
    ACP_STALLED,
};

enum acp_trouble { ACP_OWN_TROUBLE, ACP_NO_LOGIN, ACP_NO_PROVIDER /* or none that works now */ };

enum acp_policy { ACP_ALLOW, ACP_REJECT, ACP_ASK };

/* A question of the agent that is open. */
struct acp_question {
    struct list link;
    int64_t number;                /* from 1 in each turn */
    char *id;                      /* the agent's, as JSON */
    struct json_object *tool_call; /* with kind and title, if the agent ever named them */
    struct json_object *options;   /* of {optionId, name, kind} */
    int64_t asked_at;              /* wall ms */
    int64_t deadline_at;           /* wall ms */
    int64_t deadline;
    char *chosen; /* staged by acp_choose(): an optionId */
    char *chosen_by;
};

struct acp_host {
    /* Something for the transcript; as run_log_note(). */
    void (*note)(void *data, const char *stream, const char *text, size_t len, const char *member,
                 const char *json);
    /* What to do about a question. */
    enum acp_policy (*on_question)(const struct acp_question *question, void *data);
    /* A question that had been left open has been answered or withdrawn. */
    void (*on_answered)(const struct acp_question *question, void *data);
    /* What an error is about. */
    enum acp_trouble (*read_error)(enum acp_request request, struct json_object *error, void *data);
    void *data;
};

struct acp_script {
    const char *cwd;         /* absolute */
    const char *mcp_servers; /* a JSON array in the protocol's form */
    const char *settings;    /* a JSON object: what the session is set to, in this order; a name is
                              * the category of a configuration option, or its id */
    const char *auth_method; /* NULL: none */
    const char *prompt;      /* a JSON array of content blocks */
    int64_t start_ms, turn_ms, stall_ms, permission_ms, grace_ms;
    int64_t reuse; /* turns that a process serves; 0: one, and it leaves; ACP_REUSE_FREELY */
};

/* As many turns as come while the agent can close its sessions, else ACP_REUSE_UNCLOSED: what is
 * left of a session stays in its memory. */
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
    struct buf out; /* for the agent; the caller takes it */

    enum acp_state state;
    enum acp_verdict verdict; /* not ACP_OPEN before the end: the turn is being cancelled */
    char *message;            /* of a verdict, for people */
    char *stop_reason;
    struct json_object *failure;     /* of ACP_FAILED: the error as the agent told it, or NULL */
    enum acp_request failed_request; /* whose answer that was; ACP_REQUEST_COUNT: of none */
    bool has_authenticated;
    bool must_stop; /* the agent is not worth a goodbye, nor another turn */
    int64_t number; /* of this turn in its process, from 1 */
    char *session;
    char **ended_sessions;            /* of earlier turns in this process, the last few */
    struct json_object *agent;        /* the answer to initialize */
    struct json_object *session_info; /* the answer to session/new, options as they are now */
    struct json_object *settings;     /* of the script */
    struct lh_entry *setting;         /* the one that is being set, or that comes next */

    int64_t start_deadline, turn_deadline, cancel_deadline, linger_deadline;
    int64_t last_sign; /* of life */
    int64_t paused_at; /* since when a question is open, 0: none is */
    struct list questions;
    int64_t question_count, last_question;
    int64_t allowed, rejected, lapsed; /* questions by their answers */
    char *rejected_title;              /* of the tool call that was rejected last, if the agent has
                                        * said and done nothing since; else NULL */
    char *rejected_id;                 /* the same: its toolCallId */

    struct json_object *tool_calls; /* id -> the last words on kind, title and status */
    int64_t open_tool_calls;
    struct buf chunk; /* of a message, not noted yet */
    char *chunk_kind;
    int64_t chunk_deadline;
    struct tail text;    /* the last message */
    char *message_id;    /* its id, NULL: it has none */
    bool text_has_ended; /* a piece without an id begins another one */
    char *last_piece;    /* of a message, as it came; none that is blank */
    struct json_object *usage, *cost;
    struct json_object *last_error; /* that updates told of */
    struct json_object *trouble;    /* the same, while it keeps the agent from working */
    int64_t noise;                  /* lines in a row that are no messages */
};

/** The script must outlive the turn. */
void acp_turn_init(struct acp_turn *turn, const struct acp_script *script,
                   const struct acp_host *host);
void acp_turn_deinit(struct acp_turn *turn);
void acp_turn_start(struct acp_turn *turn, int64_t now);
/** Another turn, in a session of its own, with the agent of one that is over, which it replaces. */
void acp_turn_again(struct acp_turn *turn, const struct acp_script *script,
                    const struct acp_host *host, int64_t now);
/** Takes a line from the agent. */
void acp_turn_take(struct acp_turn *turn, const char *line, size_t len, int64_t now);
/** The agent has shown another sign of life. */
void acp_turn_note_life(struct acp_turn *turn, int64_t now);
/** The moment at which acp_turn_tick() has something to do. */
int64_t acp_turn_deadline(const struct acp_turn *turn);
void acp_turn_tick(struct acp_turn *turn, int64_t now);
/** Whether the agent is to stay for another turn. */
bool acp_turn_is_kept(const struct acp_turn *turn);
/** Ends the turn before its time, for this reason; `message` is taken over. */
void acp_turn_abort(struct acp_turn *turn, enum acp_verdict verdict, char *message, int64_t now);
/** Ends it without another word from or to the agent. */
void acp_turn_break(struct acp_turn *turn, enum acp_verdict verdict, char *message);
/** The agent has ended: nothing more is to be heard. */
void acp_turn_finish(struct acp_turn *turn);
/** {text, stopReason, usage?, cost?, permissions?} of a completed turn. */
char *acp_turn_result(struct acp_turn *turn);

/* Questions (run/acp_question.c) */

/** Answers a question; `option` NULL: because the turn was cancelled. The question is freed. */
void acp_turn_answer(struct acp_turn *turn, struct acp_question *question, const char *option,
                     const char *by, int64_t now);
/** The option's id when the question offers it, else NULL. */
const char *acp_question_option(const struct acp_question *question, const char *option);
/** The kind of the tool that it is about: "other" unless the agent named one. */
const char *acp_question_kind(const struct acp_question *question);
/** The option that allows, once rather than for ever; NULL: there is none, or a choice of several,
 *  which is a person's. */
const char *acp_question_allowing(const struct acp_question *question);
