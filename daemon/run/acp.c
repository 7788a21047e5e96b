/* SPDX-License-Identifier: MIT */
#include "run/acp.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/strv.h"
#include "run/acp_transcript.h"
#include "run/run_log.h"

#define LINE_MAX_BYTES (32 * 1024 * 1024) /* of a message */
#define UNREAD_MAX     (64 * 1024 * 1024) /* bytes of ours that an agent may leave unread */
#define GOODBYE_MS     2000               /* for an agent to leave after its turn */

struct acp {
    struct acp_script script;
    struct acp_turn turn;
    struct acp_handler handler;
    struct run *run;
    struct event timer;
    struct buf line; /* the start of a message whose end has not arrived */
    size_t line_scanned;
    bool is_leaving; /* the turn is over */
    bool is_kept, is_idle;
    int64_t leave_deadline;
    char *cwd, *mcp_servers, *model, *mode, *auth_method, **prompt;
};

static void free_script(struct acp *acp)
{
    free(STEAL(acp->cwd));
    free(STEAL(acp->mcp_servers));
    free(STEAL(acp->model));
    free(STEAL(acp->mode));
    free(STEAL(acp->auth_method));
    strv_free(STEAL(acp->prompt));
}

static void acp_free(struct acp *acp)
{
    event_del(&acp->timer);
    acp_turn_deinit(&acp->turn);
    buf_deinit(&acp->line);
    free_script(acp);
    free(acp);
}

/* Whether it is to be kept for another turn. */
static bool stays(const struct acp *acp)
{
    return acp->is_kept && acp->turn.verdict == ACP_COMPLETED && !acp->turn.must_stop;
}

/* After every step: what was said leaves, and the alarm is set anew. */
static void acp_settle(struct acp *acp)
{
    int64_t now = clock_mono_ms(), at;

    if (run_unread(acp->run) + acp->turn.out.len > UNREAD_MAX)
        acp_turn_break(&acp->turn, ACP_FAILED, xstrdup("the agent does not read its input"));
    run_write(acp->run, acp->turn.out.data, acp->turn.out.len);
    buf_clear(&acp->turn.out);
    if (acp->turn.state == ACP_OVER && !acp->is_leaving && !stays(acp)) {
        acp->is_leaving = true;
        acp->leave_deadline = now + (acp->turn.must_stop ? 0 : GOODBYE_MS);
        run_close_input(acp->run);
        buf_deinit(&acp->line);
    }
    if (acp->is_leaving && acp->leave_deadline <= now) {
        run_stop(acp->run);
        acp->leave_deadline = INT64_MAX;
    }
    at = acp_turn_deadline(&acp->turn);
    if (acp->is_leaving && acp->leave_deadline < at)
        at = acp->leave_deadline;
    if (at == INT64_MAX) {
        event_del(&acp->timer);
        return;
    }
    at = at > now ? at - now : 0;
    event_add(&acp->timer,
              &(struct timeval){.tv_sec = at / 1000, .tv_usec = (at % 1000 + 1) * 1000});
}

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct acp *acp = data;

    acp_turn_tick(&acp->turn, clock_mono_ms());
    run_log_flush(run_get_log(acp->run));
    acp_settle(acp);
}

static void report(struct acp *acp, const struct run_end *run_end);

static void on_output(struct run *run UNUSED, const char *bytes, size_t len, void *data)
{
    struct acp *acp = data;
    int64_t now = clock_mono_ms();
    const char *newline;
    size_t at = 0;

    if (acp->is_leaving || acp->is_idle)
        return;
    buf_add(&acp->line, bytes, len);
    while ((newline = memchr(acp->line.data + acp->line_scanned, '\n',
                             acp->line.len - acp->line_scanned))) {
        size_t end = (size_t)(newline - acp->line.data);

        acp_turn_take(&acp->turn, acp->line.data + at, end - at, now);
        at = acp->line_scanned = end + 1;
    }
    buf_consume(&acp->line, at);
    acp->line_scanned = acp->line.len;
    if (acp->line.len > LINE_MAX_BYTES)
        acp_turn_break(&acp->turn, ACP_FAILED,
                       xasprintf("the agent sent a message of more than %d MiB",
                                 LINE_MAX_BYTES / 1024 / 1024));
    acp_settle(acp);
    if (acp->turn.state == ACP_OVER && stays(acp)) {
        acp->is_idle = true;
        buf_clear(&acp->line);
        acp->line_scanned = 0;
        report(acp, NULL);
    }
}

static void report(struct acp *acp, const struct run_end *run_end)
{
    struct acp_turn *turn = &acp->turn;
    CLEANUP(freep) char *result = NULL;
    struct acp_end end = {
        .verdict = turn->verdict,
        .was_prompted = turn->state == ACP_PROMPTING,
        .message = turn->message,
        .run = run_end,
    };

    acp_transcript_flush(turn);
    run_log_flush(run_get_log(acp->run));
    if (turn->verdict == ACP_COMPLETED) {
        result = acp_turn_result(turn);
        end.result = result;
    }
    if (turn->usage)
        end.usage = json_compact(turn->usage);
    if (turn->cost) {
        end.cost = json_object_get_double(json_get(turn->cost, "amount"));
        end.currency = json_get_string(turn->cost, "currency");
    }
    acp->handler.on_end(acp, &end, acp->handler.data);
}

static void on_run_end(struct run *run UNUSED, const struct run_end *run_end, void *data)
{
    struct acp *acp = data;

    if (acp->is_idle)
        acp->handler.on_gone(acp, acp->handler.data);
    else
        report(acp, run_end);
    acp_free(acp);
}

static void host_note(void *data, const char *stream, const char *text, size_t len,
                      const char *member, const char *json)
{
    struct acp *acp = data;

    run_log_note(run_get_log(acp->run), stream, text, len, member, json);
    if (acp->handler.on_log)
        acp->handler.on_log(acp, acp->handler.data);
}

static enum acp_policy host_on_question(const struct acp_question *question, void *data)
{
    struct acp *acp = data;

    return acp->handler.on_question(acp, question, acp->handler.data);
}

static void host_on_answered(const struct acp_question *question, void *data)
{
    struct acp *acp = data;

    acp->handler.on_answered(acp, question, acp->handler.data);
}

static char *copy(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

/* A copy of the script, and a turn that follows it. */
static void prepare(struct acp *acp, const struct acp_spec *spec, const struct acp_handler *handler)
{
    struct acp_host host = {
        .note = host_note,
        .on_question = host_on_question,
        .on_answered = host_on_answered,
        .data = acp,
    };

    acp->handler = *handler;
    acp->is_kept = spec->is_kept;
    acp->script = spec->script;
    acp->script.cwd = acp->cwd = xstrdup(spec->script.cwd);
    acp->script.mcp_servers = acp->mcp_servers = xstrdup(spec->script.mcp_servers);
    acp->script.model = acp->model = copy(spec->script.model);
    acp->script.mode = acp->mode = copy(spec->script.mode);
    acp->script.auth_method = acp->auth_method = copy(spec->script.auth_method);
    for (size_t i = 0; spec->script.prompt && spec->script.prompt[i]; i++)
        strv_push(&acp->prompt, xstrdup(spec->script.prompt[i]));
    acp->script.prompt = acp->prompt;
    acp_turn_init(&acp->turn, &acp->script, &host);
}

struct acp *acp_start(struct supervisor *supervisor, const struct acp_spec *spec,
                      const struct acp_handler *handler)
{
    struct acp *acp = xcalloc(1, sizeof(*acp));
    struct run_spec run = spec->run;

    prepare(acp, spec, handler);
    run.is_dialog = true;
    run.tail_limit = 0;
    acp->run =
        run_start(supervisor, &run,
                  &(struct run_handler){.on_output = on_output, .on_end = on_run_end, .data = acp});
    event_assign(&acp->timer, run_get_base(acp->run), -1, 0, on_timer, acp);
    acp_turn_start(&acp->turn, clock_mono_ms());
    acp_settle(acp);
    return acp;
}

void acp_again(struct acp *acp, const struct acp_spec *spec, const struct acp_handler *handler)
{
    int64_t last_id = acp->turn.codec.last_id;

    acp_turn_deinit(&acp->turn);
    free_script(acp);
    acp->is_idle = false;
    prepare(acp, spec, handler);
    run_set_log(acp->run, spec->run.log_path, spec->run.log_limit);
    acp_turn_resume(&acp->turn, last_id, clock_mono_ms());
    acp_settle(acp);
}

void acp_set_owner(struct acp *acp, void *data)
{
    acp->handler.data = data;
}

void acp_dismiss(struct acp *acp)
{
    acp->is_kept = false;
    acp_settle(acp);
}

void acp_stop(struct acp *acp)
{
    acp_turn_abort(&acp->turn, ACP_CANCELLED, NULL, clock_mono_ms());
    acp_settle(acp);
}

const struct list *acp_questions(const struct acp *acp)
{
    return &acp->turn.questions;
}

void acp_choose(struct acp_question *question, const char *option, const char *by)
{
    question->chosen = xstrdup(option);
    question->chosen_by = xstrdup(by);
}

void acp_release(struct acp *acp)
{
    bool has_answered = false;

    list_for_each_safe (link, &acp->turn.questions) {
        struct acp_question *question = list_entry(link, struct acp_question, link);

        if (question->chosen) {
            acp_turn_answer(&acp->turn, question, question->chosen, question->chosen_by,
                            clock_mono_ms());
            has_answered = true;
        }
    }
    if (!has_answered)
        return;
    run_log_flush(run_get_log(acp->run));
    acp_settle(acp);
}

void acp_forget(struct acp *acp)
{
    list_for_each (link, &acp->turn.questions) {
        struct acp_question *question = list_entry(link, struct acp_question, link);

        free(STEAL(question->chosen));
        free(STEAL(question->chosen_by));
    }
    acp_settle(acp);
}
