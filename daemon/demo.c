/* SPDX-License-Identifier: MIT */
/*
 * The demo agent: what the built-in profiles run, so that the whole path can be seen without an
 * account. It speaks the Agent Client Protocol, thinks for a second or two, and answers with what
 * it was asked. The prompt can tell it to behave otherwise:
 *
 *   demo:ask     asks for permission to edit a file, and says what it was answered
 *   demo:think   works for ten more steps
 *   demo:fail    answers the prompt with an error
 *   demo:limit   answers it with the error of a provider's rate limit
 *   demo:refuse  ends the turn with a refusal
 *   demo:stall   says nothing more
 *   demo:die     exits in mid-turn
 *   demo:flood   sends ten thousand pieces of a message
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/json_out.h"

#define STEP_MS 400
#define STEPS   3

/* One turn at a time. */
static struct {
    char *id; /* of the open prompt, as JSON; NULL: none */
    char *prompt;
    int step, steps;
    bool is_asking, was_cancelled;
} turn;

static struct buf in, out;

static void demo_send(void)
{
    size_t done = 0;

    while (done < out.len) {
        ssize_t n = write(STDOUT_FILENO, out.data + done, out.len - done);

        if (n < 0 && errno != EINTR)
            exit(EXIT_FAILURE);
        done += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&out);
}

static void demo_start_message(void)
{
    json_out_object(&out, NULL);
    json_out_text(&out, "jsonrpc", "2.0");
}

static void demo_end_message(void)
{
    json_out_end_object(&out);
    buf_add_char(&out, '\n');
}

/* `result` is JSON. */
static void demo_answer(const char *id, const char *result)
{
    demo_start_message();
    json_out_raw(&out, "id", id);
    json_out_raw(&out, "result", result);
    demo_end_message();
}

static void demo_refuse(const char *id, int code, const char *message)
{
    demo_start_message();
    json_out_raw(&out, "id", id);
    json_out_object(&out, "error");
    json_out_int(&out, "code", code);
    json_out_text(&out, "message", message);
    json_out_end_object(&out);
    demo_end_message();
}

/* The members of a session/update come next. */
static void demo_start_update(const char *kind)
{
    demo_start_message();
    json_out_text(&out, "method", "session/update");
    json_out_object(&out, "params");
    json_out_text(&out, "sessionId", "demo");
    json_out_object(&out, "update");
    json_out_text(&out, "sessionUpdate", kind);
}

static void demo_end_update(void)
{
    json_out_end_object(&out);
    json_out_end_object(&out);
    demo_end_message();
}

/* `members` are JSON, without the braces. */
static void demo_update(const char *kind, const char *members)
{
    demo_start_update(kind);
    json_out_raw(&out, NULL, members);
    demo_end_update();
}

static void demo_say(const char *kind, const char *text)
{
    demo_start_update(kind);
    json_out_object(&out, "content");
    json_out_text(&out, "type", "text");
    json_out_text(&out, "text", text);
    json_out_end_object(&out);
    demo_end_update();
}

static void demo_end_turn(const char *reason)
{
    int64_t input = (int64_t)strlen(turn.prompt) / 4 + 1, output = 60;

    demo_start_message();
    json_out_raw(&out, "id", turn.id);
    json_out_object(&out, "result");
    json_out_text(&out, "stopReason", reason);
    json_out_object(&out, "usage");
    json_out_int(&out, "inputTokens", input);
    json_out_int(&out, "outputTokens", output);
    json_out_int(&out, "totalTokens", input + output);
    json_out_end_object(&out);
    json_out_end_object(&out);
    demo_end_message();
    free(STEAL(turn.id));
    free(STEAL(turn.prompt));
}

static bool demo_is_told(const char *word)
{
    return strstr(turn.prompt, word) != NULL;
}

static void demo_finish(void)
{
    demo_update("tool_call_update", "\"toolCallId\":\"look\",\"status\":\"completed\"");
    demo_update(
        "plan",
        "\"entries\":[{\"content\":\"Read the task\",\"priority\":"
        "\"medium\",\"status\":\"completed\"},{\"content\":\"Answer it\",\"priority\":\"medium\","
        "\"status\":\"completed\"}]");
    demo_update("usage_update", "\"used\":1200,\"size\":200000,\"cost\":"
                                "{\"amount\":0.0012,\"currency\":\"USD\"}");
    demo_say("agent_message_chunk", "This is the demo agent that ships with acpd. ");
    demo_say("agent_message_chunk", "The prompt was:\n\n");
    demo_say("agent_message_chunk", turn.prompt);
    demo_end_turn("end_turn");
}

static void demo_flood(void)
{
    for (int i = 0; i < 10000; i++) {
        demo_say("agent_message_chunk", "flood ");
        demo_send();
    }
}

static void demo_ask(void)
{
    turn.is_asking = true;
    demo_update("tool_call", "\"toolCallId\":\"edit\",\"title\":\"Edit demo.txt\","
                             "\"kind\":\"edit\",\"status\":\"pending\"");
    demo_start_message();
    json_out_int(&out, "id", 0);
    json_out_text(&out, "method", "session/request_permission");
    json_out_raw(
        &out, "params",
        "{\"sessionId\":\"demo\",\"toolCall\":{\"toolCallId\":\"edit\",\"rawInput\":{\"path\":"
        "\"demo.txt\"}},\"options\":[{\"optionId\":\"yes\",\"name\":\"Edit the file\","
        "\"kind\":\"allow_once\"},{\"optionId\":\"no\",\"name\":\"Leave it alone\","
        "\"kind\":\"reject_once\"}]}");
    demo_end_message();
}

static void demo_step(void)
{
    CLEANUP(freep) char *thought = NULL;

    turn.step++;
    if (turn.was_cancelled) {
        demo_end_turn("cancelled");
    } else if (turn.step == 1) {
        demo_update(
            "plan",
            "\"entries\":[{\"content\":\"Read the task\",\"priority\":"
            "\"medium\",\"status\":\"in_progress\"},{\"content\":\"Answer it\",\"priority\":"
            "\"medium\",\"status\":\"pending\"}]");
        demo_update("tool_call", "\"toolCallId\":\"look\",\"title\":\"Read the task\","
                                 "\"kind\":\"read\",\"status\":\"in_progress\"");
    } else if (turn.step == 2 && demo_is_told("demo:die")) {
        exit(EXIT_SUCCESS);
    } else if (turn.step == 2 && demo_is_told("demo:fail")) {
        demo_refuse(turn.id, -32603, "the demo agent failed as requested");
        free(STEAL(turn.id));
        free(STEAL(turn.prompt));
    } else if (turn.step == 2 && demo_is_told("demo:limit")) {
        demo_refuse(turn.id, -32603, "rate limit exceeded, as requested from the demo agent");
        free(STEAL(turn.id));
        free(STEAL(turn.prompt));
    } else if (turn.step == 2 && demo_is_told("demo:refuse")) {
        demo_end_turn("refusal");
    } else if (turn.step == 2 && demo_is_told("demo:flood")) {
        demo_flood();
    } else if (turn.step == 2 && demo_is_told("demo:ask")) {
        demo_ask();
    } else if (turn.step < turn.steps) {
        thought = xasprintf("Thinking, step %d of %d. ", turn.step, turn.steps - 1);
        demo_say("agent_thought_chunk", thought);
    } else {
        demo_finish();
    }
    demo_send();
}

static void demo_take_prompt(const char *id, struct json_object *params)
{
    struct json_object *blocks = json_get(params, "prompt");
    struct buf text = {0};

    if (turn.id) {
        demo_refuse(id, -32600, "the demo agent takes one prompt at a time");
        return;
    }
    for (size_t i = 0; i < json_object_array_length(blocks); i++) {
        const char *block = json_get_string(json_object_array_get_idx(blocks, i), "text");

        if (i)
            buf_add_char(&text, '\n');
        buf_add_text(&text, block ? block : "");
    }
    turn.id = xstrdup(id);
    turn.prompt = buf_take(&text);
    turn.step = 0;
    turn.is_asking = turn.was_cancelled = false;
    turn.steps = STEPS + (demo_is_told("demo:think") ? 10 : 0);
    if (demo_is_told("demo:stall"))
        turn.steps = INT32_MAX;
}

static void demo_take_permission(struct json_object *result)
{
    const char *option = json_get_string(json_get(result, "outcome"), "optionId");

    if (!turn.id || !turn.is_asking)
        return;
    turn.is_asking = false;
    demo_say("agent_message_chunk", !option                      ? "The question was cancelled. "
                                    : strcmp(option, "yes") == 0 ? "I may edit the file. "
                                                                 : "I may not edit the file. ");
}

static void demo_take(const char *line, size_t len)
{
    CLEANUP(json_putp) struct json_object *message = NULL;
    CLEANUP(freep) char *id = NULL;
    const char *method, *reason;
    struct json_object *params;
    size_t offset;

    if (json_parse(line, len, &message, &reason, &offset) < 0 ||
        !json_object_is_type(message, json_type_object)) {
        fprintf(stderr, "acpd-demo: not a message: %.*s\n", (int)(len < 100 ? len : 100), line);
        return;
    }
    method = json_get_string(message, "method");
    params = json_get(message, "params");
    if (json_get(message, "id"))
        id = xstrdup(json_compact(json_get(message, "id")));
    if (!method) {
        demo_take_permission(json_get(message, "result"));
    } else if (strcmp(method, "session/cancel") == 0) {
        turn.was_cancelled = true;
    } else if (!id) {
        return;
    } else if (strcmp(method, "initialize") == 0) {
        demo_answer(id,
                    "{\"protocolVersion\":1,\"agentCapabilities\":{\"loadSession\":false},"
                    "\"authMethods\":[],\"agentInfo\":{\"name\":\"acpd-demo\",\"title\":\"Demo\","
                    "\"version\":\"" ACPD_VERSION "\"}}");
    } else if (strcmp(method, "session/new") == 0) {
        demo_answer(id, "{\"sessionId\":\"demo\"}");
    } else if (strcmp(method, "session/prompt") == 0 &&
               json_object_is_type(json_get(params, "prompt"), json_type_array)) {
        demo_take_prompt(id, params);
    } else {
        demo_refuse(id, -32601, "method not found");
    }
    demo_send();
}

/* Whether there is work to do when the next step is due. */
static bool demo_is_working(void)
{
    bool stalls = turn.id && turn.step >= 2 && demo_is_told("demo:stall");

    return turn.id && (turn.was_cancelled || (!turn.is_asking && !stalls));
}

int main(void)
{
    int64_t next = clock_mono_ms() + STEP_MS;

    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        int64_t wait = next - clock_mono_ms();
        const char *newline;
        ssize_t n;

        poll(&input, 1, demo_is_working() ? (int)(wait < 0 ? 0 : wait) : -1);
        if (input.revents) {
            bool was_idle = !demo_is_working();

            n = read(STDIN_FILENO, buf_reserve(&in, 65536), 65536);
            if (n <= 0)
                return EXIT_SUCCESS;
            in.len += (size_t)n;
            while ((newline = memchr(in.data, '\n', in.len))) {
                demo_take(in.data, (size_t)(newline - in.data));
                buf_consume(&in, (size_t)(newline - in.data) + 1);
            }
            if (was_idle)
                next = clock_mono_ms() + STEP_MS;
        }
        if (demo_is_working() && clock_mono_ms() >= next) {
            demo_step();
            next = clock_mono_ms() + STEP_MS;
        }
    }
}
