/* SPDX-License-Identifier: MIT */
#include "queue_peers.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"

/* ---- replies ---- */

static size_t line_size(const char *data, size_t len)
{
    const char *end = memchr(data, '\n', len);

    return end ? (size_t)(end - data) + 1 : 0;
}

static bool starts_with(const char *data, size_t len, const char *text)
{
    return len >= strlen(text) && memcmp(data, text, strlen(text)) == 0;
}

/* Copies what follows `before`, up to one of `ends`. */
static bool copy_after(const char *data, size_t len, const char *before, const char *ends,
                       char ret_text[JOB_TEXT_MAX])
{
    const char *at = memmem(data, len, before, strlen(before)), *end = data + len;
    size_t count = 0;

    if (!at)
        return false;
    for (at += strlen(before); at < end && !strchr(ends, *at) && count < JOB_TEXT_MAX - 1; at++)
        ret_text[count++] = *at;
    ret_text[count] = '\0';
    return count > 0 && at < end && strchr(ends, *at);
}

/* ---- acpd ---- */

static void acpd_call(struct buf *buf, const struct job *job, const char *method)
{
    buf_add_text(buf, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_int(buf, (int64_t)job->call);
    buf_add_text(buf, ",\"method\":\"");
    buf_add_text(buf, method);
    buf_add_text(buf, "\",\"params\":");
}

static void acpd_put(struct buf *buf, const struct job *job)
{
    acpd_call(buf, job, "assign_task_to_profile");
    buf_add_text(buf,
                 "{\"profileName\":\"bench\",\"task\":{\"title\":\"bench\",\"description\":\"");
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\"}}}\n");
}

static bool acpd_take_put(struct job *job UNUSED, const char *data, size_t len)
{
    return memmem(data, len, "\"success\":true", strlen("\"success\":true")) != NULL;
}

static void acpd_claim(struct buf *buf, const struct job *job)
{
    acpd_call(buf, job, "claim_task");
    buf_add_text(buf, "{\"profiles\":[\"bench\"],\"worker\":\"w\"}}\n");
}

static bool acpd_take_claim(struct job *job, const char *data, size_t len)
{
    return copy_after(data, len, "\"task\":{\"id\":", ",}", job->id) &&
           copy_after(data, len, "\"lease\":\"", "\"", job->lease);
}

static void acpd_complete(struct buf *buf, const struct job *job)
{
    acpd_call(buf, job, "complete_task");
    buf_add_text(buf, "{\"id\":");
    buf_add_text(buf, job->id);
    buf_add_text(buf, ",\"lease\":\"");
    buf_add_text(buf, job->lease);
    buf_add_text(buf, "\"}}\n");
}

static bool acpd_take_complete(struct job *job UNUSED, const char *data, size_t len)
{
    static const char completed[] = "\"status\":\"completed\"";

    return memmem(data, len, completed, strlen(completed)) != NULL;
}

/* ---- beanstalkd ---- */

static void beanstalkd_put(struct buf *buf, const struct job *job)
{
    buf_printf(buf, "put 0 0 60 %zu\r\n", job->payload->len);
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\r\n");
}

static bool beanstalkd_take_put(struct job *job UNUSED, const char *data, size_t len)
{
    return starts_with(data, len, "INSERTED ");
}

static void beanstalkd_claim(struct buf *buf, const struct job *job UNUSED)
{
    buf_add_text(buf, "reserve\r\n");
}

/* A line, and as many bytes as its last number says, with CR LF. */
static size_t beanstalkd_size_claim(const char *data, size_t len)
{
    size_t line = line_size(data, len), number = line, total;

    while (number > 0 && data[number - 1] != ' ')
        number--;
    if (!number)
        return line; /* an error, of one line */
    total = line + strtoul(data + number, NULL, 10) + 2;
    return total <= len ? total : 0;
}

static bool beanstalkd_take_claim(struct job *job, const char *data, size_t len)
{
    return copy_after(data, len, "RESERVED ", " ", job->id);
}

static void beanstalkd_complete(struct buf *buf, const struct job *job)
{
    buf_add_text(buf, "delete ");
    buf_add_text(buf, job->id);
    buf_add_text(buf, "\r\n");
}

static bool beanstalkd_take_complete(struct job *job UNUSED, const char *data, size_t len)
{
    return starts_with(data, len, "DELETED");
}

/* ---- Redis: a list of what waits, and one of what is worked on ---- */

static void redis_put(struct buf *buf, const struct job *job)
{
    buf_printf(buf, "*3\r\n$5\r\nLPUSH\r\n$5\r\nbench\r\n$%zu\r\n", job->payload->len);
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\r\n");
}

static bool redis_take_number(struct job *job UNUSED, const char *data, size_t len)
{
    return len > 1 && data[0] == ':' && data[1] >= '1' && data[1] <= '9';
}

static void redis_claim(struct buf *buf, const struct job *job UNUSED)
{
    buf_add_text(buf,
                 "*5\r\n$5\r\nLMOVE\r\n$5\r\nbench\r\n$4\r\nwork\r\n$5\r\nRIGHT\r\n$4\r\nLEFT\r\n");
}

/* Of a value of RESP (https://redis.io/docs/latest/develop/reference/protocol-spec). */
static size_t redis_size(const char *data, size_t len)
{
    size_t total = line_size(data, len);
    long number = total ? strtol(data + 1, NULL, 10) : 0;

    if (!total || number < 0 || (data[0] != '$' && data[0] != '*'))
        return total;
    if (data[0] == '$')
        return total + (size_t)number + 2 <= len ? total + (size_t)number + 2 : 0;
    for (long i = 0; i < number; i++) {
        size_t size = redis_size(data + total, len - total);

        if (!size)
            return 0;
        total += size;
    }
    return total;
}

static bool redis_take_claim(struct job *job, const char *data, size_t len)
{
    return data[0] == '$' && len > job->payload->len;
}

/* The payloads are alike, so it finds one at once. */
static void redis_complete(struct buf *buf, const struct job *job)
{
    buf_printf(buf, "*4\r\n$4\r\nLREM\r\n$4\r\nwork\r\n$1\r\n1\r\n$%zu\r\n", job->payload->len);
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\r\n");
}

/* ---- Redis: a stream with a group of consumers ---- */

static void stream_put(struct buf *buf, const struct job *job)
{
    buf_printf(buf, "*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\np\r\n$%zu\r\n",
               job->payload->len);
    buf_add(buf, job->payload->data, job->payload->len);
    buf_add_text(buf, "\r\n");
}

static bool stream_take_put(struct job *job UNUSED, const char *data, size_t len UNUSED)
{
    return data[0] == '$';
}

static void stream_claim(struct buf *buf, const struct job *job UNUSED)
{
    buf_add_text(buf,
                 "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$1\r\ng\r\n$1\r\nw\r\n$5\r\nCOUNT\r\n"
                 "$1\r\n1\r\n$7\r\nSTREAMS\r\n$5\r\nbench\r\n$1\r\n>\r\n");
}

/* One stream, one entry: its id, and its members. */
static bool stream_take_claim(struct job *job, const char *data, size_t len)
{
    static const char before_id[] = "bench\r\n*1\r\n*2\r\n$";
    char before[sizeof(before_id) + JOB_TEXT_MAX + 2], digits[JOB_TEXT_MAX];

    if (!copy_after(data, len, before_id, "\r", digits))
        return false;
    snprintf(before, sizeof(before), "%s%s\r\n", before_id, digits);
    return copy_after(data, len, before, "\r", job->id);
}

static void stream_complete(struct buf *buf, const struct job *job)
{
    size_t len = strlen(job->id);

    buf_printf(buf, "*4\r\n$4\r\nXACK\r\n$5\r\nbench\r\n$1\r\ng\r\n$%zu\r\n%s\r\n", len, job->id);
    buf_printf(buf, "*3\r\n$4\r\nXDEL\r\n$5\r\nbench\r\n$%zu\r\n%s\r\n", len, job->id);
}

static size_t stream_size_complete(const char *data, size_t len)
{
    size_t first = redis_size(data, len), second;

    second = first ? redis_size(data + first, len - first) : 0;
    return second ? first + second : 0;
}

static bool stream_take_complete(struct job *job UNUSED, const char *data, size_t len)
{
    return starts_with(data, len, ":1\r\n:1\r\n");
}

/* ---- PostgreSQL: a table, whose rows are taken with SKIP LOCKED ---- */

static uint32_t read_big_endian(const char *data)
{
    uint32_t number;

    memcpy(&number, data, sizeof(number));
    return be32toh(number);
}

static void add_big_endian(struct buf *buf, size_t number)
{
    uint32_t big = htobe32((uint32_t)number);

    buf_add(buf, &big, sizeof(big));
}

/* The startup message of protocol 3.0, and the statements
 * (https://www.postgresql.org/docs/15/protocol.html). */
static void postgres_add_greeting(struct buf *buf)
{
    static const char startup[] = "user\0postgres\0database\0postgres\0";
    static const char statements[] =
        "PREPARE put AS INSERT INTO job (payload) VALUES ($1);"
        "PREPARE claim AS UPDATE job SET is_taken = true WHERE id = (SELECT id FROM job "
        "WHERE NOT is_taken ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id;"
        "PREPARE complete AS DELETE FROM job WHERE id = $1";

    add_big_endian(buf, 8 + sizeof(startup));
    add_big_endian(buf, 196608);
    buf_add(buf, startup, sizeof(startup));
    buf_add_char(buf, 'Q');
    add_big_endian(buf, 4 + sizeof(statements));
    buf_add(buf, statements, sizeof(statements));
}

/* Of the messages up to the one that says that the server is ready. */
static size_t postgres_size(const char *data, size_t len)
{
    size_t at = 0;

    while (len - at >= 5) {
        size_t size = 1 + read_big_endian(data + at + 1);

        if (size > len - at)
            return 0;
        at += size;
        if (data[at - size] == 'Z')
            return at;
    }
    return 0;
}

/* Ready after the startup, and after the statements. */
static size_t postgres_size_welcome(const char *data, size_t len)
{
    size_t first = postgres_size(data, len), second;

    second = first ? postgres_size(data + first, len - first) : 0;
    return second ? first + second : 0;
}

static void postgres_add_query(struct buf *buf, const char *before, const char *text, size_t len,
                               const char *after)
{
    buf_add_char(buf, 'Q');
    add_big_endian(buf, 4 + strlen(before) + len + strlen(after) + 1);
    buf_add_text(buf, before);
    buf_add(buf, text, len);
    buf_add(buf, after, strlen(after) + 1);
}

static void postgres_put(struct buf *buf, const struct job *job)
{
    postgres_add_query(buf, "EXECUTE put('", job->payload->data, job->payload->len, "')");
}

static bool postgres_is_tag(const char *data, size_t len, const char *tag)
{
    return len > 5 && data[0] == 'C' && starts_with(data + 5, len - 5, tag);
}

static bool postgres_take_put(struct job *job UNUSED, const char *data, size_t len)
{
    return postgres_is_tag(data, len, "INSERT 0 1");
}

static void postgres_claim(struct buf *buf, const struct job *job UNUSED)
{
    postgres_add_query(buf, "EXECUTE claim", "", 0, "");
}

/* A description of the rows, and a row: the number of columns, and of each its length and text. */
static bool postgres_take_claim(struct job *job, const char *data, size_t len)
{
    size_t row = data[0] == 'T' ? 1 + read_big_endian(data + 1) : len, size;

    if (row + 11 > len || data[row] != 'D')
        return false;
    size = read_big_endian(data + row + 7);
    if (size >= JOB_TEXT_MAX || row + 11 + size > len)
        return false;
    memcpy(job->id, data + row + 11, size);
    job->id[size] = '\0';
    return true;
}

/* All jobs that it saw were locked by others, or are taken by now. */
static bool postgres_is_futile(const char *data, size_t len)
{
    size_t row = data[0] == 'T' ? 1 + read_big_endian(data + 1) : len;

    return row < len && postgres_is_tag(data + row, len - row, "UPDATE 0");
}

static bool postgres_take_complete(struct job *job UNUSED, const char *data, size_t len)
{
    return postgres_is_tag(data, len, "DELETE 1");
}

static void postgres_complete(struct buf *buf, const struct job *job)
{
    postgres_add_query(buf, "EXECUTE complete(", job->id, strlen(job->id), ")");
}

/* ---- gearmand: its binary protocol (http://gearman.org/protocol) ---- */

enum gearman_type {
    GEARMAN_CAN_DO = 1,
    GEARMAN_JOB_CREATED = 8,
    GEARMAN_GRAB_JOB = 9,
    GEARMAN_JOB_ASSIGN = 11,
    GEARMAN_WORK_COMPLETE = 13,
    GEARMAN_ECHO_REQ = 16,
    GEARMAN_ECHO_RES = 17,
    GEARMAN_SUBMIT_JOB_BG = 18,
};

static void gearman_add(struct buf *buf, enum gearman_type type, const char *data, size_t len)
{
    buf_add(buf, "\0REQ", 4);
    add_big_endian(buf, type);
    add_big_endian(buf, len);
    buf_add(buf, data, len);
}

static size_t gearman_size(const char *data, size_t len)
{
    size_t size = len < 12 ? 0 : 12 + read_big_endian(data + 8);

    return size <= len ? size : 0;
}

static bool gearman_is(const char *data, enum gearman_type type)
{
    return read_big_endian(data + 4) == type;
}

static void gearman_add_greeting(struct buf *buf)
{
    gearman_add(buf, GEARMAN_CAN_DO, "bench", 5);
}

static void gearman_put(struct buf *buf, const struct job *job)
{
    CLEANUP(buf_deinit) struct buf data = {0};

    buf_printf(&data, "bench%c%llu%c", 0, (unsigned long long)job->call, 0);
    buf_add(&data, job->payload->data, job->payload->len);
    gearman_add(buf, GEARMAN_SUBMIT_JOB_BG, data.data, data.len);
}

static bool gearman_take_put(struct job *job UNUSED, const char *data, size_t len UNUSED)
{
    return gearman_is(data, GEARMAN_JOB_CREATED);
}

static void gearman_claim(struct buf *buf, const struct job *job UNUSED)
{
    gearman_add(buf, GEARMAN_GRAB_JOB, NULL, 0);
}

static bool gearman_take_claim(struct job *job, const char *data, size_t len)
{
    return gearman_is(data, GEARMAN_JOB_ASSIGN) &&
           snprintf(job->id, sizeof(job->id), "%.*s", (int)(len - 12), data + 12) > 0;
}

/* A completion has no reply, so ask for another one behind it. */
static void gearman_complete(struct buf *buf, const struct job *job)
{
    gearman_add(buf, GEARMAN_WORK_COMPLETE, job->id, strlen(job->id) + 1);
    gearman_add(buf, GEARMAN_ECHO_REQ, NULL, 0);
}

static bool gearman_take_complete(struct job *job UNUSED, const char *data, size_t len UNUSED)
{
    return gearman_is(data, GEARMAN_ECHO_RES);
}

static const struct peer peers[] = {
    {"acpd",
     {{acpd_put, line_size, acpd_take_put},
      {acpd_claim, line_size, acpd_take_claim},
      {acpd_complete, line_size, acpd_take_complete}}},
    {"beanstalkd",
     {{beanstalkd_put, line_size, beanstalkd_take_put},
      {beanstalkd_claim, beanstalkd_size_claim, beanstalkd_take_claim},
      {beanstalkd_complete, line_size, beanstalkd_take_complete}}},
    {"redis",
     {{redis_put, line_size, redis_take_number},
      {redis_claim, redis_size, redis_take_claim},
      {redis_complete, line_size, redis_take_number}}},
    {"redis-stream",
     {{stream_put, redis_size, stream_take_put},
      {stream_claim, redis_size, stream_take_claim},
      {stream_complete, stream_size_complete, stream_take_complete}}},
    {"postgres",
     {{postgres_put, postgres_size, postgres_take_put},
      {postgres_claim, postgres_size, postgres_take_claim, postgres_is_futile},
      {postgres_complete, postgres_size, postgres_take_complete}},
     postgres_add_greeting,
     postgres_size_welcome},
    {"gearmand",
     {{gearman_put, gearman_size, gearman_take_put},
      {gearman_claim, gearman_size, gearman_take_claim},
      {gearman_complete, gearman_size, gearman_take_complete}},
     gearman_add_greeting,
     NULL},
};

const struct peer *peer_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
        if (strcmp(peers[i].name, name) == 0)
            return &peers[i];
    return NULL;
}
