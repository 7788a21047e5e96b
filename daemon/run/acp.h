/* SPDX-License-Identifier: MIT */
/*
 * The ACP runner: a run whose command is an agent, and one turn with it. It has the same life as a
 * run: on_end is called once, from the event loop, when the agent's family is gone.
 */
#pragma once

#include "run/acp_turn.h"
#include "run/run.h"

struct acp;

struct acp_spec {
    struct run_spec run;      /* the agent's command; its input and tail are not used */
    struct acp_script script; /* `reuse`: the agent may stay for acp_again() */
};

struct acp_end {
    enum acp_verdict verdict;    /* ACP_OPEN: the agent died before its turn was over; see `run` */
    bool was_prompted;           /* it died in mid-turn, not at its start */
    const char *message;         /* of a verdict; NULL when it completed, or with a failure */
    struct json_object *failure; /* of ACP_FAILED: the error as the agent told it, or NULL */
    enum acp_request failed_request; /* whose answer that was; ACP_REQUEST_COUNT: of none */
    struct json_object *agent;       /* its answer to initialize, or NULL */
    const char *half_line; /* of stdout, that it left when it ended; not terminated, may be NULL */
    size_t half_line_len;
    const char *result;   /* JSON, when it completed */
    const char *usage;    /* JSON as the agent reported it, or NULL */
    const char *currency; /* of the cost that the agent reported, or NULL */
    double cost;
    const struct run_end *run; /* NULL: the agent lives on, idle */
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
/** Another turn, in a session of its own, with an idle agent; the spec's command is not used. */
void acp_again(struct acp *acp, const struct acp_spec *spec, const struct acp_handler *handler);
/** Who hears of an idle agent's end. */
void acp_set_owner(struct acp *acp, void *data);
/** Lets an idle agent go; on_gone tells when it is. */
void acp_dismiss(struct acp *acp);
/** Asks for the end: session/cancel, then a grace for the turn, SIGTERM, a grace, SIGKILL. */
void acp_stop(struct acp *acp);

/** The agent's run. */
const struct run *acp_get_run(const struct acp *acp);
/** The open questions: links of struct acp_question. */
const struct list *acp_questions(const struct acp *acp);
/** Stages an answer; it leaves with acp_release(). The strings are copied. */
void acp_choose(struct acp_question *question, const char *option, const char *by);
/** Sends the answers that were staged, or forgets them. */
void acp_release(struct acp *acp);
void acp_forget(struct acp *acp);
