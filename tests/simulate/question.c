/* SPDX-License-Identifier: MIT */
#include "question.h"

#include <string.h>

#include "common/alloc.h"
#include "setting.h"
#include "world.h"

static struct question {
    char id[TOKEN_SIZE];
    bool is_put;     /* to people, for certain */
    bool answers[2]; /* that were sent: no, yes */
} * questions;
static size_t question_count;
static char latest[TOKEN_SIZE];

void question_end(void)
{
    free(STEAL(questions));
    question_count = 0;
    latest[0] = '\0';
}

static struct question *question_learn(const char *id)
{
    struct question *question;

    for (size_t i = 0; i < question_count; i++)
        if (strcmp(questions[i].id, id) == 0)
            return &questions[i];
    questions = xrealloc(questions, (question_count + 1) * sizeof(*questions));
    question = &questions[question_count++];
    *question = (struct question){0};
    snprintf(question->id, sizeof(question->id), "%s", id);
    return question;
}

bool question_pick(char ret_id[TOKEN_SIZE])
{
    strcpy(ret_id, latest);
    return latest[0];
}

void question_sent(const char *id, bool is_yes)
{
    question_learn(id)->answers[is_yes] = true;
}

void question_note(const char *id, bool is_open)
{
    if (is_open) {
        question_learn(id)->is_put = true;
        snprintf(latest, sizeof(latest), "%s", id);
    } else if (strcmp(id, latest) == 0) {
        latest[0] = '\0';
    }
}

void question_take_all(struct json_object *list)
{
    size_t count = list ? json_object_array_length(list) : 0;

    if (count)
        question_note(json_get_string(json_object_array_get_idx(list, world_below(count)), "id"),
                      true);
}

void question_note_answer(const char *id, const char *profile, bool is_yes)
{
    const struct question *question = question_learn(id);
    size_t number = setting_find(profile);
    bool by_rule =
        !question->is_put && setting_may(number, is_yes ? SETTING_ALLOW : SETTING_REJECT);

    /* When nobody answers in time, the answer is no. */
    EXPECT(by_rule || (setting_may(number, SETTING_ASK) && (!is_yes || question->answers[true])),
           "the agent of question %s is told %s", id, is_yes ? "yes" : "no");
}
