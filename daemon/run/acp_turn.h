/* SPDX-License-Identifier: MIT */
/*
 * One turn with an agent, from `initialize` to the answer of its prompt, as a state machine without
 * input or output: lines and moments go in, bytes for the agent gather in a buffer, and the host is
 * told what is to be written down or decided.
 *
 *   INITIALIZING -> OPENING -> CONFIGURING -> PROMPTING -> OVER
 *                   |     ^
 *                   v     |
 *                AUTHENTICATING
 *
 * Timers, all on the monotonic clock in ms: `start` runs until the prompt is sent; `turn` and
 * `stall` (since the last message) run while the prompt is open and stand still while a question
 * is; each question has its own, which only chooses. When one of the first three runs out, or
 * somebody cancels, the agent is told session/cancel and has a grace to end its turn.
 */
#pragma once

#include "common/list.h"
#include "run/acp_codec.h"
#include "run/tail.h"

enum acp_verdict {
    ACP_OPEN, /* not decided yet */
    ACP_COMPLETED,
    ACP_CANCELLED,
    ACP_REFUSED,      /* stop reason `refusal` */
    ACP_LIMITED,      /* max_tokens, max_turn_requests */
    ACP_FAILED,       /* it answered with an error, or broke the protocol */
    ACP_UNAUTHORIZED, /* it wants to be logged in */
    ACP_RATE_LIMITED, /* its error speaks of a rate limit or a quota */
    ACP_OVERLOADED,   /* its error speaks of a provider that cannot work now */
    ACP_INCOMPATIBLE, /* it speaks another version of the protocol */
    ACP_TIMED_OUT,
    ACP_STALLED,
};

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
    /* A question that had been left open has been answered. */
    void (*on_answered)(const struct acp_question *question, void *data);
    void *data;
};

struct acp_script {
    const char *cwd;                        /* absolute */
    const char *mcp_servers;                /* a JSON array in the protocol's form */
    const char *model, *mode, *auth_method; /* NULL: the agent's own choice */
    char *const *prompt;                    /* texts, ended by NULL */
    int64_t start_ms, turn_ms, stall_ms, permission_ms, grace_ms;
};

enum acp_state {
    ACP_INITIALIZING,
    ACP_AUTHENTICATING,
    ACP_OPENING,
    ACP_CONFIGURING,
    ACP_PROMPTING,
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
    bool has_authenticated, model_is_set, mode_is_set;
    bool must_stop; /* OVER, and the agent is not worth a goodbye */
    char *session;
    struct json_object *session_info; /* the answer to session/new */

    int64_t start_deadline, turn_deadline, cancel_deadline, last_message;
    int64_t paused_at; /* since when a question is open, 0: none is */
    struct list questions;
    int64_t question_count, last_question;

    struct json_object *tool_calls; /* id -> the last words on kind and title */
    struct buf chunk;               /* of a message, not noted yet */
    char *chunk_kind;
    int64_t chunk_deadline;
    struct tail text; /* the last message */
    bool text_has_ended;
    struct json_object *usage, *cost;
    int64_t noise;
};

/** The script must outlive the turn. */
void acp_turn_init(struct acp_turn *turn, const struct acp_script *script,
                   const struct acp_host *host);
void acp_turn_deinit(struct acp_turn *turn);
void acp_turn_start(struct acp_turn *turn, int64_t now);
/** The same with an agent that has been initialized; request ids go on from `last_id`. */
void acp_turn_resume(struct acp_turn *turn, int64_t last_id, int64_t now);
/** Takes a line from the agent. */
void acp_turn_take(struct acp_turn *turn, const char *line, size_t len, int64_t now);
/** The moment at which acp_turn_tick() has something to do. */
int64_t acp_turn_deadline(const struct acp_turn *turn);
void acp_turn_tick(struct acp_turn *turn, int64_t now);
/** Ends the turn before its time, for this reason; `message` is taken over. */
void acp_turn_abort(struct acp_turn *turn, enum acp_verdict verdict, char *message, int64_t now);
/** Ends it without another word from or to the agent. */
void acp_turn_break(struct acp_turn *turn, enum acp_verdict verdict, char *message);
/** Answers a question; `option` NULL: because the turn was cancelled. The question is freed. */
void acp_turn_answer(struct acp_turn *turn, struct acp_question *question, const char *option,
                     const char *by, int64_t now);
/** {text, stopReason, usage?, cost?} of a completed turn. */
char *acp_turn_result(struct acp_turn *turn);

/** The option's id when the question offers it, else NULL. */
const char *acp_question_option(const struct acp_question *question, const char *option);
/** The kind of the tool that it is about: "other" unless the agent named one. */
const char *acp_question_kind(const struct acp_question *question);
