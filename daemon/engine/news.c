/* SPDX-License-Identifier: MIT */
#include "engine/news.h"

#include <stdio.h>
#include <string.h>

#include "common/strv.h"
#include "engine/attempt.h"

/* Statuses and classes are told by name, as other nodes may be of another version. */
#define NAME_SIZE 32
#define NOTHING   "-"

/* An event of another node: a line of its news. */
static void news_note_event(struct engine *engine, const struct event *event)
{
    struct attempt *attempt =
        event->from == TASK_RUNNING ? attempt_find(engine, event->task_id, event->attempt) : NULL;

    event_stage(&engine->events, event);
    if (!attempt)
        return;
    attempt->was_taken = true;
    if (attempt->state == ATTEMPT_RUNNING)
        attempt_stop_now(attempt, ERROR_CANCELLED);
}

static void news_note_question(struct engine *engine, const char *text)
{
    long long profile_id, task_id, attempt, question;
    int is_open;

    if (sscanf(text, "%lld %lld %lld %lld %d", &profile_id, &task_id, &attempt, &question,
               &is_open) == 5)
        event_stage(&engine->events, &(struct event){.type = EVENT_PERMISSION,
                                                     .is_fact = true,
                                                     .is_foreign = true,
                                                     .is_open = is_open,
                                                     .profile_id = profile_id,
                                                     .task_id = task_id,
                                                     .attempt = attempt,
                                                     .question = question});
}

static void news_note_task(struct engine *engine, const char *text)
{
    struct event event = {.type = EVENT_TASK, .is_fact = true, .is_foreign = true};
    char from[NAME_SIZE], to[NAME_SIZE], class[NAME_SIZE];
    long long profile_id, task_id, attempt;

    if (sscanf(text, "%lld %lld %31s %31s %lld %31s", &profile_id, &task_id, from, to, &attempt,
               class) != 6 ||
        (strcmp(from, NOTHING) != 0 && task_status_parse(from, &event.from) < 0) ||
        task_status_parse(to, &event.to) < 0)
        return;
    event.profile_id = profile_id;
    event.task_id = task_id;
    event.attempt = attempt;
    event.class = strcmp(class, NOTHING) == 0 ? ERROR_NONE : error_class_parse(class);
    news_note_event(engine, &event);
}

/* A line for each event. */
static void news_note(struct engine *engine, const char *text)
{
    for (; text && *text; text = strchr(text, '\n'), text += text != NULL) {
        if (*text == '?')
            news_note_question(engine, text + 1);
        else
            news_note_task(engine, text);
    }
}

int news_hear(struct engine *engine)
{
    int r;

    do {
        char **texts;

        r = store_list_news(engine->store, &engine->fleet.news, &texts);
        for (size_t i = 0; texts && texts[i]; i++)
            news_note(engine, texts[i]);
        strv_free(texts);
    } while (r == STORE_DONE);
    return r < 0 ? r : 0;
}

static void news_print_task(const struct event *event, struct buf *text)
{
    const char *class = error_class_info(event->class)->name;

    buf_printf(text, "%lld %lld %s %s %lld %s\n", (long long)event->profile_id,
               (long long)event->task_id,
               event->from == TASK_NEW ? NOTHING : task_status_name(event->from),
               task_status_name(event->to), (long long)event->attempt, class ? class : NOTHING);
}

int news_tell(struct engine *engine)
{
    CLEANUP(buf_deinit) struct buf text = {0};
    const struct event_log *events = &engine->events;

    if (!store_node(engine->store) || !store_is_writing(engine->store))
        return 0;
    for (size_t i = 0; i < events->staged_count; i++) {
        const struct event *event = &events->staged[i];

        if (event->is_foreign)
            continue;
        if (event->type == EVENT_PERMISSION)
            buf_printf(&text, "? %lld %lld %lld %lld %d\n", (long long)event->profile_id,
                       (long long)event->task_id, (long long)event->attempt,
                       (long long)event->question, (int)event->is_open);
        if (event->type == EVENT_TASK)
            news_print_task(event, &text);
    }
    return text.len ? store_add_news(engine->store, buf_text(&text), engine->now.wall) : 0;
}

int news_catch_up(struct engine *engine)
{
    int r;

    if (!store_node(engine->store) || engine->fleet.heard_in == engine->passes)
        return 0;
    r = store_beat(engine->store);
    if (r == 0)
        r = news_hear(engine);
    if (r == 0)
        engine->fleet.heard_in = engine->passes;
    return r;
}
