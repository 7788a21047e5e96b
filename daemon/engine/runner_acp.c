/* SPDX-License-Identifier: MIT */
/* Attempts by agents: the prompt, the meaning of a turn's end for the task, and idle agents. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "engine/agent_failure.h"
#include "engine/judge.h"
#include "engine/runner.h"
#include "engine/runner_acp.h"
#include "run/acp.h"
#include "run/stderr_lines.h"

#define HALF_LINE_MAX 500 /* bytes of it in a message */

static struct json_object *runner_acp_string_of(struct json_object *task, const char *key)
{
    struct json_object *value = json_get(task, key);

    return value && json_object_get_string_len(value) ? value : NULL;
}

static void runner_acp_add_string(struct buf *buf, struct json_object *string)
{
    buf_add(buf, json_object_get_string(string), (size_t)json_object_get_string_len(string));
}

static void runner_acp_add_block(struct buf *prompt, const char *text, size_t len)
{
    json_out_object(prompt, NULL);
    json_out_text(prompt, "type", "text");
    json_out_string(prompt, "text", text, len);
    json_out_end_object(prompt);
}

/* The blocks of the prompt: the profile's instructions and the task. */
static char *runner_acp_make_prompt(const struct attempt *attempt, struct json_object *task)
{
    const char *system_prompt = attempt->profile->config.system_prompt;
    CLEANUP(buf_deinit) struct buf text = {0};
    struct buf prompt = {0};

    json_out_array(&prompt, NULL);
    if (system_prompt)
        runner_acp_add_block(&prompt, system_prompt, strlen(system_prompt));
    buf_add_text(&text, "# ");
    runner_acp_add_string(&text, json_get(task, "title"));
    buf_add_char(&text, '\n');
    if (runner_acp_string_of(task, "description")) {
        buf_add_char(&text, '\n');
        runner_acp_add_string(&text, runner_acp_string_of(task, "description"));
        buf_add_char(&text, '\n');
    }
    if (json_get(task, "input")) {
        buf_add_text(&text, "\nInput:\n\n```json\n");
        buf_add_text(&text, json_object_to_json_string_ext(json_get(task, "input"),
                                                           JSON_C_TO_STRING_PRETTY |
                                                               JSON_C_TO_STRING_NOSLASHESCAPE));
        buf_add_text(&text, "\n```\n");
    }
    runner_acp_add_block(&prompt, text.data, text.len);
    json_out_end_array(&prompt);
    return buf_take(&prompt);
}

static void runner_acp_set(struct json_object *settings, const char *name,
                           struct json_object *value)
{
    if (value)
        json_object_object_add(settings, name, json_object_get(value));
}

static void runner_acp_set_text(struct json_object *settings, const char *name, const char *value)
{
    if (value)
        json_object_object_add(settings, name, json_object_new_string(value));
}

static void runner_acp_set_all(struct json_object *settings, struct json_object *options)
{
    if (!json_object_is_type(options, json_type_object))
        return;
    json_object_object_foreach(options, name, value) runner_acp_set(settings, name, value);
}

/* The settings of the session: the profile's, overridden by the task's. The model comes first,
 * because other choices may depend on it. */
static struct json_object *runner_acp_make_settings(const struct runner_config *runner,
                                                    struct json_object *task)
{
    struct json_object *settings = json_object_new_object();
    CLEANUP(json_putp)
    struct json_object *options = runner->options ? json_tokener_parse(runner->options) : NULL;

    runner_acp_set_text(settings, "model", runner->model);
    runner_acp_set(settings, "model", runner_acp_string_of(task, "model"));
    runner_acp_set_text(settings, "mode", runner->mode);
    runner_acp_set(settings, "mode", runner_acp_string_of(task, "mode"));
    runner_acp_set_all(settings, options);
    runner_acp_set_all(settings, json_get(task, "options"));
    return settings;
}

static enum error_class runner_acp_class_of_verdict(enum acp_verdict verdict)
{
    switch (verdict) {
    case ACP_COMPLETED:
        return ERROR_NONE;
    case ACP_CANCELLED:
        return ERROR_INTERRUPTED;
    case ACP_REFUSED:
        return ERROR_REFUSAL;
    case ACP_LIMITED:
        return ERROR_LIMIT;
    case ACP_UNAUTHORIZED:
        return ERROR_AUTH;
    case ACP_MISCONFIGURED:
    case ACP_INCOMPATIBLE:
        return ERROR_INVALID;
    case ACP_TIMED_OUT:
        return ERROR_TIMEOUT;
    case ACP_STALLED:
        return ERROR_STALL;
    case ACP_OPEN:
    case ACP_FAILED:
        break;
    }
    return ERROR_EXIT;
}

/* The agent ended before its turn did. At its start its exit status means what a command's does; in
 * mid-turn it proves nothing. One that was kept for another turn and is found dead has done nothing
 * for this task yet, which gets another agent. */
static void runner_acp_judge_death(struct attempt *attempt, const struct acp_end *end)
{
    if (attempt->has_idle_agent && !end->was_prompted) {
        attempt->class = ERROR_INTERRUPTED;
        attempt->message = xstrdup("the idle agent exited before it accepted the task");
        return;
    }
    if (end->run->outcome != RUN_EXITED || !(end->was_prompted || end->run->code == 0)) {
        judge_end(attempt, end->run);
        return;
    }
    attempt->class = ERROR_EXIT;
    attempt->message = xasprintf("the agent exited with status %d %s", end->run->code,
                                 end->was_prompted ? "during its turn" : "before its turn started");
    judge_add_words(attempt, end->run->stderr_lines);
}

/* A message that the agent had begun may tell why it ended. */
static void runner_acp_add_half_line(struct attempt *attempt, const struct acp_end *end)
{
    CLEANUP(freep)
    char *line =
        end->half_line_len
            ? stderr_lines(end->half_line,
                           end->half_line_len < HALF_LINE_MAX ? end->half_line_len : HALF_LINE_MAX)
            : NULL;
    char *message = attempt->message;

    if (!line)
        return;
    attempt->message = xasprintf("%s; its last, unfinished line: %s", message, line);
    free(message);
}

static void runner_acp_print_login(const struct attempt *attempt, const struct acp_end *end,
                                   struct buf *out)
{
    agent_failure_print_login(end->agent, end->failure, attempt->profile->config.runner.auth_method,
                              end->run ? end->run->stderr_lines : NULL, out);
}

/* The agent reported an error, as an answer or otherwise. */
static void runner_acp_judge_failure(struct attempt *attempt, const struct acp_end *end)
{
    CLEANUP(buf_deinit) struct buf message = {0};
    struct agent_failure failure;

    agent_failure_read(end->failed_request, end->failure, &failure);
    attempt->class = failure.class;
    attempt->retry_after_ms = failure.retry_after_ms;
    if (failure.class == ERROR_AUTH) {
        buf_printf(&message, "the agent requires a login (%s): ", failure.words);
        runner_acp_print_login(attempt, end, &message);
    } else if (end->failed_request == ACP_REQUEST_COUNT) {
        buf_printf(&message, "the agent ended its turn, but its model failed: %s", failure.words);
    } else {
        buf_printf(&message, "the agent answered %s with an error: %s",
                   acp_request_name(end->failed_request), failure.words);
    }
    attempt->message = buf_take(&message);
    free(failure.words);
}

static void runner_acp_judge_verdict(struct attempt *attempt, const struct acp_end *end)
{
    CLEANUP(buf_deinit) struct buf message = {0};

    attempt->class = runner_acp_class_of_verdict(end->verdict);
    attempt->result = end->result ? xstrdup(end->result) : NULL;
    if (end->verdict == ACP_UNAUTHORIZED) {
        buf_printf(&message, "%s: ", end->message);
        runner_acp_print_login(attempt, end, &message);
        attempt->message = buf_take(&message);
    } else {
        attempt->message = end->message ? xstrdup(end->message) : NULL;
    }
}

struct idle_agent {
    struct list link; /* engine.idle_agents */
    struct acp *acp;
    int64_t profile_id;
    bool is_leaving;
};

static void runner_acp_on_gone(struct acp *acp UNUSED, void *data)
{
    struct idle_agent *idle = data;

    list_remove(&idle->link);
    free(idle);
}

/* The agent has ended its turn and waits for another. */
static void runner_acp_keep(struct attempt *attempt, struct acp *acp)
{
    struct idle_agent *idle = xcalloc(1, sizeof(*idle));

    idle->acp = acp;
    idle->profile_id = attempt->profile->id;
    list_append(&attempt->engine->idle_agents, &idle->link);
    acp_set_owner(acp, idle);
    if (attempt->engine->is_stopping || attempt->is_outdated) {
        idle->is_leaving = true;
        acp_dismiss(acp);
    }
}

static struct acp *runner_acp_take_idle(struct engine *engine, const struct profile *profile)
{
    list_for_each (link, &engine->idle_agents) {
        struct idle_agent *idle = list_entry(link, struct idle_agent, link);
        struct acp *acp = idle->acp;

        if (idle->is_leaving || idle->profile_id != profile->id)
            continue;
        list_remove(&idle->link);
        free(idle);
        return acp;
    }
    return NULL;
}

void runner_acp_dismiss_idle(struct engine *engine)
{
    list_for_each (link, &engine->idle_agents) {
        struct idle_agent *idle = list_entry(link, struct idle_agent, link);

        idle->is_leaving = true;
        acp_dismiss(idle->acp);
    }
    list_for_each (link, &engine->attempts)
        list_entry(link, struct attempt, link)->is_outdated = true;
}

void runner_acp_free_idle(struct engine *engine)
{
    list_for_each_safe (link, &engine->idle_agents) {
        struct idle_agent *idle = list_entry(link, struct idle_agent, link);

        acp_free(idle->acp);
        runner_acp_on_gone(NULL, idle);
    }
}

static void runner_acp_on_agent_end(struct acp *acp, const struct acp_end *end, void *data)
{
    struct attempt *attempt = data;

    attempt->acp = NULL;
    if (!end->run)
        runner_acp_keep(attempt, acp);
    attempt->usage = end->usage ? xstrdup(end->usage) : NULL;
    if (end->currency) {
        attempt->cost.amount = end->cost;
        snprintf(attempt->cost.currency, sizeof(attempt->cost.currency), "%s", end->currency);
    }
    if (attempt_was_stopped(attempt) && end->verdict != ACP_COMPLETED) {
        attempt->class = attempt->stop;
        attempt->message = xstrdup("acpd was stopped");
    } else if (end->verdict == ACP_OPEN && end->run) {
        runner_acp_judge_death(attempt, end);
        runner_acp_add_half_line(attempt, end);
    } else if (end->failure) {
        runner_acp_judge_failure(attempt, end);
    } else {
        runner_acp_judge_verdict(attempt, end);
    }
    if (end->run)
        judge_keep_tail(attempt, end->run->stderr_lines);
    attempt_end(attempt);
}

static enum acp_trouble runner_acp_read_error(enum acp_request request, struct json_object *error,
                                              void *data UNUSED)
{
    struct agent_failure failure;

    agent_failure_read(request, error, &failure);
    free(failure.words);
    if (failure.class == ERROR_AUTH)
        return ACP_NO_LOGIN;
    return error_class_info(failure.class)->cools_down ? ACP_NO_PROVIDER : ACP_OWN_TROUBLE;
}

static void runner_acp_tell(const struct attempt *attempt, const struct acp_question *question,
                            bool is_open)
{
    event_stage(&attempt->engine->events, &(struct event){
                                              .type = EVENT_PERMISSION,
                                              .is_fact = true,
                                              .is_open = is_open,
                                              .profile_id = attempt->profile->id,
                                              .task_id = attempt->task_id,
                                              .attempt = attempt->number,
                                              .question = question->number,
                                          });
}

static enum acp_policy runner_acp_on_question(struct acp *acp UNUSED,
                                              const struct acp_question *question, void *data)
{
    const struct attempt *attempt = data;
    enum tool_kind kind = TOOL_OTHER;

    tool_kind_parse(acp_question_kind(question), &kind);
    switch (attempt->profile->config.runner.permissions.by_kind[kind]) {
    case PERMISSION_ALLOW:
        if (acp_question_allowing(question))
            return ACP_ALLOW;
        break;
    case PERMISSION_REJECT:
        return ACP_REJECT;
    case PERMISSION_ASK:
        break;
    }
    runner_acp_tell(attempt, question, true);
    return ACP_ASK;
}

static void runner_acp_on_answered(struct acp *acp UNUSED, const struct acp_question *question,
                                   void *data)
{
    runner_acp_tell(data, question, false);
}

static void runner_acp_on_log(struct acp *acp UNUSED, void *data)
{
    attempt_note_growth(data);
}

static void runner_acp_launch(struct attempt *attempt, const struct run_spec *run)
{
    const struct runner_config *runner = &attempt->profile->config.runner;
    CLEANUP(json_putp) struct json_object *task = NULL, *settings = NULL;
    CLEANUP(freep) char *prompt = NULL, *here = getcwd(NULL, 0);
    const char *reason;
    size_t offset;

    json_parse(attempt->input.data, attempt->input.len, &task, &reason, &offset);
    prompt = runner_acp_make_prompt(attempt, task);
    settings = runner_acp_make_settings(runner, task);

    struct acp_spec spec = {
        .run = *run,
        .script =
            {
                .cwd = runner->cwd ? runner->cwd
                       : here      ? here
                                   : "/",
                .mcp_servers = runner->mcp_servers ? runner->mcp_servers : "[]",
                .settings = json_compact(settings),
                .auth_method = runner->auth_method,
                .prompt = prompt,
                .start_ms = runner->start_timeout_ms,
                .turn_ms = attempt->timeout_ms,
                .stall_ms = runner->stall_timeout_ms,
                .permission_ms = runner->permission_timeout_ms,
                .grace_ms = run->grace_ms,
                .reuse = runner->reuse,
            },
    };
    struct acp_handler handler = {
        .on_question = runner_acp_on_question,
        .on_answered = runner_acp_on_answered,
        .read_error = runner_acp_read_error,
        .on_log = runner_acp_on_log,
        .on_end = runner_acp_on_agent_end,
        .on_gone = runner_acp_on_gone,
        .data = attempt,
    };

    attempt->acp = runner->reuse ? runner_acp_take_idle(attempt->engine, attempt->profile) : NULL;
    attempt->has_idle_agent = attempt->acp;
    if (attempt->acp)
        acp_again(attempt->acp, &spec, &handler);
    else
        attempt->acp = acp_start(attempt->engine->supervisor, &spec, &handler);
}

static void runner_acp_stop(struct attempt *attempt)
{
    if (attempt->acp)
        acp_stop(attempt->acp);
}

static void runner_acp_commit(struct attempt *attempt)
{
    if (attempt->acp)
        acp_send_staged(attempt->acp);
}

static void runner_acp_rollback(struct attempt *attempt)
{
    if (attempt->acp)
        acp_forget(attempt->acp);
}

static uint64_t runner_acp_run_id(const struct attempt *attempt)
{
    const struct run *run = attempt->acp ? acp_get_run(attempt->acp) : NULL;

    return run ? run_id(run) : 0;
}

const struct runner runner_acp = {
    .launch = runner_acp_launch,
    .stop = runner_acp_stop,
    .commit = runner_acp_commit,
    .rollback = runner_acp_rollback,
    .run_id = runner_acp_run_id,
};
