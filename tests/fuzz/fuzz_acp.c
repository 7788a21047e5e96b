/* SPDX-License-Identifier: MIT */
/*
 * A turn with an agent: its lines, when they come, and what the user does.
 *
 * An input is what the agent writes, line by line. Lines that begin with a control character are
 * moves instead:
 *
 *   0x01 N      10^N ms pass; N is a digit
 *   0x02        the open questions are answered with their first option
 *   0x03        the turn is cancelled
 *
 * The bits of the first byte stand for: a model, a mode, an authMethod, a further turn of an agent,
 * `reuse`, and an MCP server over HTTP.
 */
#include <string.h>

#include "common/alloc.h"
#include "fuzz.h"
#include "run/acp_turn.h"

enum { WAIT = 0x01, ANSWER = 0x02, CANCEL = 0x03 };
enum { HAS_MODEL = 1, HAS_MODE = 2, HAS_AUTH = 4, RESUMES = 8, IS_KEPT = 16, HAS_SERVER = 32 };

struct host {
    size_t asked;    /* requests from the agent */
    size_t answered; /* of those, the ones that had been left open */
};

/* What acpd has sent to the agent so far. */
struct spoken {
    size_t requests, answers;
};

static void on_note(void *data UNUSED, const char *stream, const char *text, size_t len,
                    const char *member, const char *json)
{
    PROMISE(stream[0] && text);
    PROMISE(!member == !json);
    PROMISE(len || text[0] == '\0');
    if (json)
        json_object_put(fuzz_must_parse(json, strlen(json)));
}

static enum acp_policy on_question(const struct acp_question *question, void *data UNUSED)
{
    const char *kind = acp_question_kind(question);

    if (strcmp(kind, "read") == 0)
        return ACP_ALLOW;
    if (strcmp(kind, "edit") == 0)
        return ACP_REJECT;
    return ACP_ASK;
}

static void on_answered(const struct acp_question *question, void *data)
{
    PROMISE(question->id);
    ((struct host *)data)->answered++;
}

static enum acp_trouble read_error(enum acp_request request, struct json_object *error,
                                   void *data UNUSED)
{
    PROMISE(request == ACP_NEW_SESSION || request == ACP_PROMPT);
    return json_object_get_int64(json_get(error, "code")) == -32000 ? ACP_NO_LOGIN
                                                                    : ACP_OWN_TROUBLE;
}

/* Each message is one line of JSON-RPC; one request at a time. */
static void check_message(struct spoken *spoken, struct json_object *message)
{
    const char *method = json_get_string(message, "method");
    bool has_id = json_object_object_get_ex(message, "id", NULL);

    PROMISE(strcmp(json_get_string(message, "jsonrpc"), "2.0") == 0);
    PROMISE(has_id || strcmp(method, "session/cancel") == 0);
    if (method && has_id)
        spoken->requests++;
    else if (has_id) {
        PROMISE(!json_get(message, "result") != !json_get(message, "error"));
        spoken->answers++;
    }
}

static void hear(struct acp_turn *turn, struct spoken *spoken)
{
    size_t before = spoken->requests;

    while (turn->out.len) {
        const char *newline = memchr(turn->out.data, '\n', turn->out.len);
        struct json_object *message;

        PROMISE(newline);
        message = fuzz_must_parse(turn->out.data, (size_t)(newline - turn->out.data));
        check_message(spoken, message);
        json_object_put(message);
        buf_consume(&turn->out, (size_t)(newline - turn->out.data) + 1);
    }
    PROMISE(spoken->requests <= before + 1, "a request before the previous one was answered");
}

static void tick(struct acp_turn *turn, int64_t now)
{
    acp_turn_tick(turn, now);
    PROMISE(acp_turn_deadline(turn) > now, "a deadline was not handled: acpd would spin");
}

static void answer_all(struct acp_turn *turn, int64_t now)
{
    list_for_each_safe (link, &turn->questions) {
        struct acp_question *question = list_entry(link, struct acp_question, link);
        struct json_object *first = json_object_array_get_idx(question->options, 0);

        acp_turn_answer(turn, question,
                        acp_question_option(question, json_get_string(first, "optionId")), "me",
                        now);
    }
}

/* Parses as the codec does. */
static bool is_request(const char *line, size_t len)
{
    CLEANUP(json_putp) struct json_object *message = NULL;
    struct json_object *version;
    const char *reason;
    size_t offset;

    json_parse(line, len, &message, &reason, &offset);
    version = json_get(message, "jsonrpc");

    return json_object_is_type(version, json_type_string) &&
           strcmp(json_object_get_string(version), "2.0") == 0 &&
           json_object_is_type(json_get(message, "method"), json_type_string) &&
           json_object_object_get_ex(message, "id", NULL);
}

static int64_t wait_of(char digit)
{
    int64_t ms = 1;

    for (int i = 0; i < (digit & 7); i++)
        ms *= 10;
    return ms;
}

static void play_line(struct acp_turn *turn, struct host *host, const char *line, size_t len,
                      int64_t *now)
{
    switch (len ? line[0] : 0) {
    case WAIT:
        *now += wait_of(len > 1 ? line[1] : '0');
        tick(turn, *now);
        break;
    case ANSWER:
        answer_all(turn, *now);
        break;
    case CANCEL:
        acp_turn_abort(turn, ACP_CANCELLED, xstrdup("cancelled"), *now);
        break;
    default:
        host->asked += is_request(line, len);
        acp_turn_take(turn, line, len, *now);
    }
}

/* Whatever the agent does or fails to do, its turn ends, by itself or with the agent. */
static void wait_for_end(struct acp_turn *turn, struct spoken *spoken, int64_t now)
{
    for (int i = 0; turn->state != ACP_OVER; i++) {
        if (turn->must_stop) {
            acp_turn_finish(turn);
            continue;
        }
        PROMISE(i < 200, "the turn does not end");
        PROMISE(acp_turn_deadline(turn) != INT64_MAX, "no deadline: it would wait forever");
        if (acp_turn_deadline(turn) > now)
            now = acp_turn_deadline(turn);
        tick(turn, now);
        hear(turn, spoken);
    }
}

static void check_end(struct acp_turn *turn, const struct host *host, const struct spoken *spoken)
{
    PROMISE(turn->verdict != ACP_OPEN);
    PROMISE(turn->message || turn->verdict == ACP_COMPLETED || turn->verdict == ACP_FAILED);
    PROMISE(list_is_empty(&turn->questions) && turn->question_count == 0);
    PROMISE(spoken->answers == host->asked, "%zu questions, %zu answers", host->asked,
            spoken->answers);
    PROMISE(host->answered <= host->asked);
    if (turn->verdict == ACP_COMPLETED) {
        CLEANUP(freep) char *result = acp_turn_result(turn);

        json_object_put(fuzz_must_parse(result, strlen(result)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const settings[] = {
        [0] = "{}",
        [HAS_MODEL] = "{\"model\":\"m\\\"x\"}",
        [HAS_MODE] = "{\"mode\":\"ask\",\"thought_level\":\"high\"}",
        [HAS_MODEL | HAS_MODE] = "{\"model\":\"m\",\"mode\":\"ask\"}",
    };
    int wishes = size ? data[0] : 0;
    const struct acp_script script = {
        .cwd = "/tmp",
        .mcp_servers = wishes & HAS_SERVER ? "[{\"type\":\"http\"}]" : "[]",
        .settings = settings[wishes & (HAS_MODEL | HAS_MODE)],
        .auth_method = wishes & HAS_AUTH ? "key" : NULL,
        .prompt = "[{\"type\":\"text\",\"text\":\"do it\"}]",
        .start_ms = 30000,
        .turn_ms = 3600000,
        .stall_ms = 300000,
        .permission_ms = 600000,
        .grace_ms = 5000,
        .reuse = wishes & IS_KEPT ? ACP_REUSE_FREELY : 0,
    };
    struct host host = {0};
    struct acp_host callbacks = {on_note, on_question, on_answered, read_error, &host};
    struct spoken spoken = {0};
    struct acp_turn turn;
    int64_t now = 1000;

    acp_turn_init(&turn, &script, &callbacks);
    if (wishes & RESUMES)
        acp_turn_again(&turn, &script, &callbacks, now);
    else
        acp_turn_start(&turn, now);
    hear(&turn, &spoken);
    PROMISE(spoken.requests == 1);
    for (size_t at = 1, next; at < size; at = next) {
        const char *line = (const char *)data + at, *newline = memchr(line, '\n', size - at);
        size_t len = newline ? (size_t)(newline - line) : size - at;

        next = at + len + 1;
        play_line(&turn, &host, line, len, &now);
        hear(&turn, &spoken);
    }
    wait_for_end(&turn, &spoken, now);
    check_end(&turn, &host, &spoken);
    acp_turn_deinit(&turn);
    return 0;
}
