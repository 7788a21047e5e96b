/* SPDX-License-Identifier: MIT */
#include "engine/task_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/json_out.h"

#define LOG_PAGE (1024 * 1024) /* bytes of log in one reply */

char *task_log_path(const struct engine *engine, int64_t task_id, int64_t attempt)
{
    /* At most a few thousand files per folder. */
    return xasprintf("%s/%lld/%lld-%lld.jsonl", engine->log_folder, (long long)(task_id / 1000),
                     (long long)task_id, (long long)attempt);
}

/* Whether the log ends with the mark of a cut; see run/run_log.c. */
static bool task_log_is_cut(int fd, int64_t size)
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
static int64_t task_log_skip_entry(int fd, char *page, int64_t from, struct buf *out)
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
        json_out_raw(out, NULL, head);
        json_out_text(out, "stream", "acpd");
        json_out_printf(out, "text", "an entry of %lld bytes was omitted", (long long)(at - from));
        json_out_bool(out, "truncated", true);
        json_out_end_object(out);
        return at;
    }
    return from;
}

int engine_print_log(const struct engine *engine, int64_t task_id, int64_t attempt, int64_t after,
                     struct buf *out)
{
    CLEANUP(freep) char *path = task_log_path(engine, task_id, attempt);
    CLEANUP(freep) char *page = NULL;
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st = {0};
    char before;
    const char *line, *end;
    int64_t next;
    ssize_t n = 0;

    /* A missing log is an empty one. */
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
    json_out_object(out, NULL);
    json_out_array(out, "entries");
    for (line = page; n > 0 && (end = memchr(line, '\n', (size_t)(page + n - line)));
         line = end + 1) {
        json_out_raw_bytes(out, NULL, line, (size_t)(end - line));
        next = after + (end + 1 - page);
    }
    if (next == after && n == LOG_PAGE)
        next = task_log_skip_entry(fd, page, after, out);
    json_out_end_array(out);
    json_out_int(out, "next", next);
    json_out_bool(out, "truncated", fd >= 0 && task_log_is_cut(fd, st.st_size));
    json_out_end_object(out);
    return 0;
}
