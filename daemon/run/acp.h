/* SPDX-License-Identifier: MIT */
/*
 * The ACP runner: a run whose command is an agent, and one turn with it. Its life is that of a run:
 * on_end is called once, from the event loop, when the agent's family is gone.
 */
#pragma once

#include "run/acp_turn.h"
#include "run/run.h"

struct acp;

struct acp_spec {
    struct run_spec run;      /* the agent's command; its input and tail are not used */
    struct acp_script script; /* `reuse`: the agent may be kept for acp_again() */
};

struct acp_end {
    enum acp_verdict verdict;    /* ACP_OPEN: the agent died before its turn was over; see `run` */
    bool was_prompted;           /* it died during its turn, not at its start */
    const char *message;         /* of a verdict; NULL if it completed or there is a failure */
    struct json_object *failure; /* of ACP_FAILED: the error from the agent, or NULL */
    enum acp_request failed_request; /* the request that it answered; ACP_REQUEST_COUNT: none */
    struct json_object *agent;       /* its answer to initialize, or NULL */
    const char
        *half_line; /* of stdout, an unfinished line when it ended; not terminated, may be NULL */
    size_t half_line_len;
    const char *result;   /* JSON, if it completed */
    const char *usage;    /* JSON as the agent reported it, or NULL */
    const char *currency; /* of the cost that the agent reported, or NULL */
    double cost;
    const struct run_end *run; /* NULL: the agent is kept, idle */
};

struct acp_handler {
    /* See struct acp_host. */
    enum acp_policy (*on_question)(struct acp *acp, const struct acp_question *question,
                                   void *data);
    void (*on_answered)(struct acp *acp, const struct acp_question *question, void *data);
    enum acp_trouble (*read_error)(enum acp_request request, struct json_object *error, void *data);
    /* Something was added to the transcript. */
    void (*on_log)(struct acp *acp, void *data);
    void (*on_end)(struct acp *acp, const struct acp_end *end, void *data);
    /* An idle agent is gone, for whatever reason. */
    void (*on_gone)(struct acp *acp, void *data);
    void *data;
};

/** Starts the agent, as run_start(). The spec's strings need not outlive the call. */
struct acp *acp_start(struct supervisor *supervisor, const struct acp_spec *spec,
                      const struct acp_handler *handler);
/** Starts another turn, in a new session, with an idle agent; ignores the spec's command. */
void acp_again(struct acp *acp, const struct acp_spec *spec, const struct acp_handler *handler);
/** Sets the callback for the end of an idle agent. */
void acp_set_owner(struct acp *acp, void *data);
/** Stops an idle agent; on_gone is called when it is gone. */
void acp_dismiss(struct acp *acp);
/** Stops it: session/cancel, then a grace for the turn, SIGTERM, a grace, SIGKILL. */
void acp_stop(struct acp *acp);

/** Frees one whose run was freed without on_end (supervisor_free()); NULL is ignored. */
void acp_free(struct acp *acp);

/** The agent's run. */
const struct run *acp_get_run(const struct acp *acp);
/** The open questions: links of struct acp_question. */
const struct list *acp_questions(const struct acp *acp);
/** Stages an answer, sent by acp_send_staged(). The strings are copied. */
void acp_choose(struct acp_question *question, const char *option, const char *by);
/** Sends the staged answers, or drops them. */
void acp_send_staged(struct acp *acp);
void acp_forget(struct acp *acp);
