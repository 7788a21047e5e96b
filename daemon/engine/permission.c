/* SPDX-License-Identifier: MIT */
/* Open questions of agents. */
#include "engine/permission.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "engine/attempt.h"
#include "run/acp.h"

#define QUESTIONS_PER_STEP 64 /* rows */

static char *permission_id_of(const struct attempt *attempt, const struct acp_question *question)
{
    return xasprintf("%lld-%lld-%lld", (long long)attempt->task_id, (long long)attempt->number,
                     (long long)question->number);
}

static void permission_print_question(const struct attempt *attempt,
                                      const struct acp_question *question, struct buf *out)
{
    CLEANUP(freep) char *id = permission_id_of(attempt, question);

    json_out_object(out, NULL);
    json_out_text(out, "id", id);
    json_out_int(out, "taskId", attempt->task_id);
    json_out_int(out, "attempt", attempt->number);
    json_out_text(out, "profile", attempt->profile->config.name);
    json_out_raw(out, "toolCall", json_compact(question->tool_call));
    json_out_raw(out, "options", json_compact(question->options));
    json_out_time(out, "askedAt", question->asked_at);
    json_out_time(out, "deadline", question->deadline_at);
    json_out_end_object(out);
}

/* Those of agents of this node that nobody has answered. */
static void permission_for_each(const struct engine *engine,
                                void (*take)(const struct attempt *attempt,
                                             const struct acp_question *question, void *data),
                                void *data)
{
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (!attempt->acp)
            continue;
        list_for_each (at, acp_questions(attempt->acp)) {
            const struct acp_question *question = list_entry(at, struct acp_question, link);

            if (!question->chosen)
                take(attempt, question, data);
        }
    }
}

struct page {
    struct buf *out;
    size_t limit;
};

/* Moves behind the last of the questions. */
static void permission_move(char **after, const struct store_questions *questions)
{
    if (!questions->count)
        return;
    free(*after);
    *after = xstrdup(questions->questions[questions->count - 1].id);
}

static void permission_print_own(const struct attempt *attempt, const struct acp_question *question,
                                 void *data)
{
    const struct page *page = data;

    if (page->out->len <= page->limit)
        permission_print_question(attempt, question, page->out);
}

/* The open questions of other nodes. */
static int permission_print_others(struct engine *engine, const struct page *page)
{
    CLEANUP(freep) char *after = xstrdup("");
    bool has_more = true;
    int r = 0;

    while (r == 0 && has_more && page->out->len <= page->limit) {
        CLEANUP(store_questions_deinit) struct store_questions others = {0};

        r = store_list_questions(engine->store, after, QUESTIONS_PER_STEP, &others);
        has_more = others.count == QUESTIONS_PER_STEP;
        for (size_t i = 0; i < others.count && page->out->len <= page->limit; i++)
            json_out_raw(page->out, NULL, others.questions[i].body);
        permission_move(&after, &others);
    }
    return r;
}

int engine_print_permissions(struct engine *engine, size_t limit, struct buf *out)
{
    struct page page = {.out = out, .limit = limit};
    int r;

    json_out_array(out, NULL);
    permission_for_each(engine, permission_print_own, &page);
    r = permission_print_others(engine, &page);
    json_out_end_array(out);
    return r;
}

static struct acp_question *permission_find_question(struct engine *engine, const char *id,
                                                     struct attempt **ret_attempt)
{
    long long task_id, number, question_number;
    struct attempt *attempt;

    if (sscanf(id, "%lld-%lld-%lld", &task_id, &number, &question_number) != 3)
        return NULL;
    attempt = attempt_find(engine, task_id, number);
    if (!attempt || !attempt->acp)
        return NULL;
    list_for_each (link, acp_questions(attempt->acp)) {
        struct acp_question *question = list_entry(link, struct acp_question, link);
        CLEANUP(freep) char *real = permission_id_of(attempt, question);

        if (strcmp(real, id) == 0) {
            *ret_attempt = attempt;
            return question;
        }
    }
    return NULL;
}

/* Whether a question offers an option. */
static bool permission_offers(const char *body, const char *option)
{
    CLEANUP(json_putp) struct json_object *question = json_tokener_parse(body);
    struct json_object *options = json_get(question, "options");

    for (size_t i = 0; options && i < json_object_array_length(options); i++) {
        const char *offered = json_get_string(json_object_array_get_idx(options, i), "optionId");

        if (offered && strcmp(offered, option) == 0)
            return true;
    }
    return false;
}

/* Its node hears of it and tells the agent. */
static int permission_answer_elsewhere(struct engine *engine, const char *id, const char *option,
                                       const char *by)
{
    CLEANUP(freep) char *body = NULL;
    int r = store_get_question(engine->store, id, &body);

    if (r < 0)
        return r;
    if (!body)
        return ENGINE_NOT_FOUND;
    if (!permission_offers(body, option))
        return ENGINE_NO_OPTION;
    r = store_answer_question(engine->store, id, option, by);
    return r < 0 ? r : r == STORE_DONE ? 0 : ENGINE_CONFLICT;
}

static int permission_answer_own(struct engine *engine, struct attempt *attempt,
                                 struct acp_question *question, const char *option, const char *by)
{
    int r;

    if (question->chosen || attempt->stop != ERROR_NONE)
        return ENGINE_CONFLICT;
    if (!acp_question_option(question, option))
        return ENGINE_NO_OPTION;
    /* A write, so that the answer depends on the commit of its pass. */
    r = store_update_profile(engine->store, attempt->profile->id, -1, engine->now.wall);
    if (r < 0)
        return r;
    attempt->profile->staged.last_activity = engine->now.wall;
    profile_touch(attempt->profile);
    attempt_touch(attempt);
    acp_choose(question, option, by);
    return 0;
}

/* What another node was told. A question that is closed by now, or is being closed, needs none. */
static int permission_take_answer(struct engine *engine, const struct store_question *answered)
{
    struct attempt *attempt = NULL;
    struct acp_question *question = permission_find_question(engine, answered->id, &attempt);
    int r = question ? permission_answer_own(engine, attempt, question, answered->answer,
                                             answered->answered_by)
                     : 0;

    return r < 0 ? r : 0;
}

/* All of them: their rows go when the questions are published again. */
static int permission_take_answers(struct engine *engine)
{
    CLEANUP(freep) char *after = xstrdup("");
    bool has_more = true;
    int r = 0;

    while (r == 0 && has_more) {
        CLEANUP(store_questions_deinit) struct store_questions answers = {0};

        r = store_list_answers(engine->store, after, QUESTIONS_PER_STEP, &answers);
        has_more = answers.count == QUESTIONS_PER_STEP;
        for (size_t i = 0; r == 0 && i < answers.count; i++)
            r = permission_take_answer(engine, &answers.questions[i]);
        permission_move(&after, &answers);
    }
    return r;
}

int engine_answer_permission(struct engine *engine, const char *id, const char *option,
                             const char *by)
{
    struct attempt *attempt = NULL;
    struct acp_question *question = permission_find_question(engine, id, &attempt);
    int r = 0;

    if (engine->is_stopping)
        return -ESHUTDOWN;
    if (!question)
        return permission_answer_elsewhere(engine, id, option, by);
    /* Another node may have answered it already; from now on none can. */
    if (store_node(engine->store)) {
        r = store_beat(engine->store);
        if (r == 0)
            r = permission_take_answers(engine);
    }
    if (r == 0)
        r = permission_answer_own(engine, attempt, question, option, by);
    if (r || !store_node(engine->store))
        return r;
    r = store_answer_question(engine->store, id, option, by);
    return r < 0 ? r : 0; /* stale: the others do not know it yet */
}

struct publication {
    struct engine *engine;
    int r;
};

static void permission_publish_one(const struct attempt *attempt,
                                   const struct acp_question *question, void *data)
{
    struct publication *publication = data;
    struct engine *engine = publication->engine;
    CLEANUP(freep) char *id = permission_id_of(attempt, question);
    CLEANUP(buf_deinit) struct buf body = {0};

    if (publication->r < 0)
        return;
    permission_print_question(attempt, question, &body);
    publication->r = store_add_question(engine->store, id, buf_text(&body));
    engine->fleet.has_questions = true;
}

static int permission_publish(struct engine *engine)
{
    struct publication publication = {engine, store_forget_questions(engine->store)};

    engine->fleet.has_questions = false;
    permission_for_each(engine, permission_publish_one, &publication);
    return publication.r;
}

int permission_step(struct engine *engine)
{
    const struct event_log *events = &engine->events;
    bool has_changed = false;
    int r = 0;

    if (!store_node(engine->store))
        return 0;
    for (size_t i = 0; i < events->staged_count; i++)
        has_changed |= events->staged[i].type == EVENT_PERMISSION && !events->staged[i].is_foreign;
    if (has_changed) /* no answer may come between the two, as its row goes */
        r = store_beat(engine->store);
    if (r == 0 && engine->fleet.has_questions)
        r = permission_take_answers(engine);
    return r < 0 || !has_changed ? r : permission_publish(engine);
}
