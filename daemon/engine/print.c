/* SPDX-License-Identifier: MIT */
/* Tasks and their logs as users see them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "engine/engine.h"

#define LOG_PAGE (1024 * 1024) /* bytes of log in one reply */

static void print_member(struct buf *out, const char *name)
{
    buf_add_text(out, ",\"");
    buf_add_text(out, name);
    buf_add_text(out, "\":");
}

static void print_json(struct buf *out, const char *name, const char *json)
{
    print_member(out, name);
    buf_add_text(out, json ? json : "null");
}

static void print_time(struct buf *out, const char *name, int64_t wall_ms)
{
    print_member(out, name);
    buf_add_json_time(out, wall_ms);
}

/* 0 prints null: the profile's value holds. */
static void print_override(struct buf *out, const char *name, double value)
{
    print_member(out, name);
    if (value > 0)
        buf_add_json_number(out, value);
    else
        buf_add_text(out, "null");
}

static void print_word(struct buf *out, const char *name, const char *word)
{
    print_member(out, name);
    buf_add_char(out, '"');
    buf_add_text(out, word);
    buf_add_char(out, '"');
}

static void print_pending(struct buf *out, const struct engine_pending *pending)
{
    print_member(out, "pending");
    if (!pending) {
        buf_add_text(out, "null");
        return;
    }
    buf_add_text(out, "{\"reason\":\"");
    buf_add_text(out, pending->reason);
    buf_add_text(out, "\",\"position\":");
    if (pending->position)
        buf_add_int(out, pending->position);
    else
        buf_add_text(out, "null");
    buf_add_text(out, ",\"eta\":");
    buf_add_json_time(out, pending->eta);
    buf_add_char(out, '}');
}

void engine_print_task(const struct engine *engine, const struct task *task,
                       const struct engine_pending *pending, struct buf *out)
{
    buf_add_text(out, "{\"id\":");
    buf_add_int(out, task->id);
    print_word(out, "profile", roster_name_of(&engine->roster, task->profile_id));
    buf_add_char(out, ',');
    buf_add_text(out, task->body);
    print_member(out, "type");
    buf_add_json_text(out, task->type);
    print_word(out, "priority", task_priority_name(task->priority));
    print_word(out, "status", task_status_name(task->status));
    print_member(out, "key");
    buf_add_json_text(out, task->key);
    print_member(out, "submittedBy");
    if (task->submitted_by)
        buf_add_int(out, task->submitted_by);
    else
        buf_add_text(out, "null");
    print_time(out, "runAt", task->run_at);
    print_override(out, "timeout", (double)task->timeout_ms / 1000);
    print_override(out, "maxAttempts", (double)task->max_attempts);
    print_member(out, "attempt");
    buf_add_int(out, task->attempt);
    print_time(out, "createdAt", task->created_at);
    print_time(out, "startedAt", task->started_at);
    print_time(out, "finishedAt", task->finished_at);
    print_json(out, "result", task->result);
    print_member(out, "error");
    if (task->error_class == ERROR_NONE) {
        buf_add_text(out, "null");
    } else {
        buf_add_text(out, "{\"class\":\"");
        buf_add_text(out, error_class_info(task->error_class)->name);
        buf_add_text(out, "\",\"message\":");
        buf_add_json_text(out, task->error_message ? task->error_message : "");
        if (task->error_tail) {
            buf_add_text(out, ",\"tail\":");
            buf_add_json_text(out, task->error_tail);
        }
        buf_add_char(out, '}');
    }
    print_pending(out, pending);
    print_json(out, "routing", task->routing);
    buf_add_char(out, '}');
}

char *engine_log_path(const struct engine *engine, int64_t task_id, int64_t attempt)
{
    /* At most some thousand files a folder. */
    return xasprintf("%s/%lld/%lld-%lld.jsonl", engine->log_folder, (long long)(task_id / 1000),
                     (long long)task_id, (long long)attempt);
}

/* Whether the log ends with the mark of a cut; see run/run_log.c. */
static bool is_cut(int fd, int64_t size)
{
    char tail[512];
    off_t at = size > (int64_t)sizeof(tail) ? size - (int64_t)sizeof(tail) : 0;
    ssize_t n = pread(fd, tail, sizeof(tail), at);
    const char *line;

    if (n <= 1)
        return false;
    line = memrchr(tail, '\n', (size_t)n - 1);
    line = line ? line + 1 : tail;
    return memmem(line, (size_t)(tail + n - line), "\"stream\":\"acpd\",\"text\":\"log cut", 31);
}

/* An entry that is longer than a page, as earlier versions wrote them: prints that it is left out,
 * and returns where the next one begins; `from` while its end is not there. */
static int64_t skip_entry(int fd, char *page, int64_t from, struct buf *out)
{
    static const char start[] = "{\"at\":\"2026-01-31T12:00:00.000Z\"";
    CLEANUP(freep) char *head = xstrndup(page, strlen(start));
    int64_t at = from + LOG_PAGE;
    ssize_t n;

    for (; (n = pread(fd, page, LOG_PAGE, at)) > 0; at += n) {
        const char *end = memchr(page, '\n', (size_t)n);

        if (!end)
            continue;
        at += end + 1 - page;
        buf_printf(out,
                   "%s,\"stream\":\"acpd\",\"text\":\"an entry of %lld bytes is left "
                   "out\",\"truncated\":true}",
                   head, (long long)(at - from));
        return at;
    }
    return from;
}

int engine_print_log(const struct engine *engine, int64_t task_id, int64_t attempt, int64_t after,
                     struct buf *out)
{
    CLEANUP(freep) char *path = engine_log_path(engine, task_id, attempt);
    CLEANUP(freep) char *page = NULL;
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st = {0};
    char before;
    const char *separator = "", *line, *end;
    int64_t next;
    ssize_t n = 0;

    /* No log yet, or no longer, is an empty one. */
    if (fd < 0 && errno != ENOENT)
        return -errno;
    if (fd >= 0) {
        if (fstat(fd, &st) < 0)
            return -errno;
        if (after > 0 && (pread(fd, &before, 1, after - 1) != 1 || before != '\n'))
            return -EINVAL;
        page = xmalloc(LOG_PAGE);
        n = pread(fd, page, LOG_PAGE, after);
        if (n < 0)
            return -errno;
    }
    next = after;
    buf_add_text(out, "{\"entries\":[");
    for (line = page; n > 0 && (end = memchr(line, '\n', (size_t)(page + n - line)));
         line = end + 1) {
        buf_add_text(out, separator);
        buf_add(out, line, (size_t)(end - line));
        separator = ",";
        next = after + (end + 1 - page);
    }
    if (next == after && n == LOG_PAGE)
        next = skip_entry(fd, page, after, out);
    buf_add_text(out, "],\"next\":");
    buf_add_int(out, next);
    buf_add_text(out, ",\"truncated\":");
    buf_add_text(out, fd >= 0 && is_cut(fd, st.st_size) ? "true}" : "false}");
    return 0;
}
