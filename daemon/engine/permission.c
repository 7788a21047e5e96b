/* SPDX-License-Identifier: MIT */
/* Open questions of agents. */
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

void engine_print_permissions(const struct engine *engine, size_t limit, struct buf *out)
{
    json_out_array(out, NULL);
    list_for_each (link, &engine->attempts) {
        const struct attempt *attempt = list_entry(link, struct attempt, link);

        if (!attempt->acp)
            continue;
        list_for_each (at, acp_questions(attempt->acp)) {
            const struct acp_question *question = list_entry(at, struct acp_question, link);

            if (question->chosen || out->len > limit)
                continue;
            permission_print_question(attempt, question, out);
        }
    }
    json_out_end_array(out);
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

int engine_answer_permission(struct engine *engine, const char *id, const char *option,
                             const char *by)
{
    struct attempt *attempt = NULL;
    struct acp_question *question = permission_find_question(engine, id, &attempt);
    int r;

    if (engine->is_stopping)
        return -ESHUTDOWN;
    if (!question)
        return ENGINE_NOT_FOUND;
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
