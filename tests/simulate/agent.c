/* SPDX-License-Identifier: MIT */
#include "agent.h"

#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/json.h"
#include "common/strv.h"
#include "process.h"
#include "world.h"

#define IDLE_MS   20000 /* at most: until it leaves */
#define TOLD_SIZE 257   /* as long as any setting may be */

struct agent {
    struct run *run;
    bool is_good;
    struct buf heard;      /* the start of a line */
    int64_t last_request;  /* of acpd */
    int64_t last_question; /* of this turn */
    int64_t prompt;        /* the open prompt's id; 0: none */
    int sessions;
    bool hides_errors; /* behind the regular end of a turn, as Codex and Copilot do */
    bool has_options;  /* for its sessions, instead of modes */
    /* What this session was told to use; empty: nothing. */
    struct {
        char model[TOLD_SIZE], mode[TOLD_SIZE], level[TOLD_SIZE];
    } told;
};

struct agent *agent_new(struct run *run, bool is_good)
{
    struct agent *agent = xcalloc(1, sizeof(*agent));

    agent->run = run;
    agent->is_good = is_good;
    agent->hides_errors = world_one_in(2);
    agent->has_options = world_one_in(2);
    return agent;
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    buf_deinit(&agent->heard);
    free(agent);
}

/* Something goes wrong, once in `times`. */
static bool agent_errs(const struct agent *agent, uint64_t times)
{
    return !agent->is_good && world_one_in(times);
}

/* --- what it says -------------------------------------------------------------------------------
 */

PRINTF_LIKE(2, 3) static void agent_say(struct agent *agent, const char *format, ...)
{
    CLEANUP(freep) char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    world_note("from agent:", text, strlen(text));
    process_say(agent->run, text, strlen(text));
    process_say(agent->run, "\r\n", 2);
}

static void agent_answer(struct agent *agent, int64_t id, const char *result)
{
    agent_say(agent, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":%s}", (long long)id, result);
}

static void agent_fail(struct agent *agent, int64_t id)
{
    static const char *const errors[] = {
        "{\"code\":-32000,\"message\":\"Authentication required\"}",
        ("{\"code\":-32603,\"message\":\"Internal error\",\"data\":{\"details\":\"429 rate limit "
         "exceeded, retry after 3 seconds\"}}"),
        "{\"code\":401,\"message\":\"invalid api key\"}",
        "{\"code\":-32602,\"message\":\"Invalid params\"}",
        "{\"code\":-32603,\"message\":\"overloaded\",\"data\":null}",
        "\"no\"",
    };

    agent_say(agent, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"error\":%s}", (long long)id,
              errors[world_below(ARRAY_SIZE(errors))]);
}

/* What is not the protocol, or is of no use. */
static void agent_babble(struct agent *agent)
{
    static const char *const noises[] = {
        "Loading...",
        "",
        "{",
        "{\"jsonrpc\":\"2.0\"}",
        "[]",
        "{\"jsonrpc\":\"2.0\",\"method\":\"some/notice\",\"params\":[1]}",
        "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"}}",
        ("{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":\"other\","
         "\"update\":{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\","
         "\"text\":\"not yours\"}}}}"),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fs/read_text_file\",\"params\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"terminal/create\",\"params\":{}}",
        "\xff\xfe",
    };

    agent_say(agent, "%s", noises[world_below(ARRAY_SIZE(noises))]);
}

static void agent_update(struct agent *agent, const char *update)
{
    agent_say(agent,
              "{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{\"sessionId\":"
              "\"s%d\",\"update\":%s}}",
              agent->sessions, update);
}

static void agent_say_text(struct agent *agent, const char *text)
{
    CLEANUP(freep)
    char *update = xasprintf("{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":"
                             "\"text\",\"text\":\"%s\"}}",
                             text);

    agent_update(agent, update);
}

static void agent_work(struct agent *agent)
{
    static const char *const updates[] = {
        ("{\"sessionUpdate\":\"agent_thought_chunk\",\"content\":{\"type\":\"text\",\"text\":"
         "\"hm\"}"
         "}"),
        ("{\"sessionUpdate\":\"tool_call\",\"toolCallId\":\"t1\",\"title\":\"Read\",\"kind\":"
         "\"read\",\"status\":\"pending\"}"),
        "{\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"t1\",\"status\":\"completed\"}",
        "{\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"t9\",\"status\":\"failed\"}",
        "{\"sessionUpdate\":\"plan\",\"entries\":[]}",
        ("{\"sessionUpdate\":\"usage_update\",\"used\":5,\"size\":9,\"cost\":{\"amount\":0.25,"
         "\"currency\":\"USD\"}}"),
        "{\"sessionUpdate\":\"current_mode_update\",\"currentModeId\":\"default\"}",
        "{\"sessionUpdate\":\"of_the_future\"}",
        "{\"sessionUpdate\":7}",
        "null",
    };

    agent_update(agent, updates[world_below(ARRAY_SIZE(updates))]);
}

static void agent_ask(struct agent *agent)
{
    static const char *const kinds[] = {"read", "edit", "execute", "other"};
    static const char always[] = "{\"optionId\":\"always\",\"name\":\"Always\",\"kind\":"
                                 "\"allow_always\"},{\"optionId\":\"never\",\"name\":\"Never\","
                                 "\"kind\":\"reject_always\"},";
    long long id = ++agent->last_question;
    const char *kind = kinds[world_below(ARRAY_SIZE(kinds))];
    bool offers_more = world_one_in(2);

    agent_say(agent,
              "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"session/request_permission\","
              "\"params\":{\"sessionId\":\"s%d\",\"toolCall\":{\"toolCallId\":\"q%lld\",\"title\":"
              "\"Do it\",\"kind\":\"%s\"},\"options\":[%s{\"optionId\":\"yes\",\"name\":\"Yes\","
              "\"kind\":\"allow_once\"},{\"optionId\":\"no\",\"name\":\"No\",\"kind\":"
              "\"reject_once\"}]}}",
              id, agent->sessions, id, kind, offers_more ? always : "");
}

/* --- the turn -----------------------------------------------------------------------------------
 */

static void agent_end_turn(struct agent *agent, const char *reason)
{
    CLEANUP(freep) char *result = xasprintf("{\"stopReason\":\"%s\"}", reason);
    int64_t prompt = agent->prompt;

    agent->prompt = 0;
    agent_answer(agent, prompt, result);
    process_rest(agent->run);
}

static void agent_succeed(struct agent *agent)
{
    agent_say_text(agent, process_mark(agent->run));
    process_succeed(agent->run);
    agent_end_turn(agent, "end_turn");
    if (world_one_in(4)) /* as opencode does */
        agent_say_text(agent, " (said after the answer)");
    if (agent_errs(agent, 10)) /* while it has nothing to do, or just when it gets something */
        process_leave(agent->run, (int64_t)world_below(IDLE_MS));
}

/* Its model has failed, and it only says so. */
static void agent_hide_error(struct agent *agent)
{
    if (world_one_in(2))
        agent_update(agent, "{\"sessionUpdate\":\"session_info_update\",\"_meta\":{\"codex\":{"
                            "\"threadStatus\":{\"type\":\"systemError\"},\"error\":{\"message\":"
                            "\"no\",\"codexErrorInfo\":{\"httpStatusCode\":500}}}}}");
    else
        agent_say_text(agent, "Error: 429 rate limit exceeded");
    agent_end_turn(agent, "end_turn");
}

static void agent_end_badly(struct agent *agent)
{
    static const char *const reasons[] = {"max_tokens", "max_turn_requests", "refusal", "cancelled",
                                          "unheard_of"};

    switch (world_below(8)) {
    case 0:
    case 1:
        agent_end_turn(agent, reasons[world_below(ARRAY_SIZE(reasons))]);
        break;
    case 2:
    case 3:
        agent_fail(agent, agent->prompt);
        agent->prompt = 0;
        process_rest(agent->run);
        break;
    case 4:
        if (world_one_in(2))
            process_say(agent->run, "{\"jsonrpc\":", 11);
        process_exit(agent->run, world_one_in(2) ? 0 : 1);
        break;
    case 5:
        if (agent->hides_errors)
            agent_hide_error(agent);
        break;
    case 6:
        if (world_one_in(10)) /* it takes long */
            process_never_end_line(agent->run);
        break;
    default: /* it is silent from now on */
        break;
    }
}

/* Works until the turn is over, or something must be answered. */
static void agent_go_on(struct agent *agent)
{
    while (agent->prompt) {
        uint64_t lot = world_below(10);

        if (lot < 3)
            agent_work(agent);
        else if (lot == 3 && !agent->is_good)
            agent_babble(agent);
        else if (lot < 6)
            return agent_ask(agent);
        else if (agent_errs(agent, 3))
            return agent_end_badly(agent);
        else if (lot > 7)
            agent_succeed(agent);
    }
}

/* --- what it hears ------------------------------------------------------------------------------
 */

static void agent_take_prompt(struct agent *agent, int64_t id)
{
    agent->prompt = id;
    agent->last_question = 0;
    process_note_prompt(agent->run, agent->told.model, agent->told.mode, agent->told.level);
    agent_go_on(agent);
}

static void agent_take_cancel(struct agent *agent)
{
    if (agent->prompt && !agent_errs(agent, 4))
        agent_end_turn(agent, agent_errs(agent, 4) ? "end_turn" : "cancelled");
}

static void agent_open_session(struct agent *agent, int64_t id)
{
    static const char modes[] = "\"modes\":{\"currentModeId\":\"auto\",\"availableModes\":[{\"id\":"
                                "\"auto\",\"name\":\"Auto\"},{\"id\":\"default\",\"name\":"
                                "\"Default\"}]}";
    static const char options[] =
        "\"configOptions\":[{\"id\":\"model\",\"category\":\"model\",\"type\":\"select\","
        "\"currentValue\":\"m0\",\"options\":[{\"value\":\"m0\"},{\"value\":\"m1\"}]},{\"id\":"
        "\"mode\",\"category\":\"mode\",\"type\":\"select\",\"currentValue\":\"default\","
        "\"options\":[{\"value\":\"default\"}]},{\"id\":\"effort\",\"category\":\"thought_level\","
        "\"type\":\"select\",\"currentValue\":\"low\",\"options\":[{\"value\":\"low\"},{\"value\":"
        "\"high\"}]}]";
    CLEANUP(freep)
    char *result = xasprintf("{\"sessionId\":\"s%d\",%s}", ++agent->sessions,
                             agent->has_options ? options : modes);

    memset(&agent->told, 0, sizeof(agent->told));
    agent_answer(agent, id, result);
}

/* session/set_config_option, set_mode or set_model. */
static void agent_take_setting(struct agent *agent, struct json_object *params, int64_t id)
{
    static const struct {
        const char *name, *value; /* of the parameters */
        const char *option;
    } forms[] = {
        {"configId", "value", NULL}, {"modeId", "modeId", "mode"}, {"modelId", "modelId", "model"}};

    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        const char *name = json_get_string(params, forms[i].name),
                   *value = json_get_string(params, forms[i].value),
                   *option = forms[i].option ? forms[i].option : name;

        if (!name)
            continue;
        if (strcmp(option, "model") == 0)
            snprintf(agent->told.model, sizeof(agent->told.model), "%s", value);
        else if (strcmp(option, "mode") == 0)
            snprintf(agent->told.mode, sizeof(agent->told.mode), "%s", value);
        else
            snprintf(agent->told.level, sizeof(agent->told.level), "%s", value);
    }
    agent_answer(agent, id, "{}");
}

/* Something goes wrong instead of an answer. */
static bool agent_fails_to_answer(struct agent *agent, int64_t id)
{
    if (agent_errs(agent, 40))
        agent_fail(agent, id);
    else if (agent_errs(agent, 60))
        process_exit(agent->run, 1);
    else
        return agent_errs(agent, 60); /* silence */
    return true;
}

static void agent_initialize(struct agent *agent, int64_t id)
{
    CLEANUP(freep)
    char *result = xasprintf(
        "{\"protocolVersion\":%d,\"agentInfo\":{\"name\":\"%s\"},\"agentCapabilities\":{"
        "\"sessionCapabilities\":{\"close\":{}}},\"authMethods\":[{\"id\":\"key\",\"name\":"
        "\"Key\"}]}",
        agent_errs(agent, 50) ? 2 : 1, agent->hides_errors ? "copilot" : "agent");

    agent_answer(agent, id, result);
}

static void agent_take_request(struct agent *agent, const char *method, struct json_object *params,
                               int64_t id)
{
    EXPECT(id == ++agent->last_request, "%s has the id %lld", method, (long long)id);
    EXPECT(!agent->prompt || strcmp(method, "session/close") == 0, "%s during a turn", method);
    if (agent_fails_to_answer(agent, id))
        return;
    if (agent_errs(agent, 20))
        agent_babble(agent);
    if (strcmp(method, "initialize") == 0)
        agent_initialize(agent, id);
    else if (strcmp(method, "session/new") == 0)
        agent_open_session(agent, id);
    else if (strncmp(method, "session/set_", 12) == 0)
        agent_take_setting(agent, params, id);
    else if (strcmp(method, "session/prompt") == 0)
        agent_take_prompt(agent, id);
    else
        agent_answer(agent, id, "{}");
}

/* Of our requests only the questions wait for their answers. */
static void agent_take_answer(struct agent *agent, struct json_object *message)
{
    static const char *const options[] = {"yes", "no", "always", "never", NULL};
    struct json_object *outcome = json_get(json_get(message, "result"), "outcome");
    const char *word = json_get_string(outcome, "outcome"),
               *option = json_get_string(outcome, "optionId");

    if (!outcome)
        return;
    EXPECT(word && (strcmp(word, "cancelled") == 0 ||
                    (option && strv_contains((char *const *)options, option))),
           "%s", json_compact(message));
    if (option)
        process_note_answer(agent->run, agent->last_question,
                            strcmp(option, "yes") == 0 || strcmp(option, "always") == 0);
    agent_go_on(agent);
}

static void agent_take(struct agent *agent, const char *line, size_t len)
{
    CLEANUP(json_putp) struct json_object *message = NULL;
    const char *method, *reason = "";
    size_t offset;

    EXPECT(json_parse(line, len, &message, &reason, &offset) == 0, "%s: %.*s", reason, (int)len,
           line);
    world_note("to agent:", line, len);
    method = json_get_string(message, "method");
    if (!method)
        agent_take_answer(agent, message);
    else if (json_get(message, "id"))
        agent_take_request(agent, method, json_get(message, "params"),
                           json_object_get_int64(json_get(message, "id")));
    else if (strcmp(method, "session/cancel") == 0)
        agent_take_cancel(agent);
}

void agent_hear(struct agent *agent, const char *bytes, size_t len)
{
    char *end;

    buf_add(&agent->heard, bytes, len);
    while (agent->heard.len && (end = memchr(agent->heard.data, '\n', agent->heard.len))) {
        size_t width = (size_t)(end - agent->heard.data);
        CLEANUP(freep) char *line = xstrndup(agent->heard.data, width);

        buf_consume(&agent->heard, width + 1);
        agent_take(agent, line, width);
    }
}
