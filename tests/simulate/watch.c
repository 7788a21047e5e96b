/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "clients.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "cover.h"
#include "daemon.h"
#include "model.h"
#include "socket.h"
#include "question.h"
#include "setting.h"
#include "spec.h"
#include "world.h"

#define FILTER       "a" /* a profile that is never missing */
#define CHOKED_EVERY 4   /* connections */
#define CHOKING      16  /* long replies */
#define PASSES_MAX   1000

/* The first one follows everything; the others are compared with it. */
static const struct {
    bool is_filtered;
    unsigned reads_every; /* one time in as many */
    bool is_choked;       /* now and then so much else is sent to it that it has to be dropped */
} kinds[] = {
    {false, 3, false},
    {true, 200, false},
    {true, 100, true},
};
#define WATCHES ARRAY_SIZE(kinds)

/* Numbers of events, in their order. */
struct numbers {
    int64_t *list;
    size_t count;
};

static struct watch {
    int fd; /* -1: not connected */
    struct buf in;
    int64_t call;     /* to subscribe */
    int64_t last;     /* event; -1: it has never subscribed */
    bool was_dropped; /* by acpd */
    bool must_drop;
    bool may_gap; /* acpd was started since the last event */
    /* Of the profile of the filter, those after `since`. */
    int64_t since;
    struct numbers heard;
} watches[WATCHES];
static uint64_t count;

void watch_begin(void)
{
    for (size_t i = 0; i < WATCHES; i++) {
        free(watches[i].heard.list);
        watches[i] = (struct watch){.fd = -1, .last = -1};
    }
}

static void watch_close(struct watch *watch)
{
    if (watch->fd >= 0)
        socket_hang_up(watch->fd);
    watch->fd = -1;
    watch->was_dropped = watch->must_drop = false;
    buf_deinit(&watch->in);
}

void watch_hang_up(void)
{
    watch_close(&watches[world_below(WATCHES)]);
}

void watch_drop(void)
{
    for (size_t i = 0; i < WATCHES; i++)
        watch_close(&watches[i]);
}

int64_t watch_last(void)
{
    return watches[0].last;
}

void watch_note_restart(void)
{
    for (size_t i = 0; i < WATCHES; i++)
        watches[i].may_gap = true;
}

uint64_t watch_count(void)
{
    return count;
}

static void watch_ask(struct watch *watch, int id, const char *method, const char *params)
{
    CLEANUP(freep)
    char *request = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\",\"params\":{%s}}\n",
                              id, method, params);
    CLEANUP(json_putp) struct json_object *parsed = NULL;
    ssize_t len = (ssize_t)strlen(request);
    const char *reason = "";
    size_t offset;

    EXPECT(json_parse(request, strlen(request), &parsed, &reason, &offset) == 0, "%s", reason);
    cover_sent(watch->call, parsed);
    EXPECT(send(watch->fd, request, (size_t)len, MSG_NOSIGNAL) == len);
}

static void watch_connect(struct watch *watch, size_t kind)
{
    const char *profiles = kinds[kind].is_filtered ? "\"profiles\":[\"" FILTER "\"]" : "";
    CLEANUP(freep) char *params = NULL;

    params = watch->last < 0 ? xstrdup(profiles)
                             : xasprintf("%s%s\"after\":%lld%s", profiles, profiles[0] ? "," : "",
                                         (long long)watch->last,
                                         world_one_in(2) ? "" : ",\"source\":\"" SPEC_NODE "\"");
    watch->fd = daemon_connect();
    watch->call = clients_next_id();
    watch_ask(watch, 1, "subscribe", params);
    if (!kinds[kind].is_choked || !world_one_in(CHOKED_EVERY))
        return;
    for (int i = 0; i < CHOKING; i++)
        watch_ask(watch, 2, "rpc.discover", "");
}

/* It has heard everything from here on. */
static void watch_start_over(struct watch *watch, int64_t since)
{
    watch->since = since;
    watch->heard.count = 0;
}

static void watch_take_reply(struct watch *watch, struct json_object *reply)
{
    int64_t seq = json_object_get_int64(json_get(json_get(reply, "result"), "seq"));

    if (json_object_get_int64(json_get(reply, "id")) != 1)
        return;
    if (json_get(reply, "error")) { /* a pass failed: once more */
        watch->must_drop = true;
        return;
    }
    cover_take(watch->call, reply);
    EXPECT(seq >= watch->last, "%s", json_compact(reply));
    EXPECT(strcmp(json_get_string(json_get(reply, "result"), "source"), SPEC_NODE) == 0);
    if (watch->last >= 0)
        return;
    watch->last = seq;
    watch_start_over(watch, seq);
}

static void watch_take_task(struct json_object *event)
{
    enum task_status from = TASK_NEW, to = TASK_NEW;

    if (json_get(event, "from"))
        EXPECT(task_status_parse(json_get_string(event, "from"), &from) == 0);
    EXPECT(task_status_parse(json_get_string(event, "status"), &to) == 0, "%s",
           json_compact(event));
    model_note_event(json_object_get_int64(json_get(event, "id")), from, to);
}

/* Of the first subscriber. */
static void watch_tell_model(struct json_object *event, const char *type)
{
    if (strcmp(type, "gap") == 0)
        model_note_gap();
    else if (strcmp(type, "task") == 0)
        watch_take_task(event);
    else if (strcmp(type, "permission") == 0)
        question_note(json_get_string(event, "id"),
                      json_object_get_boolean(json_get(event, "isOpen")));
}

static void watch_note_number(struct watch *watch, struct json_object *event, int64_t seq)
{
    struct numbers *heard = &watch->heard;

    if (strcmp(json_get_string(event, "profile"), FILTER) != 0)
        return;
    heard->list = xrealloc(heard->list, (heard->count + 1) * sizeof(*heard->list));
    heard->list[heard->count++] = seq;
}

static void watch_take_event(struct watch *watch, struct json_object *event)
{
    const char *type = json_get_string(event, "type");
    int64_t seq = json_object_get_int64(json_get(event, "seq"));
    bool is_first = watch == watches;

    EXPECT(type, "%s", json_compact(event));
    if (strcmp(type, "gap") == 0) {
        EXPECT(json_object_get_int64(json_get(event, "from")) == watch->last + 1 &&
                   seq >= watch->last && (watch->may_gap || setting_has_few_events()),
               "after %lld: %s", (long long)watch->last, json_compact(event));
        watch_start_over(watch, seq);
    } else if (strcmp(type, "dropped") == 0) {
        EXPECT(is_first ? seq == watch->last : seq >= watch->last, "after %lld: %s",
               (long long)watch->last, json_compact(event));
        watch->was_dropped = true;
    } else {
        EXPECT(is_first ? seq == watch->last + 1 : seq > watch->last, "after %lld: %s",
               (long long)watch->last, json_compact(event));
        EXPECT(is_first || strcmp(json_get_string(event, "profile"), FILTER) == 0, "%s",
               json_compact(event));
        watch_note_number(watch, event, seq);
    }
    if (is_first)
        watch_tell_model(event, type);
    watch->last = seq;
    watch->may_gap = false;
    count++;
}

static void watch_take(struct watch *watch, const char *line, size_t len)
{
    CLEANUP(json_putp) struct json_object *message = NULL;
    const char *reason = "";
    size_t offset;

    EXPECT(json_parse(line, len, &message, &reason, &offset) == 0, "%s: %.*s", reason, (int)len,
           line);
    world_note("event:", line, len);
    if (json_get(message, "id"))
        watch_take_reply(watch, message);
    else
        watch_take_event(watch, json_get(message, "params"));
}

/* Whether anything has arrived. */
static bool watch_hear(struct watch *watch)
{
    size_t before = watch->in.len;
    char data[16384];
    bool has_come;
    ssize_t n;
    char *end;

    while ((n = recv(watch->fd, data, sizeof(data), 0)) > 0)
        buf_add(&watch->in, data, (size_t)n);
    has_come = watch->in.len > before;
    EXPECT(n == 0 || errno == EAGAIN, "%s", strerror(errno));
    while (watch->in.len && (end = memchr(watch->in.data, '\n', watch->in.len))) {
        size_t len = (size_t)(end - watch->in.data);

        watch_take(watch, watch->in.data, len);
        buf_consume(&watch->in, len + 1);
    }
    EXPECT(n < 0 || watch->was_dropped, "acpd closed a connection");
    if (n == 0 || watch->must_drop)
        watch_close(watch);
    return has_come;
}

/* Of what both have followed, they have heard the same. */
static void watch_compare(const struct watch *one, const struct watch *other)
{
    int64_t since = one->since > other->since ? one->since : other->since,
            last = one->last < other->last ? one->last : other->last;
    size_t i = 0, j = 0;

    while (i < one->heard.count && one->heard.list[i] <= since)
        i++;
    while (j < other->heard.count && other->heard.list[j] <= since)
        j++;
    for (;; i++, j++) {
        int64_t first = i < one->heard.count ? one->heard.list[i] : INT64_MAX,
                second = j < other->heard.count ? other->heard.list[j] : INT64_MAX;

        if (first > last && second > last)
            return;
        EXPECT(first == second, "one subscriber hears of event %lld, another of %lld",
               (long long)first, (long long)second);
    }
}

void watch_settle(void)
{
    for (int pass = 0, rest = 0; rest < 3; pass++, rest++) {
        EXPECT(pass < PASSES_MAX, "there is no end of events");
        daemon_pass();
        for (size_t i = 0; i < WATCHES; i++)
            if (watches[i].fd >= 0 && watch_hear(&watches[i]))
                rest = 0;
    }
    for (size_t i = 1; i < WATCHES; i++)
        watch_compare(&watches[0], &watches[i]);
    watch_drop();
}

void watch_follow(void)
{
    if (watches[0].fd < 0)
        watch_connect(&watches[0], 0);
    watch_hear(&watches[0]);
}

void watch_read(void)
{
    for (size_t i = 0; i < WATCHES; i++) {
        if (watches[i].fd < 0)
            watch_connect(&watches[i], i);
        if (world_one_in(kinds[i].reads_every))
            watch_hear(&watches[i]);
    }
}
