/* SPDX-License-Identifier: MIT */
#include "watch.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "daemon.h"
#include "model.h"
#include "question.h"
#include "setting.h"
#include "world.h"

static struct {
    int fd; /* -1: not connected */
    struct buf in;
    int64_t last;     /* event; -1: it has never subscribed */
    bool was_dropped; /* by acpd */
    bool must_drop;
    bool may_gap; /* acpd was started since the last event */
    uint64_t count;
} watch;

void watch_begin(void)
{
    watch.fd = -1;
    watch.last = -1;
}

void watch_drop(void)
{
    if (watch.fd >= 0)
        close(watch.fd);
    watch.fd = -1;
    watch.was_dropped = watch.must_drop = false;
    buf_deinit(&watch.in);
}

int64_t watch_last(void)
{
    return watch.last;
}

void watch_note_restart(void)
{
    watch.may_gap = true;
}

uint64_t watch_count(void)
{
    return watch.count;
}

static void watch_connect(void)
{
    char request[128], after[32] = "";
    int len;

    watch.fd = daemon_connect();
    if (watch.last >= 0)
        snprintf(after, sizeof(after), "\"after\":%lld", (long long)watch.last);
    len = snprintf(request, sizeof(request),
                   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{%s}}\n",
                   after);
    EXPECT(send(watch.fd, request, (size_t)len, MSG_NOSIGNAL) == len);
}

static void watch_take_reply(struct json_object *reply)
{
    int64_t seq = json_object_get_int64(json_get(json_get(reply, "result"), "seq"));

    if (json_get(reply, "error")) { /* a pass failed: once more */
        watch.must_drop = true;
        return;
    }
    EXPECT(seq >= watch.last, "%s", json_compact(reply));
    if (watch.last < 0)
        watch.last = seq;
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

static void watch_take_event(struct json_object *event)
{
    const char *type = json_get_string(event, "type");
    int64_t seq = json_object_get_int64(json_get(event, "seq"));

    EXPECT(type, "%s", json_compact(event));
    if (strcmp(type, "gap") == 0) {
        EXPECT(json_object_get_int64(json_get(event, "from")) == watch.last + 1 &&
                   seq >= watch.last && (watch.may_gap || setting_has_few_events()),
               "after %lld: %s", (long long)watch.last, json_compact(event));
        model_note_gap();
    } else if (strcmp(type, "dropped") == 0) {
        EXPECT(seq == watch.last, "after %lld: %s", (long long)watch.last, json_compact(event));
        watch.was_dropped = true;
    } else {
        EXPECT(seq == watch.last + 1, "after %lld: %s", (long long)watch.last, json_compact(event));
        if (strcmp(type, "task") == 0)
            watch_take_task(event);
        else if (strcmp(type, "permission") == 0)
            question_note(json_get_string(event, "id"),
                          json_object_get_boolean(json_get(event, "isOpen")));
    }
    watch.last = seq;
    watch.may_gap = false;
    watch.count++;
}

static void watch_take(const char *line, size_t len)
{
    CLEANUP(json_putp) struct json_object *message = NULL;
    const char *reason = "";
    size_t offset;

    EXPECT(json_parse(line, len, &message, &reason, &offset) == 0, "%s: %.*s", reason, (int)len,
           line);
    world_note("event:", line, len);
    if (json_get(message, "id"))
        watch_take_reply(message);
    else
        watch_take_event(json_get(message, "params"));
}

void watch_read(void)
{
    char data[4096];
    ssize_t n;
    char *end;

    if (watch.fd < 0)
        watch_connect();
    while ((n = recv(watch.fd, data, sizeof(data), 0)) > 0)
        buf_add(&watch.in, data, (size_t)n);
    EXPECT(n == 0 || errno == EAGAIN, "%s", strerror(errno));
    while (watch.in.len && (end = memchr(watch.in.data, '\n', watch.in.len))) {
        size_t len = (size_t)(end - watch.in.data);

        watch_take(watch.in.data, len);
        buf_consume(&watch.in, len + 1);
    }
    EXPECT(n < 0 || watch.was_dropped, "acpd closed a connection");
    if (n == 0 || watch.must_drop)
        watch_drop();
}
