/* SPDX-License-Identifier: MIT */
#include "engine/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/json_out.h"
#include "common/log.h"
#include "common/strv.h"

#define TEXT_MAX    128           /* bytes of a value */
#define PENDING_MAX (1024 * 1024) /* bytes buffered while the file cannot be written */

/* The contents of tasks and messages of failures, which may be secret and are stored with the
 * task; and the tokens of leases. */
static const char *const left_out[] = {"description", "input", "result", "lease", "message", NULL};

void audit_init(struct audit *audit, const char *path)
{
    *audit = (struct audit){.path = xstrdup(path), .fd = -1};
}

void audit_deinit(struct audit *audit)
{
    if (audit->path && audit->fd >= 0)
        close(audit->fd);
    free(audit->path);
    buf_deinit(&audit->staged);
    buf_deinit(&audit->pending);
    *audit = (struct audit){.fd = -1};
}

static void audit_add_value(struct buf *line, const struct json_value *value)
{
    if (value->kind == JSON_STRING)
        json_out_put_string(line, value->text, value->len < TEXT_MAX ? value->len : TEXT_MAX);
    else
        json_value_print(value, line);
}

/* The members of an object that are short, and those of objects in it. */
static void audit_add_members(struct buf *line, const struct json_value *object, bool is_inner)
{
    json_out_object(line, NULL);
    json_value_for_each (member, object) {
        bool is_object = member->kind == JSON_OBJECT;

        if (strv_contains((char *const *)left_out, member->name) || (is_object && is_inner) ||
            member->kind == JSON_ARRAY)
            continue;
        json_out_text(line, NULL, member->name); /* which is any text */
        buf_add_char(line, ':');
        if (is_object)
            audit_add_members(line, member, true);
        else
            audit_add_value(line, member);
    }
    json_out_end_object(line);
}

void audit_stage(struct audit *audit, const struct audit_entry *entry)
{
    struct buf *line = &audit->staged;

    json_out_object(line, NULL);
    json_out_time(line, "at", entry->at);
    json_out_int(line, "uid", entry->uid);
    json_out_int(line, "pid", entry->pid);
    if (entry->actor)
        json_out_text(line, "actor", entry->actor);
    json_out_text(line, "method", entry->method);
    if (entry->task_id)
        json_out_int(line, "task", entry->task_id);
    json_out_key(line, "params");
    audit_add_members(line, entry->params, false);
    json_out_end_object(line);
    buf_add_char(line, '\n');
}

static int audit_open_file(struct audit *audit)
{
    char last = '\n';
    struct stat st;

    if (audit->fd >= 0)
        return 0;
    audit->fd =
        open(audit->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, (mode_t)0600);
    if (audit->fd < 0 || fstat(audit->fd, &st) < 0)
        return -errno;
    audit->size = st.st_size;
    /* A crash may have cut the last line. */
    if (st.st_size && pread(audit->fd, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
        write(audit->fd, "\n", 1) != 1) {
        int r = -errno;

        close(audit->fd);
        audit->fd = -1;
        return r;
    }
    return 0;
}

static int audit_begin_another(struct audit *audit)
{
    CLEANUP(freep) char *older = xasprintf("%s.1", audit->path);

    if (rename(audit->path, older) < 0 && errno != ENOENT)
        return -errno;
    close(audit->fd);
    audit->fd = -1;
    return audit_open_file(audit);
}

/* A line cut by a full disk is continued where it was cut. */
static int audit_write_pending(struct audit *audit, int64_t limit)
{
    int r = audit_open_file(audit);

    if (r == 0 && audit->size >= limit && !audit->is_cut)
        r = audit_begin_another(audit);
    while (r == 0 && audit->pending.len) {
        ssize_t n = write(audit->fd, audit->pending.data, audit->pending.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        audit->size += n;
        audit->is_cut = audit->pending.data[n - 1] != '\n';
        buf_consume(&audit->pending, (size_t)n);
    }
    return r;
}

static void audit_take_staged(struct audit *audit)
{
    if (audit->pending.len > PENDING_MAX) {
        for (size_t i = 0; i < audit->staged.len; i++)
            audit->dropped += audit->staged.data[i] == '\n';
    } else {
        buf_add(&audit->pending, audit->staged.data, audit->staged.len);
    }
    buf_clear(&audit->staged);
}

void audit_commit(struct audit *audit, int64_t limit)
{
    int r;

    audit_take_staged(audit);
    if (!audit->pending.len)
        return;
    r = audit_write_pending(audit, limit);
    if (r < 0 && !audit->failure)
        log_error("cannot write the audit log %s: %s; its lines are kept in memory", audit->path,
                  strerror(-r));
    else if (r == 0 && audit->failure)
        log_info("writing to the audit log again; %lld %s lost", (long long)audit->dropped,
                 audit->dropped == 1 ? "line was" : "lines were");
    if (r == 0)
        audit->dropped = 0;
    audit->failure = r;
}

void audit_rollback(struct audit *audit)
{
    buf_clear(&audit->staged);
}
