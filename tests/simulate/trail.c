/* SPDX-License-Identifier: MIT */
#include "trail.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/json_out.h"
#include "common/strv.h"
#include "daemon.h"
#include "disk.h"
#include "rpc/method.h"
#include "world.h"

#define TEXT_MAX  128   /* bytes of a value that are logged */
#define LOST_MAX  1000  /* bytes that a power cut takes, at most */
#define OLD_BYTES 60000 /* a little less than auditLimit */

/* Calls that make the same line, but for its time. */
struct tally {
    char *text; /* with or without the number of the task, which only the reply tells */
    uint64_t hash;
    int lines, promised; /* in the log; acknowledged */
    int open;            /* calls that may have been done */
};

static struct {
    char *path, *older;
    int fd;
    ino_t inode;
    off_t offset;
    uint64_t hash; /* of what is before it */
    struct buf line;
    bool is_torn; /* acpd has ended within a line, or a power cut has left its start */
    bool is_behind, was_behind; /* now; when the log was read last */
    struct tally *tallies;
    size_t tally_count;
    struct {
        const struct rpc_method *method; /* NULL: it writes nothing, or has been answered */
        size_t tally;
    } * calls; /* by their ids */
    int64_t call_count;
} trail;

/* --- what is counted ----------------------------------------------------------------------------
 */

/* FNV-1a. */
static uint64_t trail_hash(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static size_t trail_find(int64_t task, const char *method, const char *params)
{
    CLEANUP(freep) char *text = xasprintf("%lld %s %s", (long long)task, method, params);
    uint64_t hash = trail_hash(0, text, strlen(text));
    size_t i;

    for (i = 0; i < trail.tally_count; i++)
        if (trail.tallies[i].hash == hash && strcmp(trail.tallies[i].text, text) == 0)
            return i;
    trail.tallies = xrealloc(trail.tallies, (i + 1) * sizeof(*trail.tallies));
    trail.tallies[i] = (struct tally){.text = STEAL(text), .hash = hash};
    return trail.tally_count++;
}

static void trail_check(size_t number)
{
    const struct tally *tally = &trail.tallies[number];

    EXPECT(tally->lines <= tally->promised + tally->open, "%d lines, %d are due: %s", tally->lines,
           tally->promised, tally->text);
}

static void trail_check_due(size_t number)
{
    const struct tally *tally = &trail.tallies[number];

    EXPECT(tally->lines >= tally->promised, "%d lines, %d are due: %s", tally->lines,
           tally->promised, tally->text);
}

static void trail_promise(size_t number)
{
    trail.tallies[number].promised++;
    if (!trail.is_behind)
        trail_check_due(number);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static void trail_print(const struct param *params, struct json_object *given, bool is_inner,
                        struct buf *out);

/* Short values; lists, and what may be secret, are left out. */
static void trail_print_value(const struct param *param, struct json_object *value, bool is_inner,
                              struct buf *out)
{
    static const char *const left_out[] = {"description", "input",   "result",
                                           "lease",       "message", NULL};
    size_t len = (size_t)json_object_get_string_len(value);

    if (strv_contains((char *const *)left_out, param->name) ||
        json_object_is_type(value, json_type_array))
        return;
    if (json_object_is_type(value, json_type_string)) {
        json_out_string(out, param->name, json_object_get_string(value),
                        len < TEXT_MAX ? len : TEXT_MAX);
    } else if (!json_object_is_type(value, json_type_object)) {
        json_out_raw(out, param->name, json_compact(value));
    } else if (param->fields && !is_inner) {
        json_out_key(out, param->name);
        trail_print(param->fields, value, true, out);
    }
}

/* By name, by another name, or by position. */
static bool trail_get(const struct param *param, size_t position, struct json_object *given,
                      struct json_object **ret_value)
{
    if (json_object_is_type(given, json_type_array)) {
        *ret_value = json_object_array_get_idx(given, position);
        return *ret_value;
    }
    if (!json_object_object_get_ex(given, param->name, ret_value) &&
        !(param->alias && json_object_object_get_ex(given, param->alias, ret_value)))
        return false;
    return *ret_value || param->takes_null;
}

/* The parameters as they are logged. */
static void trail_print(const struct param *params, struct json_object *given, bool is_inner,
                        struct buf *out)
{
    struct json_object *value;

    json_out_object(out, NULL);
    for (size_t i = 0; params[i].type != PARAM_END; i++)
        if (trail_get(&params[i], i, given, &value))
            trail_print_value(&params[i], value, is_inner, out);
    json_out_end_object(out);
}

void trail_sent(int64_t id, struct json_object *request)
{
    const char *name = json_get_string(request, "method");
    const struct rpc_method *method = name ? rpc_method_find(name) : NULL;
    CLEANUP(buf_deinit) struct buf params = {0};

    if (!method || method->is_reading)
        return;
    if (id >= trail.call_count) {
        trail.calls = xrealloc(trail.calls, ((size_t)id + 1) * sizeof(*trail.calls));
        memset(&trail.calls[trail.call_count], 0,
               (size_t)(id + 1 - trail.call_count) * sizeof(*trail.calls));
        trail.call_count = id + 1;
    }
    trail_print(method->params, json_get(request, "params"), false, &params);
    trail.calls[id].method = method;
    trail.calls[id].tally = trail_find(0, name, buf_text(&params));
    trail.tallies[trail.calls[id].tally].open++;
}

/* Whether the call has written, as its reply says. *ret_task: of which task; 0: none. An extension
 * of a lease is not written, and a repeated assignment writes nothing. */
static bool trail_has_written(const struct rpc_method *method, struct json_object *result,
                              int64_t *ret_task)
{
    struct json_object *task = json_get(result, "task");

    *ret_task = json_object_get_int64(json_get(task ? task : result, "id"));
    return result && (method->is_audited || (*ret_task && !json_get(result, "deduplicated")));
}

void trail_take(int64_t id, struct json_object *reply)
{
    const struct rpc_method *method = id < trail.call_count ? trail.calls[id].method : NULL;
    size_t number = method ? trail.calls[id].tally : 0;
    int64_t task;

    if (!method)
        return;
    trail.calls[id].method = NULL;
    trail.tallies[number].open--;
    if (trail_has_written(method, json_get(reply, "result"), &task)) {
        const char *params = strchr(strchr(trail.tallies[number].text, ' ') + 1, ' ') + 1;

        trail_promise(number);
        if (task)
            trail_promise(trail_find(task, method->name, params));
    }
    trail_check(number);
}

/* --- the log ------------------------------------------------------------------------------------
 */

static void trail_take_line(const char *text, size_t len)
{
    CLEANUP(json_putp) struct json_object *line = NULL;
    CLEANUP(freep) char *copy = xstrndup(text, len);
    const char *reason = "", *name, *params = strstr(copy, "\"params\":");
    const struct rpc_method *method;
    int64_t at, task;
    size_t offset, number;

    EXPECT(json_parse(text, len, &line, &reason, &offset) == 0, "%s: %s", reason, copy);
    name = json_get_string(line, "method");
    method = name ? rpc_method_find(name) : NULL;
    task = json_object_get_int64(json_get(line, "task"));
    EXPECT(method && !method->is_reading && params, "%s", copy);
    EXPECT(json_object_object_length(line) == (task ? 6 : 5) &&
               clock_parse_iso(json_get_string(line, "at"), &at) == 0,
           "%s", copy);
    EXPECT(json_object_get_int64(json_get(line, "uid")) == getuid() &&
               json_object_get_int64(json_get(line, "pid")) == getpid(),
           "%s", copy);
    copy[len - 1] = '\0'; /* the end of the object */
    params += strlen("\"params\":");
    number = trail_find(0, name, params);
    trail.tallies[number].lines++;
    trail_check(number);
    if (!task)
        return;
    number = trail_find(task, name, params);
    trail.tallies[number].lines++;
}

static void trail_take_bytes(const char *bytes, size_t len)
{
    char *end;

    trail.offset += (off_t)len;
    trail.hash = trail_hash(trail.hash, bytes, len);
    if (len && trail.is_torn) {
        EXPECT(*bytes == '\n', "a line goes on after its end: %.*s", (int)len, bytes);
        bytes++;
        len--;
        trail.is_torn = false;
    }
    buf_add(&trail.line, bytes, len);
    while (trail.line.len && (end = memchr(trail.line.data, '\n', trail.line.len))) {
        size_t width = (size_t)(end - trail.line.data);

        trail_take_line(trail.line.data, width);
        buf_consume(&trail.line, width + 1);
    }
}

static void trail_open(void)
{
    struct stat file;

    trail.fd = open(trail.path, O_RDONLY | O_CLOEXEC);
    EXPECT(trail.fd >= 0 && fstat(trail.fd, &file) == 0, "the log is gone");
    trail.inode = file.st_ino;
}

/* What was read is still so; returns the hash of the log's first bytes. */
static uint64_t trail_hash_file(off_t size)
{
    CLEANUP(freep) char *bytes = xcalloc(1, (size_t)size + 1);

    EXPECT(pread(trail.fd, bytes, (size_t)size, 0) == size, "the log has become shorter");
    return trail_hash(0, bytes, (size_t)size);
}

/* The log begins with what another acpd left, so that it is renamed in the course of a world. */
void trail_begin(void)
{
    FILE *file;

    trail.path = xasprintf("%s/audit.log", daemon_folder());
    trail.older = xasprintf("%s.1", trail.path);
    file = fopen(trail.path, "we");
    EXPECT(file);
    while (ftell(file) < OLD_BYTES)
        fputs("{\"at\":\"2025-01-01T00:00:00.000Z\"}\n", file);
    trail.offset = ftell(file);
    EXPECT(fclose(file) == 0);
    trail_open();
    trail.hash = trail_hash_file(trail.offset);
}

static void trail_read(void)
{
    char bytes[16384];
    ssize_t n;

    while ((n = pread(trail.fd, bytes, sizeof(bytes), trail.offset)) > 0)
        trail_take_bytes(bytes, (size_t)n);
}

static bool trail_is_at(const char *path)
{
    struct stat file;

    return stat(path, &file) == 0 && file.st_ino == trail.inode;
}

void trail_follow(void)
{
    trail_read();
    if (!trail_is_at(trail.path)) {
        EXPECT(trail_is_at(trail.older), "the log is gone");
        close(trail.fd);
        trail_open();
        trail.offset = 0;
        trail.hash = 0;
        trail_read();
    }
    EXPECT(!trail.line.len || trail.is_behind, "a line without its end: %s", buf_text(&trail.line));
    if (trail.was_behind && !trail.is_behind)
        for (size_t i = 0; i < trail.tally_count; i++)
            trail_check_due(i);
    trail.was_behind = trail.is_behind;
}

bool trail_is_behind(void)
{
    return trail.is_behind;
}

void trail_note_death(void)
{
    trail_follow();
    for (size_t i = 0; trail.is_behind && i < trail.tally_count; i++)
        if (trail.tallies[i].promised > trail.tallies[i].lines)
            trail.tallies[i].promised = trail.tallies[i].lines;
    trail.is_torn |= trail.line.len > 0;
    buf_clear(&trail.line);
    trail.is_behind = trail.was_behind = false;
}

static bool trail_is_log(int fd)
{
    struct stat log, file;

    return trail.path && fstat(fd, &file) == 0 && stat(trail.path, &log) == 0 &&
           file.st_ino == log.st_ino && file.st_dev == log.st_dev;
}

/* Of acpd's. A disk that is full, or fails, takes a part of it. */
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
    size_t taken = len;

    if (!trail_is_log(fd))
        return __real_write(fd, bytes, len);
    if (disk_get() == DISK_FULL || (disk_get() == DISK_FAILING && !world_noise_below(3)))
        taken = world_noise_below(2) ? 0 : world_noise_below(len);
    trail.is_behind = taken < len;
    if (taken)
        return __real_write(fd, bytes, taken);
    errno = disk_get() == DISK_FULL ? ENOSPC : EIO;
    return -1;
}

void trail_cut_power(void)
{
    size_t lost = world_noise_below(2) ? 0 : world_noise_below(LOST_MAX);
    char last = '\n';

    trail_follow();
    if (!lost)
        return;
    trail.offset -= (off_t)lost < trail.offset ? (off_t)lost : trail.offset;
    EXPECT(truncate(trail.path, trail.offset) == 0, "%s", strerror(errno));
    EXPECT(!trail.offset || pread(trail.fd, &last, 1, trail.offset - 1) == 1);
    trail.is_torn = last != '\n';
    trail.hash = trail_hash_file(trail.offset);
}

void trail_end(void)
{
    trail_follow();
    EXPECT(trail_hash_file(trail.offset) == trail.hash, "the log was changed");
    close(trail.fd);
    for (size_t i = 0; i < trail.tally_count; i++)
        free(trail.tallies[i].text);
    free(trail.tallies);
    free(trail.calls);
    free(trail.path);
    free(trail.older);
    buf_deinit(&trail.line);
}
