/* SPDX-License-Identifier: MIT */
#include "run/acp.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "run/acp_transcript.h"
#include "run/run_log.h"

#define LINE_MAX_BYTES (32 * 1024 * 1024) /* of a message */
#define UNREAD_MAX     (64 * 1024 * 1024) /* bytes sent that an agent may leave unread */

struct acp {
    struct acp_script script;
    struct acp_turn turn;
    struct acp_handler handler;
    struct run *run;
    struct event timer;
    struct buf line; /* the start of an incomplete message */
    size_t line_scanned;
    bool is_idle;
    bool is_leaving; /* its stdin was closed */
    char *cwd, *mcp_servers, *settings, *auth_method, *prompt;
};

static void acp_free_script(struct acp *acp)
{
    free(STEAL(acp->cwd));
    free(STEAL(acp->mcp_servers));
    free(STEAL(acp->settings));
    free(STEAL(acp->auth_method));
    free(STEAL(acp->prompt));
}

void acp_free(struct acp *acp)
{
    if (!acp)
        return;
    event_del(&acp->timer);
    acp_turn_deinit(&acp->turn);
    buf_deinit(&acp->line);
    acp_free_script(acp);
    free(acp);
}

/* After every step: sends the output and sets the next alarm. */
static void acp_settle(struct acp *acp)
{
    int64_t now = clock_mono_ms(), at;

    if (run_unread(acp->run) + acp->turn.out.len > UNREAD_MAX)
        acp_turn_break(&acp->turn, ACP_FAILED, xstrdup("the agent does not read its input"));
    run_write(acp->run, acp->turn.out.data, acp->turn.out.len);
    buf_clear(&acp->turn.out);
    if (acp->turn.state >= ACP_LINGERING && !acp_turn_is_kept(&acp->turn)) {
        acp->is_leaving = true;
        run_close_input(acp->run);
    }
    if (acp->is_leaving && (acp->turn.state == ACP_OVER || acp->turn.must_stop))
        run_stop(acp->run);
    at = acp_turn_deadline(&acp->turn);
    if (at == INT64_MAX) {
        event_del(&acp->timer);
        return;
    }
    at = at > now ? at - now : 0;
    event_add(&acp->timer,
              &(struct timeval){.tv_sec = at / 1000, .tv_usec = (at % 1000 + 1) * 1000});
}

static void acp_report(struct acp *acp, const struct run_end *run_end);

/* Reports the end of a turn at once if its agent stays. */
static void acp_report_if_idle(struct acp *acp)
{
    if (acp->is_idle || acp->turn.state != ACP_OVER || acp->is_leaving)
        return;
    acp->is_idle = true;
    acp_report(acp, NULL);
}

static void acp_on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *data)
{
    struct acp *acp = data;

    acp_turn_tick(&acp->turn, clock_mono_ms());
    run_log_flush(run_get_log(acp->run));
    acp_settle(acp);
    acp_report_if_idle(acp);
}

static void acp_on_output(struct run *run UNUSED, const char *bytes, size_t len, void *data)
{
    struct acp *acp = data;
    int64_t now = clock_mono_ms();
    const char *newline;
    size_t at = 0;

    if (acp->is_leaving && acp->turn.state == ACP_OVER)
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
    if (acp->line.len > LINE_MAX_BYTES) {
        acp_turn_break(&acp->turn, ACP_FAILED,
                       xasprintf("the agent sent a message of more than %d MiB",
                                 LINE_MAX_BYTES / 1024 / 1024));
        buf_deinit(&acp->line);
        acp->line_scanned = 0;
    }
    acp_settle(acp);
    acp_report_if_idle(acp);
}

/* Output to stderr is a sign of life. */
static void acp_on_stderr(struct run *run UNUSED, void *data)
{
    struct acp *acp = data;

    acp_turn_note_life(&acp->turn, clock_mono_ms());
}

static void acp_report(struct acp *acp, const struct run_end *run_end)
{
    struct acp_turn *turn = &acp->turn;
    CLEANUP(freep) char *result = NULL;
    struct acp_end end = {
        .verdict = turn->verdict,
        .was_prompted = turn->state == ACP_PROMPTING,
        .message = turn->message,
        .failure = turn->failure,
        .failed_request = turn->failed_request,
        .agent = turn->agent,
        .half_line = acp->line.data,
        .half_line_len = acp->line.len,
        .run = run_end,
    };

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

/* A last line without a newline counts as a message. */
static void acp_take_last_line(struct acp *acp)
{
    int64_t noise = acp->turn.noise;

    if (!acp->line.len || acp->line.data[acp->line.len - 1] != '}')
        return;
    acp_turn_take(&acp->turn, acp->line.data, acp->line.len, clock_mono_ms());
    if (acp->turn.noise == noise)
        buf_clear(&acp->line);
}

static void acp_on_run_end(struct run *run UNUSED, const struct run_end *run_end, void *data)
{
    struct acp *acp = data;

    if (acp->is_idle) {
        acp->handler.on_gone(acp, acp->handler.data);
    } else {
        acp_take_last_line(acp);
        acp_turn_finish(&acp->turn);
        acp_transcript_flush(&acp->turn);
        acp_report(acp, run_end);
    }
    acp_free(acp);
}

static void acp_host_note(void *data, const char *stream, const char *text, size_t len,
                          const char *member, const char *json)
{
    struct acp *acp = data;

    run_log_note(run_get_log(acp->run), stream, text, len, member, json);
    if (acp->handler.on_log)
        acp->handler.on_log(acp, acp->handler.data);
}

static enum acp_policy acp_host_on_question(const struct acp_question *question, void *data)
{
    struct acp *acp = data;

    return acp->handler.on_question(acp, question, acp->handler.data);
}

static void acp_host_on_answered(const struct acp_question *question, void *data)
{
    struct acp *acp = data;

    acp->handler.on_answered(acp, question, acp->handler.data);
}

static enum acp_trouble acp_host_read_error(enum acp_request request, struct json_object *error,
                                            void *data)
{
    struct acp *acp = data;

    return acp->handler.read_error(request, error, acp->handler.data);
}

static char *acp_copy(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

/* Copies the script. */
static void acp_prepare(struct acp *acp, const struct acp_spec *spec,
                        const struct acp_handler *handler)
{
    acp->handler = *handler;
    acp->script = spec->script;
    acp->script.cwd = acp->cwd = xstrdup(spec->script.cwd);
    acp->script.mcp_servers = acp->mcp_servers = xstrdup(spec->script.mcp_servers);
    acp->script.settings = acp->settings = xstrdup(spec->script.settings);
    acp->script.auth_method = acp->auth_method = acp_copy(spec->script.auth_method);
    acp->script.prompt = acp->prompt = xstrdup(spec->script.prompt);
}

static struct acp_host acp_host_of(struct acp *acp)
{
    return (struct acp_host){
        .note = acp_host_note,
        .on_question = acp_host_on_question,
        .on_answered = acp_host_on_answered,
        .read_error = acp_host_read_error,
        .data = acp,
    };
}

struct acp *acp_start(struct supervisor *supervisor, const struct acp_spec *spec,
                      const struct acp_handler *handler)
{
    struct acp *acp = xcalloc(1, sizeof(*acp));
    struct acp_host host = acp_host_of(acp);
    struct run_spec run = spec->run;

    acp_prepare(acp, spec, handler);
    acp_turn_init(&acp->turn, &acp->script, &host);
    run.is_dialog = true;
    run.tail_limit = 0;
    acp->run = run_start(supervisor, &run,
                         &(struct run_handler){
                             .on_output = acp_on_output,
                             .on_log = acp_on_stderr,
                             .on_end = acp_on_run_end,
                             .data = acp,
                         });
    event_assign(&acp->timer, run_get_base(acp->run), -1, 0, acp_on_timer, acp);
    acp_turn_start(&acp->turn, clock_mono_ms());
    acp_settle(acp);
    return acp;
}

void acp_again(struct acp *acp, const struct acp_spec *spec, const struct acp_handler *handler)
{
    struct acp_host host = acp_host_of(acp);

    acp_free_script(acp);
    acp->is_idle = false;
    buf_clear(&acp->line);
    acp->line_scanned = 0;
    acp_prepare(acp, spec, handler);
    run_set_log(acp->run, spec->run.log_path, spec->run.log_limit);
    acp_turn_again(&acp->turn, &acp->script, &host, clock_mono_ms());
    acp_settle(acp);
}

void acp_set_owner(struct acp *acp, void *data)
{
    acp->handler.data = data;
}

void acp_dismiss(struct acp *acp)
{
    acp->turn.must_stop = true;
    acp_settle(acp);
}

void acp_stop(struct acp *acp)
{
    acp_turn_abort(&acp->turn, ACP_CANCELLED, NULL, clock_mono_ms());
    acp_settle(acp);
}

const struct run *acp_get_run(const struct acp *acp)
{
    return acp->run;
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

void acp_send_staged(struct acp *acp)
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
