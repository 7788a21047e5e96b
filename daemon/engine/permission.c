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

static void permission_print_own(const struct attempt *attempt, const struct acp_question *question,
                                 void *data)
{
    const struct page *page = data;

    if (page->out->len <= page->limit)
        permission_print_question(attempt, question, page->out);
}

static void permission_print_other(const char *id UNUSED, const char *body, void *data)
{
    const struct page *page = data;

    if (page->out->len <= page->limit)
        json_out_raw(page->out, NULL, body);
}

int engine_print_permissions(struct engine *engine, size_t limit, struct buf *out)
{
    struct page page = {.out = out, .limit = limit};
    int r;

    json_out_array(out, NULL);
    permission_for_each(engine, permission_print_own, &page);
    r = store_list_questions(engine->store, permission_print_other, &page);
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

/* A question of another node that is to be answered. */
struct search {
    const char *id, *option;
    bool is_found, has_option;
};

static void permission_compare(const char *id, const char *body, void *data)
{
    struct search *search = data;
    CLEANUP(json_putp) struct json_object *question = NULL;
    struct json_object *options;

    if (strcmp(id, search->id) != 0)
        return;
    search->is_found = true;
    question = json_tokener_parse(body);
    options = json_get(question, "options");
    for (size_t i = 0; options && i < json_object_array_length(options); i++) {
        const char *option =
            json_object_get_string(json_get(json_object_array_get_idx(options, i), "optionId"));

        search->has_option |= option && strcmp(option, search->option) == 0;
    }
}

/* Its node hears of it and tells the agent. */
static int permission_answer_elsewhere(struct engine *engine, const char *id, const char *option,
                                       const char *by)
{
    struct search search = {.id = id, .option = option};
    int r = store_list_questions(engine->store, permission_compare, &search);

    if (r < 0)
        return r;
    if (!search.is_found)
        return ENGINE_NOT_FOUND;
    if (!search.has_option)
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

struct answers {
    struct engine *engine;
    int r;
};

/* What another node was told. A question that is closed by now, or is being closed, needs none. */
static void permission_take_answer(const char *id, const char *answer, const char *by, void *data)
{
    struct answers *answers = data;
    struct attempt *attempt = NULL;
    struct acp_question *question = permission_find_question(answers->engine, id, &attempt);
    int r = question ? permission_answer_own(answers->engine, attempt, question, answer, by) : 0;

    if (r < 0 && answers->r == 0)
        answers->r = r;
}

static int permission_take_answers(struct engine *engine)
{
    struct answers answers = {engine, 0};
    int r = store_list_answers(engine->store, permission_take_answer, &answers);

    return r < 0 ? r : answers.r;
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
